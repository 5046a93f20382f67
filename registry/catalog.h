/* SPDX-License-Identifier: Apache-2.0 */
/* Everything the registry knows, in memory: table objects, dynamic adapters, deployed applications and what they
   define. It is written by change.c alone, after the commit; all others read. Records of the two big tables are kept
   encoded (as on disk) and decoded into the asker's arena. */
#ifndef REG_CATALOG_H
#define REG_CATALOG_H

#include <moulin/base/arena.h>
#include <moulin/base/buf.h>
#include <moulin/base/list.h>
#include <moulin/wire/types.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct IceGrid_ObjectInfo;
struct IceGrid_AdapterInfo;
struct IceGrid_ApplicationInfo;
struct IceGrid_ServerDescriptor;
struct IceGrid_AdapterDescriptor;
struct reg_catalog;

/* Where something stands in a bucket (catalog_priv.h). */
struct reg_bucket;
struct reg_member {
    struct reg_bucket *bucket; /* NULL: in none */
    uint32_t at;
};

/* --- deployed applications: the result of expanding a definition (descriptor.h), linked into the catalog ---------- */

struct reg_app;

struct reg_server {
    struct ib_str id, node;
    struct reg_app *app;
    const struct IceGrid_ServerDescriptor
        *desc; /* instantiated: only node.* and session.id variables left; may be an IceBoxDescriptor */
    bool allocatable; /* the server itself: allocatable="true" or activation "session" */
    float load_factor; /* of its node in this application; negative: none is given */
    UT_hash_handle hh;
};

struct reg_group;

struct reg_adapter { /* deployed */
    struct ib_str id, name;
    struct ib_str group_id; /* empty without */
    int priority;
    struct reg_server *server;
    const struct IceGrid_AdapterDescriptor *desc;
    struct reg_group *group; /* set by the catalog; may belong to another application; NULL without */
    struct reg_member in_group;
    uint64_t place; /* among its members, kept over updates; set by the catalog */
    UT_hash_handle hh;
};

enum reg_policy { REG_RANDOM, REG_ORDERED, REG_ROUND_ROBIN, REG_ADAPTIVE };

struct reg_group {
    struct ib_str id;
    struct reg_app *app;
    enum reg_policy policy;
    int n_replicas; /* 0 = all */
    int load_sample; /* 1, 5 or 15 */
    struct ib_str proxy_options, filter;
    uint64_t turn; /* round-robin: the member whose turn it is, modulo their number; kept over updates */
    UT_hash_handle hh;
};

struct reg_app_object { /* well-known or allocatable object of a descriptor */
    struct iw_identity id;
    struct ib_str type;
    struct iw_proxy *proxy; /* ready to hand out: "id options @ adapter or group" (icegrid-registry 4.1, 4.2) */
    struct reg_adapter *adapter; /* NULL: of a replica group */
    struct reg_app *app;
    struct ib_span key; /* this and what follows: set by the catalog */
    struct ib_span info; /* encoded ObjectInfo; its first proxy_end bytes are the proxy */
    size_t proxy_end;
    struct reg_member in_type, in_site;
    UT_hash_handle hh;
};

struct reg_app {
    struct ib_arena arena; /* owns everything below and the struct itself is malloc'ed */
    struct ib_str name;
    const struct IceGrid_ApplicationInfo *info; /* the definition, as stored */
    size_t n_servers, n_adapters, n_groups, n_objects, n_allocatables;
    struct reg_server *servers;
    struct reg_adapter *adapters;
    struct reg_group *groups;
    struct reg_app_object *objects, *allocatables;
    UT_hash_handle hh;
};

void reg_app_free(struct reg_app *app);

/* --- finding things; results are borrowed until the next change is applied (never across a return to the loop) ---- */

struct reg_app *reg_catalog_app(struct reg_catalog *c, struct ib_str name);
struct reg_server *reg_catalog_server(struct reg_catalog *c, struct ib_str id);
struct reg_adapter *reg_catalog_adapter(struct reg_catalog *c, struct ib_str id);
struct reg_group *reg_catalog_group(struct reg_catalog *c, struct ib_str id);
struct reg_app_object *reg_catalog_app_object(struct reg_catalog *c, const struct iw_identity *id);
struct reg_app_object *reg_catalog_allocatable(struct reg_catalog *c, const struct iw_identity *id);

/* Arrays of pointers in the arena; return the count, or SIZE_MAX when memory is short. Sorted as clients see them:
   plain string order, objects by identity (name, category). */
size_t reg_catalog_apps(struct reg_catalog *c, struct ib_arena *arena, struct reg_app ***out);
size_t reg_catalog_servers(struct reg_catalog *c, struct ib_arena *arena, struct reg_server ***out);
size_t reg_catalog_adapters(struct reg_catalog *c, struct ib_arena *arena, struct reg_adapter ***out);
/* Adapters of any application that name the group, in order of deployment. */
size_t reg_catalog_members(struct reg_catalog *c, struct ib_str group, struct ib_arena *arena,
                           struct reg_adapter ***out);
size_t reg_catalog_groups(struct reg_catalog *c, struct ib_arena *arena, struct reg_group ***out);
size_t reg_catalog_app_objects(struct reg_catalog *c, struct ib_arena *arena, struct reg_app_object ***out);

/* --- objects as they are encoded (1.1), deployed or of the table: nothing is decoded, nothing copied */

struct reg_object {
    const struct reg_app_object *deployed; /* NULL: of the table */
    struct ib_span info; /* ObjectInfo */
    struct ib_span proxy;
};

/* The deployed one, else the table's. */
bool reg_catalog_find(struct reg_catalog *c, const struct iw_identity *id, struct reg_object *out);
/* Those of a type, by number, in no order: to choose one. */
size_t reg_catalog_count(struct reg_catalog *c, struct ib_str type);
void reg_catalog_nth(struct reg_catalog *c, struct ib_str type, size_t i, struct reg_object *out);
/* Deployed ones sorted by identity, then those of the table in its order; type NULL: all. SIZE_MAX: memory. */
size_t reg_catalog_list(struct reg_catalog *c, const struct ib_str *type, struct ib_arena *arena,
                        struct reg_object **out);

/* Objects of one type whose load is one number: one application's on one node, those of a replica group, those of the
   table with one adapter id or without any. */
struct reg_site {
    const struct reg_app_object *deployed; /* any of them; NULL: they are of the table */
    struct ib_str adapter_id; /* of the table's; empty: direct proxies */
    size_t n;
    const struct reg_bucket *objects; /* for reg_site_nth */
};
/* Every site of the type once. IB_ENOMEM. */
int reg_catalog_each_site(struct reg_catalog *c, struct ib_str type, void (*fn)(void *arg, const struct reg_site *site),
                          void *arg) IB_MUST_CHECK;
void reg_site_nth(const struct reg_site *site, size_t i, struct reg_object *out);

/* --- the same decoded */

/* Table objects. 0, IB_ENOTFOUND or IB_ENOMEM. */
int reg_catalog_object(struct reg_catalog *c, const struct iw_identity *id, struct ib_arena *arena,
                       struct IceGrid_ObjectInfo *out) IB_MUST_CHECK;
bool reg_catalog_has_object(struct reg_catalog *c, const struct iw_identity *id);
/* In the table's order (by encoded identity: shorter names first). */
size_t reg_catalog_objects(struct reg_catalog *c, const struct ib_str *type, struct ib_arena *arena,
                           struct IceGrid_ObjectInfo **out);

/* Dynamic adapters and the replica groups they name. */
int reg_catalog_dynamic(struct reg_catalog *c, struct ib_str id, struct ib_arena *arena,
                        struct IceGrid_AdapterInfo *out) IB_MUST_CHECK;
/* Encoded (1.1); n 0: there is no such adapter. */
struct ib_span reg_catalog_dynamic_proxy(struct reg_catalog *c, struct ib_str id);
bool reg_catalog_has_dynamic(struct reg_catalog *c, struct ib_str id);
bool reg_catalog_has_dynamic_group(struct reg_catalog *c, struct ib_str group);
/* group NULL: all. In the table's order. */
size_t reg_catalog_dynamics(struct reg_catalog *c, const struct ib_str *group, struct ib_arena *arena,
                            struct IceGrid_AdapterInfo **out);
size_t reg_catalog_dynamic_groups(struct reg_catalog *c, struct ib_arena *arena, struct ib_str **out);

/* Nodes remembered from the last run (identity, proxy). */
size_t reg_catalog_nodes(struct reg_catalog *c, struct ib_arena *arena, struct IceGrid_ObjectInfo **out);

/* Is the type known among allocatables? */
bool reg_catalog_has_allocatable_type(struct reg_catalog *c, struct ib_str type);

/* Those of a type by number, in no order: to choose one. */
size_t reg_catalog_allocatable_count(struct reg_catalog *c, struct ib_str type);
struct reg_app_object *reg_catalog_allocatable_nth(struct reg_catalog *c, struct ib_str type, size_t i);

/* --- keys as on disk: an encoded identity or string -------------------------------------------------------------- */

/* To look something up: the usual ones need no memory. */
struct reg_key {
    struct ib_buf buf;
    uint8_t room[256];
};
/* n 0: memory. Valid until the end, which must come. */
struct ib_span reg_key_begin(struct reg_key *k, const struct iw_type *type, const void *value);
void reg_key_end(struct reg_key *k);
/* In the arena; n 0 when memory is short. */
struct ib_span reg_key_identity(const struct iw_identity *id, struct ib_arena *arena);
struct ib_span reg_key_string(struct ib_str id, struct ib_arena *arena);

/* --- writing: change.c only ------------------------------------------------------------------------------------- */

struct reg_catalog *reg_catalog_new(void);
void reg_catalog_free(struct reg_catalog *c);
/* Records are copied. */
int reg_catalog_put_object(struct reg_catalog *c, struct ib_span key, struct ib_span record) IB_MUST_CHECK;
void reg_catalog_del_object(struct reg_catalog *c, struct ib_span key);
int reg_catalog_put_node(struct reg_catalog *c, struct ib_span key, struct ib_span record) IB_MUST_CHECK;
void reg_catalog_del_node(struct reg_catalog *c, struct ib_span key);
int reg_catalog_put_dynamic(struct reg_catalog *c, struct ib_span key, struct ib_span record) IB_MUST_CHECK;
void reg_catalog_del_dynamic(struct reg_catalog *c, struct ib_span key);
void reg_catalog_clear_objects(struct reg_catalog *c);
void reg_catalog_clear_dynamics(struct reg_catalog *c);
/* Does everything the application defines fit in beside what is there (not counting the application called replaces)?
   DeploymentException's text in err otherwise (icegrid-registry 10.5.7). */
int reg_catalog_check_app(struct reg_catalog *c, const struct reg_app *app, const struct reg_app *replaces,
                          struct ib_err *err) IB_MUST_CHECK;
/* May it go (9.1: groups others use)? */
int reg_catalog_check_remove(struct reg_catalog *c, const struct reg_app *app, struct ib_err *err) IB_MUST_CHECK;
/* Adapters that stay on their nodes keep their place in their groups, and groups whose turn it is. Before the old one
 * is unlinked. */
void reg_catalog_keep_places(struct reg_catalog *c, struct reg_app *app);
/* Takes app. On failure (memory) nothing changed and app is the caller's. */
int reg_catalog_link_app(struct reg_catalog *c, struct reg_app *app) IB_MUST_CHECK;
void reg_catalog_unlink_app(struct reg_catalog *c, struct reg_app *app); /* gives it back to the caller */

void reg_catalog_free_apps(struct reg_catalog *c); /* all of them */

#endif
