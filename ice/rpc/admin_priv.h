/* SPDX-License-Identifier: Apache-2.0 */
/* The admin object from the inside: what its facets share. */
#ifndef IR_ADMIN_PRIV_H
#define IR_ADMIN_PRIV_H

#include <moulin/rpc/admin.h>

enum { IR_FACET_PROCESS, IR_FACET_PROPERTIES, IR_FACET_LOGGER, IR_FACET_METRICS, IR_FACET_MAX };

struct ir_facet_logger;

struct ir_admin_alias {
    struct ir_admin_alias *next;
    char name[]; /* NUL-terminated */
};

struct ir_admin {
    struct ir_runtime *rt;
    struct ir_adapter *adapter; /* the adapter it is on, of another runtime when it is below another's object */
    bool owns_adapter;
    struct ib_arena arena; /* of id and proxy */
    struct iw_identity id;
    const struct iw_proxy *proxy;
    void (*on_shutdown)(void *arg);
    void *arg;
    struct ir_servant servants[IR_FACET_MAX];
    struct ib_str prefix; /* of the facets' names */
    const char *added[IR_FACET_MAX]; /* their names in the arena; NULL: it is not there */
    struct ir_admin_alias *aliases; /* owns */
    struct ir_facet_logger *logger; /* owns */
    struct ir_admin_peers peers; /* n 0: it speaks for its own runtime only */
};

/* Of all runtimes, see struct ir_admin_peers; with one all is done when it returns. */
unsigned ir_admin_runtimes(const struct ir_admin *admin);
int ir_admin_ask(struct ir_admin *admin, const struct ir_admin_round *round, void *job) IB_MUST_CHECK;

struct Ice_Process_servant;
struct Ice_PropertiesAdmin_servant;
struct Ice_LoggerAdmin_servant;
struct IceMX_MetricsAdmin_servant;
/* self of each is the struct ir_admin */
extern const struct Ice_Process_servant ir_facet_process;
extern const struct Ice_PropertiesAdmin_servant ir_facet_properties;
extern const struct Ice_LoggerAdmin_servant ir_facet_logger;
extern const struct IceMX_MetricsAdmin_servant ir_facet_metrics;

/* Listens to the runtime's log from now on. */
struct ir_facet_logger *ir_facet_logger_new(struct ir_admin *admin);
void ir_facet_logger_free(struct ir_facet_logger *l); /* NULL is fine */

#endif
