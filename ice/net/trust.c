/* SPDX-License-Identifier: Apache-2.0 */
/* IceSSL.TrustOnly: lists of distinguished names against a certificate's subject (ice-protocol 14.3). An entry matches
   when each of its RDNs occurs in the subject. */
#include <moulin/net/tls.h>

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* One attribute: type=value. Both borrow from the text; value is still escaped. */
struct rdn {
    const char *type, *value;
    size_t type_n, value_n;
};

/* Length of text up to one of stops, outside quotes and escapes; -1 when a quote or escape does not end. */
static ptrdiff_t span_to(const char *p, const char *stops)
{
    bool quoted = false;
    const char *s = p;
    for (; *s; s++) {
        if (*s == '\\') {
            if (!*++s) {
                return -1;
            }
        } else if (*s == '"') {
            quoted = !quoted;
        } else if (!quoted && strchr(stops, *s)) {
            break;
        }
    }
    return quoted ? -1 : s - p;
}

static int hex(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | ((c >= 'A' && c <= 'Z') ? 0x20 : 0)) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The next character of an escaped value, -1 at its end. */
static int next_char(const char **p, const char *end)
{
    while (*p < end && **p == '"') {
        (*p)++;
    }
    if (*p >= end) {
        return -1;
    }
    if (**p == '\\' && *p + 1 < end) {
        if (*p + 2 < end && hex((*p)[1]) >= 0 && hex((*p)[2]) >= 0) {
            int c = hex((*p)[1]) * 16 + hex((*p)[2]);
            *p += 3;
            return c;
        }
        *p += 2;
        return (unsigned char)(*p)[-1];
    }
    return (unsigned char)*(*p)++;
}

static bool same_value(const struct rdn *a, const struct rdn *b)
{
    const char *p = a->value, *q = b->value;
    int c, d;
    do {
        c = next_char(&p, a->value + a->value_n);
        d = next_char(&q, b->value + b->value_n);
    } while (c == d && c >= 0);
    return c == d;
}

/* Cuts the first RDN off *p. 1: got one; 0: end; -1: malformed. */
static int cut_rdn(const char **p, const char *end, struct rdn *r)
{
    const char *s = *p + strspn(*p, " ");
    if (s >= end) {
        return 0;
    }
    ptrdiff_t n = span_to(s, ",+;");
    const char *eq = n < 0 ? NULL : memchr(s, '=', (size_t)n);
    if (!eq || s + n > end) {
        return -1;
    }
    const char *type_end = eq, *value = eq + 1, *value_end = s + n;
    while (type_end > s && type_end[-1] == ' ') {
        type_end--;
    }
    while (value < value_end && *value == ' ') {
        value++;
    }
    while (value_end > value && value_end[-1] == ' ' && (value_end - 1 == value || value_end[-2] != '\\')) {
        value_end--;
    }
    *r = (struct rdn){s, value, (size_t)(type_end - s), (size_t)(value_end - value)};
    *p = s + n + (s + n < end ? 1 : 0);
    return r->type_n > 0 ? 1 : -1;
}

/* Does the subject have this RDN? */
static bool occurs(const struct rdn *r, const char *subject)
{
    struct rdn s;
    const char *end = subject + strlen(subject);
    while (cut_rdn(&subject, end, &s) > 0) {
        if (s.type_n == r->type_n && strncasecmp(s.type, r->type, r->type_n) == 0 && same_value(r, &s)) {
            return true;
        }
    }
    return false;
}

/* 1: every RDN of the entry occurs; 0: not; -1: malformed or empty. */
static int entry_matches(const char *p, const char *end, const char *subject)
{
    struct rdn r;
    int matches = 1, rc, count = 0;
    while ((rc = cut_rdn(&p, end, &r)) > 0) {
        count++;
        if (!occurs(&r, subject)) {
            matches = 0;
        }
    }
    return rc < 0 || count == 0 ? -1 : matches;
}

int ic_tls_trust_match(const char *trust_only, const char *subject, bool *accept, bool *reject)
{
    bool accepted = false, rejected = false, asks = false;
    for (const char *p = trust_only; *p;) {
        p += strspn(p, " \t;");
        if (!*p) {
            break;
        }
        bool negative = *p == '!';
        p += negative;
        ptrdiff_t n = span_to(p, ";");
        int rc = n < 0 ? -1 : entry_matches(p, p + n, subject);
        if (rc < 0) {
            return IB_ECONFIG;
        }
        if (negative) {
            rejected = rejected || rc;
        } else {
            asks = true;
            accepted = accepted || rc;
        }
        p += n;
    }
    *accept = accepted || !asks;
    *reject = rejected;
    return 0;
}
