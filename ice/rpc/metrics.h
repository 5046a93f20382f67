/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics from the inside.

       view  ──owns──►  map  ──owns──►  element  ◄──counts in──  link  ◄──has──  object
                         ▲                  └─owns─► maps of its own (an invocation's remote attempts)
       source ──feeds────┘

   A source tells every map of its name, one per enabled view, when an object starts; each finds or makes the element
   the object belongs to by its GroupBy, and hangs a link to it on the object. Without an enabled view a source has no
   map, an object no link, and whoever is on a hot path tests just that. */
#ifndef MOULIN_ICE_METRICS_H
#define MOULIN_ICE_METRICS_H

#include "hash.h"

#include <moulin/base/arena.h>
#include <moulin/rpc/metrics.h>

#include <regex.h>

#define IR_METRICS_SUBMAPS 2
#define IR_METRICS_ID_MAX 1024 /* bytes of an id or an attribute: what is longer is cut */
#define IR_METRICS_RETAIN 10
#define IR_METRICS_RETAIN_MAX 1000 /* elements without a living object, whatever RetainDetached says */
#define IR_METRICS_RETAIN_SUB_MAX 100 /* of a map within an element */
#define IR_METRICS_PARTS 64 /* attributes and separators of a GroupBy */
#define IR_METRICS_PATTERN_MAX 1024

struct ib_log;
struct ir_properties;
struct IceMX_MetricsMap;
struct IceMX_MetricsFailures;

/* --- rules: how a map groups and what it takes (metrics_rules.c) ----------------------------------------------------
 */

struct ir_metrics_part {
    char *text; /* owns: an attribute's name, or what stands between two */
    bool attribute;
};

struct ir_metrics_pattern {
    struct ib_list node;
    bool reject;
    regex_t re;
    char attribute[]; /* NUL-terminated */
};

struct ir_metrics_rules {
    struct ir_metrics_part group[IR_METRICS_PARTS];
    size_t n_group;
    struct ib_list patterns; /* ir_metrics_pattern.node */
    size_t retain;
    struct ir_metrics_rules *sub[IR_METRICS_SUBMAPS]; /* owns; NULL: not wanted */
};

/* The rules a map has below prefix ("IceMX.Metrics.V.Map.Session."). Of sub, those named are read too. NULL when memory
   is short or a pattern is malformed: then that is in err. */
struct ir_metrics_rules *ir_metrics_rules_new(const struct ir_properties *p, struct ib_log *log, const char *prefix,
                                              const struct ir_metrics_source *const *sub, struct ib_err *err);
void ir_metrics_rules_free(struct ir_metrics_rules *r);
/* The element an object belongs to; false: the map does not want it. */
bool ir_metrics_rules_apply(const struct ir_metrics_rules *r, const struct ir_metrics_kind *kind, const void *object,
                            struct ib_buf *id);

/* --- maps (metrics_map.c) ---------------------------------------------------------------------------------------- */

struct ir_metrics_source {
    const struct ir_metrics_kind *kind;
    struct ib_list node; /* metrics->sources */
    struct ib_list maps; /* ir_metrics_map.node */
    struct ib_list objects; /* ir_observed.node */
    bool on; /* there is a map */
    bool own; /* made by ir_metrics_add */
    bool part; /* its objects are parts of another runtime's: they do not count as objects */
    unsigned n_values;
    const struct ir_metrics_source *sub[IR_METRICS_SUBMAPS];
};

struct ir_metrics_element;

struct ir_metrics_map {
    struct ib_list node; /* source->maps; a map within an element is in no list */
    const struct ir_metrics_source *source;
    const struct ir_metrics_rules *rules; /* borrows */
    size_t retain_max;
    struct ir_metrics_element *elements; /* uthash by id */
    struct ib_list detached; /* ir_metrics_element.node, oldest first */
    size_t n_detached;
    struct ib_list links; /* ir_metrics_link.node */
};

struct ir_metrics_map *ir_metrics_map_new(const struct ir_metrics_source *s, const struct ir_metrics_rules *rules,
                                          size_t retain_max);
void ir_metrics_map_free(struct ir_metrics_map *m); /* objects lose their links to it */
void ir_metrics_map_attach(struct ir_metrics_map *m, struct ir_metrics_link **links, const void *object);
int ir_metrics_map_write(struct ir_metrics_map *m, struct ib_arena *a, struct IceMX_MetricsMap *out) IB_MUST_CHECK;
/* Of all elements that have any, or of the one called id even if it has none. */
int ir_metrics_map_failures(const struct ir_metrics_map *m, const struct ib_str *id, struct ib_arena *a,
                            struct IceMX_MetricsFailures **out, size_t *n) IB_MUST_CHECK;

/* metrics_merge.c: adds what the maps of another loop hold; elements of b may become a's, and stay where they are. */
int ir_metrics_merge(struct IceMX_MetricsMap *a, const struct IceMX_MetricsMap *b,
                     struct ib_arena *arena) IB_MUST_CHECK;
int ir_metrics_merge_failures(struct IceMX_MetricsFailures *a, const struct IceMX_MetricsFailures *b,
                              struct ib_arena *arena) IB_MUST_CHECK;

/* For objects that come and go too fast to be remembered: requests, calls, attempts. links is NULL at first. */
void ir_metrics_start(struct ir_metrics_source *s, struct ir_metrics_link **links, const void *object);
void ir_metrics_start_sub(struct ir_metrics_link *parent, unsigned which, struct ir_metrics_link **links,
                          const void *object);
void ir_metrics_count(struct ir_metrics_link *links, unsigned value, int64_t n);
void ir_metrics_fail(struct ir_metrics_link *links, const char *what);
void ir_metrics_stop_all(struct ir_metrics_link **links);

static inline void ir_metrics_stop(struct ir_metrics_link **links)
{
    if (*links)
        ir_metrics_stop_all(links);
}

/* --- views (metrics_view.c) -------------------------------------------------------------------------------------- */

struct ir_metrics {
    struct ir_runtime *rt;
    bool started; /* there is a facet that shows them */
    struct ib_list sources, views;
    struct ir_metrics_source connection, establishment, lookup, dispatch, invocation, remote, collocated, thread;
    struct ir_observed loop;
};

struct ir_metrics_view;

struct ir_metrics *ir_metrics_new(struct ir_runtime *rt);
void ir_metrics_free(struct ir_metrics *m); /* NULL is fine */
void ir_metrics_source_init(struct ir_metrics *m, struct ir_metrics_source *s, const struct ir_metrics_kind *kind);
/* Views as the properties say; those whose properties did not change keep what they counted. */
void ir_metrics_configure(struct ir_metrics *m);
int ir_metrics_enable(struct ir_metrics *m, struct ib_str view, bool on) IB_MUST_CHECK; /* IB_ENOTFOUND */
struct ir_metrics_view *ir_metrics_find(struct ir_metrics *m, struct ib_str view);

struct ir_metrics_view {
    struct ib_list node; /* metrics->views */
    bool disabled, seen;
    char *settings; /* owns: its properties as they were read */
    struct ir_metrics_slot {
        struct ir_metrics_map *map;
        struct ir_metrics_rules *rules;
    } * slots; /* owns */
    size_t n_slots;
    char name[]; /* NUL-terminated */
};

/* --- what every runtime has (metrics_sources.c) ------------------------------------------------------------------ */

extern const struct ir_metrics_kind ir_kind_connection, ir_kind_establishment, ir_kind_lookup, ir_kind_dispatch,
    ir_kind_invocation, ir_kind_remote, ir_kind_collocated, ir_kind_thread;

enum { IR_MX_RECEIVED, IR_MX_SENT }; /* values of Connection */
enum { IR_MX_DISPATCH_USER_EXCEPTION, IR_MX_DISPATCH_SIZE, IR_MX_DISPATCH_REPLY }; /* of Dispatch */
enum { IR_MX_INVOCATION_RETRY, IR_MX_INVOCATION_USER_EXCEPTION }; /* of Invocation */
enum { IR_MX_CHILD_SIZE, IR_MX_CHILD_REPLY }; /* of Remote */
enum { IR_MX_REMOTE }; /* submaps of an invocation: remotes, collocated */

/* Objects of Invocation and Remote, for as long as ir_metrics_start looks at them. */
struct ir_metrics_invocation {
    const struct iw_proxy *proxy;
    struct ib_str operation;
    bool oneway;
    size_t n_context;
    const struct ir_context_entry *context;
};
struct ir_metrics_remote {
    const struct ir_conn *conn;
    int32_t request_id;
};

struct iw_endpoint;
bool ir_metrics_is_name(const struct iw_endpoint *ep); /* its host must be looked up */

#endif
