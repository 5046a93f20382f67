/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the engine: the decoder's and the encoder's state, and what their parts share. */
#ifndef MOULIN_WIRE_PRIV_H
#define MOULIN_WIRE_PRIV_H

#include <moulin/wire/codec.h>

/* Flags of a slice (ice-protocol 6.2). */
enum iw_slice_flag {
    IW_SLICE_ID_MASK = 0x03,
    IW_SLICE_ID_STRING = 0x01,
    IW_SLICE_ID_INDEX = 0x02,
    IW_SLICE_ID_COMPACT = 0x03,
    IW_SLICE_OPTIONALS = 0x04,
    IW_SLICE_TABLE = 0x08,
    IW_SLICE_SIZE = 0x10,
    IW_SLICE_LAST = 0x20,
};

enum iw_opt_format {
    IW_OPT_F1,
    IW_OPT_F2,
    IW_OPT_F4,
    IW_OPT_F8,
    IW_OPT_SIZE,
    IW_OPT_VSIZE,
    IW_OPT_FSIZE,
    IW_OPT_CLASS
};

enum { IW_OPT_END = 0xff, IW_OPT_LONG_TAG = 30 };

/* How deep the engine follows class members in a graph that was not decoded (copies, prints, encodes): a bound on our
   own recursion, well above what IceGrid's descriptors need. */
enum { IW_GRAPH_DEPTH = 500 };

#define IW_OBJECT_ID "::Ice::Object"

static inline void *iw_at(void *base, size_t offset)
{
    return (char *)base + offset;
}

static inline const void *iw_cat(const void *base, size_t offset)
{
    return (const char *)base + offset;
}

static inline bool iw_encoding_supported(struct iw_encoding enc)
{
    return enc.major == 1 && enc.minor <= 1;
}

static inline bool iw_field_set(const struct iw_field *f, const void *base)
{
    return f->tag < 0 || *(const bool *)iw_cat(base, f->has_offset);
}

static inline struct iw_object *iw_get_object(const void *slot)
{
    struct iw_object *o;
    memcpy(&o, slot, sizeof(o));
    return o;
}

static inline struct iw_proxy *iw_get_proxy(const void *slot)
{
    struct iw_proxy *p;
    memcpy(&p, slot, sizeof(p));
    return p;
}

int iw_arena_error(const struct ib_arena *a, size_t n); /* why an allocation of n bytes failed */
enum iw_opt_format iw_opt_format(const struct iw_type *t);
/* A VSize value of this type has no length of its own in front: its element count is one (ice-protocol 4). */
bool iw_opt_self_sized(const struct iw_type *t);

/* --- pointers seen --------------------------------------------------------------------------------------------- */

struct iw_ptr;

struct iw_ptrs {
    struct iw_ptr *head; /* owns */
    uint32_t n;
};

/* value is whatever the caller wants to remember, not NULL. False when memory is short. */
bool iw_ptrs_add(struct iw_ptrs *m, const void *key, void *value);
bool iw_ptrs_add_number(struct iw_ptrs *m, const void *key, uint32_t number);
void *iw_ptrs_find(const struct iw_ptrs *m, const void *key);
uint32_t iw_ptrs_number(const struct iw_ptrs *m, const void *key); /* 0 when absent */
void iw_ptrs_fini(struct iw_ptrs *m);

/* --- decoding -------------------------------------------------------------------------------------------------- */

struct iw_instance {
    struct iw_object *object;
    bool seen; /* announced on the wire; without an object its type is unknown */
};

/* One non-null class reference, filled in when all instances are there. */
struct iw_ref {
    void *slot;
    const struct iw_class *declared; /* NULL = Object */
    uint32_t from, to; /* numbers of instances; from 0 = no instance */
};

struct iw_slice_in {
    uint8_t flags;
    struct ib_str id; /* borrows from the input; empty when absent or compact */
    int32_t compact_id; /* -1 */
    const uint8_t *end; /* end of the body; NULL without a size */
    size_t first_ref; /* in refs, of those whose "to" is an index of the table */
    bool uses_table;
};

struct iw_dec {
    struct iw_in in; /* its err is the decoder's */
    struct iw_encoding enc;
    const struct iw_registry *reg;
    struct iw_limits limits;
    struct ib_arena *arena;
    size_t total; /* bytes of the whole encapsulation */
    uint32_t nesting, class_depth;
    uint32_t current; /* instance being read */
    struct iw_slice_in *slice; /* being read, 1.1; NULL outside */
    struct iw_instance *instances; /* owns; by number */
    size_t n_instances, cap_instances;
    struct iw_ref *refs; /* owns */
    size_t n_refs, cap_refs;
    struct ib_str *type_ids; /* owns the array; strings borrow from the input; [0] is type id 1 */
    size_t n_type_ids, cap_type_ids;
};

static inline size_t iw_dec_left(const struct iw_dec *d)
{
    return (size_t)(d->in.end - d->in.p);
}

static inline void iw_dec_fail(struct iw_dec *d, int code)
{
    if (!d->in.err)
        d->in.err = code;
}

/* decode.c */
void iw_dec_init(struct iw_dec *d, struct ib_span body, struct iw_encoding enc, struct ib_arena *arena);
void iw_dec_fini(struct iw_dec *d);
void *iw_dec_alloc(struct iw_dec *d, size_t count, size_t size);
/* Room for one more element in a table of the decoder; NULL after a failure. */
void *iw_dec_push(struct iw_dec *d, void **table, size_t *n, size_t *cap, size_t size);
size_t iw_dec_count(struct iw_dec *d, size_t min_wire); /* a count that the bytes left can hold */
void iw_dec_value(struct iw_dec *d, const struct iw_type *t, void *out);
void iw_dec_required(struct iw_dec *d, const struct iw_field *fields, uint32_t n, void *base);

/* optional.c: optional members until the end mark (in a slice) or the end of the input. */
void iw_dec_optionals(struct iw_dec *d, const struct iw_field *fields, uint32_t n, void *base, bool in_slice);
/* What may follow the values of an encapsulation (ice-protocol 2): in must hold nothing after it. */
void iw_encaps_finish(struct iw_in *in, struct iw_encoding enc);

/* graph.c: fills the slots, refuses what is missing, of a wrong type, too deep or (1.1) cyclic. */
void iw_dec_add_ref(struct iw_dec *d, void *slot, const struct iw_class *declared, uint32_t to);
struct iw_instance *iw_dec_instance(struct iw_dec *d, uint32_t number); /* a new one */
void iw_dec_add_type_id(struct iw_dec *d, struct ib_str id);
struct ib_str iw_dec_type_id(struct iw_dec *d, size_t index);
void iw_dec_resolve(struct iw_dec *d);

/* decode_1_0.c, decode_1_1.c */
void iw_dec_class_1_0(struct iw_dec *d, const struct iw_class *declared, void *slot);
void iw_dec_pending_1_0(struct iw_dec *d);
void iw_dec_exception_1_0(struct iw_dec *d, const struct iw_class **cls, void **value, struct ib_str *unknown_id);
void iw_dec_class_1_1(struct iw_dec *d, const struct iw_class *declared, void *slot); /* slot NULL: read and forget */
void iw_dec_exception_1_1(struct iw_dec *d, const struct iw_class **cls, void **value, struct ib_str *unknown_id);

/* proxy.c */
struct ib_str iw_in_str_copy(struct iw_in *in, struct ib_arena *arena);
struct iw_proxy *iw_read_proxy(struct iw_in *in, struct iw_encoding enc, struct ib_arena *arena);
void iw_write_proxy(struct ib_buf *out, const struct iw_proxy *p, struct iw_encoding enc);

/* --- encoding -------------------------------------------------------------------------------------------------- */

/* A slice's indirection table while its body is written. */
struct iw_table_out {
    struct iw_ptrs index; /* object -> position */
    struct iw_object **objects; /* owns */
    size_t n, cap;
};

struct iw_enc {
    struct ib_buf *out;
    struct iw_encoding enc;
    bool sliced;
    int err; /* sticky */
    uint32_t nesting, class_depth;
    struct iw_ptrs numbers; /* object -> number */
    struct iw_ptrs type_ids; /* class -> number; IW_OBJECT_ID has a key of its own */
    struct iw_table_out *table; /* of the slice being written; NULL = references go inline */
    struct iw_object **pending; /* owns; 1.0: numbered, not yet written */
    size_t n_pending, cap_pending;
};

static inline void iw_enc_fail(struct iw_enc *e, int code)
{
    if (!e->err)
        e->err = code;
}

/* encode.c */
void iw_enc_fini(struct iw_enc *e);
void iw_enc_value(struct iw_enc *e, const struct iw_type *t, const void *v);
void iw_enc_required(struct iw_enc *e, const struct iw_field *fields, uint32_t n, const void *base);
bool iw_enc_push(struct iw_enc *e, struct iw_object ***list, size_t *n, size_t *cap, struct iw_object *o);
void iw_patch_size(struct ib_buf *out, size_t at); /* the i32 at "at" counts itself and all after it */
/* err or the buffer's failure; a failed append leaves the buffer as it was at start. */
int iw_out_result(struct ib_buf *out, size_t start, int err);
/* optional.c */
bool iw_enc_optionals(struct iw_enc *e, const struct iw_field *fields, uint32_t n, const void *base); /* any set? */
/* encode_1_0.c, encode_1_1.c */
void iw_enc_class_1_0(struct iw_enc *e, struct iw_object *o);
void iw_enc_pending_1_0(struct iw_enc *e);
void iw_enc_exception_1_0(struct iw_enc *e, const struct iw_class *cls, const void *value);
void iw_enc_class_1_1(struct iw_enc *e, struct iw_object *o);
void iw_enc_exception_1_1(struct iw_enc *e, const struct iw_class *cls, const void *value);

#endif
