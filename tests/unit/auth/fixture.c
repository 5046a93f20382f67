/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <moulin/base/clock.h>

#define WAIT_MS 20000

int fx_setup(void **state, const struct auth_helper_config *cfg)
{
    struct fx *fx = calloc(1, sizeof(*fx));
    fx->loop = ic_loop_new(NULL);
    fx->helper = auth_helper_new(fx->loop, cfg);
    (void)snprintf(fx->directory, sizeof(fx->directory), "/tmp/moulin-auth-XXXXXX");
    *state = fx;
    return fx->loop && fx->helper && mkdtemp(fx->directory) ? 0 : -1;
}

int fx_teardown(void **state)
{
    struct fx *fx = *state;
    auth_helper_free(fx->helper);
    ic_loop_free(fx->loop);
    DIR *d = opendir(fx->directory);
    for (const struct dirent *e; d && (e = readdir(d));) {
        (void)unlink(fx_path(fx, e->d_name));
    }
    (void)closedir(d);
    (void)rmdir(fx->directory);
    free(fx);
    return 0;
}

void fx_wait(struct fx *fx, const int *counter, int value)
{
    int64_t end = ib_clock_ms() + WAIT_MS;
    while (*counter < value && ib_clock_ms() < end) {
        (void)ic_loop_run_once(fx->loop, 100);
    }
    assert_int_equal(*counter, value);
}

void fx_on_verdict(void *arg, const struct auth_answer *a)
{
    struct fx_verdict *v = arg;
    v->calls++;
    v->verdict = a->verdict;
    (void)snprintf(v->reason, sizeof(v->reason), "%.*s", (int)a->reason.n, ib_cstr(a->reason));
    (void)snprintf(v->exception, sizeof(v->exception), "%.*s", (int)a->exception.n,
                   a->exception.n ? (const char *)a->exception.p : "");
    (void)snprintf(v->err, sizeof(v->err), "%s", a->err.code ? a->err.text : "");
}

struct fx_verdict fx_ask(struct fx *fx, struct auth_verifier *v, const struct auth_request *rq)
{
    struct fx_verdict got = {0};
    assert_non_null(auth_verify(v, rq, fx_on_verdict, &got));
    assert_int_equal(got.calls, 0);
    fx_wait(fx, &got.calls, 1);
    return got;
}

enum auth_verdict fx_verify(struct fx *fx, struct auth_verifier *v, const char *user, struct ib_str password)
{
    const struct auth_request rq = {.user = ib_str(user), .password = password};
    return fx_ask(fx, v, &rq).verdict;
}

void fx_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

const char *fx_path(const struct fx *fx, const char *name)
{
    static char path[400];
    (void)snprintf(path, sizeof(path), "%s/%s", fx->directory, name);
    return path;
}
