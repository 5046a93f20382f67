/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints as text (ice-protocol 15.4): one table of options, the protocols each of them belongs to. */
#include "text_priv.h"

#include <moulin/wire/codec.h>

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_ENDPOINTS 1000

enum { P_TCP = 1, P_SSL = 2, P_UDP = 4, P_WS = 8, P_WSS = 16, P_OPAQUE = 32 };
#define P_STREAM (P_TCP | P_SSL | P_WS | P_WSS)
#define P_IP (P_STREAM | P_UDP)

static const struct protocol {
    const char *name;
    int16_t type;
    int bit;
} protocols[] = {
    {"tcp", IW_EP_TCP, P_TCP}, {"ssl", IW_EP_SSL, P_SSL}, {"udp", IW_EP_UDP, P_UDP},
    {"ws", IW_EP_WS, P_WS},    {"wss", IW_EP_WSS, P_WSS}, {"opaque", 0, P_OPAQUE},
};

/* What is known while one endpoint is read. */
struct parse {
    struct ib_str text; /* the endpoint as written */
    struct ib_str *words;
    size_t n_words;
    const struct protocol *protocol;
    const struct ir_proxy_defaults *d;
    struct ib_arena *arena;
    bool server, has_type, has_value, wildcard_interface;
    struct iw_endpoint ep;
    struct ib_err *err;
};

/* "`tcp  -h host -p 1'": how Ice quotes an endpoint whose option is bad. */
static const char *quoted(const struct parse *p, struct ib_buf *b)
{
    ib_buf_printf(b, "`%s ", p->protocol->name);
    for (size_t i = 1; i < p->n_words; i++) {
        bool blank = strpbrk(ib_cstr(p->words[i]), " \t\n\r") != NULL;

        ib_buf_printf(b, blank ? " \"%s\"" : " %s", ib_cstr(p->words[i]));
    }
    ib_buf_put_u8(b, '\'');
    return ib_buf_cstr(b);
}

static int bad(const struct parse *p, const char *what, const char *value, const char *where)
{
    struct ib_buf b;
    int rc;

    ib_buf_init(&b);
    rc = ib_err_set(p->err, IB_EPARSEENDPOINT, "%s%s%s %s%s", what, value ? value : "", value ? "'" : "", where,
                    quoted(p, &b));
    ib_buf_fini(&b);
    return rc;
}

static int bad_value(const struct parse *p, const char *what, struct ib_str value)
{
    char text[300];

    snprintf(text, sizeof(text), "invalid %s value `", what);
    return bad(p, text, ib_cstr(value), "in endpoint ");
}

static int set_host(struct parse *p, struct ib_str v)
{
    p->ep.host = v;
    return 0;
}

static int set_port(struct parse *p, struct ib_str v)
{
    int32_t n;

    if (!ir_parse_int(v, &n))
        return bad_value(p, "port", v);
    if (n < 0 || n > 65535)
        return bad(p, "port value `", ib_cstr(v), "out of range in endpoint ");
    p->ep.port = n;
    return 0;
}

static int set_timeout(struct parse *p, struct ib_str v)
{
    int32_t n;

    if (ib_str_is(v, "infinite")) {
        p->ep.timeout = -1;
        return 0;
    }
    if (!ir_parse_int(v, &n) || n < 1)
        return bad_value(p, "timeout", v);
    p->ep.timeout = n;
    return 0;
}

static int set_compress(struct parse *p, struct ib_str v)
{
    (void)v;
    p->ep.compress = true;
    return 0;
}

static int set_source(struct parse *p, struct ib_str v)
{
    struct in6_addr addr;

    if (inet_pton(AF_INET, ib_cstr(v), &addr) != 1 && inet_pton(AF_INET6, ib_cstr(v), &addr) != 1)
        return bad(p, "invalid IP address provided for --sourceAddress option", NULL, "in endpoint ");
    p->ep.source_address = v;
    return 0;
}

static int set_resource(struct parse *p, struct ib_str v)
{
    p->ep.resource = v;
    return 0;
}

static int set_connect(struct parse *p, struct ib_str v)
{
    (void)v;
    p->ep.udp_connect = true;
    return 0;
}

static int set_interface(struct parse *p, struct ib_str v)
{
    p->wildcard_interface = ib_str_is(v, "*");
    p->ep.mcast_interface = v;
    return 0;
}

static int set_ttl(struct parse *p, struct ib_str v)
{
    int32_t n;

    if (!ir_parse_int(v, &n))
        return bad_value(p, "TTL", v);
    if (n < 0)
        return bad(p, "TTL value `", ib_cstr(v), "out of range in endpoint ");
    p->ep.mcast_ttl = n;
    return 0;
}

static int ignore(struct parse *p, struct ib_str v)
{
    (void)p;
    (void)v;
    return 0;
}

static int set_opaque_type(struct parse *p, struct ib_str v)
{
    int32_t n;

    if (p->has_type)
        return bad(p, "multiple -t options", NULL, "in endpoint ");
    if (!ir_parse_int(v, &n))
        return bad_value(p, "type", v);
    if (n < 0 || n > 65535)
        return bad(p, "type value `", ib_cstr(v), "out of range in endpoint ");
    p->ep.type = (int16_t)(uint16_t)n;
    p->has_type = true;
    return 0;
}

static int set_opaque_encoding(struct parse *p, struct ib_str v)
{
    struct ib_err why;
    struct ib_buf b;
    int rc = ir_parse_version(v, &p->ep.encoding, &why);

    if (rc == 0)
        return 0;
    ib_buf_init(&b);
    rc = ib_err_set(p->err, IB_EPARSEENDPOINT, "invalid encoding version `%s' in endpoint %s:\n%s", ib_cstr(v),
                    quoted(p, &b), why.text);
    ib_buf_fini(&b);
    return rc;
}

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int set_opaque_value(struct parse *p, struct ib_str v)
{
    uint8_t *bytes = ib_arena_alloc(p->arena, v.n + 1);
    uint32_t acc = 0;
    size_t n = 0, bits = 0;

    if (p->has_value)
        return bad(p, "multiple -v options", NULL, "in endpoint ");
    if (bytes == NULL)
        return IB_ENOMEM;
    for (size_t i = 0; i < v.n; i++) {
        const char *at = v.p[i] ? strchr(base64, v.p[i]) : NULL;

        if (at == NULL && v.p[i] != '=') {
            char text[80];

            snprintf(text, sizeof(text), "invalid base64 character `%c' (ordinal %d)", v.p[i], (unsigned char)v.p[i]);
            return bad(p, text, NULL, "in endpoint ");
        }
        if (at == NULL)
            continue;
        acc = acc << 6 | (uint32_t)(at - base64);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[n++] = (uint8_t)(acc >> bits);
        }
    }
    p->ep.raw = (struct ib_span){bytes, n};
    p->has_value = true;
    return 0;
}

static const struct option {
    const char *name;
    int protocols;
    bool takes_value;
    int (*set)(struct parse *p, struct ib_str v);
} options[] = {
    {"-h", P_IP, true, set_host},
    {"-p", P_IP, true, set_port},
    {"-t", P_STREAM, true, set_timeout},
    {"-z", P_IP, false, set_compress},
    {"--sourceAddress", P_IP, true, set_source},
    {"-r", P_WS | P_WSS, true, set_resource},
    {"-c", P_UDP, false, set_connect},
    {"--interface", P_UDP, true, set_interface},
    {"--ttl", P_UDP, true, set_ttl},
    {"-v", P_UDP, true, ignore}, /* obsolete: protocol and encoding versions of old peers */
    {"-e", P_UDP, true, ignore},
    {"-t", P_OPAQUE, true, set_opaque_type},
    {"-e", P_OPAQUE, true, set_opaque_encoding},
    {"-v", P_OPAQUE, true, set_opaque_value},
};

static int parse_option(struct parse *p, const struct option *o, struct ib_str v)
{
    char text[100];

    if (o->takes_value && v.n == 0) {
        snprintf(text, sizeof(text), "no argument provided for %s option", o->name);
        return bad(p, text, NULL, "in endpoint ");
    }
    if (!o->takes_value && v.n != 0) {
        snprintf(text, sizeof(text), "provided for %s option in ", o->name);
        return bad(p, "unexpected argument `", ib_cstr(v), text);
    }
    return o->set(p, v);
}

static int parse_options(struct parse *p)
{
    for (size_t i = 1; i < p->n_words; i++) {
        const struct option *o = NULL;
        struct ib_str v = {"", 0};
        int rc;

        for (size_t k = 0; k < sizeof(options) / sizeof(options[0]) && o == NULL; k++) {
            if ((options[k].protocols & p->protocol->bit) && ib_str_is(p->words[i], options[k].name))
                o = &options[k];
        }
        if (o == NULL)
            return ib_err_set(p->err, IB_EPARSEENDPOINT, "unrecognized argument `%s' in endpoint `%.*s'",
                              ib_cstr(p->words[i]), (int)p->text.n, p->text.p);
        if (i + 1 < p->n_words && p->words[i + 1].p[0] != '-')
            v = p->words[++i];
        rc = parse_option(p, o, v);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* --- opaque ---------------------------------------------------------------------------------------------------- */

/* Bytes of a type we know become a real endpoint: put them back on the wire as part of a proxy and read that. */
static int decode_known(struct parse *p)
{
    struct iw_proxy carrier = {.id = {{"x", 1}, {"", 0}}, .encoding = IW_ENCODING_1_1, .protocol = {1, 0}}, *read;
    struct iw_endpoint ep = p->ep;
    struct ib_buf b;
    struct ib_span in;
    int rc;

    carrier.n_endpoints = 1;
    carrier.endpoints = &ep;
    ib_buf_init(&b);
    rc = iw_proxy_encode(&carrier, IW_ENCODING_1_1, &b);
    in = ib_buf_span(&b);
    if (rc == 0)
        rc = iw_proxy_decode(&in, IW_ENCODING_1_1, p->arena, &read);
    if (rc == 0)
        p->ep = read->endpoints[0];
    else
        ib_err_set(p->err, rc, "%s", ib_err_text(rc));
    ib_buf_fini(&b);
    return rc;
}

static int finish_opaque(struct parse *p)
{
    struct ib_buf b;
    int rc;

    p->ep.opaque = true;
    if (p->has_type && p->has_value) {
        bool ip = p->ep.type == IW_EP_TCP || p->ep.type == IW_EP_UDP || p->ep.type == IW_EP_WS;
        bool ssl = p->d->has_ssl && (p->ep.type == IW_EP_SSL || p->ep.type == IW_EP_WSS);

        return ip || ssl ? decode_known(p) : 0;
    }
    ib_buf_init(&b);
    ib_buf_printf(&b, "opaque");
    if (p->has_type)
        ib_buf_printf(&b, " -t %u", (unsigned)(uint16_t)p->ep.type);
    ib_buf_printf(&b, " -e %u.%u", p->ep.encoding.major, p->ep.encoding.minor);
    for (size_t i = 1; i + 1 < p->n_words && p->has_value; i++) {
        if (ib_str_is(p->words[i], "-v"))
            ib_buf_printf(&b, " -v %s", p->words[i + 1].p);
    }
    rc = ib_err_set(p->err, IB_EPARSEENDPOINT, "no %s option in endpoint %s", p->has_type ? "-v" : "-t",
                    ib_buf_cstr(&b));
    ib_buf_fini(&b);
    return rc;
}

/* --- one endpoint ---------------------------------------------------------------------------------------------- */

static int finish_ip(struct parse *p)
{
    bool star_host = ib_str_is(p->ep.host, "*");
    struct ib_buf b;
    int rc = 0;

    if (p->server && p->ep.source_address.n != 0) {
        ib_buf_init(&b);
        ir_endpoint_format(&p->ep, &b);
        rc = ib_err_set(p->err, IB_EPARSEENDPOINT, "`--sourceAddress' not valid for object adapter endpoint `%s'",
                        ib_buf_cstr(&b));
        ib_buf_fini(&b);
    } else if (p->server) {
        if (star_host)
            p->ep.host = IB_STR("");
        if (p->wildcard_interface)
            p->ep.mcast_interface = IB_STR("");
    } else if (star_host || p->wildcard_interface) {
        ib_buf_init(&b);
        ir_endpoint_format(&p->ep, &b);
        rc = ib_err_set(p->err, IB_EPARSEENDPOINT, "`%s *' not valid for proxy endpoint `%s'",
                        star_host ? "-h" : "--interface", ib_buf_cstr(&b));
        ib_buf_fini(&b);
    }
    if (p->ep.host.n == 0 && !star_host)
        p->ep.host = p->d->host;
    return rc;
}

static const struct protocol *find_protocol(struct ib_str name, const struct ir_proxy_defaults *d)
{
    if (ib_str_is(name, "default"))
        name = d->protocol;
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (ib_str_is(name, protocols[i].name))
            return (protocols[i].bit & (P_SSL | P_WSS)) && !d->has_ssl ? NULL : &protocols[i];
    }
    return NULL;
}

static int init(struct parse *p)
{
    int rc = ir_split(p->text, " \t\r\n", p->arena, &p->words, &p->n_words);

    if (rc == IB_EINVAL)
        return ib_err_set(p->err, IB_EPARSEENDPOINT, "mismatched quote");
    if (rc != 0)
        return ib_err_set(p->err, rc, "out of memory");
    if (p->n_words == 0)
        return ib_err_set(p->err, IB_EPARSEENDPOINT, "value has no non-whitespace characters");
    p->protocol = find_protocol(p->words[0], p->d);
    if (p->protocol == NULL)
        return IR_UNKNOWN_PROTOCOL;
    p->ep = (struct iw_endpoint){
        .type = p->protocol->type,
        .timeout = p->protocol->bit & P_STREAM ? p->d->timeout : -1,
        .mcast_ttl = -1,
        .host = IB_STR(""),
        .resource = p->protocol->bit & (P_WS | P_WSS) ? IB_STR("/") : IB_STR(""),
        .source_address = p->server ? IB_STR("") : p->d->source_address,
        .mcast_interface = IB_STR(""),
        .encoding = IW_ENCODING_1_0,
    };
    return 0;
}

int ir_endpoint_parse(struct ib_str text, bool server, const struct ir_proxy_defaults *d, struct ib_arena *arena,
                      struct iw_endpoint *out, struct ib_err *err)
{
    struct parse p = {.text = text, .d = d, .arena = arena, .server = server, .err = err};
    int rc = init(&p);

    if (rc == 0)
        rc = parse_options(&p);
    if (rc == 0)
        rc = p.protocol->bit == P_OPAQUE ? finish_opaque(&p) : finish_ip(&p);
    if (rc != 0)
        return rc;
    if (!p.ep.opaque && p.ep.type != IW_EP_UDP && d->override_timeout != INT32_MIN)
        p.ep.timeout = d->override_timeout;
    *out = p.ep;
    return 0;
}

/* --- lists ----------------------------------------------------------------------------------------------------- */

size_t ir_endpoint_end(struct ib_str text, size_t at)
{
    bool quoted_text = false;

    for (; at < text.n; at++) {
        if (text.p[at] == '"')
            quoted_text = !quoted_text;
        else if (text.p[at] == ':' && !quoted_text)
            break;
    }
    return at;
}

static struct ib_str trim(struct ib_str s)
{
    while (s.n != 0 && strchr(" \t\r\n", s.p[0]) != NULL && s.p[0] != 0) {
        s.p++;
        s.n--;
    }
    while (s.n != 0 && s.p[s.n - 1] != 0 && strchr(" \t\r\n", s.p[s.n - 1]) != NULL)
        s.n--;
    return s;
}

int ir_endpoints_parse(struct ib_str text, bool server, const struct ir_proxy_defaults *d, struct ib_arena *arena,
                       struct iw_endpoint **out, size_t *n, struct ib_err *err)
{
    struct iw_endpoint *v = NULL;
    size_t count = 0, cap = 1;

    for (size_t i = 0; i < text.n; i++)
        cap += text.p[i] == ':';
    if (cap > MAX_ENDPOINTS)
        return ib_err_set(err, IB_EPARSEENDPOINT, "more than %d endpoints", MAX_ENDPOINTS);
    v = IB_ARENA_ARRAY(arena, cap, struct iw_endpoint);
    if (v == NULL)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    for (size_t at = 0; trim(text).n != 0 && at < text.n;) {
        size_t end = ir_endpoint_end(text, at);
        struct ib_str one = trim((struct ib_str){text.p + at, end - at});
        int rc = one.n == 0 ? ib_err_set(err, IB_EPARSEENDPOINT, "invalid empty object adapter endpoint")
                            : ir_endpoint_parse(one, server, d, arena, &v[count], err);

        if (rc == IR_UNKNOWN_PROTOCOL)
            return ib_err_set(err, IB_EPARSEENDPOINT, "invalid object adapter endpoint `%.*s'", (int)one.n, one.p);
        if (rc != 0)
            return rc;
        count++;
        at = end + 1;
    }
    *out = v;
    *n = count;
    return 0;
}

/* --- output ---------------------------------------------------------------------------------------------------- */

static void put_text(struct ib_buf *out, const char *option, struct ib_str s)
{
    bool quote = s.n != 0 && memchr(s.p, ':', s.n) != NULL;

    ib_buf_puts(out, option);
    if (quote)
        ib_buf_put_u8(out, '"');
    ib_buf_put(out, s.p, s.n);
    if (quote)
        ib_buf_put_u8(out, '"');
}

static void put_base64(struct ib_buf *out, struct ib_span raw)
{
    for (size_t i = 0; i < raw.n; i += 3) {
        size_t have = raw.n - i < 3 ? raw.n - i : 3;
        uint32_t v = (uint32_t)raw.p[i] << 16;

        if (have > 1)
            v |= (uint32_t)raw.p[i + 1] << 8;
        if (have > 2)
            v |= raw.p[i + 2];
        for (size_t k = 0; k < 4; k++)
            ib_buf_put_u8(out, (uint8_t)(k <= have ? base64[v >> (18 - 6 * k) & 63] : '='));
    }
}

static void format_udp(const struct iw_endpoint *ep, struct ib_buf *out)
{
    if (ep->mcast_interface.n != 0)
        put_text(out, " --interface ", ep->mcast_interface);
    if (ep->mcast_ttl >= 0)
        ib_buf_printf(out, " --ttl %d", ep->mcast_ttl);
    if (ep->udp_connect)
        ib_buf_puts(out, " -c");
}

void ir_endpoint_format(const struct iw_endpoint *ep, struct ib_buf *out)
{
    const char *name = "tcp";

    if (ep->opaque) {
        ib_buf_printf(out, "opaque -t %u -e %u.%u -v ", (unsigned)(uint16_t)ep->type, ep->encoding.major,
                      ep->encoding.minor);
        put_base64(out, ep->raw);
        return;
    }
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (protocols[i].type == ep->type)
            name = protocols[i].name;
    }
    ib_buf_puts(out, name);
    if (ep->host.n != 0)
        put_text(out, " -h ", ep->host);
    ib_buf_printf(out, " -p %d", ep->port);
    if (ep->source_address.n != 0)
        put_text(out, " --sourceAddress ", ep->source_address);
    if (ep->type == IW_EP_UDP)
        format_udp(ep, out);
    else if (ep->timeout < 0)
        ib_buf_puts(out, " -t infinite");
    else
        ib_buf_printf(out, " -t %d", ep->timeout);
    if (ep->compress)
        ib_buf_puts(out, " -z");
    if (ep->resource.n != 0 && (ep->type == IW_EP_WS || ep->type == IW_EP_WSS))
        put_text(out, " -r ", ep->resource);
}
