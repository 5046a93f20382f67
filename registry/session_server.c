/* SPDX-License-Identifier: Apache-2.0 */
/* Servers of activation "session": their node loads them anew for the session that holds them, before the grant is
   answered, and for nobody when they are given back, which stops them (icegrid-internal 15.5). */
#include "deployment.h"
#include "sessions.h"

bool reg_is_session_server(const struct reg_server *server)
{
    return server != NULL && ib_str_is(server->desc->activation, "session");
}

static void on_loaded(void *arg, const struct reg_placement *p)
{
    struct reg_session_hold *h = arg;

    (void)p; /* what the session got is its own, even while the node is away or cannot load the server */
    h->then(h->arg);
}

void reg_session_server_hold(struct reg *reg, const struct reg_server *server, struct ib_str user,
                             struct reg_session_hold *hold)
{
    if (!reg_is_session_server(server) || ib_str_eq(reg_server_session(reg, server->id), user) ||
        reg_server_set_session(reg, server->id, user, on_loaded, hold) == NULL)
        hold->then(hold->arg);
}

void reg_session_server_release(struct reg *reg, struct ib_str id)
{
    /* A registry that stops leaves everything running for the next run. */
    if (!reg->stopping && reg_server_session(reg, id).n != 0)
        (void)reg_server_set_session(reg, id, IB_STR(""), NULL, NULL);
}
