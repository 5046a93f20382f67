/* SPDX-License-Identifier: Apache-2.0 */
/* The stage for tests of the gateway: on one loop a router, a server side (verifier, session manager, sessions, an
   object that echoes) and clients, each with a runtime and so a connection of its own. */
#ifndef TESTS_GATEWAY_STAGE_H
#define TESTS_GATEWAY_STAGE_H

#include <test.h>

#include <moulin/gateway/gateway.h>
#include <moulin/rpc/adapter.h>
#include <moulin/rpc/call.h>
#include <slice/Glacier2/Router.h>
#include <slice/Glacier2/Router_rpc.h>
#include <slice/registry.h>

#include "router.h"

#define MAX_HELD 8

/* How a call ended, kept. */
struct outcome {
    bool done;
    enum ir_outcome outcome;
    enum ir_status status;
    int code; /* IR_FAILED_LOCAL */
    char exception[80], reason[160], operation[40];
    bool null; /* createSession: a null proxy came back */
    bool ok; /* isA */
    char text[64]; /* what a string operation returned */
    uint8_t raw[256];
    size_t n_raw;
};

struct client {
    struct ir_runtime *rt;
    struct ir_adapter *adapter; /* for callbacks */
    struct ir_servant servant;
    struct ir_conn *conn;
};

/* The server side. */
struct backend {
    struct ir_runtime *rt;
    struct ir_adapter *adapter;
    struct ir_servant verifier, manager, ssl_manager, session, echo;
    /* what they do */
    bool hold_verifier, hold_manager, deny, deny_throw, manager_throws, manager_fails, null_session, ping_fails;
    const char *reason;
    struct ir_request *held[MAX_HELD];
    size_t n_held;
    /* what they saw */
    int verified, created, destroyed, pinged, echoed;
    bool has_control;
    struct iw_proxy *control;
    struct ib_arena arena;
    char context[256], echo_context[256], echo_facet[32];
    uint8_t echo_mode;
    int32_t echo_id;
};

struct stage {
    struct ic_loop *loop;
    struct gw_router *router; /* NULL: not started */
    struct ib_err err; /* why not */
    struct backend back;
    struct ib_arena arena;
    struct iw_proxy *router_proxy;
};

/* properties: "Name=value" lines for the router, NULL-terminated; the services are added unless bare.
   "Name=@object" stands for the proxy of one of the server side's objects. */
void stage_open(struct stage *s, const char *const *properties, bool bare);
void stage_close(struct stage *s);
void stage_wait(struct stage *s, const bool *flag);
void stage_wait_count(struct stage *s, const int *counter, int value);
void stage_round(struct stage *s); /* lets everything that can happen now happen */

void client_open(struct stage *s, struct client *c);
void client_close(struct stage *s, struct client *c);

/* Calls on the router object; they start and return. */
void start_login(struct stage *s, struct client *c, const char *user, struct outcome *o);
void start_simple(struct stage *s, struct client *c, const struct iw_op *op, struct outcome *o);
/* The same, waiting for the end. */
struct outcome login(struct stage *s, struct client *c, const char *user);
struct outcome simple(struct stage *s, struct client *c, const struct iw_op *op);
struct outcome add_proxy(struct stage *s, struct client *c, const struct iw_proxy *prx);

/* One request with a body of our own to any identity, through the router's client endpoint. */
struct request {
    const char *name, *category, *facet, *operation;
    struct ir_context_entry context[4];
    size_t n_context;
    bool oneway;
};
struct outcome forward(struct stage *s, struct client *c, const struct request *rq);
struct iw_proxy *echo_proxy(struct stage *s, const char *name);
void backend_release(struct stage *s); /* answers what was held, in order */
struct outcome call_control(struct stage *s, const struct iw_op *op);

void on_outcome(void *arg, const struct ir_result *r);
void backend_echo(void *backend,
                  struct ir_request *rq); /* a raw servant: counts, keeps what it saw, answers the body */
void stage_set_flag(void *flag);

#endif
