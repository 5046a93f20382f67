/* SPDX-License-Identifier: Apache-2.0 */
/* Logins through real PAM modules: pam_matrix and pam_chatty of pam_wrapper, and Linux-PAM's pam_exec and pam_permit.
   The service files are in a directory of the test. This executable is its own helper. */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moulin/base/log.h>

#include "helper_wire.h"

#define MATRIX PAM_WRAPPER_MODULES "/pam_matrix.so passdb=@/passdb"

/* A service file; '@' stands for the test's directory. */
static void service(const struct fx *fx, const char *name, const char *text)
{
    char out[2000];
    size_t n = 0;
    for (const char *p = text; *p; p++) {
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%.*s", *p == '@' ? (int)sizeof(fx->directory) : 1,
                              *p == '@' ? fx->directory : p);
        assert_true(n < sizeof(out));
    }
    fx_write(fx_path(fx, name), out);
}

static int setup(void **state)
{
    int rc = fx_setup(state, &(struct auth_helper_config){.deadline_ms = 4000});
    const struct fx *fx = *state;
    if (rc != 0) {
        return rc;
    }
    fx_write(fx_path(fx, "passdb"), "alice:wonderland:silent\nbob:builder:verbose\ncarol:long:other\n");
    service(fx, "silent", "auth required " MATRIX "\naccount required " MATRIX "\n");
    service(fx, "verbose", "auth required " MATRIX " verbose\naccount required " MATRIX " verbose\n");
    service(fx, "other", "auth required pam_permit.so\naccount required pam_permit.so\n");
    return 0;
}

static struct auth_verifier *verifier(struct fx *fx, const char *name, struct ib_log *log)
{
    struct auth_verifier *v = auth_verifier_new_pam(fx->loop, fx->helper, name, fx->directory, log);
    assert_non_null(v);
    return v;
}

static struct fx_verdict ask(struct fx *fx, struct auth_verifier *v, const char *user, const char *password)
{
    const struct auth_request rq = {.user = ib_str(user), .password = ib_str(password), .remote_host = "192.0.2.7"};
    return fx_ask(fx, v, &rq);
}

static void right_and_wrong(void **state)
{
    struct fx *fx = *state;
    struct auth_verifier *v = verifier(fx, "silent", NULL);
    assert_int_equal(ask(fx, v, "alice", "wonderland").verdict, AUTH_ACCEPTED);
    struct fx_verdict wrong = ask(fx, v, "alice", "Wonderland");
    assert_int_equal(wrong.verdict, AUTH_DENIED);
    assert_string_equal(wrong.reason, "");
    assert_int_equal(ask(fx, v, "mallory", "wonderland").verdict, AUTH_DENIED);
    assert_int_equal(ask(fx, v, "bob", "builder").verdict, AUTH_DENIED); /* right, but not for this service */
    auth_verifier_free(v);
}

static void modules_words_become_the_reason(void **state)
{
    struct fx *fx = *state;
    struct auth_verifier *v = verifier(fx, "verbose", NULL);
    assert_int_equal(ask(fx, v, "bob", "builder").verdict, AUTH_ACCEPTED);
    struct fx_verdict wrong = ask(fx, v, "bob", "Builder");
    assert_int_equal(wrong.verdict, AUTH_DENIED);
    assert_non_null(strstr(wrong.reason, "Authentication failed"));
    auth_verifier_free(v);
}

/* An open question gets the user's name, a hidden one the password; the client's address is PAM_RHOST. */
static void what_modules_are_told(void **state)
{
    struct fx *fx = *state;
    service(fx, "echo", "auth required " MATRIX " echo\naccount required pam_permit.so\n");
    service(fx, "host", "auth required pam_exec.so quiet stdout @/script\n");
    fx_write(fx_path(fx, "passdb"), "dave:dave:echo\nerin:secret:echo\n");
    fx_write(fx_path(fx, "script"),
             "#!/bin/sh\necho \"$PAM_USER from $PAM_RHOST\"\nprintf 'a\\tb\\377c \\303\\251 \\n'\nexit 1\n");
    assert_int_equal(chmod(fx_path(fx, "script"), 0700), 0);
    struct auth_verifier *v = verifier(fx, "echo", NULL);
    assert_int_equal(ask(fx, v, "dave", "something").verdict, AUTH_ACCEPTED); /* the name was taken for the password */
    assert_int_equal(ask(fx, v, "erin", "secret").verdict, AUTH_DENIED);
    auth_verifier_free(v);
    v = verifier(fx, "host", NULL);
    struct fx_verdict refused = ask(fx, v, "dave", "something");
    assert_int_equal(refused.verdict, AUTH_DENIED);
    assert_string_equal(refused.reason, "dave from 192.0.2.7 a b?c \303\251");
    auth_verifier_free(v);
}

static void much_talk_is_cut(void **state)
{
    struct fx *fx = *state;
    service(fx, "chatty",
            "auth required " PAM_WRAPPER_MODULES
            "/pam_chatty.so num_lines=400 info error\nauth required pam_deny.so\n");
    struct auth_verifier *v = verifier(fx, "chatty", NULL);
    struct fx_verdict refused = ask(fx, v, "dave", "x");
    assert_true(refused.verdict == AUTH_DENIED || refused.verdict == AUTH_FAILED);
    assert_in_range(strlen(refused.reason) + strlen(refused.err), 1, HELPER_TEXT_MAX + 100);
    auth_verifier_free(v);
}

static void what_pam_is_not_asked(void **state)
{
    struct fx *fx = *state;
    struct auth_verifier *v = verifier(fx, "other", NULL);
    char huge[2000];
    memset(huge, 'x', sizeof(huge));
    assert_int_equal(fx_verify(fx, v, "dave", IB_STR("x")), AUTH_ACCEPTED); /* pam_permit takes anybody */
    assert_int_equal(fx_verify(fx, v, "", IB_STR("x")), AUTH_DENIED);
    assert_int_equal(fx_verify(fx, v, "da\nve", IB_STR("x")), AUTH_DENIED);
    assert_int_equal(fx_verify(fx, v, "dave", IB_STR("x\0y")), AUTH_DENIED);
    assert_int_equal(fx_verify(fx, v, "dave", (struct ib_str){huge, 512}), AUTH_DENIED);
    assert_int_equal(fx_verify(fx, v, "dave", (struct ib_str){huge, 511}), AUTH_ACCEPTED);
    const struct auth_request long_user = {.user = {huge, 256}}, nul = {.user = IB_STR("da\0ve")};
    assert_int_equal(fx_ask(fx, v, &long_user).verdict, AUTH_DENIED);
    assert_int_equal(fx_ask(fx, v, &nul).verdict, AUTH_DENIED);
    auth_verifier_free(v);
}

static unsigned count(const char *text, const char *word)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, word)); p++) {
        n++;
    }
    return n;
}

/* Nobody is let in, nobody is denied, and it is said once: although there is a service "other" that lets everybody in.
 */
static void a_broken_pam_cannot_tell(void **state)
{
    struct fx *fx = *state;
    struct ib_log *log = ib_log_new("");
    char path[400], text[4000];
    (void)snprintf(path, sizeof(path), "%s", fx_path(fx, "log"));
    assert_int_equal(ib_log_open(log, path, 0, NULL), 0);
    service(fx, "module", "auth required /nonexistent/pam_module.so\naccount required pam_permit.so\n");
    service(fx, "passdb-missing", "auth required " PAM_WRAPPER_MODULES "/pam_matrix.so passdb=@/none\n");
    const char *const names[] = {"no-such-service", "module", "passdb-missing"};
    for (size_t i = 0; i < 3; i++) {
        struct auth_verifier *v = verifier(fx, names[i], log);
        for (int again = 0; again < 2; again++) {
            struct fx_verdict broken = ask(fx, v, "alice", "wonderland");
            assert_int_equal(broken.verdict, AUTH_FAILED);
            assert_non_null(strstr(broken.err, names[i]));
        }
        auth_verifier_free(v);
    }
    ib_log_free(log);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    (void)fclose(f);
    assert_int_equal(count(text, "cannot tell who may log in"), 3);
    assert_int_equal(count(text, "there is no service file of that name"), 1);
    assert_null(strstr(text, "wonderland"));
}

/* The service that hangs costs its own logins a deadline; hashes are checked meanwhile. */
static void a_stuck_module(void **state)
{
    struct fx *fx = *state;
    service(fx, "stuck", "auth required pam_exec.so quiet /bin/sh -c read<@/pipe\n");
    assert_int_equal(mkfifo(fx_path(fx, "pipe"), 0600), 0);
    struct auth_verifier *stuck = verifier(fx, "stuck", NULL), *silent = verifier(fx, "silent", NULL);
    struct fx_verdict hung = {0};
    const struct auth_request rq = {.user = IB_STR("alice"), .password = IB_STR("wonderland")};
    assert_non_null(auth_verify(stuck, &rq, fx_on_verdict, &hung));
    assert_int_equal(ask(fx, silent, "alice", "wonderland").verdict, AUTH_ACCEPTED); /* by the second child */
    assert_int_equal(hung.calls, 0);
    int pid = auth_helper_pid(fx->helper, AUTH_HELPER_PAM, 0);
    assert_true(pid > 0);
    assert_int_not_equal(auth_helper_pid(fx->helper, AUTH_HELPER_PAM, 1), 0);
    fx_wait(fx, &hung.calls, 1);
    assert_int_equal(hung.verdict, AUTH_FAILED);
    assert_int_equal(auth_helper_pid(fx->helper, AUTH_HELPER_PAM, 0), 0);
    int fd = open(fx_path(fx, "pipe"), O_RDWR | O_NONBLOCK); /* lets the shell go, if it is there still */
    (void)close(fd);
    auth_verifier_free(stuck);
    auth_verifier_free(silent);
}

static void reload_loads_modules_anew(void **state)
{
    struct fx *fx = *state;
    struct auth_verifier *v = verifier(fx, "silent", NULL);
    assert_int_equal(ask(fx, v, "alice", "wonderland").verdict, AUTH_ACCEPTED);
    int pid = auth_helper_pid(fx->helper, AUTH_HELPER_PAM, 0);
    assert_int_equal(auth_verifier_reload(v, NULL, NULL), 0);
    assert_int_equal(ask(fx, v, "alice", "wonderland").verdict, AUTH_ACCEPTED);
    assert_int_not_equal(auth_helper_pid(fx->helper, AUTH_HELPER_PAM, 0), pid);
    auth_verifier_free(v);
}

int main(int argc, char **argv)
{
    FX_HELPER(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(right_and_wrong, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(modules_words_become_the_reason, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(what_modules_are_told, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(much_talk_is_cut, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(what_pam_is_not_asked, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_broken_pam_cannot_tell, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_stuck_module, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(reload_loads_modules_anew, setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
