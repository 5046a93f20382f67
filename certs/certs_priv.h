/* SPDX-License-Identifier: Apache-2.0 */
/* Between the maker of certificates and its files. */
#ifndef CERTS_PRIV_H
#define CERTS_PRIV_H

#include <moulin/certs/certs.h>

#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#define CERTS_PATH_MAX 4096

/* "<dir>/<name>.<suffix>"; IB_EINVAL when name is none for a file or the path too long. */
int certs_path(const struct certs_request *rq, const char *name, const char *suffix, char out[CERTS_PATH_MAX],
               struct ib_err *err) IB_MUST_CHECK;
int certs_make_dir(const char *dir, struct ib_err *err) IB_MUST_CHECK;
/* IB_EEXISTS when the file is there and must not be replaced. */
int certs_check_free(const char *path, bool force, struct ib_err *err) IB_MUST_CHECK;

int certs_write_cert(const char *path, X509 *cert, X509 *issuer,
                     struct ib_err *err) IB_MUST_CHECK; /* issuer may be NULL */
int certs_write_key(const char *path, EVP_PKEY *key, struct ib_err *err) IB_MUST_CHECK;
int certs_write_p12(const char *path, PKCS12 *p12, struct ib_err *err) IB_MUST_CHECK;
int certs_read_cert(const char *path, X509 **out, struct ib_err *err) IB_MUST_CHECK;
int certs_read_key(const char *path, EVP_PKEY **out, struct ib_err *err) IB_MUST_CHECK;

/* Fills err with the first fault OpenSSL noted. */
int certs_openssl_fault(struct ib_err *err, const char *what);

#endif
