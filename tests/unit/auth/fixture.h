/* SPDX-License-Identifier: Apache-2.0 */
/* A loop, the auth helpers, and verifiers asked to the end. The executable is its own helper: see FX_HELPER. */
#ifndef AUTH_FIXTURE_H
#define AUTH_FIXTURE_H

#include <test.h>

#include <moulin/auth/helper.h>
#include <moulin/auth/verifier.h>
#include <moulin/net/loop.h>

struct fx {
    struct ic_loop *loop;
    struct auth_helper *helper;
    char directory[64]; /* empty, of this test */
};

struct fx_verdict {
    int calls;
    enum auth_verdict verdict;
    char reason[300], err[600], exception[64];
};

/* The first statement of main. */
#define FX_HELPER(argc, argv)                                                                                          \
    do {                                                                                                               \
        if ((argc) > 1 && strcmp((argv)[1], AUTH_HELPER_ROLE) == 0) {                                                  \
            auth_helper_main((argc)-1, (argv) + 1);                                                                    \
        }                                                                                                              \
    } while (0)

int fx_setup(void **state, const struct auth_helper_config *cfg); /* *state is the struct fx */
int fx_teardown(void **state);
void fx_wait(struct fx *fx, const int *counter, int value); /* until *counter is at least value, and exactly */
void fx_on_verdict(void *arg, const struct auth_answer *a); /* arg: struct fx_verdict */
struct fx_verdict fx_ask(struct fx *fx, struct auth_verifier *v, const struct auth_request *rq);
enum auth_verdict fx_verify(struct fx *fx, struct auth_verifier *v, const char *user, struct ib_str password);
void fx_write(const char *path, const char *text);
const char *fx_path(const struct fx *fx, const char *name); /* borrows until the next call */

#endif
