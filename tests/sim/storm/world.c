/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes, messages, timers, disks: what the election asks for, done over a queue of events. */
#include "disk.h"
#include "queue.h"
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool world_verbose;

void world_break(struct world *w, const char *fmt, ...)
{
    va_list args;
    if (w->broken)
        return;
    w->broken = true;
    fprintf(stderr, "seed %llu, step %llu, %lld ms: ", (unsigned long long)w->seed, (unsigned long long)w->steps,
            (long long)w->now);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

static struct db *content_of(const struct node *n)
{
    struct db *db = malloc(sizeof *db);
    if (!db)
        abort();
    *db = n->memory;
    return db;
}

static void send(struct world *w, struct call *c, enum kind kind, int from, int to, uint64_t id)
{
    bool lost = w->cut[from][to] || (int)world_random(w, 100) < w->drop_percent;
    if (lost) {
        queue_free_call(c);
        return;
    }
    struct event *ev = queue_push(w, kind, to, 1 + world_random(w, (uint32_t)w->slow_ms));
    ev->call = c;
    ev->call_id = id;
}

static struct call *new_call(struct world *w, int i, const struct election_action *a)
{
    const struct election *e = &w->nodes[i].e;
    struct call *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    *c = (struct call){.what = a->what, .from = i, .to = a->to, .serial = a->serial, .set = a->set};
    c->life = w->nodes[i].life;
    c->max = e->max;
    c->at = e->coord;
    c->stamp = a->what == ELECTION_INIT      ? e->next
               : a->what == ELECTION_DECLINE ? (struct election_stamp){e->promised, -1}
                                             : e->stamp;
    c->generation = e->generation;
    c->observer = a->what == ELECTION_ACCEPT ? w->nodes[i].observer : w->nodes[i].member_observer[a->to];
    snprintf(c->group, sizeof c->group, "%s",
             a->what == ELECTION_DECLINE || a->what == ELECTION_ASK_INVITED ? e->invite_group : e->group);
    return c;
}

static void tell(struct world *w, int i, const struct election_action *a)
{
    struct call *c = new_call(w, i, a);
    bool again = world_random(w, 100) < 3;
    struct call *copy = again ? new_call(w, i, a) : NULL;
    send(w, c, EV_MESSAGE, i, a->to, 0);
    if (copy)
        send(w, copy, EV_MESSAGE, i, a->to, 0);
}

static void ask(struct world *w, int i, const struct election_action *a, int at)
{
    uint64_t id = queue_open((struct open_call){
        .from = i, .life = w->nodes[i].life, .what = a->what, .to = a->to, .serial = a->serial, .at = at});
    struct event *deadline = queue_push(w, EV_DEADLINE, i, a->ms);
    deadline->call_id = id;
    struct call *c = new_call(w, i, a);
    c->at = at;
    if (a->what == ELECTION_INIT)
        c->content = content_of(&w->nodes[i]);
    if (a->what == ELECTION_REPLICATE) {
        const struct node *n = &w->nodes[i];
        c->set = n->flight[at];
        c->stamp.iteration = n->memory.stamp.iteration - n->n_flight + at + 1;
        c->stamp.generation = n->memory.stamp.generation;
    }
    send(w, c, EV_MESSAGE, i, a->to, id);
}

static void answer(struct world *w, struct call *c, uint64_t id, bool yes)
{
    int from = c->to, to = c->from;
    c->ok = true;
    c->yes = yes;
    send(w, c, EV_REPLY, from, to, id);
}

/* --- what the election asks for ----------------------------------------------------------------------------------- */

static void begin_update(struct world *w, int i, uint64_t serial)
{
    struct node *n = &w->nodes[i];
    n->n_flight = n->queued;
    memcpy(n->flight, n->queue, sizeof n->queue);
    n->queued = 0;
    n->committing = true;
    struct event *ev = disk_write(w, i, WORK_COMMIT);
    ev->serial = serial;
    ev->n = n->n_flight;
}

static void settled(struct world *w, int i, bool good)
{
    struct node *n = &w->nodes[i];
    if (!good) {
        w->n_doubt += n->n_flight;
        n->n_flight = 0;
        return;
    }
    for (int k = 0; k < n->n_flight; k++)
        w->acked[w->n_acked++] = n->flight[k];
    n->n_flight = 0;
    int stored = 0;
    for (int k = 0; k < w->n; k++)
        stored += disk_contains(&w->nodes[k].disk, w->acked, w->n_acked);
    if (stored + w->lost < w->n / 2 + 1) /* one may have been lost on the way */
        world_break(w, "node %d acknowledged what only %d nodes have", i + 1, stored);
}

static void opened(struct world *w, int i)
{
    const struct node *n = &w->nodes[i];
    if (!election_leads(&n->e))
        return;
    if (!disk_contains(&n->memory, w->acked, w->n_acked))
        world_break(w, "node %d leads without what was acknowledged", i + 1);
    for (int k = 0; k < w->n; k++) {
        const struct node *other = &w->nodes[k];
        if (k != i && other->up && election_leads(&other->e) && other->e.generation == n->e.generation)
            world_break(w, "nodes %d and %d lead with one generation", i + 1, k + 1);
    }
}

static void perform(struct world *w, int i)
{
    struct node *n = &w->nodes[i];
    struct election_action a;
    while (n->up && election_next(&n->e, &a)) {
        switch (a.what) {
        case ELECTION_TIMER:
            n->timer_serial[a.timer]++;
            if (a.ms >= 0) {
                struct event *ev = queue_push(w, EV_TIMER, i, a.ms);
                ev->timer = a.timer;
                ev->serial = n->timer_serial[a.timer];
            }
            break;
        case ELECTION_INVITE:
        case ELECTION_DECLINE:
            tell(w, i, &a);
            break;
        case ELECTION_ACCEPT:
            n->observer++;
            tell(w, i, &a);
            break;
        case ELECTION_PROMISE: {
            struct event *ev = disk_write(w, i, WORK_PROMISE);
            ev->serial = a.serial;
            ev->promise = a.number;
            break;
        }
        case ELECTION_STORE:
            disk_write(w, i, WORK_STORE)->serial = a.serial;
            break;
        case ELECTION_COMMIT:
            begin_update(w, i, a.serial);
            break;
        case ELECTION_SETTLED:
            settled(w, i, a.good);
            break;
        case ELECTION_OPENED:
            opened(w, i);
            break;
        case ELECTION_CLOSED:
            n->queued = 0;
            break;
        default:
            ask(w, i, &a, 0);
        }
    }
}

/* --- what happens to a node --------------------------------------------------------------------------------------- */

static void ended(struct world *w, const struct open_call *o, const struct call *c)
{
    struct election *e = &w->nodes[o->from].e;
    bool ok = c && c->ok, yes = c && c->yes;
    switch (o->what) {
    case ELECTION_ASK_COORDINATOR:
        election_coordinator(e, o->to, o->serial, ok, yes);
        break;
    case ELECTION_ASK_INVITED:
        election_invited(e, o->to, o->serial, ok, yes || w->plant == PLANT_TRUST);
        break;
    case ELECTION_ASK_THERE:
        election_there(e, o->to, o->serial, ok, yes);
        break;
    case ELECTION_ASK_PING:
        if (ok || w->plant != PLANT_SILENCE)
            election_pinged(e, o->to, o->serial, ok && yes);
        break;
    case ELECTION_FETCH:
        if (ok && yes && c->content && election_compare(c->content->stamp, w->nodes[o->from].memory.stamp) > 0) {
            disk_take_content(&w->nodes[o->from].memory, c->content);
            disk_write(w, o->from, WORK_FETCHED)->serial = o->serial;
        } else {
            election_fetched(e, o->serial, false, e->stamp);
        }
        break;
    case ELECTION_INIT:
        election_inited(e, o->to, o->serial, ok && yes);
        break;
    case ELECTION_READY:
        election_readied(e, o->to, o->serial, ok && yes);
        break;
    case ELECTION_REPLICATE:
        if (w->plant == PLANT_REFUSAL && ok)
            yes = true;
        if (ok && yes && o->at + 1 < w->nodes[o->from].n_flight) {
            const struct election_action next = {ELECTION_REPLICATE, .to = o->to, .serial = o->serial, .ms = 2000};
            ask(w, o->from, &next, o->at + 1);
        } else {
            election_replicated(e, o->to, o->serial, ok && yes);
        }
        break;
    default:
        break;
    }
}

static void received_init(struct world *w, int i, struct event *ev)
{
    struct node *n = &w->nodes[i];
    struct call *c = ev->call;
    ev->call = NULL;
    if (c->observer != n->observer || election_observe_init(&n->e, c->stamp.generation)) {
        answer(w, c, ev->call_id, false);
        return;
    }
    disk_take_content(&n->memory, c->content);
    n->memory.stamp = c->stamp;
    struct event *done = disk_write(w, i, WORK_INIT);
    done->call = c;
    done->call_id = ev->call_id;
}

static void received_update(struct world *w, int i, struct event *ev)
{
    struct node *n = &w->nodes[i];
    struct call *c = ev->call;
    ev->call = NULL;
    if (c->observer != n->observer || election_observe_update(&n->e, c->stamp.generation)) {
        answer(w, c, ev->call_id, false);
        return;
    }
    uint16_t op = (uint16_t)c->set;
    disk_add_ops(&n->memory, &op, 1);
    if (election_compare(c->stamp, n->memory.stamp) > 0)
        n->memory.stamp = c->stamp;
    struct event *done = disk_write(w, i, WORK_UPDATE);
    if (w->plant == PLANT_EARLY) {
        answer(w, c, ev->call_id, true);
        return;
    }
    done->call = c;
    done->call_id = ev->call_id;
}

static void received(struct world *w, int i, struct event *ev)
{
    struct node *n = &w->nodes[i];
    struct call *c = ev->call;
    switch (c->what) {
    case ELECTION_INVITE:
        election_invitation(&n->e, c->at, c->group);
        return;
    case ELECTION_ACCEPT:
    case ELECTION_DECLINE:
        if (!strcmp(c->group, n->e.group))
            n->member_observer[c->from] = c->observer;
        election_accept(&n->e, c->from, c->group, c->set, c->stamp, c->max);
        return;
    case ELECTION_INIT:
        received_init(w, i, ev);
        return;
    case ELECTION_REPLICATE:
        received_update(w, i, ev);
        return;
    case ELECTION_READY:
        ev->call = NULL;
        answer(w, c, ev->call_id, election_ready(&n->e, c->from, c->group, c->max, c->generation));
        return;
    case ELECTION_FETCH:
        c->content = content_of(n);
        break;
    default:
        break;
    }
    bool yes = c->what == ELECTION_ASK_COORDINATOR ? election_asked(&n->e)
               : c->what == ELECTION_ASK_INVITED   ? election_gathers(&n->e, c->group)
               : c->what == ELECTION_ASK_THERE     ? election_has_member(&n->e, c->group, c->from)
               : c->what == ELECTION_ASK_PING      ? c->observer == n->observer
                                                   : true;
    ev->call = NULL;
    answer(w, c, ev->call_id, yes);
}

static void disk_done(struct world *w, int i, struct event *ev)
{
    struct node *n = &w->nodes[i];
    struct db before = n->disk;
    bool ok;
    switch (ev->work) {
    case WORK_PROMISE:
        n->memory.promised = ev->promise;
        ok = disk_commit(w, i);
        n->memory.promised = n->disk.promised;
        election_promised(&n->e, ev->serial, ev->promise, ok);
        if (w->plant == PLANT_PROMISE)
            n->e.promised = 0;
        break;
    case WORK_STORE:
        n->memory.stamp = n->e.next;
        ok = disk_commit(w, i);
        n->memory.stamp = n->disk.stamp;
        election_stored(&n->e, ev->serial, ok);
        break;
    case WORK_COMMIT:
        n->committing = false;
        disk_add_ops(&n->memory, n->flight, ev->n);
        n->memory.stamp.iteration += ev->n;
        ok = disk_commit(w, i);
        if (!ok)
            n->memory = before;
        election_committed(&n->e, ev->serial, ok ? ev->n : 0);
        break;
    case WORK_FETCHED:
        ok = disk_commit(w, i);
        if (!ok)
            n->memory = before;
        election_fetched(&n->e, ev->serial, ok, n->memory.stamp);
        break;
    case WORK_INIT:
    case WORK_UPDATE:
        ok = disk_commit(w, i);
        if (!ok)
            n->memory = before;
        election_applied(&n->e, n->memory.stamp, ok);
        if (ev->call) {
            struct call *c = ev->call;
            ev->call = NULL;
            answer(w, c, ev->call_id, ok);
        }
        break;
    }
}

static void happen(struct world *w, struct event *ev)
{
    int i = ev->node;
    struct node *n = &w->nodes[i];
    struct open_call o;
    switch (ev->kind) {
    case EV_TIMER:
        if (n->timer_serial[ev->timer] == ev->serial)
            election_timer(&n->e, ev->timer);
        break;
    case EV_MESSAGE:
        received(w, i, ev);
        break;
    case EV_REPLY:
    case EV_DEADLINE:
        if (queue_take(ev->call_id, &o) && o.life == n->life)
            ended(w, &o, ev->kind == EV_REPLY ? ev->call : NULL);
        break;
    case EV_DISK:
        disk_done(w, i, ev);
        break;
    }
    perform(w, i);
}

#define LONELY_MS 15000

/* A leader that has lost its majority must notice, though nobody writes. */
static void check_lonely(struct world *w, int i)
{
    struct node *n = &w->nodes[i];
    int others = 0;
    for (int k = 0; k < w->n; k++)
        others += k != i && w->nodes[k].up && !w->nodes[k].paused && !w->cut[i][k] && !w->cut[k][i];
    if (!n->up || n->paused || !election_leads(&n->e) || others >= w->n / 2)
        n->lonely_since = 0;
    else if (!n->lonely_since)
        n->lonely_since = w->now;
    else if (w->now - n->lonely_since > LONELY_MS)
        world_break(w, "node %d has led without a majority for %lld ms", i + 1, (long long)(w->now - n->lonely_since));
}

bool world_step(struct world *w)
{
    struct event *ev = queue_pop();
    if (!ev)
        return false;
    w->now = ev->at > w->now ? ev->at : w->now;
    w->steps++;
    struct node *n = &w->nodes[ev->node];
    bool mine = ev->kind != EV_MESSAGE; /* a message reaches whoever lives there now */
    if (n->paused && n->up) {
        queue_put_back(ev, w->now + 50);
        w->steps--;
        return true;
    }
    if (n->up && (!mine || ev->life == n->life))
        happen(w, ev);
    check_lonely(w, ev->node);
    queue_free(ev);
    return true;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void uuid(void *arg, char out[37])
{
    struct node *n = arg;
    snprintf(out, 37, "%08X-%04X-4000-8000-%012X", n->life & 0xffffffff, n->index & 0xffff, ++n->names);
}

static void trace(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "%s\n", text);
}

void world_start(struct world *w, int i)
{
    struct node *n = &w->nodes[i];
    if (n->up)
        return;
    n->up = true;
    n->paused = false;
    n->life++;
    n->index = (uint32_t)i;
    n->observer = n->life << 16; /* identities are never the same twice */
    n->queued = n->n_flight = 0;
    memset(n->member_observer, 0, sizeof n->member_observer);
    if (w->plant == PLANT_FORGET)
        n->disk.stamp = n->highest = (struct election_stamp){0}; /* as the original, which promises nothing, too */
    n->memory = n->disk;
    struct election_config cfg = {.n = w->n,
                                  .self = i,
                                  .master_ms = 2000,
                                  .election_ms = 2000,
                                  .response_ms = 2000,
                                  .force = w->plant == PLANT_FORCE,
                                  .uuid = uuid,
                                  .trace = world_verbose ? trace : NULL,
                                  .arg = n};
    for (int k = 0; k < w->n; k++)
        cfg.ids[k] = k + 1;
    election_init(&n->e, &cfg, n->disk.stamp, n->disk.promised);
    election_start(&n->e);
    perform(w, i);
}

void world_crash(struct world *w, int i)
{
    struct node *n = &w->nodes[i];
    if (!n->up)
        return;
    if (n->committing) {
        disk_add_ops(&n->memory, n->flight, n->n_flight);
        n->memory.stamp.iteration += n->n_flight;
    }
    if (world_random(w, 2) && election_compare(n->memory.stamp, n->disk.stamp) > 0)
        disk_commit(w, i); /* one was under way, and had come far enough */
    n->up = n->committing = false;
}

void world_pause(struct world *w, int i, bool on)
{
    w->nodes[i].paused = on;
    w->nodes[i].lonely_since = 0;
}

void world_submit(struct world *w, int i)
{
    struct node *n = &w->nodes[i];
    if (!n->up || n->paused || !election_leads(&n->e) || n->queued == 64 || w->next_op == OPS_MAX - 1)
        return;
    n->queue[n->queued++] = ++w->next_op;
    election_want(&n->e);
    perform(w, i);
}

void world_stray(struct world *w, int i, int inviter)
{
    struct node *n = &w->nodes[i];
    char group[ELECTION_NAME_MAX];
    if (!n->up || n->paused)
        return;
    uint64_t number = world_random(w, 2) ? 0xffffffffffff : (uint64_t)n->e.promised + world_random(w, 4);
    snprintf(group, sizeof group, "%d:%08X-%04X-8000-8000-000000000000", inviter + 1, (unsigned)(number >> 16),
             (unsigned)(number & 0xffff));
    election_invitation(&n->e, inviter, group);
    perform(w, i);
}

int world_leader(const struct world *w)
{
    int leader = -1;
    for (int i = 0; i < w->n; i++) {
        if (!w->nodes[i].up || !election_leads(&w->nodes[i].e))
            continue;
        if (leader >= 0)
            return -1;
        leader = i;
    }
    return leader;
}

bool world_settled(const struct world *w)
{
    int leader = world_leader(w);
    if (leader < 0)
        return false;
    const struct node *l = &w->nodes[leader];
    for (int i = 0; i < w->n; i++) {
        const struct node *n = &w->nodes[i];
        if (!n->up || n->e.state != ELECTION_NORMAL || strcmp(n->e.group, l->e.group) != 0)
            return false;
        if (n->disk.n != l->disk.n || memcmp(n->disk.ops, l->disk.ops, sizeof *l->disk.ops * (size_t)l->disk.n) != 0)
            return false;
    }
    return disk_contains(&l->disk, w->acked, w->n_acked);
}

void world_new(struct world *w, int n, uint64_t seed, enum plant plant)
{
    memset(w, 0, sizeof *w);
    w->n = n;
    w->seed = seed;
    w->plant = plant;
    w->random = seed * 0x9e3779b97f4a7c15u + 1;
    w->slow_ms = 20;
    for (int i = 0; i < 10; i++)
        world_random(w, 1);
}

void world_free(struct world *w)
{
    (void)w;
    queue_clear();
}
