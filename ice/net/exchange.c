/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"

#include "conn_priv.h"
#include "ring.h"
#include "sweep.h"

#include <moulin/base/clock.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS_MIN 32 /* before it begins */
#define ROUNDS_MAX 1024 /* where it was soon over */
#define SOON 256 /* waits */
#define BRISK_US 500 /* from round to round */
#define HEARD_PERCENT 130 /* of a round: more are better gathered */
#define SILENCE_US 5000
#define ROUNDS 4 /* of what is deferred from one look at the sockets to the next, while nothing is to be sent */
#define BASE_EVERY 128 /* turns: libevent's own timers (those of evdns) have theirs */
#define AWAITED_MIN (BASE_EVERY / 8)
#define SENDS 12 /* more go out directly */
#define PIECE 4096 /* what is received at once; a larger message goes on directly */
#define ROOM 8192 /* what is sent so; larger messages go out directly */
#define BACKEND_MAX 4096 /* descriptors to look at */

struct member {
    struct ic_op op; /* armed while the kernel receives for it */
    struct iovec v;
    struct ic_fed fed;
    int64_t rests_until; /* us; it has brought oneways */
};

struct sending {
    struct ic_conn *conn;
    struct ic_op op;
    struct iovec v[IC_STAGE_IOV];
    struct ic_stage stage;
};

struct ic_exchange {
    struct ic_ring *ring;
    struct ic_op base; /* whether libevent has anything */
    struct ic_op wake; /* other threads have posted */
    struct iovec wake_v;
    uint64_t wake_count;
    bool over;
    unsigned turns, waits, awaited; /* waits: turns that waited, or brought something */
    struct member members[IC_EXCHANGE_MEMBERS];
    struct sending sendings[SENDS];
    unsigned n_sendings;
    struct ic_conn *aside[SENDS]; /* what they have cannot be staged */
    unsigned n_aside;
    uint8_t room[ROOM];
    uint8_t bytes[IC_EXCHANGE_MEMBERS][PIECE];
};

/* --- who takes part --- */

static unsigned free_or_oldest(const struct ic_briskness *b)
{
    unsigned oldest = 0;
    for (unsigned i = 0; i < IC_EXCHANGE_MEMBERS; i++) {
        if (!b->who[i]) {
            return i;
        }
        oldest = b->round - b->at[i] > b->round - b->at[oldest] ? i : oldest;
    }
    return oldest;
}

void ic_exchange_heard(struct ic_loop *loop, struct ic_conn *c, bool awaited)
{
    struct ic_briskness *b = &loop->brisk;
    unsigned place = c->place - 1U;
    if (!c->place) {
        if (b->others || !loop->may_exchange) {
            return;
        }
        place = free_or_oldest(b);
        if (b->who[place]) {
            b->others = true;
            if (loop->exchanging) {
                return;
            }
            b->who[place]->place = 0;
        }
        b->who[place] = c;
        b->at[place] = b->awaited[place] = b->round - 1;
        c->place = (uint8_t)(place + 1);
    }
    b->heard += b->at[place] != b->round;
    b->at[place] = b->round;
    if (awaited) {
        b->awaited[place] = b->round;
    }
}

bool ic_exchange_due(struct ic_loop *loop)
{
    struct ic_briskness *b = &loop->brisk;
    b->round++;
    if (b->others) {
        b->others = false;
        b->rounds = 0;
        return false;
    }
    if (b->rounds++ == 0) {
        b->heard = 0;
        b->since_us = ib_clock_us();
        b->needed = b->needed < ROUNDS_MIN ? ROUNDS_MIN : b->needed;
    }
    if (b->rounds < b->needed) {
        return false;
    }
    b->rounds = 0;
    return b->heard * 100 <= b->needed * HEARD_PERCENT && ib_clock_us() - b->since_us < (int64_t)b->needed * BRISK_US;
}

/* --- making and freeing --- */

/* libevent does not tell its descriptor, but the kernel says which one watches ours. */
static bool is_epoll(int fd)
{
    char path[64], what[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, what, sizeof what - 1);
    what[n > 0 ? n : 0] = '\0';
    return strstr(what, "[eventpoll]") != NULL;
}

static bool watches(int fd, int wanted)
{
    char path[64], line[256];
    bool found = false;
    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        int target;
        found = sscanf(line, "tfd: %d", &target) == 1 && target == wanted;
    }
    if (f) {
        (void)fclose(f);
    }
    return found;
}

static int backend_of(const struct ic_loop *loop)
{
    for (int fd = 0; fd < BACKEND_MAX; fd++) {
        if (is_epoll(fd) && watches(fd, loop->wake_fd)) {
            return fd;
        }
    }
    return -1;
}

static struct ic_exchange *make(const struct ic_loop *loop)
{
    int base = backend_of(loop);
    struct ic_exchange *x = base >= 0 ? calloc(1, sizeof *x) : NULL;
    if (!x) {
        return NULL;
    }
    x->ring = ic_ring_new();
    x->base = (struct ic_op){.kind = IC_OP_READABLE, .fd = base};
    x->wake_v = (struct iovec){&x->wake_count, sizeof x->wake_count};
    x->wake = (struct ic_op){.kind = IC_OP_READ, .fd = loop->wake_fd, .msg = {.msg_iov = &x->wake_v, .msg_iovlen = 1}};
    if (!ic_ring_can_wait(x->ring)) {
        ic_ring_free(x->ring);
        free(x);
        return NULL;
    }
    return x;
}

void ic_exchange_free(struct ic_loop *loop)
{
    if (loop->exchange) {
        ic_ring_free(loop->exchange->ring);
    }
    free(loop->exchange);
    loop->exchange = NULL;
}

/* --- joining and leaving --- */

static struct ic_conn *conn_at(const struct ic_loop *loop, unsigned i)
{
    return loop->brisk.who[i];
}

/* Anything but the plain case is libevent's. */
static bool may_join(const struct ic_conn *c)
{
    return ic_conn_may_feed(c) && !c->write_reads && !c->read_writes;
}

/* True once. */
static bool done(struct ic_op *op)
{
    bool is = op->armed && op->res != IC_OP_WAITS;
    op->armed = op->armed && !is;
    return is;
}

static void disarm(struct ic_exchange *x, struct ic_op *op)
{
    if (op->armed && !ic_ring_disarm(x->ring, &op, 1)) {
        x->over = true;
    }
}

/* What was received in its last moment is kept for the connection's next read. */
static void part(struct ic_exchange *x, struct ic_conn *c)
{
    struct member *m = &x->members[c->place - 1];
    c->exchanges = false;
    disarm(x, &m->op);
    if (done(&m->op) && m->op.res > 0) {
        m->fed = (struct ic_fed){.p = m->v.iov_base, .n = (size_t)m->op.res, .more = true};
        ic_tp_base(c->tp)->fed = &m->fed;
        if (ic_tp_fed_keep(ic_tp_base(c->tp)) < 0) {
            ic_conn_finish(c, IB_ENOMEM, NULL);
            return;
        }
        ic_conn_do(c, IC_DO_READ);
    }
    ic_conn_set_io(c);
}

void ic_exchange_forget(struct ic_conn *c)
{
    struct ic_exchange *x = c->loop->exchange;
    if (!c->place) {
        return;
    }
    if (c->exchanges) {
        struct member *m = &x->members[c->place - 1];
        disarm(x, &m->op);
        m->op.armed = false;
        c->exchanges = false;
    }
    c->loop->brisk.who[c->place - 1] = NULL;
    c->place = 0;
}

bool ic_exchange_feed(struct ic_conn *c)
{
    struct ic_exchange *x = c->loop->exchange;
    if (!c->exchanges) {
        return false;
    }
    unsigned i = c->place - 1U;
    struct member *m = &x->members[i];
    if (!done(&m->op)) {
        return false;
    }
    ic_conn_feed(c, &m->fed, x->bytes[i], m->op.res, PIECE);
    return true;
}

/* Who is there, and may. */
static void review(struct ic_loop *loop, struct ic_exchange *x)
{
    for (unsigned i = 0; i < IC_EXCHANGE_MEMBERS; i++) {
        struct ic_conn *c = conn_at(loop, i);
        if (c && c->exchanges && !x->members[i].op.armed && !may_join(c)) {
            part(x, c);
        } else if (c && !c->exchanges && may_join(c)) {
            x->members[i].rests_until = 0;
            c->exchanges = true;
            ic_conn_set_io(c);
        }
    }
}

/* --- one wait --- */

/* Whoever has much to send, or is one of many, sends directly, and before anything is staged: his end may be another's.
 */
static unsigned send_directly(struct ic_loop *loop, struct ic_conn **few)
{
    unsigned n = 0;
    while (!ib_list_empty(&loop->to_write)) {
        struct ic_conn *c = IB_CONTAINER(loop->to_write.next, struct ic_conn, to_write);
        ib_list_remove(&c->to_write);
        if (n < SENDS && c->queued <= ROOM) {
            few[n++] = c;
        } else {
            ic_conn_flush(c);
        }
    }
    return n;
}

/* False: some are left to be flushed behind the call. */
static bool stage(struct ic_loop *loop, struct ic_exchange *x)
{
    struct ic_conn *few[SENDS];
    unsigned n = send_directly(loop, few);
    size_t used = 0;
    x->n_sendings = x->n_aside = 0;
    for (unsigned i = 0; i < n; i++) {
        struct sending *s = &x->sendings[x->n_sendings];
        s->stage = (struct ic_stage){.v = s->v, .room = x->room + used, .space = sizeof x->room - used};
        if (!ic_conn_stage(few[i], &s->stage)) {
            x->aside[x->n_aside++] = few[i];
            continue;
        }
        used += s->stage.used;
        s->conn = few[i];
        s->op = (struct ic_op){
            .kind = IC_OP_SEND, .fd = few[i]->tp->fd, .msg = {.msg_iov = s->v, .msg_iovlen = (size_t)s->stage.n}};
        x->n_sendings++;
    }
    return x->n_aside == 0;
}

static bool arm_own(struct ic_op *op, struct ic_op **ops, unsigned *n)
{
    if (!op->armed) {
        ops[(*n)++] = op;
        return true;
    }
    return op->res == IC_OP_WAITS;
}

/* False: something has come already (while another was disarmed), or cannot be waited for, so there shall be no wait.
 */
static bool arm(struct ic_loop *loop, struct ic_exchange *x, struct ic_op **ops, unsigned *n, int64_t *us)
{
    int64_t now = ib_clock_us();
    *n = 0;
    bool all = arm_own(&x->base, ops, n);
    all = arm_own(&x->wake, ops, n) && all;
    for (unsigned i = 0; i < IC_EXCHANGE_MEMBERS; i++) {
        struct ic_conn *c = conn_at(loop, i);
        struct member *m = &x->members[i];
        if (!c || !c->exchanges) {
            continue;
        }
        if (m->rests_until > now && !m->op.armed) {
            *us = *us < m->rests_until - now ? *us : m->rests_until - now;
            continue;
        }
        if (m->op.armed || !may_join(c)) {
            all = all && m->op.armed && m->op.res == IC_OP_WAITS;
            continue;
        }
        m->v = (struct iovec){x->bytes[i], PIECE};
        m->op = (struct ic_op){.fd = c->tp->fd, .msg = {.msg_iov = &m->v, .msg_iovlen = 1}};
        ops[(*n)++] = &m->op;
    }
    return all;
}

/* Until the next timer at most. */
static int64_t patience(const struct ic_loop *loop)
{
    if (!loop->tick_at) {
        return SILENCE_US;
    }
    int64_t ms = loop->tick_at - ib_clock_ms();
    return ms * 1000 >= SILENCE_US ? SILENCE_US : ms > 0 ? ms * 1000 : 0;
}

static bool base_has_work(const struct ic_loop *loop)
{
    return event_base_get_num_events(loop->base, EVENT_BASE_COUNT_ACTIVE) > 0;
}

/* Returns how long it would have waited. */
static int64_t wait(struct ic_loop *loop, struct ic_exchange *x)
{
    struct ic_op *sends[SENDS], *arms[IC_EXCHANGE_MEMBERS + 2];
    unsigned n_arms;
    bool polls = ic_loop_polls(loop);
    if (polls && !loop->deferred && ib_list_empty(&loop->to_write)) {
        (void)sched_yield();
    }
    bool all_staged = stage(loop, x);
    int64_t us = patience(loop);
    bool all_armed = arm(loop, x, arms, &n_arms, &us);
    if (!all_staged || !all_armed || loop->deferred || base_has_work(loop) || polls) {
        us = 0;
    }
    for (unsigned i = 0; i < x->n_sendings; i++) {
        sends[i] = &x->sendings[i].op;
    }
    ic_ring_wait(x->ring, sends, x->n_sendings, arms, n_arms, us);
    loop->brisk.round++;
    x->over = x->over || !ic_ring_works(x->ring);
    return us;
}

/* What became of it; returns how many have brought something. */
static unsigned dispatch(struct ic_loop *loop, struct ic_exchange *x)
{
    const struct ic_briskness *b = &loop->brisk;
    unsigned n = 0;
    loop->reading = true;
    for (unsigned i = 0; i < x->n_sendings; i++) {
        struct sending *s = &x->sendings[i];
        if (s->conn->tp) {
            ic_conn_staged(s->conn, &s->stage, s->op.res);
        }
    }
    for (unsigned i = 0; i < x->n_aside; i++) {
        ic_conn_flush(x->aside[i]);
    }
    for (unsigned i = 0; i < IC_EXCHANGE_MEMBERS; i++) {
        struct ic_conn *c = conn_at(loop, i);
        if (c && ic_exchange_feed(c)) {
            bool oneways = b->at[i] == b->round && b->awaited[i] != b->round;
            x->members[i].rests_until = oneways ? ib_clock_us() + loop->linger.oneway_us : 0;
            n++;
        }
    }
    if (done(&x->wake)) {
        ic_loop_run_posts(loop);
        n++;
    }
    loop->reading = false;
    return n;
}

/* Now and then: whether it is still what it was. */
static void consider(struct ic_loop *loop, struct ic_exchange *x)
{
    struct ic_briskness *b = &loop->brisk;
    x->over = x->over || b->heard * 100 > BASE_EVERY * HEARD_PERCENT || x->awaited < AWAITED_MIN;
    b->heard = x->awaited = 0;
}

static void turn(struct ic_loop *loop, struct ic_exchange *x)
{
    review(loop, x);
    int64_t us = wait(loop, x);
    bool base = done(&x->base);
    unsigned n = dispatch(loop, x);
    for (unsigned i = 0; i < ROUNDS && loop->deferred && (i == 0 || ib_list_empty(&loop->to_write)); i++) {
        ic_loop_round(loop);
    }
    x->awaited += loop->linger.awaited;
    if (loop->linger.awaited && ic_loop_lingered(loop)) {
        x->over = true;
    }
    loop->linger.oneways = false; /* who brought them rests */
    x->over = x->over || loop->brisk.others || (n == 0 && !base && us == SILENCE_US);
    bool counts = us > 0 || n > 0;
    x->waits += counts;
    if (counts && x->waits % BASE_EVERY == 0) {
        consider(loop, x);
    }
    if (loop->tick_at && loop->tick_at <= ib_clock_ms()) { /* libevent's clock is a coarse one: it may be late */
        ic_timers_run(loop);
    }
    if (base || ++x->turns % BASE_EVERY == 0 || base_has_work(loop)) {
        event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK); /* once: others may be brisk, too */
    }
}

/* False: not now. */
static bool leave(struct ic_loop *loop, struct ic_exchange *x)
{
    if (event_add(loop->wake, NULL) < 0 && ic_ring_works(x->ring) && !loop->stopped) {
        return false;
    }
    loop->exchanging = false;
    if (loop->deferred) {
        event_active(loop->round, EV_TIMEOUT, 0);
    }
    disarm(x, &x->base);
    disarm(x, &x->wake);
    bool posted = done(&x->wake);
    x->base.armed = x->wake.armed = false;
    for (unsigned i = 0; i < IC_EXCHANGE_MEMBERS; i++) {
        struct ic_conn *c = conn_at(loop, i);
        if (c && c->exchanges) {
            part(x, c);
        }
    }
    ic_sweep_writes(loop);
    if (posted) {
        ic_loop_run_posts(loop);
    }
    return true;
}

void ic_exchange_run(struct ic_loop *loop)
{
    struct ic_briskness *b = &loop->brisk;
    loop->exchange = loop->exchange ? loop->exchange : make(loop);
    struct ic_exchange *x = loop->exchange;
    if (!x) {
        loop->may_exchange = false;
        return;
    }
    loop->exchanging = true;
    x->waits = x->awaited = b->heard = 0;
    event_del(loop->wake);
    do {
        x->over = false;
        while (!x->over && !loop->stopped) {
            turn(loop, x);
        }
    } while (!leave(loop, x));
    b->others = false;
    b->rounds = 0;
    b->needed = x->waits >= SOON ? ROUNDS_MIN : b->needed < ROUNDS_MAX ? b->needed * 2 : ROUNDS_MAX;
    if (!ic_ring_works(x->ring)) {
        loop->may_exchange = false;
        ic_exchange_free(loop);
    }
}
