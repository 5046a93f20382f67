/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and certificates as files: private ones readable by their owner only, each replaced as a whole or not at all. */
#include "certs_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int certs_openssl_fault(struct ib_err *err, const char *what)
{
    char text[160];
    ERR_error_string_n(ERR_peek_error(), text, sizeof(text));
    ERR_clear_error();
    return ib_err_set(err, IB_ESECURITY, "%s: %s", what, text);
}

int certs_path(const struct certs_request *rq, const char *name, const char *suffix, char out[CERTS_PATH_MAX],
               struct ib_err *err)
{
    if (!name || !name[0] || name[0] == '.' || strchr(name, '/')) {
        return ib_err_set(err, IB_EINVAL, "`%s' is no name for a file; use --subject for other common names",
                          name ? name : "");
    }
    int n = snprintf(out, CERTS_PATH_MAX, "%s/%s.%s", rq->dir, name, suffix);
    return n < CERTS_PATH_MAX ? 0 : ib_err_set(err, IB_EINVAL, "the path %s/%.64s… is too long", rq->dir, name);
}

int certs_make_dir(const char *dir, struct ib_err *err)
{
    if (mkdir(dir, 0700) == 0 || errno == EEXIST) {
        return 0;
    }
    return ib_err_set(err, IB_EFILE, "cannot make the directory `%s': %s", dir, strerror(errno));
}

int certs_check_free(const char *path, bool force, struct ib_err *err)
{
    struct stat st;
    if (force || lstat(path, &st) != 0) {
        return 0;
    }
    return ib_err_set(err, IB_EEXISTS, "`%s' exists already; --force replaces it", path);
}

typedef int (*write_fn)(FILE *f, const void *what);

/* A temporary file beside it, then renamed: a reader sees the old file or the new one. */
static int write_file(const char *path, mode_t mode, write_fn fn, const void *what, struct ib_err *err)
{
    char tmp[CERTS_PATH_MAX + 16];
    (void)snprintf(tmp, sizeof(tmp), "%s.new", path);
    (void)unlink(tmp);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return ib_err_set(err, IB_EFILE, "cannot write `%s': %s", path, strerror(errno));
    }
    FILE *f = fdopen(fd, "w");
    if (!f) {
        (void)close(fd);
        (void)unlink(tmp);
        return ib_err_set(err, IB_ENOMEM, "cannot write `%s': out of memory", path);
    }
    bool ok = fn(f, what) == 1 && fflush(f) == 0 && fsync(fd) == 0;
    ok = fclose(f) == 0 && ok;
    if (!ok || rename(tmp, path) != 0) {
        int rc = ib_err_set(err, IB_EIO, "cannot write `%s': %s", path, strerror(errno));
        (void)unlink(tmp);
        return rc;
    }
    return 0;
}

struct chain {
    X509 *cert, *issuer;
};

static int put_chain(FILE *f, const void *what)
{
    const struct chain *c = what;
    return PEM_write_X509(f, c->cert) == 1 && (!c->issuer || PEM_write_X509(f, c->issuer) == 1);
}

int certs_write_cert(const char *path, X509 *cert, X509 *issuer, struct ib_err *err)
{
    const struct chain c = {cert, issuer};
    return write_file(path, 0644, put_chain, &c, err);
}

struct key {
    EVP_PKEY *pkey;
};

static int put_key(FILE *f, const void *what)
{
    return PEM_write_PKCS8PrivateKey(f, ((const struct key *)what)->pkey, NULL, NULL, 0, NULL, NULL);
}

int certs_write_key(const char *path, EVP_PKEY *key, struct ib_err *err)
{
    const struct key k = {key};
    return write_file(path, 0600, put_key, &k, err);
}

static int put_p12(FILE *f, const void *what)
{
    return i2d_PKCS12_fp(f, what);
}

int certs_write_p12(const char *path, PKCS12 *p12, struct ib_err *err)
{
    return write_file(path, 0600, put_p12, p12, err);
}

static FILE *open_ca(const char *path, struct ib_err *err)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        (void)ib_err_set(err, IB_EFILE, "cannot read `%s': %s; make a certificate authority first (certs ca)", path,
                         strerror(errno));
    }
    return f;
}

int certs_read_cert(const char *path, X509 **out, struct ib_err *err)
{
    FILE *f = open_ca(path, err);
    if (!f) {
        return IB_EFILE;
    }
    *out = PEM_read_X509(f, NULL, NULL, NULL);
    (void)fclose(f);
    return *out ? 0 : certs_openssl_fault(err, path);
}

int certs_read_key(const char *path, EVP_PKEY **out, struct ib_err *err)
{
    static char no_password[] = "";
    FILE *f = open_ca(path, err);
    if (!f) {
        return IB_EFILE;
    }
    *out = PEM_read_PrivateKey(f, NULL, NULL, no_password);
    (void)fclose(f);
    return *out ? 0 : certs_openssl_fault(err, path);
}
