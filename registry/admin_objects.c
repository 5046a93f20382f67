/* SPDX-License-Identifier: Apache-2.0 */
/* IceGrid::Admin, adapters and objects (icegrid-registry 9.3). */
#include "admin.h"

#include <stdlib.h>

#define ICE_ID_MS 15000

/* --- adapters ---------------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    return ib_str_cmp(*(const struct ib_str *)a, *(const struct ib_str *)b);
}

/* Deployed adapters and groups together, sorted; dynamic adapters; the groups those name. */
REG_ADMIN_OP(getAllAdapterIds)
{
    struct reg_catalog *catalog = reg_admin_reg(self)->catalog;
    struct ib_arena *arena = ir_request_arena(rq);
    struct IceGrid_Admin_getAllAdapterIds_out out = {.ret = {0}};
    struct reg_adapter **adapters;
    struct reg_group **groups;
    struct IceGrid_AdapterInfo *dynamics;
    struct ib_str *names, *v;
    size_t na = reg_catalog_adapters(catalog, arena, &adapters), ng = reg_catalog_groups(catalog, arena, &groups);
    size_t nd = reg_catalog_dynamics(catalog, NULL, arena, &dynamics);
    size_t nn = reg_catalog_dynamic_groups(catalog, arena, &names), n = 0;

    (void)in;
    if (na == SIZE_MAX || ng == SIZE_MAX || nd == SIZE_MAX || nn == SIZE_MAX ||
        (v = IB_ARENA_ARRAY(arena, na + ng + nd + nn, struct ib_str)) == NULL) {
        reg_admin_no_memory(rq);
        return;
    }
    for (size_t i = 0; i < na; i++)
        v[n++] = adapters[i]->id;
    for (size_t i = 0; i < ng; i++)
        v[n++] = groups[i]->id;
    if (n > 1)
        qsort(v, n, sizeof(*v), by_text);
    for (size_t i = 0; i < nd; i++)
        v[n++] = dynamics[i].id;
    for (size_t i = 0; i < nn; i++)
        v[n++] = names[i];
    out.ret.n = n;
    out.ret.v = v;
    IceGrid_Admin_getAllAdapterIds_reply(rq, &out);
}

REG_ADMIN_OP(removeAdapter)
{
    struct reg_change *c;

    if (reg_refuse_write(reg_admin_reg(self), rq))
        return;
    c = reg_admin_change(REG_ADAPTER_REMOVE);
    reg_admin_submit(self, rq, &IceGrid_Admin_removeAdapter_op, c, c != NULL ? reg_change_set_name(c, in->id) : 0);
}

/* --- changing objects -------------------------------------------------------------------------------------------- */

static void submit_object(const struct reg_session *s, struct ir_request *rq, const struct iw_op *op,
                          enum reg_change_op what, struct iw_proxy *proxy, struct ib_str type)
{
    struct IceGrid_ObjectInfo info = {.proxy = proxy, .type = type};
    struct reg_change *c = reg_admin_change(what);

    reg_admin_submit(s, rq, op, c, c != NULL ? reg_change_set_object(c, &info) : 0);
}

REG_ADMIN_OP(addObjectWithType)
{
    if (reg_refuse_write(reg_admin_reg(self), rq))
        return;
    if (in->obj == NULL)
        reg_throw_deployment(rq, "proxy is null");
    else
        submit_object(self, rq, &IceGrid_Admin_addObjectWithType_op, REG_OBJECT_ADD, in->obj, in->type);
}

/* addObject while the object is asked for its type; lives in the request's arena. */
struct asking {
    struct reg_session *session; /* ref */
    struct ir_request *rq;
    struct iw_proxy *obj;
};

/* Ice's words for what administrators see most. */
static const char *local_text(const struct ib_err *err)
{
    return err->code == IB_EREFUSED ? "connection refused: Connection refused" : err->text;
}

static void got_type(void *arg, const struct ir_result *r)
{
    struct asking *a = arg;
    struct reg_session *s = a->session;
    struct ib_arena *arena = ir_request_arena(a->rq);
    char text[300];

    if (r->outcome == IR_SUCCESS)
        submit_object(s, a->rq, &IceGrid_Admin_addObject_op, REG_OBJECT_ADD, a->obj, *(const struct ib_str *)r->out);
    else if (r->outcome == IR_FAILED_LOCAL)
        reg_throw_deployment(a->rq, "failed to invoke ice_id() on proxy `%s':\n::Ice::%s:\n%s",
                             ib_cstr(ir_proxy_format(a->obj, IR_UNICODE, arena)), ib_err_ice_name(r->err.code),
                             local_text(&r->err));
    else
        reg_throw_deployment(a->rq, "failed to invoke ice_id() on proxy `%s':\n%s",
                             ib_cstr(ir_proxy_format(a->obj, IR_UNICODE, arena)),
                             ir_result_text(r, text, sizeof(text)));
    reg_session_unref(s);
}

REG_ADMIN_OP(addObject)
{
    /* An indirect proxy is not resolved: the master has no locator (icegrid-registry 1.2). */
    static const struct ir_call_options options = {.timeout_ms = ICE_ID_MS, .no_locator = true};
    static const char none[8];
    struct asking *a;

    if (reg_refuse_write(reg_admin_reg(self), rq))
        return;
    if (in->obj == NULL) {
        reg_throw_deployment(rq, "proxy is null");
        return;
    }
    a = IB_ARENA_NEW(ir_request_arena(rq), struct asking);
    if (a == NULL) {
        reg_admin_no_memory(rq);
        return;
    }
    *a = (struct asking){reg_session_ref(self), rq, in->obj};
    if (ir_call(reg_admin_reg(self)->rt, in->obj, &ir_op_ice_id, &options, none, got_type, a) == NULL) {
        reg_session_unref(a->session);
        reg_admin_no_memory(rq);
    }
}

REG_ADMIN_OP(updateObject)
{
    if (reg_refuse_write(reg_admin_reg(self), rq))
        return;
    if (in->obj == NULL)
        reg_throw_deployment(rq, "proxy is null");
    else
        submit_object(self, rq, &IceGrid_Admin_updateObject_op, REG_OBJECT_UPDATE, in->obj, IB_STR(""));
}

REG_ADMIN_OP(removeObject)
{
    struct reg_change *c;

    if (reg_refuse_write(reg_admin_reg(self), rq))
        return;
    c = reg_admin_change(REG_OBJECT_REMOVE);
    reg_admin_submit(self, rq, &IceGrid_Admin_removeObject_op, c, c != NULL ? reg_change_set_id(c, &in->id) : 0);
}

/* --- asking for objects ------------------------------------------------------------------------------------------ */

REG_ADMIN_OP(getObjectInfo)
{
    struct reg_object object;

    if (reg_catalog_find(reg_admin_reg(self)->catalog, &in->id, &object))
        ir_request_reply_encoded(rq, &IceGrid_Admin_getObjectInfo_op, object.info, NULL);
    else
        IceGrid_ObjectNotRegisteredException_throw(rq, &(struct IceGrid_ObjectNotRegisteredException){.id = in->id});
}

static void reply_infos(struct ir_request *rq, const struct iw_op *op, const struct ib_span *infos, size_t n)
{
    struct ib_block *all = infos != NULL ? iw_join(infos, n) : NULL;

    if (all != NULL)
        ir_request_reply_encoded(rq, op, (struct ib_span){all->p, all->n}, all);
    else
        reg_admin_no_memory(rq);
    ib_block_unref(all);
}

REG_ADMIN_OP(getObjectInfosByType)
{
    struct ib_arena *arena = ir_request_arena(rq);
    struct reg_object *list;
    size_t n = reg_catalog_list(reg_admin_reg(self)->catalog, &in->type, arena, &list);
    struct ib_span *infos = n != SIZE_MAX ? IB_ARENA_ARRAY(arena, n, struct ib_span) : NULL;

    for (size_t i = 0; infos != NULL && i < n; i++)
        infos[i] = list[i].info;
    reply_infos(rq, &IceGrid_Admin_getObjectInfosByType_op, infos, n);
}

/* One '*' stands for any text; without it the whole must be equal; "" takes everything. */
static bool matches(struct ib_str text, struct ib_str expr)
{
    const char *star = expr.n != 0 ? memchr(expr.p, '*', expr.n) : NULL;
    size_t head, tail;

    if (expr.n == 0)
        return true;
    if (star == NULL)
        return ib_str_eq(text, expr);
    head = (size_t)(star - expr.p);
    tail = expr.n - head - 1;
    return text.n >= head + tail && memcmp(text.p, expr.p, head) == 0 &&
           memcmp(text.p + text.n - tail, star + 1, tail) == 0;
}

/* Nothing in it is escaped, and there is no category: its text is its name. */
static bool is_plain(const struct iw_identity *id)
{
    bool plain = id->category.n == 0;

    for (size_t i = 0; plain && i < id->name.n; i++) {
        const char c = id->name.p[i];

        plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                c == '.';
    }
    return plain;
}

/* An encoded proxy begins with its identity. */
static bool identity_matches(struct ib_span proxy, struct ib_str expr, struct ib_arena *arena)
{
    struct iw_in in = iw_in(proxy);
    struct iw_identity id = {.name = iw_in_str(&in)};
    struct ib_str text;

    id.category = iw_in_str(&in);
    text = is_plain(&id) ? id.name : ir_identity_format(&id, IR_UNICODE, arena);
    return text.p != NULL && matches(text, expr);
}

REG_ADMIN_OP(getAllObjectInfos)
{
    struct ib_arena *arena = ir_request_arena(rq);
    struct reg_object *list;
    size_t n = reg_catalog_list(reg_admin_reg(self)->catalog, NULL, arena, &list), kept = 0;
    struct ib_span *infos = n != SIZE_MAX ? IB_ARENA_ARRAY(arena, n, struct ib_span) : NULL;

    for (size_t i = 0; infos != NULL && i < n; i++)
        if (identity_matches(list[i].proxy, in->expr, arena))
            infos[kept++] = list[i].info;
    reply_infos(rq, &IceGrid_Admin_getAllObjectInfos_op, infos, kept);
}
