/* SPDX-License-Identifier: Apache-2.0 */
/* The master's side of replication: the sessions of its slaves, from registerReplica to the end, never tied to a
   connection (icegrid-internal 5). Owns them, and ends those that are silent or keep others waiting. */
#include "nodes.h"
#include "replication_priv.h"
#include "well_known.h"

#include <stdlib.h>

#include <moulin/base/clock.h>

#define SLAVES_MAX 128
#define CALL_MS 10000
#define SYNC_MS 60000 /* for the three tables of one slave */

/* --- one session ------------------------------------------------------------------------------------------------ */

static void bury(void *arg)
{
    struct reg_slave *s = arg;
    ib_arena_fini(&s->objects_arena);
    ib_arena_fini(&s->endpoints_arena);
    ib_arena_fini(&s->arena);
    free(s);
}

struct reg_slave *reg_slave_find(struct reg_replication *x, struct ib_str name)
{
    IB_LIST_FOREACH(node, &x->slaves)
    {
        struct reg_slave *s = IB_CONTAINER(node, struct reg_slave, node);
        if (ib_str_eq(s->name, name))
            return s;
    }
    return NULL;
}

static void drop_objects(struct reg_slave *s)
{
    for (size_t i = 0; i < s->n_objects; i++) {
        struct reg_change *c = reg_change_new(REG_OBJECT_DROP, NULL, NULL);
        if (!c || reg_change_set_id(c, &s->objects[i])) {
            reg_change_unref(c);
            continue;
        }
        reg_change_submit(s->x->reg, c);
    }
}

static void shared(void *arg)
{
    struct reg_replication *x = arg;
    x->sharing = false;
    if (x->share_again)
        reg_slaves_share(x);
}

void reg_slaves_share(struct reg_replication *x)
{
    x->share_again = x->sharing;
    if (x->sharing || x->stopping || x->reg->stopping)
        return;
    x->sharing = true;
    reg_update_shared_objects(x->reg, shared, x);
}

/* In the order of icegrid-internal 5.5: waiters are released first, then others learn that it is gone. */
void reg_slave_end(struct reg_slave *s, const char *why)
{
    struct reg_replication *x = s->x;
    if (s->ended)
        return;
    s->ended = true;
    reg_slave_forget_registrations(x, s);
    reg_stream_fini(&s->stream);
    ib_list_remove(&s->node);
    x->count--;
    ir_adapter_remove(x->reg->internal, &s->id, "");
    reg_trace(x->reg, REG_TRACE_REPLICA, 1, "replica `%s' down%s%s", ib_cstr(s->name), why ? ": " : "", why ? why : "");
    if (!x->stopping) {
        drop_objects(s);
        reg_publish_registry(x->reg, false, s->name, s->hostname);
        reg_slaves_share(x);
        reg_nodes_replica(x->reg, false, s->proxy);
    }
    ic_loop_defer(x->reg->loop, &s->bury, bury, s);
}

/* One that was frozen or cut off hears it first when it is back: it comes again at once, instead of at its next
   keepAlive. */
static void call_again(const struct reg_slave *s)
{
    struct reg *reg = s->x->reg;
    const struct iw_identity id = reg_identity(reg, "InternalRegistry-" REG_MASTER);
    const struct ir_call_options opt = {.oneway = true, .connect_timeout_ms = CALL_MS};
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    const struct IceGrid_InternalRegistry_registerWithReplica_in in = {
        .prx = ir_adapter_direct_proxy(reg->internal, &id, &arena)};
    if (in.prx)
        IceGrid_InternalRegistry_registerWithReplica_call(reg->rt, s->proxy, &opt, &in, NULL, NULL);
    ib_arena_fini(&arena);
}

static void warn_and_end(struct reg_slave *s, const char *why)
{
    if (s->ended)
        return;
    ib_log_warning(s->x->reg->log, "replica `%s': %s: its session ends, it will synchronize again", ib_cstr(s->name),
                   why);
    if (!s->x->stopping && !s->x->reg->stopping)
        call_again(s);
    reg_slave_end(s, why);
}

static void stream_broken(struct reg_stream *stream, const char *why)
{
    warn_and_end(IB_CONTAINER(stream, struct reg_slave, stream), why);
}

/* --- watching --------------------------------------------------------------------------------------------------- */

static struct reg_slave_limits limits(const struct reg *reg)
{
    return (struct reg_slave_limits){.silent = reg_session_ms(reg->cfg.replica_session_timeout),
                                     .change = (int64_t)reg->cfg.replica_ack_timeout * 1000,
                                     .table = SYNC_MS};
}

static struct reg_slave_facts facts(const struct reg_slave *s, int64_t now)
{
    struct reg_slave_facts f = {.silent = now - s->alive};
    reg_stream_facts(&s->stream, now, &f);
    return f;
}

static void judge(struct reg_slave *s, const struct reg_slave_facts *f, const struct reg_slave_limits *l)
{
    switch (reg_judge_slave(f, l)) {
    case REG_SLAVE_KEEP:
        break;
    case REG_SLAVE_RELEASE:
        ib_log_warning(s->x->reg->log, "replica `%s' takes long to synchronize: changes do not wait for it",
                       ib_cstr(s->name));
        reg_ledger_release(&s->stream.ledger);
        break;
    case REG_SLAVE_SILENT:
        warn_and_end(s, "no sign of life");
        break;
    case REG_SLAVE_LAGGING:
        warn_and_end(s, "it does not acknowledge updates");
        break;
    }
}

static void watch(void *arg)
{
    struct reg_replication *x = arg;
    const struct reg_slave_limits l = limits(x->reg);
    int64_t now = ib_clock_ms(), next = INT64_MAX;
    IB_LIST_FOREACH_SAFE(node, &x->slaves)
    {
        struct reg_slave *s = IB_CONTAINER(node, struct reg_slave, node);
        struct reg_slave_facts f = facts(s, now);
        judge(s, &f, &l);
        if (s->ended)
            continue;
        f = facts(s, now);
        int64_t look = reg_slave_next_look(&f, &l);
        next = look < next ? look : next;
    }
    if (!ib_list_empty(&x->slaves))
        ic_timer_start(&x->reaper, next);
}

/* --- coming ----------------------------------------------------------------------------------------------------- */

static void insert_sorted(struct reg_replication *x, struct reg_slave *s)
{
    struct ib_list *at = x->slaves.next;
    while (at != &x->slaves && ib_str_cmp(IB_CONTAINER(at, struct reg_slave, node)->name, s->name) < 0)
        at = at->next;
    ib_list_append(at, &s->node); /* before it */
    x->count++;
}

static struct reg_slave *new_slave(struct reg_replication *x, const struct IceGrid_InternalReplicaInfo *info,
                                   const struct iw_proxy *prx)
{
    struct reg_slave *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->x = x;
    s->number = ++x->numbers;
    ib_list_init(&s->node);
    ib_arena_init(&s->arena, 0);
    ib_arena_init(&s->endpoints_arena, 0);
    ib_arena_init(&s->objects_arena, 0);
    s->name = ib_arena_str(&s->arena, info->name);
    s->hostname = ib_arena_str(&s->arena, info->hostname);
    s->proxy = iw_proxy_copy(prx, &s->arena);
    s->id = reg_uuid_identity(IB_STR(""), &s->arena);
    s->servant = (struct ir_servant){.iface = &IceGrid_ReplicaSession_iface, .vtable = &reg_slave_vtable, .self = s};
    s->alive = ib_clock_ms();
    reg_stream_init(&s->stream, x->reg, ib_cstr(s->name), stream_broken);
    if (s->name.p && s->hostname.p && s->proxy && s->id.name.p &&
        ir_adapter_add(x->reg->internal, &s->id, "", &s->servant) == 0)
        return s;
    bury(s);
    return NULL;
}

struct iw_proxy *reg_slave_accept(struct reg_replication *x, const struct IceGrid_InternalReplicaInfo *info,
                                  const struct iw_proxy *prx, struct ib_arena *arena)
{
    struct reg_slave *s = x->count < SLAVES_MAX ? new_slave(x, info, prx) : NULL;
    struct iw_proxy *session = s ? ir_adapter_direct_proxy(x->reg->internal, &s->id, arena) : NULL;
    if (!session) {
        if (s) {
            ir_adapter_remove(x->reg->internal, &s->id, "");
            bury(s);
        }
        return NULL;
    }
    insert_sorted(x, s);
    watch(x);
    reg_trace(x->reg, REG_TRACE_REPLICA, 1, "replica `%s' up", ib_cstr(s->name));
    reg_nodes_replica(x->reg, true, s->proxy);
    reg_publish_registry(x->reg, true, s->name, s->hostname);
    return session;
}

/* --- what others ask -------------------------------------------------------------------------------------------- */

const struct iw_proxy *reg_slave_endpoints(struct reg *reg, size_t i, const char *name)
{
    if (!reg->replication)
        return NULL;
    IB_LIST_FOREACH(node, &reg->replication->slaves)
    {
        const struct reg_slave *s = IB_CONTAINER(node, struct reg_slave, node);
        for (size_t k = 0; k < s->endpoints.n; k++)
            if (s->endpoints.v[k].value && ib_str_is(s->endpoints.v[k].key, name) && i-- == 0)
                return s->endpoints.v[k].value;
    }
    return NULL;
}

size_t reg_slaves(struct reg *reg, struct ib_arena *arena, struct reg_slave_info **out)
{
    struct reg_replication *x = reg->replication;
    size_t n = 0;
    struct reg_slave_info *list = IB_ARENA_ARRAY(arena, x ? x->count : 0, struct reg_slave_info);
    if (!list)
        return SIZE_MAX;
    *out = list;
    if (!x)
        return 0;
    IB_LIST_FOREACH(node, &x->slaves)
    {
        const struct reg_slave *s = IB_CONTAINER(node, struct reg_slave, node);
        list[n++] = (struct reg_slave_info){s->name, s->hostname, s->proxy};
    }
    return n;
}

size_t reg_slave_count(const struct reg *reg)
{
    return reg->replication ? reg->replication->count : 0;
}

size_t reg_slaves_following(const struct reg *reg)
{
    size_t n = 0;
    if (!reg->replication)
        return 0;
    IB_LIST_FOREACH(node, &reg->replication->slaves)
    n += IB_CONTAINER(node, struct reg_slave, node)->stream.state == REG_STREAM_FOLLOWING;
    return n;
}

/* --- life ------------------------------------------------------------------------------------------------------- */

struct reg_replication *reg_replication_new(struct reg *reg)
{
    struct reg_replication *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->reg = reg;
    ib_list_init(&x->slaves);
    ib_list_init(&x->registrations);
    ic_timer_init(&x->reaper, reg->loop, watch, x);
    return x;
}

void reg_replication_free(struct reg_replication *x)
{
    if (!x)
        return;
    x->stopping = true;
    reg_slave_forget_registrations(x, NULL);
    while (!ib_list_empty(&x->slaves)) {
        struct reg_slave *s = IB_CONTAINER(x->slaves.next, struct reg_slave, node);
        reg_slave_end(s, NULL);
        ic_loop_undefer(x->reg->loop, &s->bury);
        bury(s);
    }
    ic_timer_fini(&x->reaper);
    free(x);
}
