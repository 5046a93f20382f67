/* SPDX-License-Identifier: Apache-2.0 */
/* Variables in the strings of a definition, resolved in the scope where they stand (icegrid-registry 10.1). A resolver
   is a scope: copies of it make inner scopes. The first fault sticks in the fault they all share; after it every
   result is empty, so that callers check once at the end. */
#ifndef REG_RESOLVER_H
#define REG_RESOLVER_H

#include <moulin/base/arena.h>
#include <moulin/rpc/proxy.h>
#include <slice/IceGrid/Descriptor.h>

/* One string may grow to this, and variables may use variables this deep: neither is reached by honest definitions. */
#define REG_TEXT_MAX ((size_t)1 << 20)
#define REG_VARIABLE_DEPTH 64

#define REG_WORK_MAX 2000000 /* steps for one definition: what refers to itself in ever more ways ends here */

struct reg_fault {
    int code; /* 0 while all is well */
    struct ib_err *err;
    uint32_t work; /* steps so far */
};

/* The proxy options that were looked at last: those of one definition are nearly always the same. */
struct reg_parsed_options {
    struct ib_str text;
    struct iw_proxy *proxy; /* "dummy" with them; NULL: nothing has been looked at, or code says why not */
    int code;
    struct ib_err err;
};

struct reg_resolver {
    struct ib_arena *arena; /* of what is made */
    struct ib_arena *scratch; /* of what only helps to make it; may be the same */
    struct reg_fault *fault;
    struct reg_parsed_options *options; /* NULL where no proxies are made */
    const struct ir_proxy_defaults *defaults;
    const struct IceGrid_ApplicationDescriptor *app;
    const struct IceGrid_NodeDescriptor *node_desc; /* NULL outside a node */
    const struct IceGrid_StringStringDict *parameters; /* NULL outside a template */
    /* Named property sets, substituted where they stand; NULL until they are. */
    const struct IceGrid_PropertySetDescriptorDict *app_sets, *node_sets;
    struct ib_str application, node, server, service; /* p NULL: not in this scope */
    bool session; /* a server of activation "session": ${session.id} stays for later */
};

/* "CTX:\n" before the text, CTX being the innermost scope (icegrid-registry 10.5). */
void reg_resolver_fail(struct reg_resolver *r, const char *fmt, ...) IB_PRINTF(2, 3);
/* The same without a scope. */
void reg_fault_set(struct reg_fault *f, const char *fmt, ...) IB_PRINTF(2, 3);
void reg_fault_nomem(struct reg_fault *f);
/* Counts one step; false and a fault when there were too many. */
bool reg_fault_work(struct reg_fault *f);

/* Substituted; what only a node knows (node.*, session.id) and escapes stay as written. attribute is for the fault. */
struct ib_str reg_text(struct reg_resolver *r, const char *attribute, struct ib_str text);
struct ib_str reg_text_required(struct reg_resolver *r, const char *attribute, struct ib_str text); /* not empty */
/* For ids: variables of the node are a fault, and so is an empty result unless optional. */
struct ib_str reg_id(struct reg_resolver *r, const char *attribute, struct ib_str text);
struct ib_str reg_id_optional(struct reg_resolver *r, const char *attribute, struct ib_str text);
struct iw_identity reg_identity_text(struct reg_resolver *r, const char *attribute, const struct iw_identity *id);
/* A whole number, blanks around it trimmed, written anew; empty stays empty and gives 0. *value may be NULL. */
struct ib_str reg_int_text(struct reg_resolver *r, const char *attribute, struct ib_str text, int *value);
struct ib_str reg_float_text(struct reg_resolver *r, const char *attribute, struct ib_str text);
struct Ice_StringSeq reg_texts(struct reg_resolver *r, const char *attribute, const struct Ice_StringSeq *in,
                               bool required);
/* A proxy with these options and nothing else of its own, in r->options; what is wrong with them is in there, too. */
const struct reg_parsed_options *reg_proxy_options(struct reg_resolver *r, struct ib_str options);
/* Proxy options must parse. */
void reg_check_proxy_options(struct reg_resolver *r, struct ib_str options);
/* Names of variables: not reserved, not empty. */
void reg_check_variables(struct reg_resolver *r, const struct IceGrid_StringStringDict *variables);

/* What a node and its session add, for the last resolution; unset strings have p NULL. */
struct reg_node_vars {
    struct ib_str os, hostname, release, version, machine, data;
    struct ib_str session_id;
};
/* The last pass over a text made by reg_text: escapes go, node.* and session.id come. Without a value for a variable
   it stays as it is. p is NULL when memory is short. */
struct ib_str reg_text_final(const struct reg_node_vars *vars, struct ib_arena *arena, struct ib_str text);
bool reg_text_mentions_session(struct ib_str text);

/* d is sorted by key; may be NULL. */
const struct ib_str *reg_dict_find(const struct IceGrid_StringStringDict *d, struct ib_str key);
/* The place of a key in any dictionary with string keys that is sorted by them: SIZE_MAX, not there. */
size_t reg_sorted_find(const struct iw_type *t, const void *dict, struct ib_str key);

#endif
