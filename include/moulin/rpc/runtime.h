/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime (Ice: communicator): properties, logger, TLS, outgoing connections and object adapters of one role on one
   loop. Several may share a loop; a process may have several loops. No globals. */
#ifndef MOULIN_RPC_RUNTIME_H
#define MOULIN_RPC_RUNTIME_H

#include <moulin/base/log.h>
#include <moulin/net/loop.h>
#include <moulin/rpc/properties.h>
#include <moulin/rpc/proxy.h>
#include <moulin/wire/codec.h>

struct ir_runtime;

/* takes props when it succeeds. Reads Ice.Default.*, Ice.Override.*, Ice.ACM.*, Ice.MessageSizeMax, Ice.RetryIntervals, Ice.Trace.*,
   IceSSL.* (only with Ice.Plugin.IceSSL), Ice.LogFile, … A malformed one is an error that names property and remedy. */
struct ir_runtime *ir_runtime_new(struct ic_loop *loop, struct ir_properties *props, const struct iw_registry *types, struct ib_err *err);
/* One more for another loop, with the same properties: it and its adapters share the TLS contexts of first (and so resume
   each other's sessions), and its logger is silent until ib_log_hush ends that. first must not change meanwhile and is
   not looked at after the last adapter was made. number (first's is 0) tells their threads apart in metrics. */
struct ir_runtime *ir_runtime_new_beside(const struct ir_runtime *first, unsigned number, struct ic_loop *loop,
                                         struct ir_properties *props, struct ib_err *err);
/* Deactivates every adapter, closes every connection gracefully (bounded by the close timeout), then calls done. */
void ir_runtime_shutdown(struct ir_runtime *rt, void (*done)(void *arg), void *arg);
void ir_runtime_free(struct ir_runtime *rt); /* forcibly, whatever is left; pending calls end with IB_EDESTROYED */

struct ic_loop *ir_runtime_loop(struct ir_runtime *rt);
struct ir_properties *ir_runtime_properties(struct ir_runtime *rt);
struct ib_log *ir_runtime_log(struct ir_runtime *rt);
const struct iw_registry *ir_runtime_types(struct ir_runtime *rt);
const struct ir_proxy_defaults *ir_runtime_proxy_defaults(struct ir_runtime *rt);
int ir_runtime_trace(struct ir_runtime *rt, const char *category); /* level of Ice.Trace.<category>, or the property's full name */

/* Text to proxy with this runtime's defaults. */
int ir_runtime_parse_proxy(struct ir_runtime *rt, const char *text, struct ib_arena *arena, struct iw_proxy **out, struct ib_err *err) IB_MUST_CHECK;
/* The proxy a property holds (Prop, and Prop.* options are accepted); *out NULL when unset. */
int ir_runtime_property_proxy(struct ir_runtime *rt, const char *prop, struct ib_arena *arena, struct iw_proxy **out, struct ib_err *err) IB_MUST_CHECK;
/* Locator for indirect proxies; initially Ice.Default.Locator. The proxy is copied; NULL removes it. */
int ir_runtime_set_locator(struct ir_runtime *rt, const struct iw_proxy *locator) IB_MUST_CHECK;
const struct iw_proxy *ir_runtime_locator(struct ir_runtime *rt);
/* Asked before a call of a guarded class (ir_call_options.guard) connects to an address; false: that address is left out, as
   if it refused. sa NULL: an adapter of this process. For routers, whose targets are others' choice. */
struct sockaddr;
void ir_runtime_set_guard(struct ir_runtime *rt,
                          bool (*fn)(void *arg, unsigned guard, const struct iw_endpoint *ep, const struct sockaddr *sa),
                          void *arg);
/* Connections from now on use the IceSSL properties of p (NULL: the runtime's own) and certificates, keys, CAs and
   revocation lists as the files are now; sessions of TLS begun before are not resumed. On failure nothing has changed. */
int ir_runtime_reload_tls(struct ir_runtime *rt, const struct ir_properties *p, struct ib_err *err) IB_MUST_CHECK;
/* What a reload made, for the runtimes beside it. */
#define IR_TLS_ADAPTERS 4
struct ic_tls;
struct ir_tls_set {
    struct ic_tls *own; /* shares, as the others; NULL without TLS */
    struct {
        char name[64];
        struct ic_tls *tls;
    } adapters[IR_TLS_ADAPTERS];
};
void ir_tls_set_of(const struct ir_runtime *rt, struct ir_tls_set *out); /* the first IR_TLS_ADAPTERS adapters' */
void ir_tls_set_use(struct ir_runtime *rt, struct ir_tls_set *set); /* empties it: it holds what is not needed any more */
void ir_tls_set_fini(struct ir_tls_set *set);

#endif
