/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands, and those about objects and registries. */
#include "commands.h"

#include <slice/IceGrid/Admin.h>

#include <stdio.h>

static int object_add(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    struct iw_proxy *obj = NULL;
    int code = ir_runtime_parse_proxy(c->peer->rt, args[0].p, &c->peer->arena, &obj, err);
    if (code != 0)
        return code;
    if (n == 1) {
        const struct IceGrid_Admin_addObject_in in = {.obj = obj};
        return adm_invoke(c->peer, c->admin, &IceGrid_Admin_addObject_op, &in, NULL, err);
    }
    const struct IceGrid_Admin_addObjectWithType_in in = {.obj = obj, .type = args[1]};
    return adm_invoke(c->peer, c->admin, &IceGrid_Admin_addObjectWithType_op, &in, NULL, err);
}

static int object_remove(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    struct IceGrid_Admin_removeObject_in in;
    (void)n;
    int code = ir_identity_parse(args[0], &c->peer->arena, &in.id, err);
    return code == 0 ? adm_invoke(c->peer, c->admin, &IceGrid_Admin_removeObject_op, &in, NULL, err) : code;
}

static int object_list(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    const struct IceGrid_Admin_getAllObjectInfos_in in = {.expr = n ? args[0] : IB_STR("")};
    const void *out = NULL;
    int code = adm_invoke(c->peer, c->admin, &IceGrid_Admin_getAllObjectInfos_op, &in, &out, err);
    if (code != 0)
        return code;
    const struct IceGrid_Admin_getAllObjectInfos_out *all = out;
    struct Ice_StringSeq names = {0, IB_ARENA_ARRAY(&c->peer->arena, all->ret.n, struct ib_str)};
    if (!names.v)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    for (size_t i = 0; i < all->ret.n; i++)
        if (all->ret.v[i].proxy)
            names.v[names.n++] = ir_identity_format(&all->ret.v[i].proxy->id, IR_UNICODE, &c->peer->arena);
    adm_print_names(c, &names);
    return 0;
}

static int registry_list(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    const struct IceGrid_Admin_getAllRegistryNames_in in = {0};
    const void *out = NULL;
    (void)args;
    (void)n;
    int code = adm_invoke(c->peer, c->admin, &IceGrid_Admin_getAllRegistryNames_op, &in, &out, err);
    if (code != 0)
        return code;
    const struct IceGrid_Admin_getAllRegistryNames_out *names = out;
    adm_print_names(c, &names->ret);
    return 0;
}

const struct adm_command adm_commands[] = {
    {"application", "add", "[-n] FILE [TARGET...] [NAME=VALUE...]", 1, ADM_WORDS_MAX, adm_application_add},
    {"application", "update", "[-n] FILE [TARGET...] [NAME=VALUE...]", 1, ADM_WORDS_MAX, adm_application_update},
    {"application", "diff", "FILE [TARGET...] [NAME=VALUE...]", 1, ADM_WORDS_MAX, adm_application_diff},
    {"application", "remove", "NAME", 1, 1, adm_application_remove},
    {"application", "describe", "NAME", 1, 1, adm_application_describe},
    {"application", "patch", "[-f] NAME", 1, 2, adm_application_patch},
    {"application", "list", "", 0, 0, adm_application_list},
    {"server", "template describe", "APPLICATION TEMPLATE", 2, 2, adm_server_template_describe},
    {"server", "template instantiate", "APPLICATION NODE TEMPLATE [NAME=VALUE...]", 3, ADM_WORDS_MAX,
     adm_server_template_instantiate},
    {"service", "template describe", "APPLICATION TEMPLATE", 2, 2, adm_service_template_describe},
    {"object", "add", "PROXY [TYPE]", 1, 2, object_add},
    {"object", "remove", "IDENTITY", 1, 1, object_remove},
    {"object", "list", "[EXPRESSION]", 0, 1, object_list},
    {"registry", "list", "", 0, 0, registry_list},
    {NULL, NULL, NULL, 0, 0, NULL},
};
