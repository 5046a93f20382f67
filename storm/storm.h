/* SPDX-License-Identifier: Apache-2.0 */
/* One service from the inside: its topics and what hangs together, for the files of this directory. Everything belongs
   to one loop; the store's thread is hidden behind the store. */
#ifndef STORM_PRIV_H
#define STORM_PRIV_H

#include <moulin/base/list.h>
#include <moulin/rpc/adapter.h>
#include <moulin/rpc/call.h>
#include <moulin/rpc/request.h>
#include <slice/IceStorm/Internal_rpc.h>

#include "config.h"
#include "metrics.h"
#include "subscriber.h"

struct store;
struct storm_changes;
struct storm_replica;

struct storm_topic {
    struct storm *storm; /* borrows */
    struct ib_arena arena; /* of what follows */
    struct ib_str name;
    struct iw_identity id, publisher_id, link_id;
    struct ir_servant servant, publisher, link;
    bool live; /* in the table; before that it answers as if it did not exist */
    bool added[3]; /* to the adapters: servant, publisher, link */
    struct ib_list subscribers; /* struct storm_subscriber, in the order of their subscription */
    size_t n_subscribers;
    int64_t published, forwarded; /* requests, of publishers and of links */
    struct ir_observed observed;
};

struct storm {
    struct ib_list node; /* of the role's services */
    struct ic_loop *loop; /* borrows, as the runtime */
    struct ir_runtime *rt;
    struct ib_log *log;
    struct ib_arena arena; /* of cfg */
    struct storm_config cfg;
    struct storm_metrics metrics; /* where its objects are observed */
    struct store *store; /* owns; NULL when transient */
    struct storm_changes *changes; /* owns */
    struct storm_replica *replica; /* owns; NULL: it is alone */
    struct ir_adapter *manager, *publish; /* own */
    struct ir_servant manager_servant, finder_servant;
    struct storm_topic **topics; /* owns; sorted by name */
    size_t n_topics, topics_cap;
    struct ib_list links; /* struct storm_linking: links being made */
    bool settled; /* its start has ended, well or not */
    struct ib_err failure; /* of the start */
    bool stopping;
};

/* --- service.c --- */

/* Opens the database, makes the adapters, loads, begins to activate. The loop may run meanwhile. */
struct storm *storm_new(struct ic_loop *loop, struct ir_runtime *rt, const struct storm_metrics *metrics,
                        const char *service, struct ib_err *err);
int storm_await(struct storm *s, struct ib_err *err) IB_MUST_CHECK; /* the end of the start; the loop runs until then */
void storm_stop(struct storm *s); /* nothing waits any more: requests are answered, batches leave */
bool storm_is_idle(const struct storm *s); /* no oneway or batch is on its way */
void storm_free(struct storm *s);

/* --- discovery.c --- */

/* The nodes of a replica for which none are listed: the locator is asked, the loop runs until it has answered. */
int storm_discover(struct storm *s, struct ib_err *err) IB_MUST_CHECK;

/* --- manager.c --- */

/* Of an object of this very service, through a locator by the adapter's own id (it may be in a replica group). */
struct iw_proxy *storm_own_proxy(struct ir_adapter *a, struct ib_str adapter_id, const struct iw_identity *id,
                                 struct ib_arena *arena);

int storm_manager_add(struct storm *s, struct ib_err *err) IB_MUST_CHECK; /* the manager's and the finder's objects */

/* --- topic.c: topics and their table --- */

/* With its objects in the adapters, not yet in the table. NULL with err: memory, or an identity is taken. */
struct storm_topic *storm_topic_new(struct storm *s, const struct iw_identity *id, struct ib_err *err);
void storm_topic_free(struct storm_topic *t); /* its subscribers, too */
struct storm_topic *storm_topic_find(const struct storm *s, struct ib_str name);
int storm_topics_reserve(struct storm *s, size_t more); /* room for more: storm_topic_link cannot fail then */
void storm_topic_link(struct storm_topic *t);
void storm_topic_unlink(struct storm_topic *t);
/* Before a node of its list of subscribers; that list itself: at the end. */
void storm_topic_add(struct storm_topic *t, struct ib_list *before, struct storm_subscriber *sub);
struct storm_subscriber *storm_topic_subscriber(const struct storm_topic *t, const struct iw_identity *id);
/* Of an object for publishers: at all replicas, if they are told. */
struct iw_proxy *storm_publish_proxy(const struct storm *s, const struct iw_identity *id, struct ib_arena *arena);
struct iw_proxy *storm_topic_proxy(const struct storm_topic *t, struct ib_arena *arena);
struct iw_identity storm_topic_identity(const struct storm *s, struct ib_str name, struct ib_arena *arena);
struct ib_str storm_topic_name(const struct iw_identity *id); /* borrows from id */
void storm_topic_publish(struct storm_topic *t, struct storm_event *e);

/* --- topic_servant.c --- */

extern const struct IceStorm_TopicInternal_servant storm_topic_vtable;

/* --- link.c: links to other topics, and what comes over links --- */

extern const struct IceStorm_TopicLink_servant storm_link_vtable;
/* Asks the topic for its link, then submits the change; answers rq. */
void storm_link_start(struct storm_topic *t, struct ir_request *rq, const struct iw_proxy *to, int cost);
void storm_links_stop(struct storm *s);

/* --- publisher.c: objects that take every operation --- */

void storm_publisher_init(struct storm_topic *t);
void storm_subscriber_publisher_init(struct storm_subscriber *sub);

#endif
