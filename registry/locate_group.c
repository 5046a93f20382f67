/* SPDX-License-Identifier: Apache-2.0 */
/* Locate requests for deployed replica groups: members are put in the order of the group's policy and asked for their
   direct proxies, until as many as wanted have one (icegrid-registry 4.5 to 4.7). Nothing here outlives its request. */
#include "activation.h"
#include "site_filter.h"
#include "load.h"
#include "locate.h"
#include "slices.h"

#include <stdlib.h>

/* What is known of a member. SILENT and ACTIVATING ones may have a proxy yet; somebody stands in for them meanwhile. */
enum member_state { UNASKED, ASKED, SILENT, ACTIVATING, FAILED, FOUND };

/* Round-robin looks for one member that is active before all others, then for one that will be; then, as the other
   policies from the start, for as many as wanted. */
enum phase { PROBING, WAITING, COLLECTING };

struct gather;

struct member {
    struct gather *all;
    struct ib_str id;
    uint8_t state; /* enum member_state */
    bool away; /* its node is not there, or about to change the server while others are ready */
    bool chosen; /* its proxy is part of the answer, if it has one */
    bool replaced; /* another is asked in its place */
    bool dropped; /* one fewer is expected */
    int priority;
    double load;
    struct iw_proxy *proxy; /* FOUND */
    struct reg_direct_request *direct; /* while the last word is to come */
};

/* One request; it and everything below is in the request's arena. */
struct gather {
    struct reg *reg;
    struct ir_request *rq;
    struct ib_str group;
    enum reg_policy policy;
    size_t n;
    struct member *members; /* in their places in the group */
    struct member **order; /* candidates as the policy puts them */
    struct member **base; /* round-robin: those of all phases */
    size_t n_base;
    struct reg_filtering *filtering; /* while the filter is asked */
    struct ib_str *ids; /* what the filter was given … */
    size_t *kept; /* … and left of it */
    bool filtered; /* order is what the filter made of it: no turns are taken any more */
    size_t n_order, next; /* next: nobody before it is left to be chosen */
    size_t wanted; /* so many proxies are expected */
    size_t found; /* chosen ones with a proxy */
    size_t open; /* whose last word is to come */
    size_t n_replicas; /* as configured, 0: all */
    uint8_t phase; /* enum phase */
    struct member *first; /* PROBING, WAITING: whose word is awaited */
};

static void advance_turn(struct gather *g);

/* --- the answer ----------------------------------------------------------------------------------------------------
 */

static void release(struct gather *g)
{
    ir_request_on_cancel(g->rq, NULL, NULL);
    reg_filtering_cancel(g->filtering);
    g->filtering = NULL;
    for (size_t i = 0; i < g->n; i++) {
        reg_direct_cancel(g->members[i].direct);
        g->members[i].direct = NULL;
    }
}

/* One member's proxy is given out as it is; several become one with the endpoints of all, in the order of candidates.
 */
static void answer(struct gather *g)
{
    struct ib_arena *arena = ir_request_arena(g->rq);
    struct iw_proxy **proxies = IB_ARENA_ARRAY(arena, g->n_order, struct iw_proxy *);
    struct Ice_Locator_findAdapterById_out out = {.ret = NULL};
    int rc = proxies ? 0 : IB_ENOMEM;
    size_t n = 0;
    release(g);
    for (size_t i = 0; proxies && i < g->n_order; i++)
        if (g->order[i]->chosen && g->order[i]->state == FOUND)
            proxies[n++] = g->order[i]->proxy;
    if (n == 1)
        out.ret = proxies[0];
    else if (n > 1)
        rc = reg_join_proxies(proxies, n, ir_request_info(g->rq)->encoding, arena, &out.ret);
    else
        reg_trace(g->reg, REG_TRACE_LOCATOR, 1, "couldn't resolve replica group `%s':\nno member is active",
                  ib_cstr(g->group));
    if (rc)
        ir_request_fail(g->rq, IR_UNKNOWN, "out of memory");
    else
        Ice_Locator_findAdapterById_reply(g->rq, &out);
}

static void on_caller_gone(void *arg, struct ir_request *rq)
{
    const struct Ice_Locator_findAdapterById_out out = {.ret = NULL};
    release(arg);
    Ice_Locator_findAdapterById_reply(rq, &out);
}

/* --- members -------------------------------------------------------------------------------------------------------
 */

static void on_direct(void *arg, const struct reg_direct *d);

static void ask(struct member *m)
{
    struct gather *g = m->all;
    m->direct = reg_adapter_direct_proxy(g->reg, m->id, REG_DIRECT_ACTIVATE_TELL, on_direct, m);
    m->state = m->direct ? ASKED : FAILED;
    g->open += m->direct != NULL;
}

/* --- choosing ------------------------------------------------------------------------------------------------------
 */

/* One more member for the answer: asked now, or active as was found before. Those that are being started are counted in
   on the way, with somebody to stand in for them. False when there is nobody left. */
static bool choose_next(struct gather *g)
{
    bool any = false;
    while (g->next < g->n_order) {
        struct member *m = g->order[g->next++];
        if (m->state == FAILED)
            continue;
        m->chosen = true;
        if (m->state == UNASKED)
            ask(m);
        g->found += m->state == FOUND;
        if (m->state == ASKED || m->state == FOUND)
            return true;
        m->replaced = true;
        any = any || m->state != FAILED;
    }
    return any;
}

/* Somebody else is asked in the place of who has no proxy yet, and once more if it fails for good. When nobody is left,
   who is being started still counts; for who fails or says nothing, one fewer is expected. */
static void replace(struct gather *g, struct member *m)
{
    if (!m->chosen || m->dropped || m->state == FOUND || (m->replaced && m->state != FAILED))
        return;
    m->replaced = choose_next(g);
    if (m->replaced || m->state == ACTIVATING)
        return;
    m->dropped = true;
    g->wanted -= g->wanted > 0;
}

/* Answers as soon as as many as can be expected have a proxy, but not without any while there is hope for one. */
static void answer_if_enough(struct gather *g)
{
    if (!g->open || (g->found && g->found >= g->wanted))
        answer(g);
}

static void begin_collecting(struct gather *g)
{
    g->phase = COLLECTING;
    for (size_t i = 0; i < g->n_order; i++)
        g->wanted += g->order[i]->state != FAILED;
    if (g->n_replicas && g->n_replicas < g->wanted)
        g->wanted = g->n_replicas;
    for (size_t i = 0; i < g->wanted; i++)
        choose_next(g);
    answer_if_enough(g);
}

static void on_direct(void *arg, const struct reg_direct *d)
{
    struct member *m = arg;
    struct gather *g = m->all;
    bool last = d->outcome != REG_DIRECT_ACTIVATING && d->outcome != REG_DIRECT_SILENT;
    if (last) {
        m->direct = NULL;
        g->open--;
    }
    if (d->outcome == REG_DIRECT_ACTIVE && reg_supports(d->proxy, ir_request_info(g->rq)->encoding))
        m->proxy = iw_proxy_copy(d->proxy, ir_request_arena(g->rq));
    g->found += m->proxy && m->chosen;
    m->state = m->proxy ? FOUND : last ? FAILED : d->outcome == REG_DIRECT_ACTIVATING ? ACTIVATING : SILENT;
    if (g->phase != COLLECTING) {
        advance_turn(g);
        return;
    }
    replace(g, m);
    answer_if_enough(g);
}

/* --- who may be asked ----------------------------------------------------------------------------------------------
 */

static bool is_ready(struct reg *reg, const struct reg_server *server)
{
    struct reg_placement p;
    return reg_node_find(reg, server->node) &&
           (reg_server_placed(reg, server->id, &p) || !reg_server_syncing(reg, server->id));
}

/* Members on nodes that are not there are left out, and those whose servers are being changed while others are ready.
   When none is ready, there is hope in servers that are being changed and in nodes that may come. */
static void mark_away(struct gather *g, struct reg_adapter **adapters)
{
    size_t n_ready = 0;
    for (size_t i = 0; i < g->n; i++) {
        g->members[i].away = !is_ready(g->reg, adapters[i]->server);
        n_ready += !g->members[i].away;
    }
    for (size_t i = 0; i < g->n && n_ready == 0; i++) {
        struct ib_str node = adapters[i]->server->node;
        g->members[i].away = !reg_node_find(g->reg, node) && !reg_node_expected(g->reg, node);
    }
}

static int by_priority(const void *a, const void *b)
{
    const struct member *x = *(struct member *const *)a, *y = *(struct member *const *)b;
    if (x->priority != y->priority)
        return x->priority < y->priority ? -1 : 1;
    return x < y ? -1 : x > y; /* of one array */
}

static int by_load(const void *a, const void *b)
{
    const struct member *x = *(struct member *const *)a, *y = *(struct member *const *)b;
    return x->load < y->load ? -1 : x->load > y->load;
}

static void shuffle(struct gather *g)
{
    for (size_t i = g->n_order; i > 1; i--) {
        size_t k = reg_random_below(i);
        struct member *swap = g->order[i - 1];
        g->order[i - 1] = g->order[k];
        g->order[k] = swap;
    }
}

static void sort_by_policy(struct gather *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (!g->members[i].away)
            g->order[g->n_order++] = &g->members[i];
    if (g->policy != REG_ORDERED)
        shuffle(g);
    if (g->policy != REG_RANDOM && g->n_order > 1)
        qsort(g->order, g->n_order, sizeof *g->order, g->policy == REG_ORDERED ? by_priority : by_load);
}

/* --- round-robin ---------------------------------------------------------------------------------------------------
 */

/* The index of the member whose turn it is. Each time this is asked the turn passes on, also over those that are away.
 */
static size_t take_turn(struct gather *g)
{
    if (g->n == 0)
        return 0;
    struct reg_group *group = reg_catalog_group(g->reg->catalog, g->group);
    size_t start = group ? (size_t)(group->turn % g->n) : 0, skipped = 0;
    while (skipped < g->n && g->members[(start + skipped) % g->n].away)
        skipped++;
    if (group)
        group->turn = (start + skipped + 1) % g->n;
    return start;
}

static bool is_candidate(const struct gather *g, const struct member *m)
{
    return g->phase == PROBING ? m->state == UNASKED || m->state == FOUND : m->state == ACTIVATING || m->state == FOUND;
}

/* The members that are not away, from the one on whose turn it is. */
static void list_turn(struct gather *g)
{
    size_t start = take_turn(g);
    g->n_base = 0;
    for (size_t i = 0; i < g->n; i++) {
        struct member *m = &g->members[(start + i) % g->n];
        if (!m->away)
            g->base[g->n_base++] = m;
    }
}

/* The candidates of the phase; the first of them decides. */
static void list_candidates(struct gather *g)
{
    if (!g->filtered)
        list_turn(g);
    g->n_order = 0;
    for (size_t i = 0; i < g->n_base; i++)
        if (is_candidate(g, g->base[i]))
            g->order[g->n_order++] = g->base[i];
    g->first = g->n_order ? g->order[0] : NULL;
}

/* Members that are being started or do not answer are passed over, and those that failed. When nobody else is left, the
   one that is being started and has its turn is waited for; when there are none of these, whoever speaks first. */
static void find_first(struct gather *g)
{
    while (!g->first || g->first->state == SILENT || g->first->state == FAILED ||
           (g->first->state == ACTIVATING && g->phase == PROBING)) {
        list_candidates(g);
        if (g->first && g->first->state == UNASKED)
            ask(g->first);
        if (!g->first && g->phase == WAITING)
            return;
        if (!g->first)
            g->phase = WAITING;
    }
}

static void advance_turn(struct gather *g)
{
    find_first(g);
    if (g->first && g->first->state == FOUND)
        begin_collecting(g);
    else if (!g->first && !g->open)
        answer(g);
}

/* --- life ----------------------------------------------------------------------------------------------------------
 */

static struct gather *new_gather(struct reg *reg, struct ir_request *rq, const struct reg_group *group)
{
    struct ib_arena *arena = ir_request_arena(rq);
    struct gather *g = IB_ARENA_NEW(arena, struct gather);
    struct reg_adapter **adapters;
    size_t n = reg_catalog_members(reg->catalog, group->id, arena, &adapters);
    if (!g || n == SIZE_MAX)
        return NULL;
    *g =
        (struct gather){.reg = reg, .rq = rq, .policy = group->policy, .n_replicas = (size_t)group->n_replicas, .n = n};
    g->group = ib_arena_str(arena, group->id);
    g->members = IB_ARENA_ARRAY(arena, n, struct member);
    g->order = IB_ARENA_ARRAY(arena, n, struct member *);
    g->base = IB_ARENA_ARRAY(arena, n, struct member *);
    if (!g->group.p || !g->members || !g->order || !g->base)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        g->members[i] = (struct member){.all = g, .id = ib_arena_str(arena, adapters[i]->id)};
        if (!g->members[i].id.p)
            return NULL;
        g->members[i].priority = adapters[i]->priority;
        if (g->policy == REG_ADAPTIVE)
            g->members[i].load = reg_server_load(reg, adapters[i]->server, group->load_sample);
    }
    mark_away(g, adapters);
    return g;
}

static void go(struct gather *g)
{
    if (g->policy == REG_ROUND_ROBIN)
        advance_turn(g);
    else
        begin_collecting(g);
}

static void on_filtered(void *arg, const struct Ice_StringSeq *left)
{
    struct gather *g = arg;
    const struct Ice_StringSeq ids = {g->n_order, g->ids};
    g->filtering = NULL;
    g->filtered = true;
    g->n_base = reg_filtered(&ids, left, g->kept);
    for (size_t i = 0; i < g->n_base; i++)
        g->base[i] = g->order[g->kept[i]];
    memcpy(g->order, g->base, g->n_base * sizeof *g->order);
    g->n_order = g->n_base;
    go(g);
}

static bool ask_filter(struct gather *g, struct reg_filter *filter)
{
    g->ids = IB_ARENA_ARRAY(ir_request_arena(g->rq), g->n_order, struct ib_str);
    g->kept = IB_ARENA_ARRAY(ir_request_arena(g->rq), g->n_order, size_t);
    if (!g->ids || !g->kept)
        return false;
    for (size_t i = 0; i < g->n_order; i++)
        g->ids[i] = g->order[i]->id;
    const struct Ice_StringSeq ids = {g->n_order, g->ids};
    g->filtering = reg_filter_group(filter, g->rq, g->group, &ids, on_filtered, g);
    return g->filtering;
}

/* Round-robin without a filter takes its turns later, as it goes. */
static void put_in_order(struct gather *g, bool filtered)
{
    if (g->policy != REG_ROUND_ROBIN) {
        sort_by_policy(g);
    } else if (filtered && g->n) {
        list_turn(g);
        memcpy(g->order, g->base, g->n_base * sizeof *g->order);
        g->n_order = g->n_base;
    }
}

void reg_locate_group(struct reg *reg, struct ir_request *rq, struct ib_str id)
{
    const struct reg_group *group = reg_catalog_group(reg->catalog, id);
    struct reg_filter *filter = group->filter.n ? reg_filter_find(reg, REG_FILTER_OF_GROUPS, group->filter) : NULL;
    struct gather *g = new_gather(reg, rq, group);
    if (!g) {
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
        return;
    }
    put_in_order(g, filter);
    ir_request_on_cancel(rq, on_caller_gone, g);
    if (!filter || g->n_order == 0)
        go(g);
    else if (!ask_filter(g, filter))
        on_filtered(g, NULL);
}
