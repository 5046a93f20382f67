/* SPDX-License-Identifier: Apache-2.0 */
/* `moulin certs`: a private certificate authority for first steps and tests, and the certificates it signs. */
#ifndef MOULIN_CERTS_CERTS_H
#define MOULIN_CERTS_CERTS_H

#include <moulin/base/err.h>
#include <stdbool.h>
#include <stddef.h>

/* The sub-command; argv[0] names it in messages. Returns the exit status. */
int certs_main(int argc, char **argv);

enum certs_kind { CERTS_CA, CERTS_SERVER, CERTS_CLIENT };

/* Writes <dir>/<name>.pem (0644) and <dir>/<name>.key (0600, PKCS#8 without password); a CA is always <dir>/ca.pem and
   <dir>/ca.key. Leaf certificates are signed by the CA of the same directory. */
struct certs_request {
    enum certs_kind kind;
    const char *dir; /* made when missing */
    const char *name; /* of the files; not for a CA */
    const char *subject; /* common name; NULL: name */
    const char *const *hosts; /* subject alternative names: addresses or host names */
    size_t n_hosts;
    int days;
    bool force; /* overwrite */
    const char *p12_password; /* not NULL: also <name>.p12 (0600), protected by it */
};
int certs_make(const struct certs_request *rq, struct ib_err *err) IB_MUST_CHECK;

#endif
