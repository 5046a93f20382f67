/* SPDX-License-Identifier: Apache-2.0 */
/* The application commands of `moulin admin`. */
#include "commands.h"
#include "print.h"

#include <moulin/deploy/descriptor_xml.h>
#include <slice/IceGrid/Admin.h>

#include <stdio.h>

/* FILE [TARGET...] [NAME=VALUE...], with the registry's default templates when the file asks for them. */
static int read_descriptor(struct adm_console *c, const struct ib_str *args, int n, struct dep_places *places,
                           struct IceGrid_ApplicationDescriptor *out, struct ib_err *err)
{
    struct ib_arena *arena = &c->peer->arena;
    struct IceGrid_StringStringDict_entry overrides[ADM_WORDS_MAX];
    struct ib_str targets[ADM_WORDS_MAX];
    struct IceGrid_StringStringDict variables = {.v = overrides};
    struct dep_xml_options options = {.targets = targets, .overrides = &variables, .places = places};
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
    int code = dep_xml_wants_defaults(args[0].p, &wants_defaults, err);
    if (code == 0 && wants_defaults) {
        const struct IceGrid_Admin_getDefaultApplicationDescriptor_in in = {0};
        const void *answer = NULL;
        code = adm_invoke(c->peer, c->admin, &IceGrid_Admin_getDefaultApplicationDescriptor_op, &in, &answer, err);
        base = code == 0 ? &((const struct IceGrid_Admin_getDefaultApplicationDescriptor_out *)answer)->ret : NULL;
    }
    return code == 0 ? dep_xml_read(args[0].p, &options, base, arena, out, err) : code;
}

/* Takes a leading option away; false when it is not there. */
static bool take_option(const char *name, const struct ib_str **args, int *n)
{
    if (*n == 0 || !ib_str_is((*args)[0], name))
        return false;
    ++*args;
    --*n;
    return true;
}

static int need_file(int n, struct ib_err *err)
{
    return n ? 0 : ib_err_set(err, IB_EINVAL, "no FILE is given");
}

/* The registry names the element; the person wants to know its line, too. */
static int add_place(const struct adm_console *c, const struct dep_places *places, int code, struct ib_err *err)
{
    struct ib_str place = {0};
    if (code != 0 && strstr(err->text, "DeploymentException"))
        place = dep_xml_place(places, err->text, &c->peer->arena);
    return place.p ? ib_err_wrap(err, "%s", place.p) : code;
}

static int patch(struct adm_console *c, struct ib_str name, bool shutdown, struct ib_err *err)
{
    const struct IceGrid_Admin_patchApplication_in in = {.name = name, .shutdown = shutdown};
    return adm_invoke(c->peer, c->admin, &IceGrid_Admin_patchApplication_op, &in, NULL, err);
}

/* As icegridadmin: with a distribution, the nodes fetch it at once; what goes wrong there does not undo the addition.
 */
int adm_application_add(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    struct IceGrid_Admin_addApplication_in in;
    struct dep_places places = {0};
    bool no_patch = take_option("-n", &args, &n);
    int code = need_file(n, err);
    if (code == 0)
        code = read_descriptor(c, args, n, &places, &in.descriptor, err);
    if (code != 0)
        return code;
    code = adm_invoke(c->peer, c->admin, &IceGrid_Admin_addApplication_op, &in, NULL, err);
    if (code != 0)
        return add_place(c, &places, code, err);
    struct ib_err warning = {0};
    if (!no_patch && patch(c, in.descriptor.name, true, &warning) != 0)
        fprintf(stderr, "warning: the application is added, but not patched: %s\n", warning.text);
    return 0;
}

int adm_application_update(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    struct IceGrid_Admin_syncApplication_in in;
    struct dep_places places = {0};
    bool no_restart = take_option("-n", &args, &n);
    int code = need_file(n, err);
    if (code == 0)
        code = read_descriptor(c, args, n, &places, &in.descriptor, err);
    if (code != 0)
        return code;
    if (no_restart) {
        const struct IceGrid_Admin_syncApplicationWithoutRestart_in quiet = {.descriptor = in.descriptor};
        code = adm_invoke(c->peer, c->admin, &IceGrid_Admin_syncApplicationWithoutRestart_op, &quiet, NULL, err);
    } else {
        code = adm_invoke(c->peer, c->admin, &IceGrid_Admin_syncApplication_op, &in, NULL, err);
    }
    return add_place(c, &places, code, err);
}

int adm_application_remove(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    const struct IceGrid_Admin_removeApplication_in in = {.name = args[0]};
    (void)n;
    return adm_invoke(c->peer, c->admin, &IceGrid_Admin_removeApplication_op, &in, NULL, err);
}

int adm_application_patch(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    bool shutdown = take_option("-f", &args, &n);
    if (n != 1)
        return ib_err_set(err, IB_EINVAL, "usage: application patch [-f] NAME");
    return patch(c, args[0], shutdown, err);
}

void adm_print_names(const struct adm_console *c, const struct Ice_StringSeq *names)
{
    if (c->json)
        adm_print_json(&Ice_StringSeq_type, names);
    for (size_t i = 0; !c->json && i < names->n; i++)
        printf("%s\n", names->v[i].p);
}

int adm_application_list(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    const struct IceGrid_Admin_getAllApplicationNames_in in = {0};
    const void *out = NULL;
    (void)args;
    (void)n;
    int code = adm_invoke(c->peer, c->admin, &IceGrid_Admin_getAllApplicationNames_op, &in, &out, err);
    if (code == 0)
        adm_print_names(c, &((const struct IceGrid_Admin_getAllApplicationNames_out *)out)->ret);
    return code;
}

/* --- as the registry has it --------------------------------------------------------------------------------------- */

static int get_info(struct adm_console *c, struct ib_str name, const struct IceGrid_ApplicationInfo **info,
                    struct ib_err *err)
{
    const struct IceGrid_Admin_getApplicationInfo_in in = {.name = name};
    const void *out = NULL;
    int code = adm_invoke(c->peer, c->admin, &IceGrid_Admin_getApplicationInfo_op, &in, &out, err);
    if (code == 0)
        *info = &((const struct IceGrid_Admin_getApplicationInfo_out *)out)->ret;
    return code;
}

static void print_block(const struct adm_console *c, const char *what, struct ib_str name, const struct iw_type *t,
                        const void *v)
{
    if (c->json) {
        adm_print_json(t, v);
        return;
    }
    printf("%s `%s'\n{\n", what, ib_cstr(name));
    adm_print_members(t, v, 4);
    printf("}\n");
}

/* The definition as it was given: what its variables and templates come to, `server describe` of icegridadmin tells. */
int adm_application_describe(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    const struct IceGrid_ApplicationInfo *info = NULL;
    (void)n;
    int code = get_info(c, args[0], &info, err);
    if (code == 0)
        print_block(c, "application", args[0], &IceGrid_ApplicationInfo_type, info);
    return code;
}

static int describe_template(struct adm_console *c, const struct ib_str *args, bool service, struct ib_err *err)
{
    const struct IceGrid_ApplicationInfo *info = NULL;
    const char *kind = service ? "service template" : "server template";
    int code = get_info(c, args[0], &info, err);
    if (code != 0)
        return code;
    const struct IceGrid_TemplateDescriptorDict *all =
        service ? &info->descriptor.serviceTemplates : &info->descriptor.serverTemplates;
    for (size_t i = 0; i < all->n; i++) {
        if (!ib_str_eq(all->v[i].key, args[1]))
            continue;
        print_block(c, kind, args[1], &IceGrid_TemplateDescriptor_type, &all->v[i].value);
        return 0;
    }
    return ib_err_set(err, IB_ENOTFOUND, "no %s with id `%s'", kind, args[1].p);
}

int adm_server_template_describe(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    (void)n;
    return describe_template(c, args, false, err);
}

int adm_service_template_describe(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    (void)n;
    return describe_template(c, args, true, err);
}

int adm_server_template_instantiate(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    struct IceGrid_StringStringDict_entry values[ADM_WORDS_MAX];
    struct IceGrid_Admin_instantiateServer_in in = {
        .application = args[0], .node = args[1], .desc = {.template_ = args[2], .parameterValues = {.v = values}}};
    for (int i = 3; i < n; i++) {
        const char *equals = memchr(args[i].p, '=', args[i].n);
        if (!equals)
            return ib_err_set(err, IB_EINVAL, "`%s' is no parameter: NAME=VALUE is", args[i].p);
        values[in.desc.parameterValues.n++] = (struct IceGrid_StringStringDict_entry){
            ib_arena_str(&c->peer->arena, (struct ib_str){args[i].p, (size_t)(equals - args[i].p)}),
            ib_str(equals + 1)};
    }
    return adm_invoke(c->peer, c->admin, &IceGrid_Admin_instantiateServer_op, &in, NULL, err);
}

int adm_application_diff(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    struct IceGrid_ApplicationDescriptor now;
    const struct IceGrid_ApplicationInfo *info = NULL;
    int code = read_descriptor(c, args, n, NULL, &now, err);
    if (code == 0)
        code = get_info(c, now.name, &info, err);
    return code == 0 ? adm_print_difference(&info->descriptor, &now, &c->peer->arena, err) : code;
}
