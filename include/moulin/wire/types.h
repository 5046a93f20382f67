/* SPDX-License-Identifier: Apache-2.0 */
/* What slice2c generates and the engine walks: descriptor tables for every Slice type, and the few C shapes that
   need no generator (proxies, endpoints, class instances). How Slice maps to C is told in docs/slice-mapping.md. */
#ifndef MOULIN_WIRE_TYPES_H
#define MOULIN_WIRE_TYPES_H

#include <moulin/base/span.h>

struct iw_encoding {
    uint8_t major, minor;
};

#define IW_ENCODING_1_0 ((struct iw_encoding){1, 0})
#define IW_ENCODING_1_1 ((struct iw_encoding){1, 1})

enum iw_kind {
    IW_BOOL,
    IW_BYTE,
    IW_SHORT,
    IW_INT,
    IW_LONG,
    IW_FLOAT,
    IW_DOUBLE,
    IW_STRING, /* struct ib_str */
    IW_ENUM, /* int32_t (the generated enum) */
    IW_STRUCT, /* struct, in place */
    IW_SEQ, /* struct { size_t n; T *v; } */
    IW_DICT, /* struct { size_t n; struct { K key; V value; } *v; }, kept in wire order */
    IW_PROXY, /* struct iw_proxy *, NULL = null */
    IW_CLASS, /* pointer to the generated struct, whose first member is struct iw_object; NULL = null */
};

struct iw_type;

struct iw_field {
    const char *name;
    const struct iw_type *type;
    uint32_t offset;
    int32_t tag; /* -1 = required */
    uint32_t has_offset; /* of "bool has_<name>"; optional fields only */
};

/* A sequence, dictionary or class in memory, whatever its element type. */
struct iw_seq {
    size_t n;
    void *v;
};

struct iw_type {
    const char *id; /* "::Ice::Identity"; "int" for built-ins */
    enum iw_kind kind;
    uint32_t size; /* sizeof the C value */
    uint32_t min_wire; /* fewest bytes on the wire */
    bool fixed; /* always exactly min_wire bytes */
    bool has_class; /* contains class instances */
    int32_t enum_max; /* IW_ENUM: largest enumerator value */
    const char *const *enum_names; /* IW_ENUM: names by value, 0..enum_max when dense; may be NULL */
    const struct iw_type *elem; /* IW_SEQ: element; IW_DICT: value */
    const struct iw_type *key; /* IW_DICT */
    uint32_t entry_size, value_offset; /* IW_DICT: layout of an entry (key at 0) */
    const struct iw_field *fields; /* IW_STRUCT: required ones in wire order, then optionals by tag */
    uint32_t n_fields;
    const struct iw_class *cls; /* IW_CLASS: the declared class; NULL for Object */
    const char *proxy_id; /* IW_PROXY: declared interface or NULL */
};

/* A Slice class or exception: one level of the inheritance chain. */
struct iw_class {
    const char *id; /* "::IceGrid::ServerDescriptor" */
    const struct iw_class *base; /* NULL at the root */
    int32_t compact_id; /* -1 = none */
    bool is_exception;
    bool has_class; /* some member here or in a base contains class instances */
    uint32_t size; /* sizeof the whole struct, bases included */
    const struct iw_field *fields; /* own members only; required, then optionals by tag */
    uint32_t n_fields;
};

/* First member of every class instance (at the root of its chain of embedded bases). */
struct iw_object {
    const struct iw_class *cls; /* most derived type */
};

/* All classes and exceptions known, sorted by id. slice2c writes one: slice_registry. */
struct iw_registry {
    const struct iw_class *const *classes;
    size_t n;
};

const struct iw_class *iw_registry_find(const struct iw_registry *r, struct ib_str id);
const struct iw_class *iw_registry_find_compact(const struct iw_registry *r, int32_t compact_id);
bool iw_class_is_a(const struct iw_class *c, const struct iw_class *base);

/* --- operations ------------------------------------------------------------------------------------------------ */

struct ir_request; /* an incoming request (rpc) */

enum iw_mode { IW_NORMAL = 0, IW_NONMUTATING = 1, IW_IDEMPOTENT = 2 };

struct iw_op {
    const char *name;
    uint8_t mode; /* enum iw_mode, what a client sends */
    bool sliced; /* classes and exceptions in sliced format */
    const struct iw_type *in; /* IW_STRUCT of the in-parameters; never NULL, may have no fields */
    const struct iw_type *out; /* IW_STRUCT: out-parameters, then the result as member "ret" */
    const struct iw_class *const *throws; /* NULL-terminated */
    /* Calls the servant's typed handler: vtable is the generated struct …_servant. NULL handler = OperationNotExist. */
    void (*call)(const void *vtable, void *self, struct ir_request *rq, const void *in);
};

struct iw_iface {
    const char *id; /* "::IceGrid::Locator" */
    const char *const *ids; /* all type ids including ::Ice::Object, sorted */
    size_t n_ids;
    const struct iw_op *const *ops; /* own and inherited, sorted by name */
    size_t n_ops;
};

const struct iw_op *iw_iface_find(const struct iw_iface *i, struct ib_str name);
bool iw_iface_is_a(const struct iw_iface *i, struct ib_str id);

/* --- proxies --------------------------------------------------------------------------------------------------- */

enum iw_endpoint_type { IW_EP_TCP = 1, IW_EP_SSL = 2, IW_EP_UDP = 3, IW_EP_WS = 4, IW_EP_WSS = 5 };

struct iw_endpoint {
    int16_t type; /* enum iw_endpoint_type, or any other: opaque */
    bool compress;
    int32_t port;
    int32_t timeout; /* ms, -1 = infinite */
    struct ib_str host;
    struct ib_str resource; /* ws, wss */
    struct ib_str source_address; /* not transmitted */
    struct ib_str mcast_interface; /* udp; not transmitted */
    int32_t mcast_ttl; /* udp; -1; not transmitted */
    bool udp_connect; /* not transmitted */
    bool opaque; /* raw and encoding hold everything */
    struct iw_encoding encoding; /* opaque: of the encapsulation */
    struct ib_span raw; /* opaque: payload */
};

enum iw_proxy_mode { IW_TWOWAY, IW_ONEWAY, IW_BATCH_ONEWAY, IW_DATAGRAM, IW_BATCH_DATAGRAM };

/* A proxy is plain data; it lives in the arena it was decoded, parsed or cloned into. It equals Ice_Identity in
   layout for its first two members. A null proxy is a NULL pointer. */
struct iw_identity {
    struct ib_str name, category;
};

struct iw_proxy {
    struct iw_identity id;
    bool has_facet;
    struct ib_str facet;
    uint8_t mode; /* enum iw_proxy_mode */
    bool secure;
    struct iw_encoding protocol, encoding;
    size_t n_endpoints;
    struct iw_endpoint *endpoints; /* direct proxy */
    struct ib_str adapter_id; /* only without endpoints; empty = well-known */
};

#endif
