/* SPDX-License-Identifier: Apache-2.0 */
/* Balancers and certificate users: read from the properties, put to use, asked. */
#include "router.h"

#include <moulin/auth/certificate_map.h>
#include <moulin/net/networks.h>

#define BALANCERS "Moulin.Gateway.ProxyProtocol"
#define USERS "Moulin.Gateway.CertificateUsers"

int gw_edge_read(const struct ir_properties *p, struct gw_edge *e, struct ib_err *err)
{
    const char *balancers = ir_properties_get(p, BALANCERS), *users = ir_properties_get(p, USERS);
    *e = (struct gw_edge){0};
    if (balancers[0]) {
        e->balancers = ic_networks_parse(balancers, err);
        if (!e->balancers) {
            return ib_err_wrap(err, "property %s (%s)", BALANCERS, ir_properties_origin(p, BALANCERS));
        }
    }
    if (users[0]) {
        e->users = auth_certificate_map_load(users, err);
        if (!e->users) {
            gw_edge_fini(e);
            return ib_err_wrap(err, "property %s (%s)", USERS, ir_properties_origin(p, USERS));
        }
    }
    return 0;
}

void gw_edge_use(struct gw_router *r, struct gw_edge *e)
{
    const struct gw_edge old = r->edge;
    r->edge = *e;
    *e = old;
    ir_adapter_set_balancers(r->client, r->edge.balancers);
    gw_edge_fini(e);
}

void gw_edge_fini(struct gw_edge *e)
{
    ic_networks_unref(e->balancers);
    auth_certificate_map_free(e->users);
    *e = (struct gw_edge){0};
}

const char *gw_edge_user(const struct gw_router *r, const struct ic_conn *net, struct ib_arena *arena,
                         struct ib_str *user)
{
    struct ib_str *certs = NULL;
    *user = ic_conn_peer_subject(net, arena);
    if (!r->edge.users) {
        return user->n ? NULL : "empty user DN";
    }
    if (ic_conn_peer_certs(net, arena, &certs) == 0) {
        return "no user for this certificate";
    }
    const struct ib_str mapped = auth_certificate_map_user(r->edge.users, *user, certs[0]);
    if (mapped.n == 0) {
        return "no user for this certificate";
    }
    *user = mapped;
    return NULL;
}

struct auth_verifier *gw_edge_verifier(const struct gw_router *r)
{
    return r->ssl_verifier ? r->ssl_verifier : r->edge.users ? r->map_verifier : NULL;
}
