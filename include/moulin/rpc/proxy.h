/* SPDX-License-Identifier: Apache-2.0 */
/* Identities, proxies and endpoints as text (ice-protocol 15), and small helpers to make proxies. */
#ifndef MOULIN_RPC_PROXY_H
#define MOULIN_RPC_PROXY_H

#include <moulin/base/arena.h>
#include <moulin/base/buf.h>
#include <moulin/rpc/properties.h>
#include <moulin/wire/types.h>

enum ir_string_mode { IR_UNICODE, IR_ASCII, IR_COMPAT }; /* Ice.ToStringMode */

int ir_identity_parse(struct ib_str text, struct ib_arena *arena, struct iw_identity *out, struct ib_err *err) IB_MUST_CHECK;
struct ib_str ir_identity_format(const struct iw_identity *id, enum ir_string_mode mode, struct ib_arena *arena);

/* What "default" and missing options mean: Ice.Default.* and Ice.Override.*. */
struct ir_proxy_defaults {
    struct ib_str protocol, host, source_address; /* "tcp", "", "" */
    int32_t timeout; /* 60000 */
    int32_t override_timeout; /* INT32_MIN = none */
    int override_compress; /* -1 = none, 0, 1 */
    struct iw_encoding encoding; /* 1.1 */
    bool has_ssl; /* ssl and wss are known transports */
};
int ir_proxy_defaults(const struct ir_properties *p, struct ib_arena *arena, struct ir_proxy_defaults *out, struct ib_err *err) IB_MUST_CHECK;

/* Null proxy: *out = NULL, returns 0. IB_EPARSEPROXY, IB_EPARSEENDPOINT, IB_EPARSEIDENTITY, IB_EILLEGALIDENTITY with Ice's texts.
   *skipped (may be NULL) gets the unknown endpoints that were ignored. */
int ir_proxy_parse(struct ib_str text, const struct ir_proxy_defaults *d, struct ib_arena *arena, struct iw_proxy **out,
                   struct ib_str *skipped, struct ib_err *err) IB_MUST_CHECK;
struct ib_str ir_proxy_format(const struct iw_proxy *p, enum ir_string_mode mode, struct ib_arena *arena);
void ir_endpoint_format(const struct iw_endpoint *ep, struct ib_buf *out);
/* The ':'-separated list of an adapter's Endpoints (server rules: '*' allowed, no --sourceAddress) or PublishedEndpoints. */
int ir_endpoints_parse(struct ib_str text, bool server, const struct ir_proxy_defaults *d, struct ib_arena *arena,
                       struct iw_endpoint **out, size_t *n, struct ib_err *err) IB_MUST_CHECK;

/* Copies with one thing changed; NULL when memory is short. */
struct iw_proxy *ir_proxy_with_identity(const struct iw_proxy *p, const struct iw_identity *id, struct ib_arena *arena);
struct iw_proxy *ir_proxy_with_facet(const struct iw_proxy *p, const char *facet, struct ib_arena *arena); /* "" = default */
struct iw_proxy *ir_proxy_well_known(struct ib_str name, struct ib_str category, struct ib_arena *arena);

#endif
