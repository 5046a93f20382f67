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
/* New connections from now on use the certificate files as they are now. */
int ir_runtime_reload_tls(struct ir_runtime *rt, struct ib_err *err) IB_MUST_CHECK;

#endif
