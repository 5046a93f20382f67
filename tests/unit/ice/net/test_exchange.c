/* SPDX-License-Identifier: Apache-2.0 */
/* A few connections in brisk exchange, over every transport: the loop waits for them in io_uring, and nobody can tell.
   Order and bytes hold, and whatever else the loop is there for (others, timers, posts) has its turn. */
#include "net_fixture.h"
#include "net_certs.h"
#include "net_forbid.h"

#include "conn_priv.h"
#include "ring.h"

#include <limits.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAIRS 12 /* more than take part in an exchange */
#define LARGEST 20000
#define LINKS 20 /* more than run between two looks at the sockets */
#define BRISK 400 /* messages after which an exchange has begun */

static const int types[] = {IW_EP_TCP, IW_EP_SSL, IW_EP_WS, IW_EP_WSS};
static struct certs certs;

struct table;

struct pair {
    struct table *table;
    struct ic_conn *client, *server;
    int sent, back;
    bool active, closed;
};

/* Client and server share the loop. The first pair plays one message after the other, those who have joined now and
   then, or all the time. */
struct table {
    struct ic_loop *loop;
    struct ic_tls *server_tls, *client_tls;
    struct ic_listener *listener;
    struct pair pairs[PAIRS];
    int accepted;
    bool paused; /* nobody sends */
    int joined; /* pairs that play, with the first */
    bool all_the_time;
    bool oneways; /* the second sends them */
    int came;
    struct ic_deferred chain;
    int links, chained, unbroken;
    bool exchanged;
    size_t fixed; /* the size of a message; 0: several */
    int stop_at; /* messages that came back to the first */
    void (*at_ball)(struct table *t, int back); /* before the first sends again */
    struct ic_timer watchdog, timer;
    int fired, posted, seen_exchanging;
    pthread_t thread;
};

static size_t size_of(const struct table *t, int i)
{
    static const size_t sizes[] = {5, 60, 300, 4082, 4083, 4096, 900, LARGEST, 12};
    return t->fixed ? t->fixed : sizes[(size_t)i % (sizeof sizes / sizeof *sizes)];
}

static uint8_t byte_of(int i, size_t k)
{
    return (uint8_t)(i * 7 + (int)(k % 251));
}

static void send_next(struct pair *p)
{
    uint8_t body[LARGEST];
    size_t n = size_of(p->table, p->sent);
    for (size_t k = 0; k < n; k++)
        body[k] = byte_of(p->sent, k);
    p->sent++;
    struct ic_out m = {.type = IC_REQUEST, .body = {body, n}};
    assert_int_equal(ic_conn_send(p->client, &m, NULL), 0);
}

static void play(struct table *t)
{
    send_next(&t->pairs[0]);
    for (int i = 1; i < t->joined; i++) {
        struct pair *p = &t->pairs[i];
        if (p->client && p->sent == p->back && (t->all_the_time || t->pairs[0].back % 16 == 0))
            send_next(p);
    }
}

static void server_frame(void *arg, struct ic_conn *c, const struct ic_frame *f)
{
    struct table *t = arg;
    if (t->oneways && c == t->pairs[1].server) {
        ic_conn_heard(c, false);
        t->came++;
        return;
    }
    ic_conn_heard(c, true);
    struct ic_out m = {.type = IC_REPLY, .body = f->body, .block = f->block};
    int rc = ic_conn_send(c, &m, NULL);
    (void)rc; /* it may be closing */
}

static void server_close(void *arg, struct ic_conn *c, const struct ib_err *why)
{
    (void)why;
    struct table *t = arg;
    for (int i = 0; i < PAIRS; i++)
        if (t->pairs[i].server == c)
            t->pairs[i].server = NULL;
}

static void on_accept(void *arg, struct ic_conn *c)
{
    static const struct ic_conn_events events = {.on_frame = server_frame, .on_close = server_close};
    struct table *t = arg;
    t->pairs[t->accepted++].server = c;
    ic_conn_set_events(c, &events, t);
}

static void client_active(void *arg, struct ic_conn *c)
{
    (void)c;
    struct pair *p = arg;
    p->active = true;
    ic_loop_stop(p->table->loop);
}

static void client_frame(void *arg, struct ic_conn *c, const struct ic_frame *f)
{
    struct pair *p = arg;
    struct table *t = p->table;
    ic_conn_heard(c, true);
    assert_int_equal(f->body.n, size_of(t, p->back));
    for (size_t k = 0; k < f->body.n; k++)
        if (f->body.p[k] != byte_of(p->back, k))
            fail_msg("message %d: byte %zu differs", p->back, k);
    p->back++;
    if (p != t->pairs) {
        if (t->all_the_time)
            send_next(p);
        return;
    }
    t->seen_exchanging += t->loop->exchanging;
    if (t->at_ball)
        t->at_ball(t, p->back);
    if (p->back >= t->stop_at)
        ic_loop_stop(t->loop);
    else if (!t->paused)
        play(t);
}

static void client_close(void *arg, struct ic_conn *c, const struct ib_err *why)
{
    (void)c;
    (void)why;
    struct pair *p = arg;
    p->client = NULL;
    p->closed = true;
}

static const struct ic_conn_events client_events = {
    .on_active = client_active, .on_frame = client_frame, .on_close = client_close};

static void too_long(void *arg)
{
    struct table *t = arg;
    fail_msg("stuck after %d messages", t->pairs[0].back);
}

static void run(struct table *t)
{
    ic_timer_start(&t->watchdog, 20000);
    ic_loop_run(t->loop);
    ic_timer_stop(&t->watchdog);
}

static void connect_pairs(struct table *t, int n)
{
    struct ic_conn_config cfg = fx_config();
    struct iw_endpoint ep = *ic_listener_endpoint(t->listener);
    ep.host = IB_STR("127.0.0.1");
    for (int i = 0; i < n; i++) { /* one after the other, so that both sides count alike */
        struct pair *p = &t->pairs[i];
        p->table = t;
        p->client = ic_connect(t->loop, &ep, t->client_tls, &cfg, &client_events, p);
        assert_non_null(p->client);
        run(t);
        assert_true(p->active);
    }
}

static void on_timer(void *arg)
{
    struct table *t = arg;
    t->fired++;
}

static void table_init(struct table *t, int type, bool uring, int pairs)
{
    struct ib_err err = {0};
    memset(t, 0, sizeof *t);
    t->loop = ic_loop_new(&err);
    assert_non_null(t->loop);
    ic_loop_set_uring(t->loop, uring);
    ic_timer_init(&t->watchdog, t->loop, too_long, t);
    ic_timer_init(&t->timer, t->loop, on_timer, t);
    t->server_tls = certs_tls(&certs, "server.pem");
    t->client_tls = certs_tls(&certs, "client.pem");
    struct ic_conn_config cfg = fx_config();
    struct iw_endpoint ep = {.type = (int16_t)type, .host = IB_STR(""), .resource = IB_STR("/x")};
    t->listener = ic_listen(t->loop, &ep, t->server_tls, &cfg, on_accept, t, &err);
    assert_non_null(t->listener);
    ic_listener_start(t->listener);
    connect_pairs(t, pairs);
}

static void table_fini(struct table *t)
{
    for (int i = 0; i < PAIRS; i++) {
        if (t->pairs[i].client)
            ic_conn_detach(t->pairs[i].client);
        if (t->pairs[i].server)
            ic_conn_detach(t->pairs[i].server);
    }
    ic_timer_fini(&t->watchdog);
    ic_timer_fini(&t->timer);
    ic_listener_free(t->listener);
    ic_tls_unref(t->server_tls);
    ic_tls_unref(t->client_tls);
    ic_loop_free(t->loop);
}

static bool kernel_can_wait(void)
{
    struct ic_ring *r = ic_ring_new();
    bool can = ic_ring_can_wait(r);
    ic_ring_free(r);
    return can;
}

/* Over every transport, with io_uring and without. */
static void each(int pairs, void (*playing)(struct table *t))
{
    bool can_wait = kernel_can_wait();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        for (int uring = 0; uring < 2; uring++) {
            struct table t;
            table_init(&t, types[i], uring, pairs);
            playing(&t);
            if (!uring || !can_wait)
                assert_int_equal(t.seen_exchanging, 0);
            else
                assert_true(t.seen_exchanging > 0);
            assert_false(t.loop->exchanging);
            table_fini(&t);
        }
    }
}

static void play_until(struct table *t, int stop_at)
{
    t->stop_at = stop_at;
    run(t);
}

/* --- the cases --- */

/* It goes on and on. */
static void seen_enough(struct table *t, int back)
{
    if (t->seen_exchanging >= 5 * BRISK)
        t->stop_at = back;
}

static void two(struct table *t)
{
    t->fixed = 40;
    t->at_ball = seen_enough;
    play(t);
    play_until(t, t->loop->uring && kernel_can_wait() ? 1000 * BRISK : 5 * BRISK);
}

static void several_sizes(struct table *t)
{
    t->joined = 2;
    play(t);
    play_until(t, 1500);
    assert_true(t->pairs[1].back >= 1500 / 16 - 1);
}

/* Others join in: now and then, then all the time, which ends it. */
static void others_come(struct table *t, int back)
{
    t->joined = back < BRISK ? 1 : back < 2 * BRISK ? 4 : PAIRS;
    t->all_the_time = back >= 2 * BRISK;
    if (back == 2 * BRISK)
        t->posted = t->seen_exchanging;
    if (back == 4 * BRISK)
        assert_false(t->loop->exchanging);
}

static void others(struct table *t)
{
    t->fixed = 40;
    t->at_ball = others_come;
    play(t);
    play_until(t, 4 * BRISK);
    for (int i = 1; i < PAIRS; i++)
        assert_true(t->pairs[i].back > BRISK);
    assert_true(t->seen_exchanging - t->posted < BRISK);
}

/* A timer of ours, a post of another thread. */
static void on_post(void *arg)
{
    struct table *t = arg;
    t->posted++;
}

static void *post(void *arg)
{
    struct table *t = arg;
    assert_int_equal(ic_loop_post(t->loop, on_post, t), 0);
    return NULL;
}

static void set_off(struct table *t, int back)
{
    if (back == BRISK) {
        ic_timer_start(&t->timer, 3);
        assert_int_equal(pthread_create(&t->thread, NULL, post, t), 0);
    }
    if (t->fired && t->posted)
        t->stop_at = back;
}

static void timers_and_posts(struct table *t)
{
    t->fixed = 40;
    t->at_ball = set_off;
    play(t);
    play_until(t, 1000000);
    assert_int_equal(pthread_join(t->thread, NULL), 0);
    assert_int_equal(t->fired, 1);
    assert_int_equal(t->posted, 1);
}

/* What is deferred again and again, with nothing to be received meanwhile, is not put off until a silence ends it. */
static void next_link(void *arg)
{
    struct table *t = arg;
    if (--t->links > 0) {
        ic_loop_defer(t->loop, &t->chain, next_link, t);
        return;
    }
    t->unbroken += t->loop->exchanging;
    t->paused = false;
    play(t);
}

static void start_chain(struct table *t, int back)
{
    if (back % 32 || back >= t->stop_at || !t->loop->exchanging)
        return;
    t->chained++;
    t->links = LINKS;
    t->paused = true;
    ic_loop_defer(t->loop, &t->chain, next_link, t);
}

/* Nor is it forgotten when the exchange ends for another reason. */
static void leave_in_chain(struct table *t, int back)
{
    int before = t->chained;
    start_chain(t, back);
    if (t->chained > before)
        t->loop->brisk.others = true;
}

static void deferred_and_left(struct table *t)
{
    t->fixed = 40;
    t->at_ball = leave_in_chain;
    play(t);
    play_until(t, 8 * BRISK);
    assert_int_equal(t->unbroken, 0);
}

static void deferred(struct table *t)
{
    t->fixed = 40;
    t->at_ball = start_chain;
    play(t);
    play_until(t, 8 * BRISK);
    assert_true(t->unbroken >= t->chained / 2);
}

/* While nothing comes it looks again and again, for as long as it was told to, and sleeps otherwise. */
static int yields;
int __real_sched_yield(void);
int __wrap_sched_yield(void);

int __wrap_sched_yield(void)
{
    yields++;
    return __real_sched_yield();
}

static void pause_over(void *arg)
{
    struct table *t = arg;
    static const int at_least[] = {2, 0, 1, 2}, at_most[] = {INT_MAX, 0, INT_MAX, INT_MAX};
    assert_in_range(yields, at_least[t->fired], at_most[t->fired]);
    assert_int_equal(t->loop->poll_until != 0,
                     t->fired == 0 || t->fired == 3); /* the third time it was over meanwhile */
    if (t->fired == 0)
        assert_int_equal(t->loop->exchanging, t->exchanged);
    ic_loop_poll(t->loop, 0);
    t->fired++;
    t->paused = false;
    play(t);
}

static void pause_now_and_then(struct table *t, int back)
{
    static const int us[] = {10000000, 0, 2000, 10000000};
    if (back % BRISK || t->fired == 4)
        return;
    t->paused = true;
    t->exchanged = t->loop->exchanging;
    if (t->fired == 3) /* the exchange ends meanwhile */
        t->loop->brisk.others = t->exchanged;
    yields = 0;
    ic_loop_poll(t->loop, us[t->fired]);
    ic_timer_start(&t->timer, 20);
}

static void polls(struct table *t)
{
    ic_timer_init(&t->timer, t->loop, pause_over, t);
    t->fixed = 40;
    t->at_ball = pause_now_and_then;
    play(t);
    play_until(t, 5 * BRISK);
    assert_int_equal(t->fired, 4);
}

/* The kernel has received the head of a large message while another's end was seen to, and then the connection is read
   for a reason of its own: the head comes first. */
static void read_behind(struct table *t, int back)
{
    if (back < BRISK || !t->loop->exchanging || t->posted)
        return;
    t->posted = back;
    t->stop_at = back + BRISK;
    t->joined = 1;
    for (int i = 2; i < 5; i++) {
        struct pair *p = &t->pairs[i];
        p->sent = p->back = 7; /* the largest */
        send_next(p);
        ic_conn_push(p->client);
        ic_conn_hold(p->server, true);
    }
    ic_conn_abort(t->pairs[1].server, IB_ELOST, "the test ends it");
    for (int i = 2; i < 5; i++)
        ic_conn_hold(t->pairs[i].server, false);
}

static void in_order(struct table *t)
{
    t->at_ball = read_behind;
    t->joined = 5;
    play(t);
    play_until(t, t->loop->uring && kernel_can_wait() ? 1000 * BRISK : 2 * BRISK);
    for (int i = 2; t->posted && i < 5; i++)
        assert_int_equal(t->pairs[i].back, 8);
}

/* One sends oneways: all arrive, in the pauses that were set, without disturbing the others. */
static void oneways_too(struct table *t, int back)
{
    if (back > BRISK && t->pairs[1].sent < 500)
        send_next(&t->pairs[1]);
    if (t->came == 500)
        t->stop_at = back;
}

static void oneways(struct table *t)
{
    ic_loop_set_linger(t->loop, 1000, 0);
    t->fixed = 40;
    t->oneways = true;
    t->at_ball = oneways_too;
    play(t);
    play_until(t, 1000000);
}

/* One is held, in the midst of it: what comes for it waits until it is released, by a timer. */
static void release(void *arg)
{
    struct table *t = arg;
    t->fired++;
    ic_conn_hold(t->pairs[1].server, false);
}

static void hold_one(struct table *t, int back)
{
    if (back == BRISK) {
        ic_conn_hold(t->pairs[1].server, true);
        t->posted = t->pairs[1].back;
        ic_timer_fini(&t->timer);
        ic_timer_init(&t->timer, t->loop, release, t);
        ic_timer_start(&t->timer, 20);
    }
    if (back > BRISK && !t->fired)
        assert_true(t->pairs[1].back <= t->posted + 1); /* one was on its way */
    if (t->fired && t->pairs[1].back > t->posted + 5)
        t->stop_at = back;
}

static void held(struct table *t)
{
    t->fixed = 40;
    t->at_ball = hold_one;
    t->joined = 2;
    play(t);
    play_until(t, 1000000);
}

/* One is closed by what another has brought, while the kernel waits for it; its peer sees the end at once. */
static void end_one(struct table *t, int back)
{
    if (back == BRISK)
        ic_conn_abort(t->pairs[1].server, IB_ELOST, "the test ends it");
    if (t->pairs[1].closed && back > 2 * BRISK)
        t->stop_at = back;
}

static void one_ends(struct table *t)
{
    t->fixed = 40;
    t->at_ball = end_one;
    t->joined = 2;
    play(t);
    play_until(t, 1000000);
    assert_null(t->pairs[1].server);
}

/* Silence ends it, and what comes after the silence is met by libevent. */
static void go_on(void *arg)
{
    struct table *t = arg;
    assert_false(t->loop->exchanging);
    t->fired++;
    t->paused = false;
    play(t);
}

static void pause_once(struct table *t, int back)
{
    if (back == BRISK) {
        ic_timer_fini(&t->timer);
        ic_timer_init(&t->timer, t->loop, go_on, t);
        ic_timer_start(&t->timer, 40);
        t->paused = true;
    }
}

static void silence(struct table *t)
{
    t->fixed = 40;
    t->at_ball = pause_once;
    play(t);
    play_until(t, 3 * BRISK);
    assert_int_equal(t->fired, 1);
}

/* --- where it becomes forbidden --- */

/* In the first exchange, which is over then; there is no other. */
static void forbid_later(struct table *t, int back)
{
    if (t->loop->exchanging && !t->posted) {
        t->posted = back;
        t->stop_at = back + 2 * BRISK;
        forbid(SYS_io_uring_enter);
    }
    if (t->posted && back > t->posted + 1 && t->loop->exchanging)
        _exit(2);
}

static void in_child(int type, bool can_wait)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct table t;
        table_init(&t, type, true, 2);
        t.fixed = 40;
        t.at_ball = forbid_later;
        t.joined = 2;
        play(&t);
        play_until(&t, can_wait ? 100 * BRISK : 2 * BRISK);
        bool as_it_should = (t.posted > 0) == can_wait && !t.loop->exchange && t.pairs[1].back >= 2 * BRISK / 16;
        table_fini(&t);
        _exit(as_it_should ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_two(void **state)
{
    (void)state;
    each(1, two);
}

static void test_several_sizes(void **state)
{
    (void)state;
    each(2, several_sizes);
}

static void test_others(void **state)
{
    (void)state;
    each(PAIRS, others);
}

static void test_timers_and_posts(void **state)
{
    (void)state;
    each(1, timers_and_posts);
}

static void test_polls(void **state)
{
    (void)state;
    each(1, polls);
}

static void test_deferred(void **state)
{
    (void)state;
    each(1, deferred);
    each(1, deferred_and_left);
}

static void test_in_order(void **state)
{
    (void)state;
    each(5, in_order);
}

static void test_oneways(void **state)
{
    (void)state;
    each(2, oneways);
}

static void test_held(void **state)
{
    (void)state;
    each(2, held);
}

static void test_one_ends(void **state)
{
    (void)state;
    each(2, one_ends);
}

static void test_silence(void **state)
{
    (void)state;
    each(1, silence);
}

static void test_forbidden(void **state)
{
    (void)state;
    bool can_wait = kernel_can_wait();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        in_child(types[i], can_wait);
}

static int make_certs(void **state)
{
    (void)state;
    certs_make(&certs);
    return 0;
}

static int drop_certs(void **state)
{
    (void)state;
    certs_remove(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two),       cmocka_unit_test(test_several_sizes),
        cmocka_unit_test(test_others),    cmocka_unit_test(test_timers_and_posts),
        cmocka_unit_test(test_oneways),   cmocka_unit_test(test_deferred),
        cmocka_unit_test(test_in_order),  cmocka_unit_test(test_held),
        cmocka_unit_test(test_one_ends),  cmocka_unit_test(test_silence),
        cmocka_unit_test(test_forbidden), cmocka_unit_test(test_polls),
    };
    return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
