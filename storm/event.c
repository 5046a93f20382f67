/* SPDX-License-Identifier: Apache-2.0 */
#include "event.h"

#include <limits.h>
#include <stdlib.h>

#define OVERHEAD 64 /* bytes an event takes besides its own */
#define COST_DIGITS 16

static struct storm_event *event_new(struct ib_block *block)
{
    struct storm_event *e = calloc(1, sizeof *e);
    if (e)
        *e = (struct storm_event){.refs = 1, .block = ib_block_ref(block)};
    return e;
}

struct storm_event *storm_event_of(const struct ir_request_info *info)
{
    struct storm_event *e = event_new(info->block);
    if (!e)
        return NULL;
    e->mode = info->mode;
    e->op = info->operation;
    e->context = info->context_raw;
    e->params = info->params;
    return e;
}

static void put_context(struct ib_buf *out, const struct Ice_Context *context)
{
    iw_out_size(out, context->n);
    for (size_t i = 0; i < context->n; i++) {
        iw_out_str(out, context->v[i].key);
        iw_out_str(out, context->v[i].value);
    }
}

struct storm_event *storm_event_from(const struct IceStorm_EventData *data)
{
    struct ib_span params = {data->data.v, data->data.n};
    struct iw_encoding encoding;
    size_t size;
    struct ib_buf context;
    if (iw_encaps_peek(params, &size, &encoding) || size != params.n)
        return NULL;
    ib_buf_init(&context);
    put_context(&context, &data->context);
    struct ib_block *block = ib_buf_ok(&context) ? ib_block_new(params.n + data->op.n + context.n) : NULL;
    struct storm_event *e = block ? event_new(block) : NULL;
    if (e) {
        uint8_t *p = block->p;
        memcpy(p, params.p, params.n);
        memcpy(p + params.n, ib_cstr(data->op), data->op.n);
        memcpy(p + params.n + data->op.n, context.p, context.n);
        e->params = (struct ib_span){p, params.n};
        e->op = (struct ib_str){(const char *)p + params.n, data->op.n};
        e->context = (struct ib_span){p + params.n + data->op.n, context.n};
        e->mode = (uint8_t)data->mode;
        e->forwarded = true;
    }
    ib_block_unref(block);
    ib_buf_fini(&context);
    return e;
}

struct storm_event *storm_event_ref(struct storm_event *e)
{
    e->refs++;
    return e;
}

void storm_event_unref(struct storm_event *e)
{
    if (!e || --e->refs)
        return;
    ib_block_unref(e->block);
    free(e);
}

size_t storm_event_bytes(const struct storm_event *e)
{
    return e->params.n + e->context.n + e->op.n + OVERHEAD;
}

int storm_event_cost(const struct storm_event *e)
{
    struct iw_in in = iw_in(e->context);
    size_t n = e->context.n ? iw_in_size(&in) : 0;
    for (size_t i = 0; i < n && !in.err; i++) {
        struct ib_str key = iw_in_str(&in), value = iw_in_str(&in);
        if (in.err || !ib_str_is(key, "cost"))
            continue;
        char text[COST_DIGITS];
        size_t length = value.n < sizeof text ? value.n : sizeof text - 1;
        memcpy(text, ib_cstr(value), length);
        text[length] = '\0';
        long cost = strtol(text, NULL, 10);
        return cost > INT_MAX ? INT_MAX : cost < INT_MIN ? INT_MIN : (int)cost;
    }
    return 0;
}

struct ir_raw_request storm_event_request(const struct storm_event *e, const struct iw_proxy *to)
{
    return (struct ir_raw_request){.id = to->id,
                                   .has_facet = to->has_facet,
                                   .facet = to->facet,
                                   .operation = e->op,
                                   .mode = e->mode,
                                   .context_raw = e->context,
                                   .params = e->params,
                                   .block = e->block};
}

bool storm_event_data(const struct storm_event *e, struct ib_arena *arena, struct IceStorm_EventData *out)
{
    struct iw_in in = iw_in(e->context);
    size_t n = e->context.n ? iw_in_size(&in) : 0;
    union {
        const uint8_t *c;
        uint8_t *v;
    } params = {.c = e->params.p}; /* only read */
    *out = (struct IceStorm_EventData){
        .op = e->op, .mode = (enum Ice_OperationMode)e->mode, .data = {e->params.n, params.v}};
    if (n > e->context.n / 2) /* each entry takes two bytes at least */
        n = e->context.n / 2;
    out->context.v = IB_ARENA_ARRAY(arena, n, struct Ice_Context_entry);
    if (!out->context.v)
        return false;
    for (size_t i = 0; i < n && !in.err; i++) {
        struct ib_str key = iw_in_str(&in), value = iw_in_str(&in);
        if (!in.err)
            out->context.v[out->context.n++] = (struct Ice_Context_entry){key, value};
    }
    return true;
}
