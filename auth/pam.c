/* SPDX-License-Identifier: Apache-2.0 */
/* The conversation with PAM's modules: hidden questions get the password, open ones the user's name, and what they say
   is kept for the refusal. Owns nothing beyond a call. */
#include "pam.h"

#include <ctype.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <moulin/base/secret.h>

#define ROUNDS_MAX 32 /* conversations of one login */

struct talk {
    const char *user, *password;
    struct helper_answer *answer;
    unsigned rounds;
};

static void keep_text(struct helper_answer *a, const char *text)
{
    size_t n = strlen(a->text);
    (void)snprintf(a->text + n, sizeof(a->text) - n, "%s%s", n ? " " : "", text);
}

static int reply(struct talk *t, const struct pam_message *m, struct pam_response *r)
{
    switch (m->msg_style) {
    case PAM_PROMPT_ECHO_OFF:
        r->resp = strdup(t->password);
        return r->resp ? PAM_SUCCESS : PAM_BUF_ERR;
    case PAM_PROMPT_ECHO_ON:
        r->resp = strdup(t->user);
        return r->resp ? PAM_SUCCESS : PAM_BUF_ERR;
    case PAM_ERROR_MSG:
    case PAM_TEXT_INFO:
        keep_text(t->answer, m->msg ? m->msg : "");
        return PAM_SUCCESS;
    default:
        return PAM_CONV_ERR;
    }
}

static void forget(struct pam_response *r, int n)
{
    for (int i = 0; i < n; i++) {
        if (r[i].resp) {
            ib_wipe(r[i].resp, strlen(r[i].resp));
            free(r[i].resp);
        }
    }
    free(r);
}

/* The answers are PAM's to free. */
static int converse(int n, const struct pam_message **m, struct pam_response **out, void *arg)
{
    struct talk *t = arg;
    if (n <= 0 || n > PAM_MAX_NUM_MSG || ++t->rounds > ROUNDS_MAX) {
        return PAM_CONV_ERR;
    }
    struct pam_response *r = calloc((size_t)n, sizeof(*r));
    int rc = r ? PAM_SUCCESS : PAM_BUF_ERR;
    for (int i = 0; rc == PAM_SUCCESS && i < n; i++) {
        rc = reply(t, m[i], &r[i]);
    }
    if (out) {
        *out = rc == PAM_SUCCESS ? r : NULL;
    }
    if (r && (rc != PAM_SUCCESS || !out)) { /* some modules want no answers to what they say */
        forget(r, n);
    }
    return rc;
}

/* Instead of sleeping: whoever counts failures delays the next one, and nobody else waits behind it. */
static void no_delay(int status, unsigned usec, void *arg)
{
    (void)status;
    (void)usec;
    (void)arg;
}

/* PAM takes "other" for a service without a file: a misspelt name must not let anybody in by that. */
static bool has_file(const struct helper_pam *q)
{
    static const char *const system[] = {"/etc/pam.d", "/usr/lib/pam.d"};
    size_t n = q->directory[0] ? 1 : sizeof(system) / sizeof(system[0]);
    for (size_t i = 0; i < n; i++) {
        char path[HELPER_DIRECTORY_MAX + HELPER_SERVICE_MAX + 2];
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/%s", q->directory[0] ? q->directory : system[i], q->service);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
            return true;
        }
    }
    return false;
}

/* PAM_SYSTEM_ERR of a module is a no: pam_exec says it so when its command does. */
static enum helper_verdict verdict(int rc, bool started)
{
    switch (rc) {
    case PAM_SUCCESS:
        return HELPER_YES;
    case PAM_OPEN_ERR:
    case PAM_SYMBOL_ERR:
    case PAM_SERVICE_ERR:
    case PAM_BUF_ERR:
    case PAM_CRED_INSUFFICIENT:
    case PAM_AUTHINFO_UNAVAIL:
    case PAM_NO_MODULE_DATA:
    case PAM_CONV_ERR:
    case PAM_IGNORE:
    case PAM_ABORT:
    case PAM_MODULE_UNKNOWN:
    case PAM_BAD_ITEM:
    case PAM_INCOMPLETE:
        return HELPER_BROKEN;
    default:
        return started ? HELPER_NO : HELPER_BROKEN;
    }
}

static int log_in(struct helper_pam *q, const struct pam_conv *conv, pam_handle_t **h, const char **step)
{
    union {
        void (*fn)(int, unsigned, void *);
        const void *p;
    } delay = {.fn = no_delay};
    *step = "pam_start";
    int rc = pam_start_confdir(q->service, q->user, conv, q->directory[0] ? q->directory : NULL, h);
    if (rc == PAM_SUCCESS) {
        rc = pam_set_item(*h, PAM_FAIL_DELAY, delay.p);
    }
    if (rc == PAM_SUCCESS && q->host[0]) {
        rc = pam_set_item(*h, PAM_RHOST, q->host);
    }
    if (rc == PAM_SUCCESS) {
        *step = "pam_authenticate";
        rc = pam_authenticate(*h, PAM_DISALLOW_NULL_AUTHTOK);
    }
    if (rc == PAM_SUCCESS) {
        *step = "pam_acct_mgmt";
        rc = pam_acct_mgmt(*h, PAM_DISALLOW_NULL_AUTHTOK);
    }
    return rc;
}

/* The name as PAM uses it for the file. */
static void terminate(struct helper_pam *q)
{
    q->service[HELPER_SERVICE_MAX] = q->directory[HELPER_DIRECTORY_MAX] = '\0';
    q->user[HELPER_USER_MAX] = q->host[HELPER_HOST_MAX] = '\0';
    for (char *p = q->service; *p; p++) {
        *p = (char)tolower((unsigned char)*p);
    }
}

void auth_pam_check(struct helper_pam *q, const char *password, struct helper_answer *a)
{
    struct talk t = {.user = q->user, .password = password, .answer = a};
    const struct pam_conv conv = {.conv = converse, .appdata_ptr = &t};
    pam_handle_t *h = NULL;
    const char *step = "";
    terminate(q);
    if (!has_file(q)) {
        a->verdict = HELPER_BROKEN;
        (void)snprintf(a->text, sizeof(a->text), "there is no service file of that name");
        return;
    }
    int rc = log_in(q, &conv, &h, &step);
    a->verdict = (uint8_t)verdict(rc, h != NULL);
    if (a->verdict == HELPER_BROKEN) {
        (void)snprintf(a->text, sizeof(a->text), "%s: %s", step, pam_strerror(h, rc));
    }
    if (h) {
        (void)pam_end(h, rc);
    }
}
