/* SPDX-License-Identifier: Apache-2.0 */
/* What a session manager may do to a session: SessionControl and the three sets behind it, under names nobody can guess
   on the server adapter, from before `create' is called until the session ends (glacier2-router 3.5, 12). */
#include "router.h"

#include <slice/Glacier2/Session.h>
#include <slice/Glacier2/Session_rpc.h>

static struct iw_proxy *object_proxy(struct gw_session *s, const struct gw_object *o, struct ib_arena *arena)
{
    return o->id.name.n ? ir_adapter_direct_proxy(s->router->server, &o->id, arena) : NULL;
}

struct iw_proxy *gw_control_proxy(struct gw_session *s, struct ib_arena *arena)
{
    return object_proxy(s, &s->objects->control, arena);
}

/* --- the sets ----------------------------------------------------------------------------------------------------- */

static void set_failed(struct ir_request *rq, int rc)
{
    ir_request_fail(rq, IR_UNKNOWN, rc == IB_ELIMIT ? "the set is full" : "out of memory");
}

static void strings_add(void *self, struct ir_request *rq, const struct Glacier2_StringSet_add_in *in)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < in->additions.n; i++) {
        const struct iw_identity id = gw_set_string(in->additions.v[i]);
        rc = gw_set_add(self, &id);
    }
    if (rc != 0) {
        set_failed(rq, rc);
    } else {
        Glacier2_StringSet_add_reply(rq, NULL);
    }
}

static void strings_remove(void *self, struct ir_request *rq, const struct Glacier2_StringSet_remove_in *in)
{
    for (size_t i = 0; i < in->deletions.n; i++) {
        const struct iw_identity id = gw_set_string(in->deletions.v[i]);
        gw_set_remove(self, &id);
    }
    Glacier2_StringSet_remove_reply(rq, NULL);
}

static void strings_get(void *self, struct ir_request *rq, const struct Glacier2_StringSet_get_in *in)
{
    const struct gw_set *set = self;
    struct Glacier2_StringSet_get_out out = {0};
    (void)in;
    out.ret.v = IB_ARENA_ARRAY(ir_request_arena(rq), set->n, struct ib_str);
    if (!out.ret.v) {
        set_failed(rq, IB_ENOMEM);
        return;
    }
    for (; out.ret.n < set->n; out.ret.n++) {
        out.ret.v[out.ret.n] = set->v[out.ret.n].name;
    }
    Glacier2_StringSet_get_reply(rq, &out);
}

static void identities_add(void *self, struct ir_request *rq, const struct Glacier2_IdentitySet_add_in *in)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < in->additions.n; i++) {
        rc = gw_set_add(self, &in->additions.v[i]);
    }
    if (rc != 0) {
        set_failed(rq, rc);
    } else {
        Glacier2_IdentitySet_add_reply(rq, NULL);
    }
}

static void identities_remove(void *self, struct ir_request *rq, const struct Glacier2_IdentitySet_remove_in *in)
{
    for (size_t i = 0; i < in->deletions.n; i++) {
        gw_set_remove(self, &in->deletions.v[i]);
    }
    Glacier2_IdentitySet_remove_reply(rq, NULL);
}

static void identities_get(void *self, struct ir_request *rq, const struct Glacier2_IdentitySet_get_in *in)
{
    const struct gw_set *set = self;
    const struct Glacier2_IdentitySet_get_out out = {.ret = {.n = set->n, .v = set->v}};
    (void)in;
    Glacier2_IdentitySet_get_reply(rq, &out);
}

static const struct Glacier2_StringSet_servant strings_vtable = {
    .add = strings_add, .remove = strings_remove, .get = strings_get};
static const struct Glacier2_IdentitySet_servant identities_vtable = {
    .add = identities_add, .remove = identities_remove, .get = identities_get};

/* --- the control -------------------------------------------------------------------------------------------------- */

static void control_categories(void *self, struct ir_request *rq,
                               const struct Glacier2_SessionControl_categories_in *in)
{
    struct gw_session *s = self;
    (void)in;
    const struct Glacier2_SessionControl_categories_out out = {
        .ret = object_proxy(s, &s->objects->categories, ir_request_arena(rq))};
    Glacier2_SessionControl_categories_reply(rq, &out);
}

static void control_adapter_ids(void *self, struct ir_request *rq,
                                const struct Glacier2_SessionControl_adapterIds_in *in)
{
    struct gw_session *s = self;
    (void)in;
    const struct Glacier2_SessionControl_adapterIds_out out = {
        .ret = object_proxy(s, &s->objects->adapter_ids, ir_request_arena(rq))};
    Glacier2_SessionControl_adapterIds_reply(rq, &out);
}

static void control_identities(void *self, struct ir_request *rq,
                               const struct Glacier2_SessionControl_identities_in *in)
{
    struct gw_session *s = self;
    (void)in;
    const struct Glacier2_SessionControl_identities_out out = {
        .ret = object_proxy(s, &s->objects->identities, ir_request_arena(rq))};
    Glacier2_SessionControl_identities_reply(rq, &out);
}

static void control_timeout(void *self, struct ir_request *rq,
                            const struct Glacier2_SessionControl_getSessionTimeout_in *in)
{
    const struct gw_session *s = self;
    (void)in;
    const struct Glacier2_SessionControl_getSessionTimeout_out out = {.ret = s->router->config.session_timeout_s};
    Glacier2_SessionControl_getSessionTimeout_reply(rq, &out);
}

/* While the session is still being made its creation fails instead (12.3). */
static void control_destroy(void *self, struct ir_request *rq, const struct Glacier2_SessionControl_destroy_in *in)
{
    struct gw_session *s = self;
    (void)in;
    if (s->state == GW_ACTIVE) {
        gw_session_end(s, GW_END_CONTROL);
    } else {
        s->ended_early = true;
    }
    Glacier2_SessionControl_destroy_reply(rq, NULL);
}

static const struct Glacier2_SessionControl_servant control_vtable = {
    .categories = control_categories,
    .adapterIds = control_adapter_ids,
    .identities = control_identities,
    .getSessionTimeout = control_timeout,
    .destroy = control_destroy,
};

static int object_add(struct gw_session *s, struct gw_object *o, const struct iw_iface *iface, const void *vtable,
                      void *self)
{
    do {
        ib_uuid(o->uuid);
    } while (gw_crew_owner(s->router->crew, ib_str(o->uuid)) != s->router->worker);
    o->servant = (struct ir_servant){.iface = iface, .vtable = vtable, .self = self};
    const struct iw_identity id = {.name = ib_str(o->uuid)};
    int rc = ir_adapter_add(s->router->server, &id, "", &o->servant);
    if (rc == 0) {
        o->id = id;
    }
    return rc;
}

int gw_control_add(struct gw_session *s)
{
    struct gw_filter *f = &s->filter;
    struct gw_objects *o = s->objects = IB_ARENA_NEW(&s->arena, struct gw_objects);
    int rc = o ? object_add(s, &o->control, &Glacier2_SessionControl_iface, &control_vtable, s) : IB_ENOMEM;
    rc = rc ? rc : object_add(s, &o->categories, &Glacier2_StringSet_iface, &strings_vtable, &f->categories);
    rc = rc ? rc : object_add(s, &o->adapter_ids, &Glacier2_StringSet_iface, &strings_vtable, &f->adapter_ids);
    return rc ? rc : object_add(s, &o->identities, &Glacier2_IdentitySet_iface, &identities_vtable, &f->identities);
}

void gw_control_remove(struct gw_session *s)
{
    struct gw_objects *o = s->objects;
    if (!o) {
        return;
    }
    struct gw_object *const objects[] = {&o->control, &o->categories, &o->adapter_ids, &o->identities};
    for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
        if (objects[i]->id.name.n) {
            ir_adapter_remove(s->router->server, &objects[i]->id, "");
            objects[i]->id = (struct iw_identity){0};
        }
    }
}
