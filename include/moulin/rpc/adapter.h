/* SPDX-License-Identifier: Apache-2.0 */
/* Object adapters and servants (ice-protocol 11, 16). */
#ifndef MOULIN_RPC_ADAPTER_H
#define MOULIN_RPC_ADAPTER_H

#include <moulin/rpc/conn.h>
#include <moulin/rpc/runtime.h>

struct ir_adapter;
struct ir_request_info;
struct ir_request;

/* One object. With iface and vtable the runtime answers ice_ping/isA/id/ids, decodes parameters and calls the typed handler.
   With raw instead, every request (ice_* too) is handed over undecoded: routers. Borrowed by the adapter until removed. */
struct ir_servant {
    const struct iw_iface *iface;
    const void *vtable; /* struct <Interface>_servant */
    void *self;
    void (*raw)(void *self, struct ir_request *rq);
    /* May be NULL. Asked before each typed dispatch, ice_ping and its like included; false: it has answered already (e.g. refused). */
    bool (*before)(void *self, struct ir_request *rq, const struct iw_op *op);
};

/* Reads <name>.Endpoints, .PublishedEndpoints, .AdapterId, .ReplicaGroupId, .ProxyOptions, .ACM.*, .MessageSizeMax. Sockets are bound and
   listening when this returns, nothing is accepted before activation. name is copied. No endpoints is fine (bidirectional). */
struct ir_adapter *ir_adapter_new(struct ir_runtime *rt, const char *name, struct ib_err *err);
/* The same with settings that override or replace the properties; NULL members = as configured. */
struct ir_adapter_options {
    const char *endpoints, *published_endpoints;
    const char *adapter_id; /* "" forces none */
    const struct ic_acm *acm;
    int message_size_max_kb; /* 0 = as configured; -1 = unlimited */
    /* An adapter on another loop whose endpoints this one has as well, without sockets of its own: it serves the
       connections it is given (ir_adapter_take). Needed while it is made only. */
    const struct ir_adapter *mirrors;
};
struct ir_adapter *ir_adapter_new_with(struct ir_runtime *rt, const char *name, const struct ir_adapter_options *o, struct ib_err *err);
/* Registers with the locator when it has an AdapterId, prints "<name> ready" when Ice.PrintAdapterReady, starts accepting.
   done is called once (0, or why not: IB_ENOTREGISTERED, IB_EIDINUSE, …), at the earliest after this returns. done may be NULL. */
void ir_adapter_activate(struct ir_adapter *a, void (*done)(void *arg, int code, const char *text), void *arg);
void ir_adapter_deactivate(struct ir_adapter *a); /* stops listening, unregisters, closes its connections gracefully */
/* Stops listening for a while: its connections go on. On failure to listen again it stays paused. */
void ir_adapter_pause(struct ir_adapter *a);
int ir_adapter_resume(struct ir_adapter *a, struct ib_err *err) IB_MUST_CHECK;
void ir_adapter_free(struct ir_adapter *a);
const char *ir_adapter_name(const struct ir_adapter *a);
struct ir_runtime *ir_adapter_runtime(struct ir_adapter *a);

/* IB_EEXISTS when the identity and facet are taken. facet "" = default. The identity is copied. */
int ir_adapter_add(struct ir_adapter *a, const struct iw_identity *id, const char *facet, struct ir_servant *s) IB_MUST_CHECK;
void ir_adapter_remove(struct ir_adapter *a, const struct iw_identity *id, const char *facet); /* unknown: nothing happens */
struct ir_servant *ir_adapter_find(struct ir_adapter *a, const struct iw_identity *id, const char *facet);
/* All identities of that category without a servant of their own; category "" = any category without a default. NULL removes. */
int ir_adapter_set_default(struct ir_adapter *a, struct ib_str category, struct ir_servant *s) IB_MUST_CHECK;
/* Sees every incoming request before servant lookup; false: it has answered. One per adapter. For routers and access checks. */
void ir_adapter_set_filter(struct ir_adapter *a, bool (*fn)(void *arg, struct ir_request *rq), void *arg);
/* For routers: sees each request of a BatchRequest before an ir_request is made of it; true: it has been dealt with. info
   borrows from the message and is valid during the call only; header is the request up to its context, as received.
   first: the loop has had its turn since the one before. One per adapter. */
typedef bool (*ir_batched_fn)(void *arg, struct ir_conn *c, const struct ir_request_info *info, struct ib_span header,
                              bool first);
void ir_adapter_set_batched(struct ir_adapter *a, ir_batched_fn fn, void *arg);
/* Sees each socket that the listener of that number accepts; true: it is fn's now, to be given to a mirror of the adapter. */
void ir_adapter_on_socket(struct ir_adapter *a, bool (*fn)(void *arg, size_t listener, int fd), void *arg);
void ir_adapter_take(struct ir_adapter *a, size_t listener, int fd); /* takes the socket */
/* Does the adapter choose its ports itself, and nobody tells others something else about where it is? */
bool ir_adapter_has_free_ports(struct ir_runtime *rt, const char *name);
/* Told about each accepted connection when it becomes active. One per adapter. */
void ir_adapter_on_connection(struct ir_adapter *a, void (*fn)(void *arg, struct ir_conn *c), void *arg);

/* Whose connections begin with a PROXY header (net/conn.h), from now on. Shares; NULL: nobody's. */
struct ic_networks;
void ir_adapter_set_balancers(struct ir_adapter *a, struct ic_networks *balancers);

/* Proxies for its objects: as configured (direct, or @ adapter id), or always direct. In the arena; NULL when memory is short. */
struct iw_proxy *ir_adapter_proxy(struct ir_adapter *a, const struct iw_identity *id, struct ib_arena *arena);
struct iw_proxy *ir_adapter_direct_proxy(struct ir_adapter *a, const struct iw_identity *id, struct ib_arena *arena);
/* Published endpoints; borrowed. */
const struct iw_endpoint *ir_adapter_endpoints(const struct ir_adapter *a, size_t *n);
/* The i-th of the sockets' own endpoints (host as configured or bound, real port); NULL beyond the last. Borrowed. */
const struct iw_endpoint *ir_adapter_bound(const struct ir_adapter *a, size_t i);
size_t ir_adapter_each_conn(struct ir_adapter *a, void (*fn)(void *arg, struct ir_conn *c), void *arg); /* returns the count */

#endif
