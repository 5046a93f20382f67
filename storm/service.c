/* SPDX-License-Identifier: Apache-2.0 */
/* One service's life: configuration, database, adapters, activation, end. Owns everything in struct storm. */
#include <stdlib.h>

#include <moulin/base/log.h>
#include <moulin/store/store.h>

#include "change.h"
#include "replica.h"
#include "storm.h"

#define ROUND_MS 100

static struct ir_adapter *make_adapter(struct storm *s, const char *name, struct ib_err *err)
{
    struct ib_str full = ib_arena_printf(&s->arena, "%s.%s", s->cfg.service.p, name);
    if (!full.p) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    return ir_adapter_new(s->rt, full.p, err);
}

static void give_up(struct storm *s, const char *adapter, int code, const char *text)
{
    ib_err_set(&s->failure, code, "%s.%s: cannot activate the adapter: %s", s->cfg.service.p, adapter, text);
    s->settled = true;
}

static void on_publish_active(void *arg, int code, const char *text)
{
    struct storm *s = arg;
    if (code)
        give_up(s, "Publish", code, text);
    s->settled = true;
}

static void on_manager_active(void *arg, int code, const char *text)
{
    struct storm *s = arg;
    if (code)
        give_up(s, "TopicManager", code, text);
    else if (!s->stopping)
        ir_adapter_activate(s->publish, on_publish_active, s);
}

/* The election begins first: what it decides is what the others wait for. */
static void on_node_active(void *arg, int code, const char *text)
{
    struct storm *s = arg;
    if (code) {
        give_up(s, "Node", code, text);
    } else if (!s->stopping) {
        storm_replica_start(s->replica);
        ir_adapter_activate(s->manager, on_manager_active, s);
    }
}

static int start(struct storm *s, const char *service, struct ib_err *err)
{
    int rc = storm_config_read(&s->cfg, service, ir_runtime_properties(s->rt), s->log, &s->arena, err);
    if (!rc)
        rc = storm_discover(s, err);
    if (rc)
        return rc;
    s->changes = storm_changes_new(s);
    if (!s->changes)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    s->manager = make_adapter(s, "TopicManager", err);
    if (s->manager)
        s->publish = make_adapter(s, "Publish", err);
    if (!s->publish)
        return err->code;
    if (!s->cfg.transient) {
        s->store = store_open(s->loop, &storm_schema, s->cfg.path.p, s->cfg.map_size, err);
        if (!s->store)
            return err->code;
    }
    rc = storm_changes_load(s->changes, err);
    if (!rc)
        rc = storm_manager_add(s, err);
    if (!rc && s->cfg.node_id >= 0) {
        s->replica = storm_replica_new(s, err);
        rc = s->replica ? 0 : err->code;
    }
    if (!rc && s->replica) {
        storm_gate_watch(s);
        ir_adapter_activate(s->replica->node, on_node_active, s);
    } else if (!rc) {
        ir_adapter_activate(s->manager, on_manager_active, s);
    }
    return rc;
}

struct storm *storm_new(struct ic_loop *loop, struct ir_runtime *rt, const struct storm_metrics *metrics,
                        const char *service, struct ib_err *err)
{
    struct storm *s = calloc(1, sizeof *s);
    if (!s) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    s->loop = loop;
    s->rt = rt;
    s->metrics = *metrics;
    s->log = ir_runtime_log(rt);
    ib_list_init(&s->node);
    ib_list_init(&s->links);
    ib_arena_init(&s->arena, 0);
    if (start(s, service, err) == 0)
        return s;
    storm_free(s);
    return NULL;
}

int storm_await(struct storm *s, struct ib_err *err)
{
    while (!s->settled)
        (void)ic_loop_run_once(s->loop, ROUND_MS);
    return s->failure.code ? ib_err_set(err, s->failure.code, "%s", s->failure.text) : 0;
}

/* What waits for its time leaves now. What twoway subscribers have not taken is given up. */
static void flush_all(struct storm *s)
{
    for (size_t i = 0; i < s->n_topics; i++)
        IB_LIST_FOREACH(node, &s->topics[i]->subscribers)
        {
            struct storm_subscriber *sub = IB_CONTAINER(node, struct storm_subscriber, node);
            if (sub->delivery == STORM_BATCH)
                storm_subscriber_flush(sub);
        }
}

bool storm_is_idle(const struct storm *s)
{
    for (size_t i = 0; i < s->n_topics; i++)
        IB_LIST_FOREACH(node, &s->topics[i]->subscribers)
        {
            const struct storm_subscriber *sub = IB_CONTAINER(node, struct storm_subscriber, node);
            if (sub->outstanding && (sub->delivery == STORM_ONEWAY || sub->delivery == STORM_BATCH))
                return false;
        }
    return true;
}

void storm_stop(struct storm *s)
{
    if (s->stopping)
        return;
    s->stopping = true;
    storm_links_stop(s);
    if (s->replica)
        storm_replica_stop(s->replica);
    if (s->changes)
        storm_changes_stop(s->changes);
    flush_all(s);
}

void storm_free(struct storm *s)
{
    if (!s)
        return;
    storm_stop(s);
    ib_list_remove(&s->node);
    store_close(s->store);
    while (s->n_topics) {
        struct storm_topic *t = s->topics[s->n_topics - 1];
        storm_topic_unlink(t);
        storm_topic_free(t);
    }
    free(s->topics);
    storm_changes_free(s->changes);
    storm_replica_free(s->replica);
    ir_adapter_free(s->publish);
    ir_adapter_free(s->manager);
    ib_arena_fini(&s->arena);
    free(s);
}
