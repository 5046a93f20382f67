/* SPDX-License-Identifier: Apache-2.0 */
/* Runtimes on one loop, a server with the echo servants, and a bare socket to talk to it byte by byte. */
#ifndef MOULIN_TESTS_RPC_FIXTURE_H
#define MOULIN_TESTS_RPC_FIXTURE_H

#include "echo_servant.h"
#include "test.h"
#include "vectors.h"

#include <moulin/base/clock.h>
#include <moulin/rpc/call.h>
#include <slice/registry.h>
#include <vec/Vec.h>
#include <vec/Vec_rpc.h>
#include <vec/registry.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 10000

struct types {
    struct iw_registry reg;
    const struct iw_class *classes[512];
};

static inline int types_cmp(const void *a, const void *b)
{
    return strcmp((*(const struct iw_class *const *)a)->id, (*(const struct iw_class *const *)b)->id);
}

static inline void types_init(struct types *t)
{
    const struct iw_registry *from[] = {&slice_registry, &vec_registry};
    size_t n = 0;
    for (size_t r = 0; r < 2; r++) {
        for (size_t i = 0; i < from[r]->n; i++)
            t->classes[n++] = from[r]->classes[i];
    }
    qsort(t->classes, n, sizeof(t->classes[0]), types_cmp);
    t->reg = (struct iw_registry){t->classes, n};
}

/* A runtime from "key=value" lines, NULL at the end. */
static inline struct ir_runtime *runtime_new(struct ic_loop *loop, const struct types *t, const char *const *lines)
{
    struct ib_err err = {0};
    struct ir_properties *p = ir_properties_new();
    assert_non_null(p);
    for (; *lines; lines++)
        assert_int_equal(ir_properties_parse_line(p, *lines, "test"), 0);
    struct ir_runtime *rt = ir_runtime_new(loop, p, &t->reg, &err);
    if (!rt)
        fail_msg("%s", err.text);
    return rt;
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

struct fixture {
    struct types types;
    struct ic_loop *loop;
    struct ir_runtime *server, *client;
    struct ir_adapter *adapter;
    struct echo echo;
    struct ib_arena arena;
};

static inline int adapter_port(struct ir_adapter *a)
{
    size_t n;
    const struct iw_endpoint *ep = ir_adapter_endpoints(a, &n);
    assert_true(n > 0);
    return ep[0].port;
}

static inline void fixture_init(struct fixture *f, const char *const *server_lines, const char *const *client_lines)
{
    struct ib_err err = {0};
    memset(f, 0, sizeof(*f));
    types_init(&f->types);
    ib_arena_init(&f->arena, 0);
    f->loop = ic_loop_new(&err);
    assert_non_null(f->loop);
    f->server = runtime_new(f->loop, &f->types, server_lines);
    f->client = runtime_new(f->loop, &f->types, client_lines);
    f->adapter =
        ir_adapter_new_with(f->server, "A", &(struct ir_adapter_options){.endpoints = "tcp -h 127.0.0.1"}, &err);
    if (!f->adapter)
        fail_msg("%s", err.text);
    assert_int_equal(echo_init(&f->echo, f->server, f->adapter), 0);
    ir_adapter_activate(f->adapter, NULL, NULL);
}

static inline void fixture_fini(struct fixture *f)
{
    echo_fini(&f->echo);
    ir_adapter_free(f->adapter);
    ir_runtime_free(f->client);
    ir_runtime_free(f->server);
    ic_loop_run_once(f->loop, 0);
    ic_loop_free(f->loop);
    ib_arena_fini(&f->arena);
}

/* Runs the loop until *flag; fails after WAIT_MS. */
static inline void wait_for(struct ic_loop *loop, const bool *flag)
{
    int64_t end = ib_clock_ms() + WAIT_MS;
    while (!*flag) {
        if (ib_clock_ms() > end)
            fail_msg("waited too long");
        ic_loop_run_once(loop, 20);
    }
}

static inline void run_for(struct ic_loop *loop, int ms)
{
    for (int64_t end = ib_clock_ms() + ms; ib_clock_ms() < end;)
        ic_loop_run_once(loop, 5);
}

/* --- calls ---------------------------------------------------------------------------------------------------- */

struct outcome {
    bool done;
    enum ir_outcome outcome;
    enum ir_status status;
    int code;
    int32_t number;
    char text[300], type[80];
    struct ir_conn *conn;
    struct ir_call *call;
};

static inline void on_outcome(void *arg, const struct ir_result *r)
{
    struct outcome *o = arg;
    assert_false(o->done);
    o->done = true;
    o->outcome = r->outcome;
    o->status = r->status;
    o->code = r->err.code;
    o->conn = r->conn;
    ir_result_text(r, o->text, sizeof(o->text));
    if (r->exception)
        snprintf(o->type, sizeof(o->type), "%s", r->exception->id);
    if (Vec_I_add_result(r))
        o->number = Vec_I_add_result(r)->ret;
    if (Vec_I_echo_result(r))
        snprintf(o->text, sizeof(o->text), "%s", Vec_I_echo_result(r)->ret.p);
}

static inline struct iw_proxy *proxy_of(struct fixture *f, struct ir_runtime *rt, const char *text)
{
    struct ib_err err = {0};
    struct iw_proxy *p = NULL;
    if (ir_runtime_parse_proxy(rt, text, &f->arena, &p, &err))
        fail_msg("%s", err.text);
    return p;
}

static inline struct iw_proxy *echo_proxy(struct fixture *f)
{
    char text[80];
    snprintf(text, sizeof(text), "cat/obj:tcp -h 127.0.0.1 -p %d", adapter_port(f->adapter));
    return proxy_of(f, f->client, text);
}

/* --- a bare socket -------------------------------------------------------------------------------------------- */

struct raw {
    struct ic_loop *loop;
    int fd;
    uint8_t p[100000];
    size_t n;
    bool eof;
};

static inline void raw_connect(struct raw *r, struct ic_loop *loop, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    r->loop = loop;
    r->n = 0;
    r->eof = false;
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(r->fd >= 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&a, sizeof(a)), 0);
}

static inline void raw_close(struct raw *r)
{
    close(r->fd);
}

static inline void raw_pump(struct raw *r)
{
    ic_loop_run_once(r->loop, 5);
    ssize_t n = recv(r->fd, r->p + r->n, sizeof(r->p) - r->n, MSG_DONTWAIT);
    if (n > 0)
        r->n += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        r->eof = true;
}

static inline void raw_send(struct raw *r, struct ib_span s)
{
    while (s.n) {
        ssize_t n = send(r->fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN)
                return; /* the server has closed: the reads will tell */
            raw_pump(r);
            continue;
        }
        s.p += n;
        s.n -= (size_t)n;
    }
}

static inline size_t raw_frame_size(const struct raw *r)
{
    if (r->n < 14)
        return 0;
    size_t n = (size_t)r->p[10] | (size_t)r->p[11] << 8 | (size_t)r->p[12] << 16 | (size_t)r->p[13] << 24;
    return r->n >= n ? n : 0;
}

/* Waits for a whole message and gives it (free with vec_free); n 0 at the end of the stream. */
static inline struct ib_span raw_frame(struct raw *r)
{
    int64_t end = ib_clock_ms() + WAIT_MS;
    while (!raw_frame_size(r) && !r->eof) {
        if (ib_clock_ms() > end)
            fail_msg("no message came");
        raw_pump(r);
    }
    size_t n = raw_frame_size(r);
    uint8_t *p = malloc(n ? n : 1);
    assert_non_null(p);
    memcpy(p, r->p, n);
    memmove(r->p, r->p + n, r->n - n);
    r->n -= n;
    return (struct ib_span){p, n};
}

static inline void raw_expect(struct raw *r, const char *name, const char *hex)
{
    struct ib_span got = raw_frame(r), want = vec_hex(hex);
    vec_assert_same(name, got, want);
    vec_free(got);
    vec_free(want);
}

static inline void raw_expect_eof(struct raw *r, const char *name)
{
    struct ib_span got = raw_frame(r);
    if (got.n)
        fail_msg("%s: a message instead of the end", name);
    vec_free(got);
}

#define HEX_VALIDATE "496365500100010003000e000000"
#define HEX_CLOSE "496365500100010004010e000000"

static inline void raw_open(struct raw *r, struct fixture *f)
{
    raw_connect(r, f->loop, adapter_port(f->adapter));
    raw_expect(r, "validate", HEX_VALIDATE);
}

static inline void raw_send_hex(struct raw *r, const char *hex)
{
    struct ib_span s = vec_hex(hex);
    raw_send(r, s);
    vec_free(s);
}

#endif
