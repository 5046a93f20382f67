/* SPDX-License-Identifier: Apache-2.0 */
/* Ice.Trace.Protocol: requests, batches and replies as real peers print them (ice-protocol 21.2). Everything a peer
   chose is escaped; a message that is cut short is printed as far as it goes. */
#include "rpc_priv.h"

#define SHOW_MAX 200 /* characters of one name or text */

struct printer {
    struct ib_buf out;
    struct iw_in in;
    struct ib_span rest; /* where the parameters are when not behind the header */
};

static void put_escaped(struct printer *p, const char *label, struct ib_str s)
{
    char safe[SHOW_MAX];
    ib_buf_printf(&p->out, "%s%s", label, ib_log_escape(s, safe, sizeof(safe)));
}

static void put_target(struct printer *p)
{
    struct ib_str name = iw_in_str(&p->in), category = iw_in_str(&p->in);
    put_escaped(p, "\nidentity = ", category);
    put_escaped(p, category.n ? "/" : "", name);
    struct ib_str facet = iw_in_size(&p->in) ? iw_in_str(&p->in) : IB_STR("");
    put_escaped(p, "\nfacet = ", facet);
    put_escaped(p, "\noperation = ", iw_in_str(&p->in));
}

static void put_encoding(struct printer *p)
{
    struct ib_span s = {p->in.p, (size_t)(p->in.end - p->in.p)};
    size_t all = s.n + p->rest.n; /* its head may be in front, its contents apart */
    if (!s.n)
        s = p->rest;
    struct iw_in head = iw_in(s);
    int32_t size = iw_in_i32(&head);
    uint8_t major = iw_in_u8(&head), minor = iw_in_u8(&head);
    if (head.err || size < 6 || (size_t)size > all)
        return;
    ib_buf_printf(&p->out, "\nencoding = %d.%d", major, minor);
    if (s.p == p->in.p && (size_t)size <= s.n)
        iw_in_bytes(&p->in, (size_t)size);
}

static void put_header(struct printer *p)
{
    static const char *const modes[] = {"normal", "nonmutating", "idempotent"};
    put_target(p);
    uint8_t mode = iw_in_u8(&p->in);
    ib_buf_printf(&p->out, "\nmode = %d (%s)\ncontext = ", mode, mode < 3 ? modes[mode] : "unknown");
    size_t n = iw_in_size(&p->in);
    for (size_t i = 0; i < n && !p->in.err; i++) {
        put_escaped(p, i ? ", " : "", iw_in_str(&p->in));
        put_escaped(p, "/", iw_in_str(&p->in));
    }
    put_encoding(p);
}

static void put_request(struct printer *p)
{
    int32_t id = iw_in_i32(&p->in);
    ib_buf_printf(&p->out, "\nrequest id = %d%s", id, id ? "" : " (oneway)");
    put_header(p);
}

static void put_batch(struct printer *p)
{
    int32_t n = iw_in_i32(&p->in);
    ib_buf_printf(&p->out, "\nnumber of requests = %d", n);
    for (int32_t i = 0; i < n && !p->in.err && p->in.p < p->in.end; i++) {
        ib_buf_printf(&p->out, "\nrequest #%d:", i);
        put_header(p);
    }
}

static void put_reply(struct printer *p)
{
    static const char *const names[] = {"ok",
                                        "user exception",
                                        "object not exist",
                                        "facet not exist",
                                        "operation not exist",
                                        "unknown local exception",
                                        "unknown user exception",
                                        "unknown exception"};
    int32_t id = iw_in_i32(&p->in);
    uint8_t status = iw_in_u8(&p->in);
    ib_buf_printf(&p->out, "\nrequest id = %d\nreply status = %d (%s)", id, status,
                  status < 8 ? names[status] : "unknown");
    if (status <= IR_USER_EXCEPTION)
        put_encoding(p);
    else if (status <= IR_OPERATION_NOT_EXIST)
        put_target(p);
    else if (status <= IR_UNKNOWN)
        put_escaped(p, "\nunknown = ", iw_in_str(&p->in));
}

void ir_trace_message(struct ir_runtime *rt, bool sending, uint8_t type, uint8_t compression, struct ib_span head,
                      struct ib_span body)
{
    static const char *const types[] = {"request", "batch request", "reply"};
    static const char *const compressions[] = {"not compressed; do not compress response, if any",
                                               "not compressed; compress response, if any",
                                               "compressed; compress response, if any"};
    if (type > IC_REPLY)
        return;
    struct printer p = {.in = iw_in(head), .rest = body};
    ib_buf_init(&p.out);
    ib_buf_printf(&p.out, "%s %s \nmessage type = %d (%s)\ncompression status = %d (%s)\nmessage size = %zu",
                  sending ? "sending" : "received", types[type], type, types[type], compression,
                  compressions[compression < 3 ? compression : 2], IC_HEADER_SIZE + head.n + body.n);
    if (type == IC_REQUEST)
        put_request(&p);
    else if (type == IC_BATCH)
        put_batch(&p);
    else
        put_reply(&p);
    ib_log_trace(rt->log, "Protocol", "%s", ib_buf_cstr(&p.out));
    ib_buf_fini(&p.out);
}

void ir_trace_out(struct ir_runtime *rt, const struct ic_out *m)
{
    uint8_t compression = !m->compress ? 0 : IC_HEADER_SIZE + m->head.n + m->body.n < 100 ? 1 : 2;
    ir_trace_message(rt, true, m->type, compression, m->head, m->body);
}
