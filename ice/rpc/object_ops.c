/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of the four operations every object has (ice-protocol 11.2); no Slice file declares them. */
#include "rpc_priv.h"

static const struct iw_field isA_in_fields[] = {{.name = "id", .type = &iw_string, .offset = 0, .tag = -1}};
static const struct iw_field isA_out_fields[] = {{.name = "ret", .type = &iw_bool, .offset = 0, .tag = -1}};
static const struct iw_field id_out_fields[] = {{.name = "ret", .type = &iw_string, .offset = 0, .tag = -1}};

static const struct iw_type ids = {
    .id = "::Ice::StringSeq", .kind = IW_SEQ, .size = sizeof(struct iw_seq), .min_wire = 1, .elem = &iw_string};
static const struct iw_field ids_out_fields[] = {{.name = "ret", .type = &ids, .offset = 0, .tag = -1}};

static const struct iw_type isA_in = {.id = "ice_isA_in",
                                      .kind = IW_STRUCT,
                                      .size = sizeof(struct ir_isA_in),
                                      .min_wire = 1,
                                      .fields = isA_in_fields,
                                      .n_fields = 1};
static const struct iw_type isA_out = {.id = "ice_isA_out",
                                       .kind = IW_STRUCT,
                                       .size = sizeof(struct ir_isA_out),
                                       .min_wire = 1,
                                       .fixed = true,
                                       .fields = isA_out_fields,
                                       .n_fields = 1};
static const struct iw_type id_out = {.id = "ice_id_out",
                                      .kind = IW_STRUCT,
                                      .size = sizeof(struct ib_str),
                                      .min_wire = 1,
                                      .fields = id_out_fields,
                                      .n_fields = 1};
static const struct iw_type ids_out = {.id = "ice_ids_out",
                                       .kind = IW_STRUCT,
                                       .size = sizeof(struct iw_seq),
                                       .min_wire = 1,
                                       .fields = ids_out_fields,
                                       .n_fields = 1};

static const struct iw_class *const no_throws[] = {NULL};

const struct iw_op ir_op_ice_ping = {
    .name = "ice_ping", .mode = IW_NONMUTATING, .in = &iw_empty, .out = &iw_empty, .throws = no_throws};
const struct iw_op ir_op_ice_isA = {
    .name = "ice_isA", .mode = IW_NONMUTATING, .in = &isA_in, .out = &isA_out, .throws = no_throws};
const struct iw_op ir_op_ice_id = {
    .name = "ice_id", .mode = IW_NONMUTATING, .in = &iw_empty, .out = &id_out, .throws = no_throws};
const struct iw_op ir_op_ice_ids = {
    .name = "ice_ids", .mode = IW_NONMUTATING, .in = &iw_empty, .out = &ids_out, .throws = no_throws};
