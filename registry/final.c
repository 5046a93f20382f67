/* SPDX-License-Identifier: Apache-2.0 */
/* The last resolution of a server: what is known only once its node is connected and a session holds it
   (icegrid-registry 10.1, 9.2). */
#include "descriptor.h"
#include "catalog.h"
#include "resolver.h"
#include "walk.h"

#include <moulin/wire/codec.h>

struct pass {
    const struct reg_node_vars *vars;
    struct ib_arena *arena;
    bool mentions_session;
};

static bool look_for_session(void *arg, struct ib_str *s)
{
    struct pass *p = arg;
    p->mentions_session = p->mentions_session || reg_text_mentions_session(*s);
    return true;
}

static bool resolve(void *arg, struct ib_str *s)
{
    struct pass *p = arg;
    *s = reg_text_final(p->vars, p->arena, *s);
    return s->p != NULL;
}

int reg_server_resolve(const struct IceGrid_ServerDescriptor *desc, const struct reg_node_vars *vars,
                       struct ib_arena *arena, struct IceGrid_ServerDescriptor **out)
{
    struct pass p = {.vars = vars, .arena = arena};
    struct IceGrid_ServerDescriptor *copy = NULL;
    /* the engine copies a class by the address of its pointer */
    int rc = iw_copy(&IceGrid_ServerDescriptor_type, &desc, arena, &copy);
    struct reg_walk w = {.arg = &p, .on_string = look_for_session};
    if (!rc && vars)
        rc = reg_walk(&w, &IceGrid_ServerDescriptor_type, &copy);
    /* A server that names its session stays wholly unresolved while no session holds it. */
    if (!rc && vars && (!p.mentions_session || vars->session_id.p)) {
        w = (struct reg_walk){.arg = &p, .on_string = resolve};
        rc = reg_walk(&w, &IceGrid_ServerDescriptor_type, &copy);
    }
    if (!rc)
        *out = copy;
    return rc;
}
