/* SPDX-License-Identifier: Apache-2.0 */
/* Request contexts: what travels on, what the router adds, and the letters of _fwd (glacier2-router 8). Keys that begin
   with "_con." are the router's alone: a client's are always dropped. */
#include "router.h"

#include <stdio.h>

#define FORWARD_KEY "_fwd"
#define OVERRIDE_KEY "_ovrd"
#define CON_PREFIX "_con."

static bool is_reserved(struct ib_str key)
{
    return key.n >= sizeof(CON_PREFIX) - 1 && memcmp(key.p, CON_PREFIX, sizeof(CON_PREFIX) - 1) == 0;
}

static void warn_option(struct gw_router *r, char letter)
{
    char text[16];
    ib_log_warning(ir_runtime_log(r->rt), "unknown forward option `%s'",
                   ib_log_escape((struct ib_str){&letter, 1}, text, sizeof(text)));
}

struct gw_forward_mode gw_forward_mode(struct gw_router *r, const struct gw_direction *d, const struct ir_request *rq)
{
    bool always = d->buffered && d->always_batch;
    struct gw_forward_mode m = {.oneway = ir_request_info(rq)->request_id == 0};
    const struct ib_str letters = ir_request_context(rq, FORWARD_KEY);
    bool warned = false;
    m.batch = m.oneway && always;
    for (size_t i = 0; i < letters.n; i++) {
        switch (letters.p[i]) {
        case 't':
            m.oneway = m.datagram = m.batch = false;
            break;
        case 'o':
        case 'O':
        case 'd':
        case 'D':
            m.oneway = true;
            m.datagram = letters.p[i] == 'd' || letters.p[i] == 'D';
            m.batch = always || (d->buffered && (letters.p[i] == 'O' || letters.p[i] == 'D'));
            break;
        case 's':
            m.secure = true;
            break;
        case 'z':
            m.compress = true;
            break;
        default:
            if (r && !warned) { /* one a request is enough to find it */
                warn_option(r, letters.p[i]);
            }
            warned = true;
        }
    }
    return m;
}

struct ib_str gw_context_override(const struct ir_request *rq)
{
    return ir_request_context(rq, OVERRIDE_KEY);
}

int gw_context_login(struct gw_session *s, const struct ir_request *rq, const struct ir_context_entry **out, size_t *n)
{
    const struct ir_request_info *info = ir_request_info(rq);
    struct ir_context_entry *v = IB_ARENA_ARRAY(&s->arena, info->n_context + s->n_con_context, struct ir_context_entry);
    size_t k = 0;
    if (!v) {
        return IB_ENOMEM;
    }
    for (size_t i = 0; i < info->n_context; i++) {
        if (!is_reserved(info->context[i].key)) {
            v[k++] = info->context[i];
        }
    }
    if (s->n_con_context > 0) {
        memcpy(v + k, s->con_context, s->n_con_context * sizeof(*v));
    }
    *out = v;
    *n = k + s->n_con_context;
    return 0;
}

static bool has_reserved(const struct ir_request_info *info)
{
    for (size_t i = 0; i < info->n_context; i++) {
        if (is_reserved(info->context[i].key)) {
            return true;
        }
    }
    return false;
}

static size_t entry_size(const struct ir_context_entry *e)
{
    return e->key.n + e->value.n + 10; /* two sizes of at most five bytes */
}

static void put_entry(struct ib_buf *b, const struct ir_context_entry *e)
{
    iw_out_str(b, e->key);
    iw_out_str(b, e->value);
}

/* The caller's entries without reserved keys, then the router's own. */
static int rebuild(const struct ir_context_entry *own, size_t n_own, bool keep, struct ir_request *rq,
                   struct ib_span *out)
{
    const struct ir_request_info *info = ir_request_info(rq);
    size_t count = n_own, room = 5;
    for (size_t i = 0; i < n_own; i++) {
        room += entry_size(&own[i]);
    }
    for (size_t i = 0; keep && i < info->n_context; i++) {
        count += !is_reserved(info->context[i].key);
        room += entry_size(&info->context[i]);
    }
    struct ib_buf b;
    ib_buf_init(&b);
    iw_out_size(&b, count);
    for (size_t i = 0; keep && i < info->n_context; i++) {
        if (!is_reserved(info->context[i].key)) {
            put_entry(&b, &info->context[i]);
        }
    }
    for (size_t i = 0; i < n_own; i++) {
        put_entry(&b, &own[i]);
    }
    uint8_t *p = ib_buf_ok(&b) && b.n <= room ? ib_arena_alloc(ir_request_arena(rq), b.n) : NULL;
    if (p) {
        memcpy(p, b.p, b.n);
        *out = (struct ib_span){p, b.n};
    }
    ib_buf_fini(&b);
    return p ? 0 : IB_ENOMEM;
}

int gw_context_forward(const struct gw_direction *d, const struct ir_context_entry *own, size_t n_own,
                       struct ir_request *rq, struct ib_span *out)
{
    const struct ir_request_info *info = ir_request_info(rq);
    bool keep = d->forward_context && info->n_context > 0;
    if (n_own == 0 && !keep) {
        *out = (struct ib_span){0};
        return 0;
    }
    if (n_own == 0 && !has_reserved(info)) {
        *out = info->context_raw;
        return 0;
    }
    return rebuild(own, n_own, keep, rq, out);
}

static bool add(struct gw_session *s, const char *key, struct ib_str value)
{
    s->con_context[s->n_con_context++] = (struct ir_context_entry){ib_str(key), value};
    return value.p != NULL;
}

int gw_context_connection(struct gw_session *s, const struct ir_conn *conn)
{
    struct ic_conn_info info;
    struct ib_arena *a = &s->arena;
    const struct ic_conn *net = ir_conn_net((struct ir_conn *)(uintptr_t)conn);
    if (s->router->config.add_connection_context == 0) {
        return 0;
    }
    s->con_context = IB_ARENA_ARRAY(a, GW_CONTEXT_MAX, struct ir_context_entry);
    if (!s->con_context) {
        return IB_ENOMEM;
    }
    ic_conn_get_info(net, &info);
    bool ok = add(s, "_con.type", ib_arena_strz(a, info.transport)) &&
              add(s, "_con.localAddress", ib_arena_strz(a, info.local_host)) &&
              add(s, "_con.localPort", ib_arena_printf(a, "%d", info.local_port)) &&
              add(s, "_con.remoteAddress", ib_arena_strz(a, info.remote_host)) &&
              add(s, "_con.remotePort", ib_arena_printf(a, "%d", info.remote_port));
    if (ok && info.secure) {
        struct ib_str *certs = NULL;
        size_t n = ic_conn_peer_certs(net, a, &certs);
        ok = add(s, "_con.cipher", ib_arena_strz(a, info.cipher)) && (n == 0 || add(s, "_con.peerCert", certs[0]));
    }
    return ok ? 0 : IB_ENOMEM;
}
