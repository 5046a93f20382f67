/* SPDX-License-Identifier: Apache-2.0 */
/* Request headers (ice-protocol 8.1): read strictly, for an error in them closes the connection (section 10), and
   written for outgoing calls. Parameters are not looked into: a bad encapsulation header is only noted. */
#include "rpc_priv.h"

static int parse_facet(struct iw_in *in, struct ir_request_info *info)
{
    size_t n = iw_in_size(in);
    if (n > 1) /* 8.1: more than one closes the connection */
        return IB_EMARSHAL;
    info->has_facet = n == 1;
    info->facet = n == 1 ? iw_in_str(in) : IB_STR("");
    return 0;
}

static int parse_context(struct iw_in *in, struct ib_arena *arena, struct ir_request_info *info)
{
    const uint8_t *start = in->p;
    size_t n = iw_in_size(in);
    if (in->err || n > (size_t)(in->end - in->p) / 2)
        return IB_EBOUNDS;
    struct ir_context_entry *v = n ? IB_ARENA_ARRAY(arena, n, struct ir_context_entry) : NULL;
    if (n && !v)
        return IB_EMEMLIMIT;
    for (size_t i = 0; i < n; i++) {
        v[i].key = iw_in_str(in);
        v[i].value = iw_in_str(in);
    }
    info->n_context = n;
    info->context = v;
    info->context_raw = (struct ib_span){start, (size_t)(in->p - start)};
    return 0;
}

/* What follows the header. In a batch the next request starts after the encapsulation, so there it must be sound. */
static int parse_params(struct iw_in *in, uint8_t type, struct ir_request_info *info)
{
    struct ib_span rest = {in->p, (size_t)(in->end - in->p)};
    size_t size = 0;
    info->encoding = IW_ENCODING_1_1;
    info->params_err = iw_encaps_peek(rest, &size, &info->encoding);
    if (info->params_err) {
        info->params = rest;
        return type == IC_BATCH ? info->params_err : 0;
    }
    info->params = iw_in_bytes(in, size);
    return 0;
}

int ir_request_parse(struct iw_in *in, uint8_t type, struct ib_arena *arena, struct ir_request_info *info)
{
    *info = (struct ir_request_info){.type = type};
    if (type == IC_REQUEST)
        info->request_id = iw_in_i32(in);
    info->id.name = iw_in_str(in);
    info->id.category = iw_in_str(in);
    int r = parse_facet(in, info);
    if (r)
        return r;
    info->operation = iw_in_str(in);
    info->mode = iw_in_u8(in);
    r = in->err ? in->err : parse_context(in, arena, info);
    if (!r)
        r = in->err;
    return r ? r : parse_params(in, type, info);
}

void ir_header_encode(struct ib_buf *out, const struct iw_identity *id, bool has_facet, struct ib_str facet,
                      struct ib_str operation, uint8_t mode)
{
    iw_out_str(out, id->name);
    iw_out_str(out, id->category);
    iw_out_size(out, has_facet ? 1 : 0);
    if (has_facet)
        iw_out_str(out, facet);
    iw_out_str(out, operation);
    ib_buf_put_u8(out, mode);
}
