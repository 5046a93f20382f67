/* SPDX-License-Identifier: Apache-2.0 */
/* The verifiers that the properties ask for: one, or several in order (docs/gateway.md). */
#include "verifier_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/log.h>
#include <moulin/rpc/runtime.h>

#include "helper_wire.h"

#define PROPERTY_MAX 64 /* of our own properties */

struct choice {
    struct ir_runtime *rt;
    struct auth_helper *helper;
    const struct auth_setting *setting;
    char service[PROPERTY_MAX], directory[PROPERTY_MAX],
        verifiers[PROPERTY_MAX]; /* property names; "" without prefix */
};

static const char *value(const struct choice *c, const char *key)
{
    return key && key[0] ? ir_properties_get(ir_runtime_properties(c->rt), key) : "";
}

/* --- the kinds ---------------------------------------------------------------------------------------------------- */

/* "<instance>/Null…Verifier", also unquoted when the instance name has blanks (glacier2-router 11.1). */
static bool is_null_verifier(const struct auth_setting *s, const char *value)
{
    const char *name = s->ssl ? "/NullSSLPermissionsVerifier" : "/NullPermissionsVerifier";
    size_t n = strlen(s->instance), quoted = value[0] == '"' || value[0] == '\'';
    if (quoted && value[strlen(value) - 1] != value[0]) {
        return false;
    }
    return strncmp(value + quoted, s->instance, n) == 0 && strncmp(value + quoted + n, name, strlen(name)) == 0 &&
           strlen(value) == n + strlen(name) + 2 * quoted;
}

static int configure_remote(struct ir_runtime *rt, const struct auth_setting *s, struct auth_verifier **out,
                            struct ib_err *err)
{
    struct ib_arena arena;
    struct iw_proxy *prx = NULL;
    ib_arena_init(&arena, 0);
    int rc = ir_runtime_property_proxy(rt, s->proxy_property, &arena, &prx, err);
    if (rc != 0) {
        rc = ib_err_wrap(err, "%s verifier `%s' is invalid; correct %s", s->ssl ? "ssl permissions" : "permissions",
                         ir_properties_get(ir_runtime_properties(rt), s->proxy_property), s->proxy_property);
    } else if (prx && !(*out = auth_verifier_new_remote(rt, prx, s->ssl))) {
        rc = ib_err_set(err, IB_ENOMEM, "%s: out of memory", s->proxy_property);
    }
    ib_arena_fini(&arena);
    return rc;
}

static int make_remote(const struct choice *c, struct auth_verifier **out, struct ib_err *err)
{
    const struct auth_setting *s = c->setting;
    if (!is_null_verifier(s, value(c, s->proxy_property))) {
        return configure_remote(c->rt, s, out, err);
    }
    *out = auth_verifier_new_null(ir_runtime_loop(c->rt));
    return *out ? 0 : ib_err_set(err, IB_ENOMEM, "%s: out of memory", s->proxy_property);
}

static int make_file(const struct choice *c, struct auth_verifier **out, struct ib_err *err)
{
    const char *path = value(c, c->setting->file_property);
    *out = auth_verifier_new_file(ir_runtime_loop(c->rt), c->helper, path, ir_runtime_log(c->rt), err);
    return *out ? 0
                : ib_err_wrap(err, "property %s (%s)", c->setting->file_property,
                              ir_properties_origin(ir_runtime_properties(c->rt), c->setting->file_property));
}

static int bad_value(const struct choice *c, const char *key, struct ib_err *err, const char *remedy)
{
    return ib_err_set(err, IB_ECONFIG, "property %s=%.100s (%s) is invalid: %s", key, value(c, key),
                      ir_properties_origin(ir_runtime_properties(c->rt), key), remedy);
}

static int make_pam(const struct choice *c, struct auth_verifier **out, struct ib_err *err)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@";
    const char *service = value(c, c->service), *directory = value(c, c->directory);
    size_t n = strlen(service);
    if (n > HELPER_SERVICE_MAX || strspn(service, letters) != n || service[0] == '.') {
        return bad_value(c, c->service, err,
                         "give the name of a file in /etc/pam.d: at most 63 letters, digits, '-', '_', '.', '@'");
    }
    if (directory[0] && (directory[0] != '/' || strlen(directory) > HELPER_DIRECTORY_MAX)) {
        return bad_value(c, c->directory, err, "give the absolute path of a directory with PAM service files");
    }
    *out = auth_verifier_new_pam(ir_runtime_loop(c->rt), c->helper, service, directory, ir_runtime_log(c->rt));
    return *out ? 0 : ib_err_set(err, IB_ENOMEM, "%s: out of memory", c->service);
}

/* --- the choice --------------------------------------------------------------------------------------------------- */

struct kind {
    const char *name;
    int (*make)(const struct choice *c, struct auth_verifier **out, struct ib_err *err);
};

/* In the order in which the first configured one is taken when nothing else is said. */
enum { REMOTE, PASSWORD_FILE, PAM, KINDS };
static const struct kind kinds[KINDS] = {{"remote", make_remote}, {"file", make_file}, {"pam", make_pam}};

static const char *property_of(const struct choice *c, int kind)
{
    switch (kind) {
    case REMOTE:
        return c->setting->proxy_property;
    case PASSWORD_FILE:
        return c->setting->file_property;
    default:
        return c->service;
    }
}

static int kind_of(struct ib_str name)
{
    int kind = 0;
    while (kind < KINDS && !ib_str_is(name, kinds[kind].name)) {
        kind++;
    }
    return kind;
}

static int first_configured(const struct choice *c, struct auth_verifier **out, struct ib_err *err)
{
    int kind = 0;
    while (kind < KINDS && !value(c, property_of(c, kind))[0]) {
        kind++;
    }
    if (kind < PAM && value(c, c->service)[0]) {
        ib_log_warning(ir_runtime_log(c->rt), "property %s (%s) has no effect beside %s: set %s=%s,pam to use both",
                       c->service, ir_properties_origin(ir_runtime_properties(c->rt), c->service), property_of(c, kind),
                       c->verifiers, kinds[kind].name);
    }
    return kind < KINDS ? kinds[kind].make(c, out, err) : 0;
}

static int check_name(const struct choice *c, struct ib_str name, unsigned *seen, struct ib_err *err)
{
    char what[200];
    int kind = kind_of(name);
    if (kind == KINDS) {
        return bad_value(c, c->verifiers, err, "give an ordered list out of file, pam, remote");
    }
    if (*seen & 1u << kind) {
        return bad_value(c, c->verifiers, err, "it names a verifier twice");
    }
    *seen |= 1u << kind;
    if (!value(c, property_of(c, kind))[0]) {
        (void)snprintf(what, sizeof(what), "`%s' is not configured; set %s or take it out of the list",
                       kinds[kind].name, property_of(c, kind) ? property_of(c, kind) : "its property");
        return bad_value(c, c->verifiers, err, what);
    }
    return 0;
}

static int make_list(const struct choice *c, const struct ib_str *names, size_t n, struct auth_verifier **out,
                     struct ib_err *err)
{
    struct auth_verifier *list[AUTH_CHAIN_MAX];
    unsigned seen = 0;
    size_t made = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = check_name(c, names[i], &seen, err);
    }
    while (rc == 0 && made < n) { /* no name twice: they fit */
        rc = kinds[kind_of(names[made])].make(c, &list[made], err);
        made += rc == 0;
    }
    if (rc == 0 && n == 1) {
        *out = list[0];
        return 0;
    }
    if (rc == 0) {
        *out = auth_verifier_new_chain(ir_runtime_loop(c->rt), list, n);
        return *out ? 0 : ib_err_set(err, IB_ENOMEM, "%s: out of memory", c->verifiers);
    }
    while (made) {
        auth_verifier_free(list[--made]);
    }
    return rc;
}

static int in_order(const struct choice *c, struct auth_verifier **out, struct ib_err *err)
{
    struct ib_arena arena;
    struct ib_str *names;
    ib_arena_init(&arena, 0);
    int n = ir_properties_list(ir_runtime_properties(c->rt), c->verifiers, &arena, &names);
    int rc = n > 0 ? make_list(c, names, (size_t)n, out, err)
                   : bad_value(c, c->verifiers, err, "give an ordered list out of file, pam, remote");
    ib_arena_fini(&arena);
    return rc;
}

int auth_verifier_configure(struct ir_runtime *rt, struct auth_helper *helper, const struct auth_setting *s,
                            struct auth_verifier **out, struct ib_err *err)
{
    struct choice c = {.rt = rt, .helper = helper, .setting = s};
    if (s->prefix) {
        (void)snprintf(c.service, sizeof(c.service), "%sPamService", s->prefix);
        (void)snprintf(c.directory, sizeof(c.directory), "%sPamDirectory", s->prefix);
        (void)snprintf(c.verifiers, sizeof(c.verifiers), "%sVerifiers", s->prefix);
    }
    *out = NULL;
    return value(&c, c.verifiers)[0] ? in_order(&c, out, err) : first_configured(&c, out, err);
}
