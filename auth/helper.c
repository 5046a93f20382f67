/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's side of the auth helpers: for each kind a bounded queue and a few children, the free one of which gets
   the next question. Owns the questions and the children. */
#include <moulin/auth/helper.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <moulin/base/clock.h>
#include <moulin/base/list.h>
#include <moulin/base/log.h>
#include <moulin/base/secret.h>

#include "helper_child.h"
#include "helper_wire.h"

#define QUEUE_MAX 256
#define DEADLINE_MS 15000
#define WORKERS 2
#define PAM_RECYCLE 500 /* answers of one child: modules leak */

struct question {
    struct ib_list node; /* pool->waiting until a worker has it */
    int64_t deadline;
    auth_helper_fn fn; /* NULL: cancelled, but a worker has it */
    void *arg;
    struct helper_question wire;
};

struct pool;

struct worker {
    struct pool *pool;
    struct helper_child child;
    struct question *busy; /* owns */
    unsigned served;
    bool retire; /* ends as soon as it is idle */
};

/* Everything of one kind. */
struct pool {
    struct auth_helper *helper;
    enum auth_helper_kind kind;
    struct ib_list waiting; /* owns; in the order of their deadlines */
    unsigned open; /* waiting and with workers */
    struct worker workers[AUTH_HELPER_WORKERS_MAX]; /* the first helper->workers are used */
    struct ic_timer timer; /* for the earliest deadline */
    struct ic_deferred kick;
    bool told; /* what the sandbox lacks was logged */
};

struct auth_helper {
    struct ic_loop *loop; /* borrows */
    struct ib_log *log; /* borrows */
    char *exe;
    unsigned queue_max, workers;
    int deadline_ms;
    bool drop;
    unsigned uid, gid;
    uint64_t last_id;
    struct helper_reaper reaper;
    struct pool pools[AUTH_HELPER_KINDS];
};

static void dispatch(void *arg);

static void kick(struct pool *p)
{
    ic_loop_defer(p->helper->loop, &p->kick, dispatch, p);
}

static void question_free(struct pool *p, struct question *q)
{
    ib_list_remove(&q->node);
    p->open--;
    ib_wipe(q, sizeof(*q));
    free(q);
}

/* The callback may ask again or cancel other questions; nobody touches the question after it. */
static void finish(struct pool *p, struct question *q, const struct auth_helper_answer *a)
{
    auth_helper_fn fn = q->fn;
    void *arg = q->arg;
    question_free(p, q);
    kick(p);
    if (fn) {
        fn(arg, a);
    }
}

static void fail(struct pool *p, struct question *q, int code, const char *text)
{
    const struct auth_helper_answer a = {.code = code, .text = text};
    finish(p, q, &a);
}

static struct question *take(struct worker *w)
{
    struct question *q = w->busy;
    w->busy = NULL;
    return q;
}

static void stop(struct worker *w)
{
    helper_child_stop(&w->child, &w->pool->helper->reaper);
    w->served = 0;
    w->retire = false;
}

/* --- what children say -------------------------------------------------------------------------------------------- */

static void on_death(struct worker *w, const char *text)
{
    struct question *q = take(w);
    stop(w);
    if (q) { /* who it was working for must not wait */
        fail(w->pool, q, IB_EIO, text);
    }
}

static void on_hello(struct worker *w, const struct helper_answer *a)
{
    struct pool *p = w->pool;
    struct ib_log *log = p->helper->log;
    const char *kind = helper_kind_name(p->kind);
    bool tell = log && !p->told && a->text[0];
    p->told = p->told || tell;
    if (a->verdict == HELPER_YES) {
        if (tell) {
            ib_log_trace(log, "Auth", "the sandbox of the auth helper (%s) lacks %s", kind, a->text);
        }
        return;
    }
    if (tell) {
        ib_log_error(log, "the auth helper (%s) cannot work: %s", kind, a->text);
    }
    struct question *q = take(w);
    stop(w);
    if (q) {
        fail(p, q, IB_EINIT, a->text);
    }
}

static void on_answer(struct worker *w, const struct helper_answer *a)
{
    struct question *q = take(w);
    struct auth_helper_answer out = {.match = a->verdict == HELPER_YES, .text = a->text};
    if (a->verdict != HELPER_YES && a->verdict != HELPER_NO) {
        out.code = IB_EINIT;
    }
    w->served++;
    if (w->retire || (w->pool->kind == AUTH_HELPER_PAM && w->served >= PAM_RECYCLE)) {
        stop(w);
    }
    finish(w->pool, q, &out);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct worker *w = arg;
    struct helper_answer a;
    ssize_t n = recv(fd, &a, sizeof(a), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n != (ssize_t)sizeof(a)) {
        on_death(w, "it died");
        return;
    }
    a.text[HELPER_TEXT_MAX] = '\0';
    if (a.id == 0) {
        on_hello(w, &a);
    } else if (w->busy && a.id == w->busy->wire.id) {
        on_answer(w, &a);
    } else {
        on_death(w, "it answered what nobody asked");
    }
}

/* --- what they are asked ------------------------------------------------------------------------------------------ */

static struct question *first(const struct pool *p)
{
    return ib_list_empty(&p->waiting) ? NULL : IB_CONTAINER(p->waiting.next, struct question, node);
}

/* One that runs and is idle, else one that can be started. */
static struct worker *free_worker(struct pool *p)
{
    struct worker *startable = NULL;
    for (unsigned i = 0; i < p->helper->workers; i++) {
        struct worker *w = &p->workers[i];
        if (!w->busy && w->child.pid) {
            return w;
        }
        if (!w->busy && !startable) {
            startable = w;
        }
    }
    return startable;
}

/* A child that died while idle is noticed here: the question goes to a new one. */
static int give(struct worker *w, struct question *q)
{
    const struct auth_helper *h = w->pool->helper;
    const struct helper_launch launch = {.loop = h->loop,
                                         .reaper = &w->pool->helper->reaper,
                                         .exe = h->exe,
                                         .kind = w->pool->kind,
                                         .drop = h->drop,
                                         .uid = h->uid,
                                         .gid = h->gid};
    for (int attempt = 0; attempt < 2; attempt++) {
        int rc = w->child.pid ? 0 : helper_child_start(&w->child, &launch, on_readable, w);
        if (rc != 0) {
            return rc;
        }
        ssize_t n = send(w->child.fd, &q->wire, sizeof(q->wire), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n == (ssize_t)sizeof(q->wire)) {
            ib_list_remove(&q->node);
            ib_wipe(q->wire.password, sizeof(q->wire.password));
            w->busy = q;
            return 0;
        }
        stop(w);
    }
    return IB_EIO;
}

static void arm(struct pool *p)
{
    int64_t at = INT64_MAX, now = ib_clock_ms();
    if (first(p)) {
        at = first(p)->deadline;
    }
    for (unsigned i = 0; i < p->helper->workers; i++) {
        if (p->workers[i].busy && p->workers[i].busy->deadline < at) {
            at = p->workers[i].busy->deadline;
        }
    }
    if (at == INT64_MAX) {
        ic_timer_stop(&p->timer);
    } else {
        ic_timer_start(&p->timer, at > now ? at - now : 0);
    }
}

static void dispatch(void *arg)
{
    struct pool *p = arg;
    struct question *q;
    struct worker *w;
    while ((q = first(p)) && (w = free_worker(p))) {
        int rc = give(w, q);
        if (rc != 0) {
            fail(p, q, rc, "it cannot be started");
        }
    }
    arm(p);
}

static void on_deadline(void *arg)
{
    struct pool *p = arg;
    int64_t now = ib_clock_ms();
    for (unsigned i = 0; i < p->helper->workers; i++) {
        struct worker *w = &p->workers[i];
        if (w->busy && w->busy->deadline <= now) { /* stuck */
            struct question *q = take(w);
            stop(w);
            fail(p, q, IB_ETIMEOUT, "");
        }
    }
    while (first(p) && first(p)->deadline <= now) {
        fail(p, first(p), IB_ETIMEOUT, "");
    }
    kick(p);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void pool_init(struct pool *p, struct auth_helper *h, enum auth_helper_kind kind)
{
    p->helper = h;
    p->kind = kind;
    ib_list_init(&p->waiting);
    ic_timer_init(&p->timer, h->loop, on_deadline, p);
    for (unsigned i = 0; i < AUTH_HELPER_WORKERS_MAX; i++) {
        p->workers[i].pool = p;
    }
}

static void pool_fini(struct pool *p)
{
    ic_loop_undefer(p->helper->loop, &p->kick);
    ic_timer_fini(&p->timer);
    for (unsigned i = 0; i < p->helper->workers; i++) {
        struct question *q = take(&p->workers[i]);
        stop(&p->workers[i]);
        if (q) {
            question_free(p, q);
        }
    }
    while (first(p)) {
        question_free(p, first(p));
    }
}

struct auth_helper *auth_helper_new(struct ic_loop *loop, const struct auth_helper_config *cfg)
{
    static const struct auth_helper_config defaults;
    struct auth_helper *h = calloc(1, sizeof(*h));
    cfg = cfg ? cfg : &defaults;
    if (!h || !(h->exe = strdup(cfg->exe ? cfg->exe : "/proc/self/exe"))) {
        free(h);
        return NULL;
    }
    h->loop = loop;
    h->log = cfg->log;
    h->queue_max = cfg->queue_max ? cfg->queue_max : QUEUE_MAX;
    h->deadline_ms = cfg->deadline_ms ? cfg->deadline_ms : DEADLINE_MS;
    h->workers = cfg->workers ? cfg->workers : WORKERS;
    h->workers = h->workers < AUTH_HELPER_WORKERS_MAX ? h->workers : AUTH_HELPER_WORKERS_MAX;
    h->drop = cfg->drop;
    h->uid = cfg->uid;
    h->gid = cfg->gid;
    helper_reaper_init(&h->reaper, loop);
    for (int kind = 0; kind < AUTH_HELPER_KINDS; kind++) {
        pool_init(&h->pools[kind], h, (enum auth_helper_kind)kind);
    }
    return h;
}

void auth_helper_free(struct auth_helper *h)
{
    if (!h) {
        return;
    }
    for (int kind = 0; kind < AUTH_HELPER_KINDS; kind++) {
        pool_fini(&h->pools[kind]);
    }
    helper_reaper_fini(&h->reaper);
    free(h->exe);
    free(h);
}

/* --- questions ---------------------------------------------------------------------------------------------------- */

/* The question's own members are the caller's to fill. */
static int ask(struct auth_helper *h, enum auth_helper_kind kind, struct ib_str password, auth_helper_fn fn, void *arg,
               struct helper_question **wire)
{
    struct pool *p = &h->pools[kind];
    if (p->open >= h->queue_max) {
        return IB_ELIMIT;
    }
    struct question *q = calloc(1, sizeof(*q));
    if (!q) {
        return IB_ENOMEM;
    }
    q->fn = fn;
    q->arg = arg;
    q->deadline = ib_clock_ms() + h->deadline_ms;
    q->wire.id = ++h->last_id;
    q->wire.password_n = (uint16_t)password.n;
    memcpy(q->wire.password, ib_cstr(password), password.n);
    ib_list_append(&p->waiting, &q->node);
    p->open++;
    kick(p);
    *wire = &q->wire;
    return 0;
}

int auth_helper_check(struct auth_helper *h, struct ib_str password, const char *hash, auth_helper_fn fn, void *arg,
                      uint64_t *id)
{
    struct helper_question *wire;
    if (password.n > AUTH_PASSWORD_MAX || strlen(hash) > AUTH_HASH_MAX) {
        return IB_EINVAL;
    }
    int rc = ask(h, AUTH_HELPER_HASH, password, fn, arg, &wire);
    if (rc != 0) {
        return rc;
    }
    memcpy(wire->hash, hash, strlen(hash));
    *id = wire->id;
    return 0;
}

int auth_helper_check_pam(struct auth_helper *h, const struct auth_pam_question *in, auth_helper_fn fn, void *arg,
                          uint64_t *id)
{
    struct helper_question *wire;
    if (in->password.n > AUTH_PASSWORD_MAX || in->user.n > HELPER_USER_MAX || strlen(in->host) > HELPER_HOST_MAX ||
        strlen(in->service) > HELPER_SERVICE_MAX || strlen(in->directory) > HELPER_DIRECTORY_MAX) {
        return IB_EINVAL;
    }
    int rc = ask(h, AUTH_HELPER_PAM, in->password, fn, arg, &wire);
    if (rc != 0) {
        return rc;
    }
    memcpy(wire->pam.user, ib_cstr(in->user), in->user.n);
    memcpy(wire->pam.host, in->host, strlen(in->host));
    memcpy(wire->pam.service, in->service, strlen(in->service));
    memcpy(wire->pam.directory, in->directory, strlen(in->directory));
    *id = wire->id;
    return 0;
}

static bool cancel(struct pool *p, uint64_t id)
{
    IB_LIST_FOREACH(node, &p->waiting)
    {
        struct question *q = IB_CONTAINER(node, struct question, node);
        if (q->wire.id == id) {
            question_free(p, q);
            return true;
        }
    }
    for (unsigned i = 0; i < p->helper->workers; i++) {
        struct question *q = p->workers[i].busy;
        if (q && q->wire.id == id) { /* its answer is on the way and must be matched */
            q->fn = NULL;
            return true;
        }
    }
    return false;
}

void auth_helper_cancel(struct auth_helper *h, uint64_t id)
{
    for (int kind = 0; kind < AUTH_HELPER_KINDS && !cancel(&h->pools[kind], id); kind++) {
    }
}

void auth_helper_retire(struct auth_helper *h, enum auth_helper_kind kind)
{
    for (unsigned i = 0; i < h->workers; i++) {
        struct worker *w = &h->pools[kind].workers[i];
        if (w->busy) {
            w->retire = true;
        } else {
            stop(w);
        }
    }
}

int auth_helper_pid(const struct auth_helper *h, enum auth_helper_kind kind, unsigned i)
{
    return (int)h->pools[kind].workers[i].child.pid;
}
