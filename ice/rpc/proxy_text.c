/* SPDX-License-Identifier: Apache-2.0 */
/* Proxies as text (ice-protocol 15.3), the defaults that fill what a text leaves out, and helpers that make proxies. */
#include "text_priv.h"

#include <moulin/wire/codec.h>

#include <limits.h>
#include <stdio.h>

#define MAX_PROXY_TEXT (1u << 20)

static const char blanks[] = " \t\r\n";

/* A proxy string being read from left to right. */
struct parse {
    struct ib_str s;
    size_t at;
    const struct ir_proxy_defaults *d;
    struct ib_arena *arena;
    struct ib_err *err;
    struct iw_proxy p;
};

static bool is_blank(char c)
{
    return c != 0 && strchr(blanks, c) != NULL;
}

static void skip_blanks(struct parse *x)
{
    while (x->at < x->s.n && is_blank(x->s.p[x->at]))
        x->at++;
}

/* "what in `whole text'" */
static int bad(const struct parse *x, const char *what)
{
    return ib_err_set(x->err, IB_EPARSEPROXY, "%s in `%.*s'", what, (int)x->s.n, x->s.p);
}

/* The token at x->at: quoted, or up to a blank or one of stops. false: a quote without its end. */
static bool token(struct parse *x, const char *stops, struct ib_str *out)
{
    size_t from = x->at;
    char quote = x->at < x->s.n ? x->s.p[x->at] : 0;

    if (quote == '"' || quote == '\'') {
        for (size_t i = from + 1; i < x->s.n; i++) {
            if (x->s.p[i] == quote && x->s.p[i - 1] != '\\') {
                *out = (struct ib_str){x->s.p + from + 1, i - from - 1};
                x->at = i + 1;
                return true;
            }
        }
        return false;
    }
    while (x->at < x->s.n && !is_blank(x->s.p[x->at]) && (x->s.p[x->at] == 0 || !strchr(stops, x->s.p[x->at])))
        x->at++;
    *out = (struct ib_str){x->s.p + from, x->at - from};
    return true;
}

/* 0 and x->p.id, or 1 for the null proxy. */
static int parse_identity(struct parse *x)
{
    struct ib_str text;
    bool quoted;
    int rc;

    skip_blanks(x);
    if (x->at == x->s.n)
        return bad(x, "no non-whitespace characters found");
    quoted = x->s.p[x->at] == '"' || x->s.p[x->at] == '\'';
    if (!token(x, ":@", &text))
        return bad(x, "mismatched quotes around identity");
    if (text.n == 0 && !quoted)
        return bad(x, "no identity");
    rc = ir_identity_parse(text, x->arena, &x->p.id, x->err);
    if (rc != 0)
        return rc;
    if (x->p.id.name.n == 0) {
        if (x->p.id.category.n != 0)
            return ib_err_set(x->err, IB_EILLEGALIDENTITY, "illegal identity `%.*s'", (int)text.n, text.p);
        skip_blanks(x);
        return x->at == x->s.n ? 1 : bad(x, "invalid characters after identity");
    }
    return 0;
}

static int unescape_to(struct parse *x, struct ib_str in, const char *what, struct ib_str *out)
{
    struct ib_err why;
    struct ib_buf b;
    int rc;

    ib_buf_init(&b);
    rc = ir_unescape(in, "", &b, &why);
    if (rc == IB_EINVAL)
        rc = ib_err_set(x->err, IB_EPARSEPROXY, "invalid %s in `%.*s': %s", what, (int)x->s.n, x->s.p, why.text);
    if (rc == 0) {
        *out = ir_keep(x->arena, &b);
        rc = out->p == NULL ? ib_err_set(x->err, IB_ENOMEM, "out of memory") : 0;
    }
    ib_buf_fini(&b);
    return rc;
}

static int parse_version(struct parse *x, const char *what, struct ib_str arg, struct iw_encoding *out)
{
    struct ib_err why;

    if (ir_parse_version(arg, out, &why) == 0)
        return 0;
    return ib_err_set(x->err, IB_EPARSEPROXY, "invalid %s version `%.*s' in `%.*s':\n%s", what, (int)arg.n, arg.p,
                      (int)x->s.n, x->s.p, why.text);
}

static int apply_option(struct parse *x, char option, struct ib_str arg)
{
    static const char modes[] = "toOdD"; /* in the order of enum iw_proxy_mode */
    const char *mode = strchr(modes, option);
    char text[200];
    bool takes = option == 'f' || option == 'e' || option == 'p';

    if (!takes && mode == NULL && option != 's') {
        snprintf(text, sizeof(text), "unknown option `-%c'", option);
        return bad(x, text);
    }
    if (takes && arg.n == 0) {
        snprintf(text, sizeof(text), "no argument provided for -%c option", option);
        return bad(x, text);
    }
    if (!takes && arg.n != 0) {
        snprintf(text, sizeof(text), "unexpected argument `%.*s' provided for -%c option", (int)arg.n, arg.p, option);
        return bad(x, text);
    }
    switch (option) {
    case 'f':
        x->p.has_facet = true;
        return unescape_to(x, arg, "facet", &x->p.facet);
    case 'e':
        return parse_version(x, "encoding", arg, &x->p.encoding);
    case 'p':
        return parse_version(x, "protocol", arg, &x->p.protocol);
    case 's':
        x->p.secure = true;
        return 0;
    default:
        x->p.mode = (uint8_t)(mode - modes);
        return 0;
    }
}

/* Options up to the first ':' or '@'. */
static int parse_options(struct parse *x)
{
    for (;;) {
        struct ib_str option, arg = {"", 0};
        size_t before;
        int rc;

        skip_blanks(x);
        if (x->at == x->s.n || x->s.p[x->at] == ':' || x->s.p[x->at] == '@')
            return 0;
        before = x->at;
        while (x->at < x->s.n && !is_blank(x->s.p[x->at]) && x->s.p[x->at] != ':' && x->s.p[x->at] != '@')
            x->at++;
        option = (struct ib_str){x->s.p + before, x->at - before};
        if (option.n != 2 || option.p[0] != '-' || option.p[1] == 0) {
            return ib_err_set(x->err, IB_EPARSEPROXY, "expected a proxy option but found `%.*s' in `%.*s'",
                              (int)option.n, option.p, (int)x->s.n, x->s.p);
        }
        before = x->at;
        skip_blanks(x);
        if (x->at < x->s.n && x->s.p[x->at] != '-' && x->s.p[x->at] != ':' && x->s.p[x->at] != '@') {
            if (!token(x, ":@", &arg)) {
                char text[80];

                snprintf(text, sizeof(text), "mismatched quotes around value for %.2s option", option.p);
                return bad(x, text);
            }
        } else {
            x->at = before;
        }
        rc = apply_option(x, option.p[1], arg);
        if (rc != 0)
            return rc;
    }
}

static int parse_adapter(struct parse *x)
{
    struct ib_str id;
    size_t end;

    x->at++;
    skip_blanks(x);
    if (x->at == x->s.n)
        return bad(x, "missing adapter id");
    if (!token(x, "", &id))
        return bad(x, "mismatched quotes around adapter id");
    end = x->at;
    skip_blanks(x);
    if (x->at != x->s.n)
        return ib_err_set(x->err, IB_EPARSEPROXY, "invalid trailing characters after `%.*s' in `%.*s'",
                          (int)end + 1 > (int)x->s.n ? (int)x->s.n : (int)end + 1, x->s.p, (int)x->s.n, x->s.p);
    if (id.n == 0)
        return bad(x, "empty adapter id");
    return unescape_to(x, id, "adapter id", &x->p.adapter_id);
}

static int parse_endpoints(struct parse *x, struct ib_str *skipped)
{
    size_t cap = 0, first_unknown = 0, first_len = 0;
    struct ib_buf unknown;
    int rc = 0;

    for (size_t i = x->at; i < x->s.n; i++)
        cap += x->s.p[i] == ':';
    x->p.endpoints = IB_ARENA_ARRAY(x->arena, cap, struct iw_endpoint);
    if (x->p.endpoints == NULL)
        return ib_err_set(x->err, IB_ENOMEM, "out of memory");
    ib_buf_init(&unknown);
    while (rc == 0 && x->at < x->s.n) {
        size_t from = x->at + 1, end = ir_endpoint_end(x->s, from);
        struct ib_str one = {x->s.p + from, end - from};

        rc = ir_endpoint_parse(one, false, x->d, x->arena, &x->p.endpoints[x->p.n_endpoints], x->err);
        if (rc == 0) {
            x->p.n_endpoints++;
        } else if (rc == IR_UNKNOWN_PROTOCOL) {
            if (unknown.n == 0) {
                first_unknown = from;
                first_len = one.n;
            }
            ib_buf_puts(&unknown, unknown.n ? ":" : "");
            ib_buf_put(&unknown, one.p, one.n);
            rc = 0;
        }
        x->at = end;
    }
    if (rc == 0 && x->p.n_endpoints == 0)
        rc = ib_err_set(x->err, IB_EPARSEENDPOINT, "invalid endpoint `%.*s' in `%.*s'", (int)first_len,
                        x->s.p + first_unknown, (int)x->s.n, x->s.p);
    if (rc == 0 && skipped != NULL)
        *skipped = unknown.n != 0 ? ir_keep(x->arena, &unknown) : IB_STR("");
    ib_buf_fini(&unknown);
    return rc;
}

int ir_proxy_parse(struct ib_str text, const struct ir_proxy_defaults *d, struct ib_arena *arena, struct iw_proxy **out,
                   struct ib_str *skipped, struct ib_err *err)
{
    struct parse x = {.s = text, .d = d, .arena = arena, .err = err};
    int rc;

    if (skipped != NULL)
        *skipped = IB_STR("");
    *out = NULL;
    if (text.n == 0)
        return 0;
    if (text.n > MAX_PROXY_TEXT)
        return ib_err_set(err, IB_EPARSEPROXY, "proxy string of %zu bytes: too long", text.n);
    x.p = (struct iw_proxy){.protocol = {1, 0}, .encoding = d->encoding, .facet = IB_STR(""), .adapter_id = IB_STR("")};
    rc = parse_identity(&x);
    if (rc != 0)
        return rc > 0 ? 0 : rc;
    rc = parse_options(&x);
    if (rc == 0 && x.at < text.n)
        rc = text.p[x.at] == ':' ? parse_endpoints(&x, skipped) : parse_adapter(&x);
    if (rc == 0) {
        *out = IB_ARENA_NEW(arena, struct iw_proxy);
        if (*out == NULL)
            return ib_err_set(err, IB_ENOMEM, "out of memory");
        **out = x.p;
    }
    return rc;
}

/* --- output ---------------------------------------------------------------------------------------------------- */

/* Escaped, in double quotes when it would end a token. */
static void put_token(struct ib_buf *out, struct ib_str plain)
{
    bool quote = strpbrk(plain.p, " :@") != NULL;

    if (quote)
        ib_buf_put_u8(out, '"');
    ib_buf_put(out, plain.p, plain.n);
    if (quote)
        ib_buf_put_u8(out, '"');
}

static void put_escaped(struct ib_buf *out, struct ib_str s, enum ir_string_mode mode)
{
    struct ib_buf b;

    ib_buf_init(&b);
    ir_escape(s, "", mode, &b);
    if (!ib_buf_ok(&b))
        out->failed = true;
    else
        put_token(out, (struct ib_str){ib_buf_cstr(&b), b.n});
    ib_buf_fini(&b);
}

struct ib_str ir_proxy_format(const struct iw_proxy *p, enum ir_string_mode mode, struct ib_arena *arena)
{
    static const char *const modes[] = {" -t", " -o", " -O", " -d", " -D"};
    struct ib_str id, result;
    struct ib_buf out;

    if (p == NULL)
        return IB_STR("");
    id = ir_identity_format(&p->id, mode, arena);
    if (id.p == NULL)
        return id;
    ib_buf_init(&out);
    put_token(&out, id);
    if (p->has_facet && p->facet.n != 0) {
        ib_buf_puts(&out, " -f ");
        put_escaped(&out, p->facet, mode);
    }
    ib_buf_puts(&out, modes[p->mode <= IW_BATCH_DATAGRAM ? p->mode : 0]);
    if (p->secure)
        ib_buf_puts(&out, " -s");
    if (p->protocol.major != 1 || p->protocol.minor != 0)
        ib_buf_printf(&out, " -p %u.%u", p->protocol.major, p->protocol.minor);
    ib_buf_printf(&out, " -e %u.%u", p->encoding.major, p->encoding.minor);
    for (size_t i = 0; i < p->n_endpoints; i++) {
        ib_buf_put_u8(&out, ':');
        ir_endpoint_format(&p->endpoints[i], &out);
    }
    if (p->n_endpoints == 0 && p->adapter_id.n != 0) {
        ib_buf_puts(&out, " @ ");
        put_escaped(&out, p->adapter_id, mode);
    }
    result = ir_keep(arena, &out);
    ib_buf_fini(&out);
    return result;
}

/* --- defaults -------------------------------------------------------------------------------------------------- */

static int read_ints(const struct ir_properties *p, struct ir_proxy_defaults *d, struct ib_err *err)
{
    int v, rc = ir_properties_int(p, "Ice.Default.Timeout", 60000, &v, err);

    if (rc != 0)
        return rc;
    if (v < 1 && v != -1)
        return ib_err_set(err, IB_ECONFIG, "property Ice.Default.Timeout is %d: use -1 or milliseconds above 0", v);
    d->timeout = v;
    if (ir_properties_has(p, "Ice.Override.Timeout")) {
        rc = ir_properties_int(p, "Ice.Override.Timeout", -1, &v, err);
        if (rc != 0)
            return rc;
        if (v < 1 && v != -1)
            return ib_err_set(err, IB_ECONFIG, "property Ice.Override.Timeout is %d: use -1 or milliseconds above 0",
                              v);
        d->override_timeout = v;
    }
    if (ir_properties_has(p, "Ice.Override.Compress")) {
        rc = ir_properties_int(p, "Ice.Override.Compress", 0, &v, err);
        d->override_compress = v > 0;
    }
    return rc;
}

int ir_proxy_defaults(const struct ir_properties *p, struct ib_arena *arena, struct ir_proxy_defaults *out,
                      struct ib_err *err)
{
    struct ir_proxy_defaults d = {.timeout = 60000, .override_timeout = INT32_MIN, .override_compress = -1};
    const char *encoding = ir_properties_get_or(p, "Ice.Default.EncodingVersion", "1.1");
    struct ib_err why;
    int rc;

    d.protocol = ib_arena_strz(arena, ir_properties_get_or(p, "Ice.Default.Protocol", "tcp"));
    d.host = ib_arena_strz(arena, ir_properties_get(p, "Ice.Default.Host"));
    d.source_address = ib_arena_strz(arena, ir_properties_get(p, "Ice.Default.SourceAddress"));
    d.has_ssl = ir_properties_has(p, "Ice.Plugin.IceSSL");
    if (d.protocol.p == NULL || d.host.p == NULL || d.source_address.p == NULL)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    rc = ir_parse_version(ib_str(encoding), &d.encoding, &why);
    if (rc != 0)
        return ib_err_set(err, IB_ECONFIG, "property Ice.Default.EncodingVersion is `%s': %s; use 1.0 or 1.1", encoding,
                          why.text);
    rc = read_ints(p, &d, err);
    if (rc == 0)
        *out = d;
    return rc;
}

/* --- copies ---------------------------------------------------------------------------------------------------- */

struct iw_proxy *ir_proxy_with_identity(const struct iw_proxy *p, const struct iw_identity *id, struct ib_arena *arena)
{
    struct iw_proxy *c = iw_proxy_copy(p, arena);

    if (c == NULL)
        return NULL;
    c->id.name = ib_arena_str(arena, id->name);
    c->id.category = ib_arena_str(arena, id->category);
    return c->id.name.p != NULL && c->id.category.p != NULL ? c : NULL;
}

struct iw_proxy *ir_proxy_with_facet(const struct iw_proxy *p, const char *facet, struct ib_arena *arena)
{
    struct iw_proxy *c = iw_proxy_copy(p, arena);

    if (c == NULL)
        return NULL;
    c->has_facet = *facet != 0;
    c->facet = ib_arena_strz(arena, facet);
    return c->facet.p != NULL ? c : NULL;
}

struct iw_proxy *ir_proxy_well_known(struct ib_str name, struct ib_str category, struct ib_arena *arena)
{
    struct iw_proxy *c = IB_ARENA_NEW(arena, struct iw_proxy);

    if (c == NULL)
        return NULL;
    *c = (struct iw_proxy){
        .protocol = {1, 0}, .encoding = IW_ENCODING_1_1, .facet = IB_STR(""), .adapter_id = IB_STR("")};
    c->id.name = ib_arena_str(arena, name);
    c->id.category = ib_arena_str(arena, category);
    return c->id.name.p != NULL && c->id.category.p != NULL ? c : NULL;
}
