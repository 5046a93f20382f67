/* SPDX-License-Identifier: Apache-2.0 */
/* One server's record, shared by deployment.c (its state and calls) and deployment_apps.c (what changes of applications
   ask of it). */
#ifndef REG_DEPLOYMENT_PRIV_H
#define REG_DEPLOYMENT_PRIV_H

#include "deployment.h"

#include <moulin/net/loop.h>

enum reg_deployment_state { REG_ABSENT, REG_LOADING, REG_LOADED, REG_DESTROYING, REG_DEPLOYMENT_STATE_MAX };

/* What is on a node, or goes there. */
struct reg_place {
    struct ib_arena arena; /* of everything below */
    struct ib_str node, uuid;
    int32_t revision;
    const struct iw_proxy *server; /* NULL: never loaded */
    struct IceGrid_AdapterPrxDict adapters;
    int32_t activation_s, deactivation_s;
};

struct reg_deployment {
    struct reg_deployments *all;
    uint8_t state; /* enum reg_deployment_state */
    bool again; /* more is wanted than the call under way does */
    bool reload; /* load even what is loaded */
    bool no_restart; /* the next call leaves a running process alone, or fails */
    bool expecting; /* those who wait, wait for the node itself */
    struct reg_place place; /* as last known */
    struct reg_place gone; /* to be destroyed first; node.p NULL: nothing */
    struct ir_call *call;
    struct ib_list waits; /* struct reg_placement_wait */
    struct ib_list holds; /* struct reg_load_hold: changes whose answer waits for this */
    struct ic_deferred later;
    char *session; /* owns; who holds the server, NULL: nobody */
    UT_hash_handle hh;
    char id[];
};

struct reg_deployments {
    struct reg *reg;
    struct reg_deployment *servers; /* hash by id */
    size_t n_waits;
    struct reg_node_observer nodes;
    struct reg_observer changes;
    struct ib_list checks; /* of changes not committed yet; deployment_check.c */
    bool stopping;
};

static inline struct reg_deployments *reg_deployments_of(struct reg *reg)
{
    return reg_part_state(reg, &reg_deployment_part);
}

/* Finds or makes; NULL when memory is short. */
struct reg_deployment *reg_deployment_get(struct reg_deployments *x, struct ib_str id);
struct reg_deployment *reg_deployment_find(struct reg_deployments *x, struct ib_str id);
/* Does what is due now, or after the call under way. */
void reg_deployment_advance(struct reg_deployment *d);
/* The change's answer waits until d has come to rest; its refusal is the change's. */
void reg_deployment_hold(struct reg_deployment *d, struct reg_change *c);
/* The server is to leave that node first. */
void reg_deployment_destroy(struct reg_deployment *d, struct ib_str node, struct ib_str uuid, int32_t revision);

/* deployment_apps.c: reg_observer.event. */
void reg_deployment_on_change(struct reg_observer *o, const struct reg_event *ev);
/* deployment_check.c */
void reg_deployment_checks_stop(struct reg_deployments *x);

#endif
