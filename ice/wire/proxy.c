/* SPDX-License-Identifier: Apache-2.0 */
/* Proxies and endpoints on the wire (ice-protocol 3), their copies and comparison. */
#include "wire_priv.h"

enum { MIN_ENDPOINT = 8 }; /* type and an empty encapsulation */

/* --- reading --------------------------------------------------------------------------------------------------- */

struct ib_str iw_in_str_copy(struct iw_in *in, struct ib_arena *arena)
{
    struct ib_str s = iw_in_str(in);
    if (in->err || s.n == 0)
        return IB_STR("");
    struct ib_str copy = ib_arena_str(arena, s);
    if (!copy.p)
        in->err = iw_arena_error(arena, s.n);
    return copy;
}

static void read_opaque(struct iw_in *in, struct ib_arena *arena, struct iw_encoding enc, struct iw_endpoint *ep)
{
    size_t n = (size_t)(in->end - in->p);
    ep->opaque = true;
    ep->encoding = enc;
    uint8_t *raw = ib_arena_alloc(arena, n);
    if (!raw) {
        in->err = iw_arena_error(arena, n);
        return;
    }
    if (n)
        memcpy(raw, in->p, n);
    ep->raw = (struct ib_span){raw, n};
    in->p = in->end;
}

static void read_known(struct iw_in *in, struct ib_arena *arena, struct iw_encoding enc, struct iw_endpoint *ep)
{
    ep->host = iw_in_str_copy(in, arena);
    ep->port = iw_in_i32(in);
    if (ep->type == IW_EP_UDP) {
        if (enc.minor == 0)
            iw_in_bytes(in, 4); /* protocol and encoding versions, which nothing uses */
        ep->timeout = -1;
    } else {
        ep->timeout = iw_in_i32(in);
    }
    ep->compress = iw_in_u8(in) != 0;
    if (ep->type == IW_EP_WS || ep->type == IW_EP_WSS)
        ep->resource = iw_in_str_copy(in, arena);
    iw_encaps_finish(in, enc);
}

static void read_endpoint(struct iw_in *in, struct ib_arena *arena, struct iw_endpoint *ep)
{
    *ep = (struct iw_endpoint){.timeout = -1, .mcast_ttl = -1};
    ep->type = iw_in_i16(in);
    if (in->err)
        return;
    size_t size;
    struct iw_encoding enc;
    in->err = iw_encaps_peek((struct ib_span){in->p, (size_t)(in->end - in->p)}, &size, &enc);
    if (in->err)
        return;
    struct iw_in body = iw_in((struct ib_span){in->p + 6, size - 6});
    bool known = ep->type >= IW_EP_TCP && ep->type <= IW_EP_WSS;
    if (known && iw_encoding_supported(enc))
        read_known(&body, arena, enc, ep);
    else
        read_opaque(&body, arena, enc, ep);
    in->err = body.err;
    in->p += size;
}

static void read_facet(struct iw_in *in, struct ib_arena *arena, struct iw_proxy *p)
{
    size_t n = iw_in_size(in);
    if (!in->err && n > 1)
        in->err = IB_EPROXY;
    if (in->err || n == 0)
        return;
    p->has_facet = true;
    p->facet = iw_in_str_copy(in, arena);
}

static void read_endpoints(struct iw_in *in, struct ib_arena *arena, struct iw_proxy *p)
{
    size_t n = iw_in_size(in);
    if (in->err)
        return;
    if (n == 0) {
        p->adapter_id = iw_in_str_copy(in, arena);
        return;
    }
    if (n > (size_t)(in->end - in->p) / MIN_ENDPOINT) {
        in->err = IB_EBOUNDS;
        return;
    }
    p->endpoints = IB_ARENA_ARRAY(arena, n, struct iw_endpoint);
    if (!p->endpoints) {
        in->err = iw_arena_error(arena, n * sizeof(struct iw_endpoint));
        return;
    }
    p->n_endpoints = n;
    for (size_t i = 0; i < n && !in->err; i++)
        read_endpoint(in, arena, &p->endpoints[i]);
}

struct iw_proxy *iw_read_proxy(struct iw_in *in, struct iw_encoding enc, struct ib_arena *arena)
{
    struct ib_str name = iw_in_str(in), category = iw_in_str(in);
    if (in->err || (name.n == 0 && category.n == 0))
        return NULL;
    struct iw_proxy *p = IB_ARENA_NEW(arena, struct iw_proxy);
    if (!p) {
        in->err = iw_arena_error(arena, sizeof(*p));
        return NULL;
    }
    *p = (struct iw_proxy){.facet = IB_STR(""), .adapter_id = IB_STR("")};
    p->id = (struct iw_identity){ib_arena_str(arena, name), ib_arena_str(arena, category)};
    if (!p->id.name.p || !p->id.category.p) {
        in->err = iw_arena_error(arena, name.n + category.n);
        return NULL;
    }
    read_facet(in, arena, p);
    p->mode = iw_in_u8(in);
    if (!in->err && p->mode > IW_BATCH_DATAGRAM)
        in->err = IB_EPROXY;
    p->secure = iw_in_u8(in) != 0;
    /* Streams in 1.0 carry no versions: whatever comes out of one is a 1.0 proxy (ice-protocol 3.2). */
    p->protocol = p->encoding = IW_ENCODING_1_0;
    if (enc.minor > 0) {
        p->protocol.major = iw_in_u8(in);
        p->protocol.minor = iw_in_u8(in);
        p->encoding.major = iw_in_u8(in);
        p->encoding.minor = iw_in_u8(in);
    }
    read_endpoints(in, arena, p);
    return in->err ? NULL : p;
}

int iw_proxy_decode(struct ib_span *in, struct iw_encoding enc, struct ib_arena *arena, struct iw_proxy **out)
{
    if (!iw_encoding_supported(enc))
        return IB_EENCODING;
    struct iw_in c = iw_in(*in);
    struct iw_proxy *p = iw_read_proxy(&c, enc, arena);
    if (c.err)
        return c.err;
    *out = p;
    *in = (struct ib_span){c.p, (size_t)(c.end - c.p)};
    return IB_OK;
}

/* --- writing --------------------------------------------------------------------------------------------------- */

static void write_endpoint(struct ib_buf *out, const struct iw_endpoint *ep, struct iw_encoding enc)
{
    ib_buf_put_i16(out, ep->type);
    size_t at = out->n;
    ib_buf_put_i32(out, 0);
    if (ep->opaque) {
        ib_buf_put_u8(out, ep->encoding.major);
        ib_buf_put_u8(out, ep->encoding.minor);
        ib_buf_put(out, ep->raw.p, ep->raw.n);
    } else {
        ib_buf_put_u8(out, enc.major);
        ib_buf_put_u8(out, enc.minor);
        iw_out_str(out, ep->host);
        ib_buf_put_i32(out, ep->port);
        if (ep->type != IW_EP_UDP)
            ib_buf_put_i32(out, ep->timeout);
        else if (enc.minor == 0)
            ib_buf_put(out, "\1\0\1\0", 4);
        ib_buf_put_u8(out, ep->compress);
        if (ep->type == IW_EP_WS || ep->type == IW_EP_WSS)
            iw_out_str(out, ep->resource);
    }
    iw_patch_size(out, at);
}

void iw_write_proxy(struct ib_buf *out, const struct iw_proxy *p, struct iw_encoding enc)
{
    if (!p) {
        ib_buf_put_i16(out, 0); /* two empty strings */
        return;
    }
    iw_out_str(out, p->id.name);
    iw_out_str(out, p->id.category);
    iw_out_size(out, p->has_facet);
    if (p->has_facet)
        iw_out_str(out, p->facet);
    ib_buf_put_u8(out, p->mode);
    ib_buf_put_u8(out, p->secure);
    if (enc.minor > 0) {
        ib_buf_put_u8(out, p->protocol.major);
        ib_buf_put_u8(out, p->protocol.minor);
        ib_buf_put_u8(out, p->encoding.major);
        ib_buf_put_u8(out, p->encoding.minor);
    }
    iw_out_size(out, p->n_endpoints);
    for (size_t i = 0; i < p->n_endpoints; i++)
        write_endpoint(out, &p->endpoints[i], enc);
    if (p->n_endpoints == 0)
        iw_out_str(out, p->adapter_id);
}

int iw_proxy_encode(const struct iw_proxy *p, struct iw_encoding enc, struct ib_buf *out)
{
    if (!iw_encoding_supported(enc))
        return IB_EENCODING;
    size_t start = out->n;
    iw_write_proxy(out, p, enc);
    return iw_out_result(out, start, IB_OK);
}

/* --- copies and comparison ------------------------------------------------------------------------------------- */

static bool copy_str(struct ib_str *s, struct ib_arena *arena)
{
    *s = s->n ? ib_arena_str(arena, *s) : IB_STR("");
    return s->p != NULL;
}

static bool copy_endpoint(struct iw_endpoint *ep, struct ib_arena *arena)
{
    if (ep->raw.n) {
        uint8_t *raw = ib_arena_alloc(arena, ep->raw.n);
        if (!raw)
            return false;
        memcpy(raw, ep->raw.p, ep->raw.n);
        ep->raw.p = raw;
    }
    return copy_str(&ep->host, arena) && copy_str(&ep->resource, arena) && copy_str(&ep->source_address, arena) &&
           copy_str(&ep->mcast_interface, arena);
}

struct iw_proxy *iw_proxy_copy(const struct iw_proxy *p, struct ib_arena *arena)
{
    struct iw_proxy *c = p ? IB_ARENA_NEW(arena, struct iw_proxy) : NULL;
    if (!c)
        return NULL;
    *c = *p;
    if (!copy_str(&c->id.name, arena) || !copy_str(&c->id.category, arena) || !copy_str(&c->facet, arena) ||
        !copy_str(&c->adapter_id, arena))
        return NULL;
    if (p->n_endpoints == 0)
        return c;
    c->endpoints = IB_ARENA_ARRAY(arena, p->n_endpoints, struct iw_endpoint);
    if (!c->endpoints)
        return NULL;
    for (size_t i = 0; i < p->n_endpoints; i++) {
        c->endpoints[i] = p->endpoints[i];
        if (!copy_endpoint(&c->endpoints[i], arena))
            return NULL;
    }
    return c;
}

static bool same_encoding(struct iw_encoding a, struct iw_encoding b)
{
    return a.major == b.major && a.minor == b.minor;
}

bool iw_endpoint_equal(const struct iw_endpoint *a, const struct iw_endpoint *b)
{
    if (a->type != b->type || a->opaque != b->opaque)
        return false;
    if (a->opaque)
        return same_encoding(a->encoding, b->encoding) && a->raw.n == b->raw.n &&
               (a->raw.n == 0 || memcmp(a->raw.p, b->raw.p, a->raw.n) == 0);
    if (!ib_str_eq(a->host, b->host) || a->port != b->port || a->compress != b->compress ||
        !ib_str_eq(a->source_address, b->source_address))
        return false;
    if (a->type == IW_EP_UDP)
        return ib_str_eq(a->mcast_interface, b->mcast_interface) && a->mcast_ttl == b->mcast_ttl &&
               a->udp_connect == b->udp_connect;
    return a->timeout == b->timeout && ib_str_eq(a->resource, b->resource);
}

bool iw_identity_equal(const struct iw_identity *a, const struct iw_identity *b)
{
    return ib_str_eq(a->name, b->name) && ib_str_eq(a->category, b->category);
}

int iw_identity_cmp(const struct iw_identity *a, const struct iw_identity *b)
{
    int c = ib_str_cmp(a->name, b->name);
    return c ? c : ib_str_cmp(a->category, b->category);
}

bool iw_proxy_equal(const struct iw_proxy *a, const struct iw_proxy *b)
{
    if (!a || !b)
        return a == b;
    if (!iw_identity_equal(&a->id, &b->id) || a->has_facet != b->has_facet ||
        (a->has_facet && !ib_str_eq(a->facet, b->facet)) || a->mode != b->mode || a->secure != b->secure ||
        !same_encoding(a->protocol, b->protocol) || !same_encoding(a->encoding, b->encoding) ||
        a->n_endpoints != b->n_endpoints)
        return false;
    for (size_t i = 0; i < a->n_endpoints; i++) {
        if (!iw_endpoint_equal(&a->endpoints[i], &b->endpoints[i]))
            return false;
    }
    return a->n_endpoints > 0 || ib_str_eq(a->adapter_id, b->adapter_id);
}
