/* SPDX-License-Identifier: Apache-2.0 */
/* The PAM verifier: what may be asked at all is decided here, the modules run in the helper. */
#include "verifier_priv.h"

#include <stdlib.h>
#include <string.h>

#include <moulin/base/clock.h>
#include <moulin/base/log.h>

#include "helper_wire.h"

#define TELL_AGAIN_MS 60000 /* a PAM that comes and goes must not fill the log */

struct pam_verifier {
    struct auth_verifier base;
    struct auth_helper *helper; /* borrows */
    struct ib_log *log; /* borrows */
    char *service, *directory;
    bool broken; /* was when last heard of */
    int64_t told_at; /* 0 = never */
};

static struct pam_verifier *pam(struct auth_verifier *v)
{
    return (struct pam_verifier *)(void *)v;
}

static void tell(struct pam_verifier *m, const char *text)
{
    int64_t now = ib_clock_ms();
    char what[HELPER_TEXT_MAX + 1];
    if (m->log && !m->broken && (m->told_at == 0 || now - m->told_at >= TELL_AGAIN_MS)) {
        m->told_at = now;
        ib_log_error(
            m->log,
            "the PAM service `%s' cannot tell who may log in: %s; correct %s%s%s or what it names (the system's "
            "log says more)",
            m->service, ib_log_escape(ib_str(text), what, sizeof(what)), m->directory[0] ? m->directory : "/etc/pam.d",
            "/", m->service);
    }
    m->broken = true;
}

/* Length of the UTF-8 sequence at p, 0 when it is none; n > 0 bytes are there. Overlong ones and surrogates are none.
 */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t k = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : (p[0] & 0xf0) == 0xe0       ? 3
               : (p[0] & 0xf8) == 0xf0       ? 4
                                             : 0;
    if (k < 2 || k > n) {
        return k == 1;
    }
    uint32_t c = p[0] & (0xffu >> (k + 1));
    for (size_t i = 1; i < k; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < lowest[k] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : k;
}

/* Modules' words go to clients: one line of printable UTF-8, without blanks at the end. */
static struct ib_str clean(const char *text, char *out)
{
    size_t n = strlen(text), k = 0;
    for (size_t i = 0; i < n;) {
        size_t step = utf8_length((const unsigned char *)text + i, n - i);
        if (step <= 1) {
            bool control = (unsigned char)text[i] < 0x20 || text[i] == 0x7f;
            out[k++] = step == 0 ? '?' : (char)(control ? ' ' : text[i]);
            i++;
        } else {
            memcpy(out + k, text + i, step);
            k += step;
            i += step;
        }
    }
    while (k && out[k - 1] == ' ') {
        k--;
    }
    out[k] = '\0';
    return (struct ib_str){out, k};
}

static void on_answer(void *arg, const struct auth_helper_answer *h)
{
    struct auth_check *c = arg;
    struct pam_verifier *m = pam(c->v);
    struct auth_answer a = {.verdict = h->match ? AUTH_ACCEPTED : AUTH_DENIED};
    char text[HELPER_TEXT_MAX + 1];
    if (h->code == 0) {
        m->broken = false;
        a.reason = a.verdict == AUTH_DENIED ? clean(h->text, text) : IB_STR("");
    } else {
        a.verdict = AUTH_FAILED;
        (void)ib_err_set(&a.err, h->code, "the PAM service `%s' gave no answer: %s%s%s", m->service,
                         ib_err_text(h->code), h->text[0] ? ": " : "", clean(h->text, text).p);
        tell(m, h->text[0] ? h->text : ib_err_text(h->code));
    }
    auth_check_finish(c, &a);
}

/* Names and passwords that C strings cannot hold, and names that would forge lines of the modules' logs. */
static bool is_acceptable(const struct auth_request *rq)
{
    if (rq->user.n == 0 || (rq->password.n && memchr(rq->password.p, 0, rq->password.n))) {
        return false;
    }
    for (size_t i = 0; i < rq->user.n; i++) {
        unsigned char ch = (unsigned char)rq->user.p[i];
        if (ch < 0x20 || ch == 0x7f) {
            return false;
        }
    }
    return true;
}

static int pam_start(struct auth_verifier *v, struct auth_check *c, const struct auth_request *rq)
{
    struct pam_verifier *m = pam(v);
    const struct auth_pam_question q = {.service = m->service,
                                        .directory = m->directory,
                                        .host = rq->remote_host ? rq->remote_host : "",
                                        .user = rq->user,
                                        .password = rq->password};
    int rc = is_acceptable(rq) ? auth_helper_check_pam(m->helper, &q, on_answer, c, &c->question) : IB_EINVAL;
    if (rc == IB_EINVAL) {
        auth_check_finish_later(c, AUTH_DENIED, "");
        return 0;
    }
    if (rc == IB_ELIMIT) {
        auth_check_finish_later(c, AUTH_FAILED, "too many logins are waiting for PAM");
        return 0;
    }
    return rc;
}

static void pam_cancel(struct auth_verifier *v, struct auth_check *c)
{
    auth_helper_cancel(pam(v)->helper, c->question);
}

static int pam_reload(struct auth_verifier *v, struct ib_log *log, struct ib_err *err)
{
    (void)log;
    (void)err;
    auth_helper_retire(pam(v)->helper, AUTH_HELPER_PAM);
    return 0;
}

static void pam_renew(struct auth_verifier *v, struct auth_password_file *passwords)
{
    (void)passwords;
    auth_helper_retire(pam(v)->helper, AUTH_HELPER_PAM);
}

static void pam_free(struct auth_verifier *v)
{
    struct pam_verifier *m = pam(v);
    free(m->service);
    free(m->directory);
    free(m);
}

static const struct auth_verifier_ops pam_ops = {
    .start = pam_start,
    .cancel = pam_cancel,
    .reload = pam_reload,
    .renew = pam_renew,
    .free = pam_free,
};

struct auth_verifier *auth_verifier_new_pam(struct ic_loop *loop, struct auth_helper *helper, const char *service,
                                            const char *directory, struct ib_log *log)
{
    struct pam_verifier *m = calloc(1, sizeof(*m));
    if (!m) {
        return NULL;
    }
    auth_verifier_init(&m->base, &pam_ops, loop);
    m->helper = helper;
    m->log = log;
    m->service = strdup(service);
    m->directory = strdup(directory);
    if (!m->service || !m->directory) {
        pam_free(&m->base);
        return NULL;
    }
    return &m->base;
}
