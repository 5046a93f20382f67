/* SPDX-License-Identifier: Apache-2.0 */
/* What every kind of verifier has: its operations, its loop, its open checks. */
#ifndef AUTH_VERIFIER_PRIV_H
#define AUTH_VERIFIER_PRIV_H

#include <moulin/auth/verifier.h>
#include <moulin/base/list.h>
#include <moulin/net/loop.h>

struct ir_call;

struct auth_verifier_ops {
    int (*start)(struct auth_verifier *v, struct auth_check *c, const struct auth_request *rq);
    void (*cancel)(struct auth_verifier *v, struct auth_check *c);
    int (*reload)(struct auth_verifier *v, struct ib_log *log, struct ib_err *err); /* may be NULL */
    struct auth_password_file *(*passwords)(const struct auth_verifier *v); /* NULL: it has none */
    void (*renew)(struct auth_verifier *v, struct auth_password_file *passwords); /* shares; NULL: nothing to renew */
    void (*free)(struct auth_verifier *v);
};

/* First member of every kind's own struct. */
struct auth_verifier {
    const struct auth_verifier_ops *ops;
    struct ic_loop *loop; /* borrows */
    struct iw_proxy *proxy; /* remote kinds: owned by them */
    struct ib_list checks; /* owns */
};

/* One question; the kinds use the members below the line as they need. */
struct auth_check {
    struct ib_list node;
    struct auth_verifier *v;
    auth_verify_fn fn;
    void *arg;
    struct ic_deferred later;
    struct auth_answer answer; /* what later gives */
    /* ---- */
    uint64_t question; /* file, PAM: the helper's */
    bool known;
    struct auth_run *run; /* chain; owned by it */
    struct ir_call *call; /* remote */
};

void auth_verifier_init(struct auth_verifier *v, const struct auth_verifier_ops *ops, struct ic_loop *loop);
/* Gives the answer and frees the check. */
void auth_check_finish(struct auth_check *c, const struct auth_answer *a);
/* The same after the current event; reason must be a literal. */
void auth_check_finish_later(struct auth_check *c, enum auth_verdict verdict, const char *reason);

#endif
