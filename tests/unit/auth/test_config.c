/* SPDX-License-Identifier: Apache-2.0 */
/* Which verifiers the properties give, and what they are told when they give none. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <moulin/base/log.h>
#include <moulin/rpc/properties.h>
#include <moulin/rpc/runtime.h>
#include <slice/registry.h>

#define HASH "$pbkdf2$1000$c2FsdHNhbHQ$Vl.gS4wwEJ9RAyHsOgr4PehaAtc" /* of "pw" */

static const struct auth_setting setting = {.proxy_property = "Glacier2.PermissionsVerifier",
                                            .file_property = "Glacier2.CryptPasswords",
                                            .instance = "Gate",
                                            .prefix = "Moulin.Gateway."};

struct outcome {
    int rc;
    struct ib_err err;
    struct auth_verifier *v;
    struct auth_helper *helper;
    struct ir_runtime *rt;
};

static int setup(void **state)
{
    int rc = fx_setup(state, NULL);
    const struct fx *fx = *state;
    if (rc == 0) {
        fx_write(fx_path(fx, "passwords"), "alice " HASH "\n");
        fx_write(fx_path(fx, "permit"), "auth required pam_permit.so\naccount required pam_permit.so\n");
        fx_write(fx_path(fx, "deny"), "auth required pam_deny.so\naccount required pam_permit.so\n");
    }
    return rc;
}

/* Lines "name=value"; '@' stands for the test's directory. The runtime logs into its file "log". */
static struct outcome configure(struct fx *fx, const char *const *lines)
{
    struct outcome o = {0};
    struct ir_properties *p = ir_properties_new();
    char line[600];
    (void)snprintf(line, sizeof(line), "Ice.LogFile=%s/log", fx->directory);
    assert_int_equal(ir_properties_parse_line(p, line, "a.cfg:0"), 0);
    for (; *lines; lines++) {
        const char *at = strchr(*lines, '@');
        (void)snprintf(line, sizeof(line), "%.*s%s%s", at ? (int)(at - *lines) : 500, *lines, at ? fx->directory : "",
                       at ? at + 1 : "");
        assert_int_equal(ir_properties_parse_line(p, line, "a.cfg:7"), 0);
    }
    o.rt = ir_runtime_new(fx->loop, p, &slice_registry, &o.err);
    assert_non_null(o.rt);
    o.rc = auth_helper_configure(o.rt, "Moulin.Gateway.", &o.helper, &o.err);
    o.rc = o.rc ? o.rc : auth_verifier_configure(o.rt, o.helper, &setting, &o.v, &o.err);
    return o;
}

static void discard(struct outcome *o)
{
    auth_verifier_free(o->v);
    auth_helper_free(o->helper);
    ir_runtime_free(o->rt);
}

#define NULL_VERIFIER "Glacier2.PermissionsVerifier=Gate/NullPermissionsVerifier"
#define PASSWORD_FILE "Glacier2.CryptPasswords=@/passwords"
#define PERMIT "Moulin.Gateway.PamService=permit", "Moulin.Gateway.PamDirectory=@"
#define DENY "Moulin.Gateway.PamService=deny", "Moulin.Gateway.PamDirectory=@"

/* Told apart by whom they let in: alice with her password, alice with another one, somebody else. */
static void the_choice(void **state)
{
    struct fx *fx = *state;
    const struct {
        const char *lines[6];
        bool alice, liar, other;
    } cases[] = {
        {{NULL_VERIFIER, PASSWORD_FILE, DENY}, true, true, true},
        {{PASSWORD_FILE, PERMIT}, true, false, false},
        {{PERMIT}, true, true, true},
        {{DENY}, false, false, false},
        {{PASSWORD_FILE, DENY, "Moulin.Gateway.Verifiers=pam, file"}, true, false, false},
        {{PASSWORD_FILE, PERMIT, "Moulin.Gateway.Verifiers=file pam"}, true, true, true},
        {{PASSWORD_FILE, NULL_VERIFIER, "Moulin.Gateway.Verifiers=file"}, true, false, false},
        {{PASSWORD_FILE, NULL_VERIFIER, DENY, "Moulin.Gateway.Verifiers=file,pam,remote"}, true, true, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome o = configure(fx, cases[i].lines);
        if (o.rc != 0 || !o.v) {
            fail_msg("case %zu: %s", i, o.err.text);
        }
        bool alice = fx_verify(fx, o.v, "alice", IB_STR("pw")) == AUTH_ACCEPTED;
        bool liar = fx_verify(fx, o.v, "alice", IB_STR("pv")) == AUTH_ACCEPTED;
        bool other = fx_verify(fx, o.v, "bob", IB_STR("pw")) == AUTH_ACCEPTED;
        if (alice != cases[i].alice || liar != cases[i].liar || other != cases[i].other) {
            fail_msg("case %zu: %d %d %d", i, alice, liar, other);
        }
        discard(&o);
    }
    struct outcome none = configure(fx, (const char *const[]){NULL});
    assert_int_equal(none.rc, 0);
    assert_null(none.v);
    discard(&none);
}

static void the_remote_one_is_shown(void **state)
{
    struct fx *fx = *state;
    struct outcome o =
        configure(fx, (const char *const[]){"Glacier2.PermissionsVerifier=v:tcp -h 127.0.0.1 -p 1", PASSWORD_FILE,
                                            "Moulin.Gateway.Verifiers=file,remote", NULL});
    assert_int_equal(o.rc, 0);
    assert_non_null(auth_verifier_proxy(o.v)); /* the start asks it for its type */
    discard(&o);
}

static void complaints(void **state)
{
    struct fx *fx = *state;
    const struct {
        const char *lines[4], *words[2];
    } cases[] = {
        {{"Moulin.Gateway.Verifiers=pam"}, {"Moulin.Gateway.Verifiers=pam (a.cfg:7)", "Moulin.Gateway.PamService"}},
        {{PASSWORD_FILE, "Moulin.Gateway.Verifiers=file,remote"}, {"`remote'", "set Glacier2.PermissionsVerifier"}},
        {{PERMIT, "Moulin.Gateway.Verifiers=pam,file"}, {"`file'", "set Glacier2.CryptPasswords"}},
        {{PASSWORD_FILE, "Moulin.Gateway.Verifiers=file,ldap"}, {"file,ldap (a.cfg:7)", "file, pam, remote"}},
        {{PASSWORD_FILE, "Moulin.Gateway.Verifiers=file,file"}, {"Moulin.Gateway.Verifiers", "twice"}},
        {{PASSWORD_FILE, "Moulin.Gateway.Verifiers=,"}, {"Moulin.Gateway.Verifiers", "file, pam, remote"}},
        {{PASSWORD_FILE, "Moulin.Gateway.Verifiers=\"file"}, {"Moulin.Gateway.Verifiers", "file, pam, remote"}},
        {{"Moulin.Gateway.PamService=../etc/passwd"},
         {"Moulin.Gateway.PamService=../etc/passwd (a.cfg:7)", "/etc/pam.d"}},
        {{"Moulin.Gateway.PamService=x", "Moulin.Gateway.PamDirectory=relative"},
         {"PamDirectory=relative", "absolute"}},
        {{PASSWORD_FILE, "Moulin.Gateway.AuthWorkers=0"}, {"AuthWorkers=0 (a.cfg:7)", "from 1 to 32"}},
        {{PASSWORD_FILE, "Moulin.Gateway.AuthWorkers=many"}, {"AuthWorkers", "many"}},
        {{PASSWORD_FILE, "Moulin.Gateway.AuthTimeout=601"}, {"AuthTimeout=601", "from 1 to 600"}},
        {{PASSWORD_FILE, "Moulin.Gateway.AuthUser=no-such-user-here"}, {"AuthUser=no-such-user-here", "no such user"}},
        {{"Glacier2.CryptPasswords=/nonexistent"}, {"Glacier2.CryptPasswords", "/nonexistent"}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome o = configure(fx, cases[i].lines);
        if (o.rc == 0 || !strstr(o.err.text, cases[i].words[0]) || !strstr(o.err.text, cases[i].words[1])) {
            fail_msg("case %zu: %d `%s'", i, o.rc, o.err.text);
        }
        discard(&o);
    }
}

static void what_has_no_effect_is_said(void **state)
{
    struct fx *fx = *state;
    char text[4000];
    struct outcome o = configure(fx, (const char *const[]){PASSWORD_FILE, PERMIT, NULL});
    discard(&o);
    FILE *f = fopen(fx_path(fx, "log"), "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    (void)fclose(f);
    assert_non_null(strstr(text, "Moulin.Gateway.PamService (a.cfg:7) has no effect beside Glacier2.CryptPasswords"));
    assert_non_null(strstr(text, "Moulin.Gateway.Verifiers=file,pam"));
    assert_null(strstr(text, "unknown"));
}

int main(int argc, char **argv)
{
    FX_HELPER(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_choice, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(the_remote_one_is_shown, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(complaints, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(what_has_no_effect_is_said, setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
