/* SPDX-License-Identifier: Apache-2.0 */
/* Who is this? One asynchronous interface over everything that can tell: a password file, PAM, the Null verifiers,
   remote Glacier2::PermissionsVerifier / SSLPermissionsVerifier objects (glacier2-router 11, icegrid-registry
   sessions), and several of them in order. */
#ifndef MOULIN_AUTH_VERIFIER_H
#define MOULIN_AUTH_VERIFIER_H

#include <moulin/auth/helper.h>
#include <moulin/base/arena.h>
#include <moulin/base/block.h>
#include <moulin/rpc/request.h>
#include <moulin/wire/types.h>

struct Glacier2_SSLInfo;
struct ir_runtime;
struct ib_log;

struct auth_verifier;
struct auth_check;

/* Borrowed during auth_verify only. */
struct auth_request {
    struct ib_str user, password; /* password verifiers */
    const struct Glacier2_SSLInfo *ssl; /* certificate verifiers */
    const struct ir_context_entry *context; /* for remote verifiers */
    size_t n_context;
    const char *remote_host; /* numeric address of the client, for PAM; NULL: unknown */
};

enum auth_verdict {
    AUTH_ACCEPTED,
    AUTH_DENIED, /* reason says why, may be empty */
    AUTH_THROWN, /* a PermissionDeniedException or one derived from it */
    AUTH_FAILED /* nobody could tell: err */
};

/* Borrows until the callback returns. */
struct auth_answer {
    enum auth_verdict verdict;
    struct ib_str reason; /* AUTH_DENIED, AUTH_THROWN */
    struct ib_span exception; /* AUTH_THROWN: its encapsulation as received, in exception_encoding */
    struct iw_encoding exception_encoding;
    struct ib_err err; /* AUTH_FAILED; otherwise with a code: a verifier before could not tell */
};

typedef void (*auth_verify_fn)(void *arg, const struct auth_answer *a);

/* Asks. fn is called exactly once, never before this returns, unless the check is cancelled or the verifier freed.
   NULL only when memory is short (then fn is not called). */
struct auth_check *auth_verify(struct auth_verifier *v, const struct auth_request *rq, auth_verify_fn fn, void *arg);
void auth_check_cancel(struct auth_check *c);

/* Accepts everybody. */
struct auth_verifier *auth_verifier_new_null(struct ic_loop *loop);
/* A password file; hashing happens in the helper (borrowed, outlives the verifier). */
struct auth_verifier *auth_verifier_new_file(struct ic_loop *loop, struct auth_helper *helper, const char *path,
                                             struct ib_log *log, struct ib_err *err);
/* A remote object: ssl says which of the two interfaces. The proxy is copied. */
struct auth_verifier *auth_verifier_new_remote(struct ir_runtime *rt, const struct iw_proxy *prx, bool ssl);
/* A PAM service; its modules run in the helper (borrowed, outlives the verifier). Refusals carry what the modules told
   the user. A PAM that cannot work is said once on the log (borrowed, may be NULL) until it works again. directory
   holds the service files; "": the system's. */
struct auth_verifier *auth_verifier_new_pam(struct ic_loop *loop, struct auth_helper *helper, const char *service,
                                            const char *directory, struct ib_log *log);
/* Password verifiers in the order given, n of AUTH_CHAIN_MAX at most; takes them, also on failure. The first that
   accepts lets the client in; the last denial is the answer otherwise, and when nobody denied the first failure. */
#define AUTH_CHAIN_MAX 3
struct auth_verifier *auth_verifier_new_chain(struct ic_loop *loop, struct auth_verifier *const *list, size_t n);
void auth_verifier_free(struct auth_verifier *v); /* open checks are forgotten; NULL is fine */

/* Reads the password file again; on failure the old one stays. PAM: modules are loaded anew. Others: nothing. */
int auth_verifier_reload(struct auth_verifier *v, struct ib_log *log, struct ib_err *err) IB_MUST_CHECK;
/* For verifiers of one configuration on several loops: the password file in use (one more reference; NULL: there is
   none), and a reload with one that another has read (takes it). */
struct auth_password_file;
struct auth_password_file *auth_verifier_passwords(const struct auth_verifier *v);
void auth_verifier_renew(struct auth_verifier *v, struct auth_password_file *passwords);
/* The remote object, for asking whether it is there and of the right type; NULL for the others. Borrowed. */
const struct iw_proxy *auth_verifier_proxy(const struct auth_verifier *v);
/* A Null verifier: it costs nothing to ask, and nobody fails. */
bool auth_verifier_accepts_all(const struct auth_verifier *v);

/* A remote verifier that cannot be reached ends the start of a role, unless this property is > 0: then it is warned
   about, and logins are refused until it answers, as with ZeroC's daemons. The text: proxy, property, origin, reason.
 */
#define AUTH_VERIFIER_OPTIONAL "Moulin.VerifierOptional"
#define AUTH_VERIFIER_ABSENT                                                                                           \
    "cannot reach the permissions verifier `%s' of %s (%s): %s; start it first, correct the property, or "             \
    "set " AUTH_VERIFIER_OPTIONAL "=1 to start without it"

/* Which verifier the properties ask for. */
struct auth_setting {
    const char *proxy_property; /* "Glacier2.PermissionsVerifier" */
    const char *file_property; /* "Glacier2.CryptPasswords"; NULL: none; used when proxy_property is unset */
    const char *instance; /* the Null verifiers are <instance>/NullPermissionsVerifier, …/NullSSLPermissionsVerifier */
    bool ssl;
    const char *prefix; /* "Moulin.Gateway.": of PamService, PamDirectory, Verifiers; NULL: none */
};
/* *out NULL when no property is set. */
int auth_verifier_configure(struct ir_runtime *rt, struct auth_helper *helper, const struct auth_setting *s,
                            struct auth_verifier **out, struct ib_err *err) IB_MUST_CHECK;

#endif
