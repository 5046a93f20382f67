/* SPDX-License-Identifier: Apache-2.0 */
/* What stands between the network and the login, and can be configured anew while the gateway runs: the load balancers
   whose PROXY headers count, and the map from certificates to users. */
#ifndef GATEWAY_EDGE_H
#define GATEWAY_EDGE_H

#include <moulin/base/arena.h>

struct auth_certificate_map;
struct auth_verifier;
struct gw_router;
struct ic_conn;
struct ic_networks;
struct ir_properties;

struct gw_edge {
    struct ic_networks *balancers; /* shares; NULL: none */
    struct auth_certificate_map *users; /* owns; NULL: a certificate's subject is its user */
};

/* Moulin.Gateway.ProxyProtocol, Moulin.Gateway.CertificateUsers. On failure *e is empty. */
int gw_edge_read(const struct ir_properties *p, struct gw_edge *e, struct ib_err *err) IB_MUST_CHECK;
void gw_edge_use(struct gw_router *r, struct gw_edge *e); /* takes what is in it; the client adapter exists */
void gw_edge_fini(struct gw_edge *e);

/* Who the peer of a secure connection is: in *user (the arena, or borrowed from the map) its subject, or the name the
   map gives it. Returns NULL, or why it is nobody. */
const char *gw_edge_user(const struct gw_router *r, const struct ic_conn *net, struct ib_arena *arena,
                         struct ib_str *user);
/* Who has to agree to a certificate session: the configured verifier; the map alone suffices, too. NULL: neither. */
struct auth_verifier *gw_edge_verifier(const struct gw_router *r);

#endif
