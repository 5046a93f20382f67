/* SPDX-License-Identifier: Apache-2.0 */
/* The one engine that encodes, decodes, copies, compares, prints and invents values of any described type.
   Decoded values live in the arena given and borrow nothing from the input. All failures are IB_E… codes:
   IB_EBOUNDS, IB_EENCAPS, IB_EMARSHAL, IB_EPROXY, IB_EENCODING, IB_ENOFACTORY, IB_EMEMLIMIT, IB_ENOMEM. */
#ifndef MOULIN_WIRE_CODEC_H
#define MOULIN_WIRE_CODEC_H

#include <moulin/base/arena.h>
#include <moulin/base/block.h>
#include <moulin/base/buf.h>
#include <moulin/wire/types.h>

struct iw_limits {
    uint32_t class_depth; /* Ice.ClassGraphDepthMax, default 100; more than 500 is 500 */
    uint32_t nesting; /* structs/sequences inside one another, default 100 */
    bool accept_cycles; /* Ice.AcceptClassCycles, default false (1.1 only, as real peers) */
};

#define IW_LIMITS_DEFAULT ((struct iw_limits){100, 100, false})

/* Reads one encapsulation holding the members of the struct type t (parameters or results of an operation) into
   *out (t->size bytes, in the arena). in is the whole encapsulation including its 6-byte header; more bytes after it
   are ignored, a shorter span is IB_EBOUNDS. t->n_fields == 0 follows the "no parameters" rule of ice-protocol 2. */
int iw_decode_params(const struct iw_type *t, struct ib_span in, const struct iw_registry *reg, struct iw_limits limits,
                     struct ib_arena *arena, void **out) IB_MUST_CHECK;
/* Appends one encapsulation. */
int iw_encode_params(const struct iw_type *t, const void *v, struct iw_encoding enc, bool sliced,
                     struct ib_buf *out) IB_MUST_CHECK;

/* User exceptions: *cls is the most derived type known, *value its struct; IB_ENOFACTORY when none is known
   (then *unknown_id, when given, is the most derived type id, in the arena). */
int iw_decode_exception(struct ib_span in, const struct iw_registry *reg, struct iw_limits limits, struct ib_arena *arena,
                        const struct iw_class **cls, void **value, struct ib_str *unknown_id) IB_MUST_CHECK;
int iw_encode_exception(const struct iw_class *cls, const void *value, struct iw_encoding enc, bool sliced,
                        struct ib_buf *out) IB_MUST_CHECK;

/* One bare value of any type without an encapsulation around it; types with classes are IB_EINVAL here. Used for what
   the protocol and the store keep outside encapsulations. Decoding advances *in. */
int iw_decode_value(const struct iw_type *t, struct ib_span *in, struct iw_encoding enc, struct ib_arena *arena,
                    void *out) IB_MUST_CHECK;
int iw_encode_value(const struct iw_type *t, const void *v, struct iw_encoding enc, struct ib_buf *out) IB_MUST_CHECK;

/* As iw_decode_value of a struct, all of whose members are required; ends[i] is where the bytes of member i end. */
int iw_decode_members(const struct iw_type *t, struct ib_span in, struct iw_encoding enc, struct ib_arena *arena,
                      void *out, size_t *ends) IB_MUST_CHECK;

/* A sequence of values that iw_encode_value has encoded before, all in one encoding: taken as they are. */
struct ib_block *iw_join(const struct ib_span *values, size_t n); /* refs 1; NULL: too many bytes, or no memory */

/* A struct value of type t (with classes or not) in a stand-alone 1.1 encapsulation: the store's record format. */
/* = iw_encode_params / iw_decode_params. */

/* Deep copy into another arena; NULL when memory is short. Class graphs keep their sharing. */
int iw_copy(const struct iw_type *t, const void *v, struct ib_arena *arena, void *out) IB_MUST_CHECK;
bool iw_equal(const struct iw_type *t, const void *a, const void *b); /* structural; proxies member by member */
void iw_print(const struct iw_type *t, const void *v, struct ib_buf *out); /* for logs and people */
int iw_random(const struct iw_type *t, uint64_t *seed, struct ib_arena *arena, void *out) IB_MUST_CHECK; /* tests */
void iw_dict_sort(const struct iw_type *t, void *dict); /* by key, the order real peers send; string or int keys */

/* Descriptors of the built-in types, for tables and for callers that need a bare value. */
extern const struct iw_type iw_bool, iw_byte, iw_short, iw_int, iw_long, iw_float, iw_double, iw_string, iw_proxy_type,
    iw_object_type, iw_identity_type /* struct iw_identity, "::Ice::Identity" */, iw_empty /* struct without members */;

/* --- cursors: the request and reply headers, which stand outside encapsulations -------------------------------- */

/* A sticky reader: after an error every read gives zero and err stays. Strings borrow from the input and are NOT
   NUL-terminated. */
struct iw_in {
    const uint8_t *p, *end;
    int err;
};

static inline struct iw_in iw_in(struct ib_span s)
{
    return (struct iw_in){s.p, s.n ? s.p + s.n : s.p, 0}; /* an empty span may be NULL */
}

uint8_t iw_in_u8(struct iw_in *in);
int16_t iw_in_i16(struct iw_in *in);
int32_t iw_in_i32(struct iw_in *in);
int64_t iw_in_i64(struct iw_in *in);
size_t iw_in_size(struct iw_in *in);
struct ib_str iw_in_str(struct iw_in *in);
struct ib_span iw_in_bytes(struct iw_in *in, size_t n);
void iw_out_size(struct ib_buf *out, size_t n);
void iw_out_str(struct ib_buf *out, struct ib_str s);

/* Size and encoding of the encapsulation at the start of s: IB_EENCAPS when size < 6, IB_EBOUNDS when it does not fit. */
int iw_encaps_peek(struct ib_span s, size_t *size, struct iw_encoding *enc) IB_MUST_CHECK;

/* --- proxies as values (text is in rpc/proxy.h) ---------------------------------------------------------------- */

int iw_proxy_encode(const struct iw_proxy *p, struct iw_encoding enc, struct ib_buf *out) IB_MUST_CHECK;
int iw_proxy_decode(struct ib_span *in, struct iw_encoding enc, struct ib_arena *arena, struct iw_proxy **out) IB_MUST_CHECK;
struct iw_proxy *iw_proxy_copy(const struct iw_proxy *p, struct ib_arena *arena); /* NULL when p is NULL or memory is short */
bool iw_proxy_equal(const struct iw_proxy *a, const struct iw_proxy *b);
bool iw_endpoint_equal(const struct iw_endpoint *a, const struct iw_endpoint *b);
bool iw_identity_equal(const struct iw_identity *a, const struct iw_identity *b);
int iw_identity_cmp(const struct iw_identity *a, const struct iw_identity *b); /* name, then category */

#endif
