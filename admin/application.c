/* SPDX-License-Identifier: Apache-2.0 */
/* The application commands of `moulin admin`. */
#include "commands.h"
#include "descriptor_xml.h"

#include <slice/IceGrid/Admin.h>

#include <stdio.h>

/* FILE [TARGET...] [NAME=VALUE...], with the registry's default templates when the file asks for them. */
static int read_descriptor(struct adm_console *c, const struct ib_str *args, int n,
                           struct IceGrid_ApplicationDescriptor *out, struct ib_err *err)
{
    struct ib_arena *arena = &c->peer->arena;
    struct IceGrid_StringStringDict_entry overrides[ADM_WORDS_MAX];
    struct ib_str targets[ADM_WORDS_MAX];
    struct IceGrid_StringStringDict variables = {.v = overrides};
    struct adm_xml_options options = {.targets = targets, .overrides = &variables};
    const struct IceGrid_ApplicationDescriptor *base = NULL;
    bool wants_defaults;
    for (int i = 1; i < n; i++) {
        const char *equals = memchr(args[i].p, '=', args[i].n);
        if (!equals) {
            targets[options.n_targets++] = args[i];
            continue;
        }
        struct ib_str name = ib_arena_str(arena, (struct ib_str){args[i].p, (size_t)(equals - args[i].p)});
        overrides[variables.n++] = (struct IceGrid_StringStringDict_entry){name, ib_str(equals + 1)};
    }
    int code = adm_xml_wants_defaults(args[0].p, &wants_defaults, err);
    if (code == 0 && wants_defaults) {
        const struct IceGrid_Admin_getDefaultApplicationDescriptor_in in = {0};
        const void *answer = NULL;
        code = adm_invoke(c->peer, c->admin, &IceGrid_Admin_getDefaultApplicationDescriptor_op, &in, &answer, err);
        base = code == 0 ? &((const struct IceGrid_Admin_getDefaultApplicationDescriptor_out *)answer)->ret : NULL;
    }
    return code == 0 ? adm_xml_read(args[0].p, &options, base, arena, out, err) : code;
}

int adm_application_add(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    struct IceGrid_Admin_addApplication_in in;
    int code = read_descriptor(c, args, n, &in.descriptor, err);
    return code == 0 ? adm_invoke(c->peer, c->admin, &IceGrid_Admin_addApplication_op, &in, NULL, err) : code;
}

int adm_application_update(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    struct IceGrid_Admin_syncApplication_in in;
    int code = read_descriptor(c, args, n, &in.descriptor, err);
    return code == 0 ? adm_invoke(c->peer, c->admin, &IceGrid_Admin_syncApplication_op, &in, NULL, err) : code;
}

int adm_application_remove(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    const struct IceGrid_Admin_removeApplication_in in = {.name = args[0]};
    (void)n;
    return adm_invoke(c->peer, c->admin, &IceGrid_Admin_removeApplication_op, &in, NULL, err);
}

int adm_application_list(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    const struct IceGrid_Admin_getAllApplicationNames_in in = {0};
    const void *out = NULL;
    (void)args;
    (void)n;
    int code = adm_invoke(c->peer, c->admin, &IceGrid_Admin_getAllApplicationNames_op, &in, &out, err);
    if (code != 0)
        return code;
    const struct IceGrid_Admin_getAllApplicationNames_out *names = out;
    for (size_t i = 0; i < names->ret.n; i++)
        printf("%s\n", names->ret.v[i].p);
    return 0;
}
