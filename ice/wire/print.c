/* SPDX-License-Identifier: Apache-2.0 */
/* Values as text for logs and people: {name = "x", list = ["a", "b"]}. Peers' text is escaped. */
#include "wire_priv.h"

#include <moulin/base/log.h>

struct printer {
    struct ib_buf *out;
    struct iw_ptrs seen; /* instance -> number printed with it */
    uint32_t depth;
};

static void print_value(struct printer *p, const struct iw_type *t, const void *v);

static void print_str(struct ib_buf *out, struct ib_str s)
{
    char part[512];
    ib_buf_put_u8(out, '"');
    for (size_t at = 0; at < s.n;) {
        size_t n = s.n - at > 100 ? 100 : s.n - at; /* escaped at most four times as long: never cut */
        while (n > 96 && at + n < s.n && (s.p[at + n] & 0xc0) == 0x80)
            n--; /* not through a character */
        ib_buf_puts(out, ib_log_escape((struct ib_str){s.p + at, n}, part, sizeof(part)));
        at += n;
    }
    ib_buf_put_u8(out, '"');
}

static void print_endpoint(struct ib_buf *out, const struct iw_endpoint *ep)
{
    static const char *const names[] = {"", "tcp", "ssl", "udp", "ws", "wss"};
    if (ep->opaque) {
        ib_buf_printf(out, ":opaque -t %d (%zu bytes)", ep->type, ep->raw.n);
        return;
    }
    ib_buf_printf(out, ":%s -h ", ep->type >= IW_EP_TCP && ep->type <= IW_EP_WSS ? names[ep->type] : "?");
    print_str(out, ep->host);
    ib_buf_printf(out, " -p %d", ep->port);
}

static void print_proxy(struct ib_buf *out, const struct iw_proxy *x)
{
    if (!x) {
        ib_buf_puts(out, "null");
        return;
    }
    if (x->id.category.n) {
        print_str(out, x->id.category);
        ib_buf_put_u8(out, '/');
    }
    print_str(out, x->id.name);
    if (x->has_facet) {
        ib_buf_puts(out, " -f ");
        print_str(out, x->facet);
    }
    for (size_t i = 0; i < x->n_endpoints; i++)
        print_endpoint(out, &x->endpoints[i]);
    if (x->n_endpoints == 0 && x->adapter_id.n) {
        ib_buf_puts(out, " @ ");
        print_str(out, x->adapter_id);
    }
}

static void print_fields(struct printer *p, const struct iw_field *fields, uint32_t n, const void *v, bool *first)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!iw_field_set(&fields[i], v))
            continue;
        ib_buf_printf(p->out, "%s%s = ", *first ? "" : ", ", fields[i].name);
        *first = false;
        print_value(p, fields[i].type, iw_cat(v, fields[i].offset));
    }
}

static void print_level(struct printer *p, const struct iw_class *c, const struct iw_object *o, bool *first)
{
    if (c->base)
        print_level(p, c->base, o, first);
    print_fields(p, c->fields, c->n_fields, o, first);
}

static void print_instance(struct printer *p, const struct iw_object *o)
{
    if (!o) {
        ib_buf_puts(p->out, "null");
        return;
    }
    uint32_t number = iw_ptrs_number(&p->seen, o);
    if (number) {
        ib_buf_printf(p->out, "#%u", number);
        return;
    }
    number = p->seen.n + 1;
    if (!o->cls || p->depth >= IW_GRAPH_DEPTH || !iw_ptrs_add_number(&p->seen, o, number)) {
        ib_buf_puts(p->out, "...");
        return;
    }
    ib_buf_printf(p->out, "#%u %s {", number, o->cls->id);
    bool first = true;
    p->depth++;
    print_level(p, o->cls, o, &first);
    p->depth--;
    ib_buf_put_u8(p->out, '}');
}

static void print_items(struct printer *p, const struct iw_type *t, const struct iw_seq *s)
{
    bool dict = t->kind == IW_DICT;
    size_t each = dict ? t->entry_size : t->elem->size;
    ib_buf_put_u8(p->out, dict ? '{' : '[');
    for (size_t i = 0; i < s->n && ib_buf_ok(p->out); i++) {
        const void *v = iw_cat(s->v, i * each);
        if (i)
            ib_buf_puts(p->out, ", ");
        if (dict) {
            print_value(p, t->key, v);
            ib_buf_puts(p->out, " = ");
        }
        print_value(p, t->elem, iw_cat(v, dict ? t->value_offset : 0));
    }
    ib_buf_put_u8(p->out, dict ? '}' : ']');
}

static void print_enum(struct ib_buf *out, const struct iw_type *t, const void *v)
{
    int32_t x;
    memcpy(&x, v, sizeof(x));
    if (t->enum_names && x >= 0 && x <= t->enum_max && t->enum_names[x])
        ib_buf_puts(out, t->enum_names[x]);
    else
        ib_buf_printf(out, "%d", x);
}

static void print_simple(struct ib_buf *out, const struct iw_type *t, const void *v)
{
    switch (t->kind) {
    case IW_BOOL:
        ib_buf_puts(out, *(const bool *)v ? "true" : "false");
        break;
    case IW_BYTE:
        ib_buf_printf(out, "%u", *(const uint8_t *)v);
        break;
    case IW_SHORT:
        ib_buf_printf(out, "%d", *(const int16_t *)v);
        break;
    case IW_INT:
        ib_buf_printf(out, "%d", *(const int32_t *)v);
        break;
    case IW_LONG:
        ib_buf_printf(out, "%lld", (long long)*(const int64_t *)v);
        break;
    case IW_FLOAT:
        ib_buf_printf(out, "%g", (double)*(const float *)v);
        break;
    default:
        ib_buf_printf(out, "%g", *(const double *)v);
        break;
    }
}

static void print_value(struct printer *p, const struct iw_type *t, const void *v)
{
    switch (t->kind) {
    case IW_STRING:
        print_str(p->out, *(const struct ib_str *)v);
        break;
    case IW_ENUM:
        print_enum(p->out, t, v);
        break;
    case IW_STRUCT: {
        bool first = true;
        ib_buf_put_u8(p->out, '{');
        print_fields(p, t->fields, t->n_fields, v, &first);
        ib_buf_put_u8(p->out, '}');
        break;
    }
    case IW_SEQ:
    case IW_DICT:
        print_items(p, t, v);
        break;
    case IW_PROXY:
        print_proxy(p->out, iw_get_proxy(v));
        break;
    case IW_CLASS:
        print_instance(p, iw_get_object(v));
        break;
    default:
        print_simple(p->out, t, v);
        break;
    }
}

void iw_print(const struct iw_type *t, const void *v, struct ib_buf *out)
{
    struct printer p = {.out = out};
    print_value(&p, t, v);
    iw_ptrs_fini(&p.seen);
}
