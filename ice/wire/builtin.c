/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of the types no Slice file defines. */
#include <moulin/wire/codec.h>

const struct iw_type iw_bool = {.id = "bool", .kind = IW_BOOL, .size = sizeof(bool), .min_wire = 1, .fixed = true};
const struct iw_type iw_byte = {.id = "byte", .kind = IW_BYTE, .size = sizeof(uint8_t), .min_wire = 1, .fixed = true};
const struct iw_type iw_short = {
    .id = "short", .kind = IW_SHORT, .size = sizeof(int16_t), .min_wire = 2, .fixed = true};
const struct iw_type iw_int = {.id = "int", .kind = IW_INT, .size = sizeof(int32_t), .min_wire = 4, .fixed = true};
const struct iw_type iw_long = {.id = "long", .kind = IW_LONG, .size = sizeof(int64_t), .min_wire = 8, .fixed = true};
const struct iw_type iw_float = {.id = "float", .kind = IW_FLOAT, .size = sizeof(float), .min_wire = 4, .fixed = true};
const struct iw_type iw_double = {
    .id = "double", .kind = IW_DOUBLE, .size = sizeof(double), .min_wire = 8, .fixed = true};
const struct iw_type iw_string = {.id = "string", .kind = IW_STRING, .size = sizeof(struct ib_str), .min_wire = 1};
const struct iw_type iw_proxy_type = {
    .id = "::Ice::ObjectPrx", .kind = IW_PROXY, .size = sizeof(struct iw_proxy *), .min_wire = 2};
const struct iw_type iw_object_type = {
    .id = "::Ice::Object", .kind = IW_CLASS, .size = sizeof(struct iw_object *), .min_wire = 1, .has_class = true};

static const struct iw_field identity_fields[] = {
    {.name = "name", .type = &iw_string, .offset = offsetof(struct iw_identity, name), .tag = -1},
    {.name = "category", .type = &iw_string, .offset = offsetof(struct iw_identity, category), .tag = -1},
};

const struct iw_type iw_identity_type = {.id = "::Ice::Identity",
                                         .kind = IW_STRUCT,
                                         .size = sizeof(struct iw_identity),
                                         .min_wire = 2,
                                         .fields = identity_fields,
                                         .n_fields = 2};

const struct iw_type iw_empty = {.id = "", .kind = IW_STRUCT, .size = 1, .fixed = true};
