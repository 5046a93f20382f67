/* SPDX-License-Identifier: Apache-2.0 */
/* slice2c: what its stages share. The lexer feeds the parser, the parser fills the model, the emitters print it as C
   (docs/slice-mapping.md). Everything lives in one pool until the program ends; the first error ends it. */
#ifndef SLICE2C_H
#define SLICE2C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define S2C_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* --- pool.c ------------------------------------------------------------------------------------------------------ */

struct pool_block;

struct pool {
    struct pool_block *blocks; /* owns */
};

struct pos {
    const char *file;
    int line;
};

void *pool_alloc(struct pool *p, size_t n); /* zeroed; ends the program when memory is short */
char *pool_copy(struct pool *p, const char *s, size_t n);
char *pool_printf(struct pool *p, const char *fmt, ...) S2C_PRINTF(2, 3);
/* v with room for item n of the given size; pool arrays double and never shrink. */
void *pool_grow(struct pool *p, void *v, size_t n, size_t size);
void pool_free(struct pool *p);

#define POOL_PUSH(pool, array, count, item)                                                                            \
    do {                                                                                                               \
        (array) = pool_grow((pool), (array), (count), sizeof(*(array)));                                               \
        (array)[(count)++] = (item);                                                                                   \
    } while (0)

/* "FILE:LINE: text" on stderr, then exit 1. */
_Noreturn void fail(struct pos pos, const char *fmt, ...) S2C_PRINTF(2, 3);

/* --- lexer.c ----------------------------------------------------------------------------------------------------- */

enum token_kind { T_EOF, T_IDENT, T_KEYWORD, T_INT, T_FLOAT, T_STRING, T_PUNCT, T_INCLUDE };

struct token {
    enum token_kind kind;
    const char *text; /* name, punctuation, decoded string, include path, digits as written */
    int64_t number; /* T_INT */
    struct pos pos;
};

struct lexer {
    struct pool *pool;
    const char *p, *end;
    struct pos pos;
    bool line_start; /* nothing but blanks yet on this line */
};

struct token lexer_next(struct lexer *lx);
const char *token_describe(struct pool *pool, const struct token *t); /* "identifier 'x'" */

/* --- model.c ----------------------------------------------------------------------------------------------------- */

enum def_kind { D_CONST, D_ENUM, D_STRUCT, D_SEQ, D_DICT, D_CLASS, D_EXCEPTION, D_INTERFACE };
enum builtin { B_BOOL, B_BYTE, B_SHORT, B_INT, B_LONG, B_FLOAT, B_DOUBLE, B_STRING, B_MAX };
enum type_kind { TYPE_VOID, TYPE_BUILTIN, TYPE_DEF, TYPE_PROXY, TYPE_OBJECT };
enum op_mode { MODE_NORMAL, MODE_NONMUTATING, MODE_IDEMPOTENT };

struct def;
struct unit;

struct type {
    enum type_kind kind;
    enum builtin builtin;
    struct def *def; /* TYPE_DEF; TYPE_PROXY: the interface, NULL for Object* */
};

struct member {
    const char *name; /* as in Slice */
    const char *cname; /* as in C */
    struct type type;
    int32_t tag; /* -1 = required */
    const char *init; /* C text of the default, or NULL */
    struct pos pos;
};

struct members {
    struct member *v;
    size_t n;
};

struct enumerator {
    const char *name;
    int64_t value;
};

struct op {
    const char *name;
    const char *cname; /* as a member of the servant struct */
    struct def *owner; /* the interface that declares it */
    enum op_mode mode;
    bool sliced;
    struct members in, out; /* out ends with the result, named "ret", unless void */
    struct def **throws;
    size_t n_throws;
    struct pos pos;
};

struct def {
    enum def_kind kind;
    const char *name, *id, *cname; /* "Identity", "::Ice::Identity", "Ice_Identity" */
    struct pos pos;
    struct unit *unit; /* where it is defined, or first declared */
    bool defined; /* false: only declared so far; true sets these: */
    uint32_t min_wire; /* struct: fewest bytes on the wire */
    bool fixed, has_class, is_key, has_members; /* class, exception: of own and inherited members */
    struct members members; /* struct, class, exception */
    struct def **bases; /* class, exception: at most one; interface: any number */
    size_t n_bases;
    int32_t compact_id; /* class; -1 = none */
    struct type elem, key; /* sequence, dictionary (elem = value), const (elem) */
    struct enumerator *enumerators;
    size_t n_enumerators;
    const char *value; /* const: C text */
    struct op **ops; /* own */
    size_t n_ops;
    struct op **all_ops; /* own and inherited, sorted by name */
    size_t n_all_ops;
};

/* One .ice file. */
struct unit {
    const char *file; /* as opened */
    const char *include; /* C include path without suffix: "slice/Ice/Locator" */
    struct unit **includes;
    size_t n_includes;
    struct def **defs; /* defined here, in order */
    size_t n_defs;
    struct def **forwards; /* declared here */
    size_t n_forwards;
    bool wanted; /* named on the command line: gets output */
};

struct include_dir {
    const char *dir, *prefix;
};

struct model {
    struct pool pool;
    struct include_dir *dirs;
    size_t n_dirs;
    struct unit **units;
    size_t n_units;
    struct def **defs;
    size_t n_defs;
};

struct def *model_find(const struct model *m, const char *id);
/* name as written, seen from scope ("::A::B", "" = top): the innermost match, or NULL. */
struct def *model_lookup(struct model *m, const char *scope, const char *name);
/* A new definition, or the one declared before, now being defined (or declared again). Duplicates are errors. */
struct def *model_define(struct model *m, struct unit *u, enum def_kind kind, const char *scope, const char *name,
                         struct pos pos, bool declare_only);
const char *def_kind_name(enum def_kind kind);
void model_add_member(struct model *m, struct members *list, const struct member *mb);
void model_collect_ops(struct model *m, struct def *iface); /* fills all_ops once own ops and bases are known */
void model_check(const struct model *m); /* what only the whole input can tell */
const char *model_cname(struct model *m, const char *name); /* trailing '_' when C or C++ reserves the name */

void model_complete(struct def *d); /* its body has been read: computes sizes and marks it defined */
uint32_t type_min_wire(struct type t);
bool type_fixed(struct type t);
bool type_has_class(struct type t);
bool type_is_key(struct type t);
bool members_have_class(const struct members *m);
uint32_t members_min_wire(const struct members *m);
bool members_fixed(const struct members *m);
bool def_is_identity(const struct def *d); /* ::Ice::Identity, which the engine provides */
/* Required ones in order, then optionals by tag: out has room for m->n. */
void members_wire_order(const struct members *m, const struct member **out);

/* --- parser.c, parser_types.c ------------------------------------------------------------------------------------ */

#define PARSER_INCLUDE_DEPTH 64
#define PARSER_MODULE_DEPTH 16

struct parser {
    struct model *m;
    struct unit *unit;
    struct lexer lx;
    struct token tok; /* current */
    const char *scope;
    int include_depth, module_depth;
};

struct metadata {
    bool sliced, nonmutating;
};

struct unit *parser_file(struct model *m, const char *path, struct pos from, int depth);

void parser_advance(struct parser *ps);
bool parser_is(const struct parser *ps, const char *text); /* keyword or punctuation */
bool parser_accept(struct parser *ps, const char *text);
void parser_expect(struct parser *ps, const char *text);
const char *parser_ident(struct parser *ps, const char *what);
_Noreturn void parser_unexpected(const struct parser *ps, const char *expected);
struct metadata parser_metadata(struct parser *ps);
const char *parser_scoped_name(struct parser *ps, const char *what);
struct def *parser_resolve(struct parser *ps, const char *name, struct pos pos);
struct type parser_type(struct parser *ps);
int32_t parser_optional(struct parser *ps); /* "optional(n)" if it stands here, else -1 */
const char *parser_value(struct parser *ps, struct type t); /* a constant of that type, as C text */
int64_t parser_int(struct parser *ps, const char *what, int64_t min, int64_t max);
void parser_operation(struct parser *ps, struct def *iface, struct metadata md);

/* --- emit*.c: one call, one file's text ----------------------------------------------------------------------------
 */

void emit_decl(FILE *out, struct type t, const char *name); /* "struct iw_proxy *name" */
const char *emit_struct_name(const struct def *d); /* the C tag: "Ice_StringSeq", "iw_identity" */
void emit_desc(FILE *out, struct type t); /* "&iw_int" */
void emit_head(FILE *out, const struct unit *u, const char *what);
void emit_fields(FILE *out, const struct members *m, const char *table, const char *cstruct);

void emit_types(FILE *out, const struct unit *u); /* <File>.h */
void emit_tables(FILE *out, struct model *m, const struct unit *u); /* <File>.c */
void emit_rpc_header(FILE *out, const struct unit *u); /* <File>_rpc.h */
void emit_rpc_tables(FILE *out, struct model *m, const struct unit *u); /* <File>_rpc.c */
void emit_registry_header(FILE *out, const char *prefix);
void emit_registry(FILE *out, struct model *m, const char *prefix);
void emit_ifaces(FILE *out, struct model *m, const char *prefix);

#endif
