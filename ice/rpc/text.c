/* SPDX-License-Identifier: Apache-2.0 */
/* Words, numbers and escapes: the small grammar that properties, identities, proxies and endpoints have in common
   (ice-protocol 15.1, 15.4, 20.4). */
#include "text_priv.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* Appends the word that starts at *at to out and moves *at behind it. */
static int split_word(struct ib_str text, const char *delims, size_t *at, struct ib_buf *out)
{
    char quote = 0;
    size_t i = *at;

    for (; i < text.n; i++) {
        char c = text.p[i];

        if (quote == 0 && (c == '"' || c == '\'')) {
            quote = c;
        } else if (quote != 0 && c == '\\' && i + 1 < text.n && text.p[i + 1] == quote) {
            ib_buf_put_u8(out, (uint8_t)text.p[++i]);
        } else if (quote != 0 && c == quote) {
            quote = 0;
        } else if (quote == 0 && c != 0 && strchr(delims, c) != NULL) {
            break;
        } else {
            ib_buf_put_u8(out, (uint8_t)c);
        }
    }
    *at = i;
    if (quote != 0)
        return IB_EINVAL;
    return ib_buf_ok(out) ? 0 : IB_ENOMEM;
}

int ir_split(struct ib_str text, const char *delims, struct ib_arena *arena, struct ib_str **words, size_t *n)
{
    struct ib_buf word;
    size_t count = 0, cap = 0;
    struct ib_str *v = NULL;
    int rc = 0;

    ib_buf_init(&word);
    for (size_t i = 0; i < text.n && rc == 0; i++) {
        ib_buf_clear(&word);
        rc = split_word(text, delims, &i, &word);
        if (rc != 0 || word.n == 0)
            continue;
        if (count == cap) {
            size_t more = cap ? cap * 2 : 8;
            struct ib_str *grown = IB_ARENA_ARRAY(arena, more, struct ib_str);

            if (grown == NULL) {
                rc = IB_ENOMEM;
                continue;
            }
            if (count != 0)
                memcpy(grown, v, count * sizeof(*v));
            v = grown;
            cap = more;
        }
        v[count] = ir_keep(arena, &word);
        rc = v[count++].p == NULL ? IB_ENOMEM : 0;
    }
    ib_buf_fini(&word);
    if (rc == 0) {
        *words = v;
        *n = count;
    }
    return rc;
}

struct ib_str ir_keep(struct ib_arena *arena, struct ib_buf *b)
{
    struct ib_str s = {(const char *)b->p, b->n};

    return ib_buf_ok(b) ? ib_arena_str(arena, s) : (struct ib_str){NULL, 0};
}

bool ir_parse_int(struct ib_str s, int32_t *out)
{
    char text[32];
    char *end;
    long v;

    if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, 0, s.n) != NULL)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    errno = 0;
    v = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || v < INT32_MIN || v > INT32_MAX)
        return false;
    *out = (int32_t)v;
    return true;
}

int ir_parse_version(struct ib_str s, struct iw_encoding *out, struct ib_err *why)
{
    const char *dot = s.n ? memchr(s.p, '.', s.n) : NULL;
    int32_t major, minor;
    size_t at;

    if (dot == NULL)
        return ib_err_set(why, IB_EPARSEPROXY, "malformed version value `%.*s'", (int)s.n, s.p);
    at = (size_t)(dot - s.p);
    if (!ir_parse_int((struct ib_str){s.p, at}, &major))
        return ib_err_set(why, IB_EPARSEPROXY, "invalid major version value `%.*s'", (int)s.n, s.p);
    if (!ir_parse_int((struct ib_str){dot + 1, s.n - at - 1}, &minor))
        return ib_err_set(why, IB_EPARSEPROXY, "invalid minor version value `%.*s'", (int)s.n, s.p);
    if (major < 1 || major > 255 || minor < 0 || minor > 255)
        return ib_err_set(why, IB_EPARSEPROXY, "range error in version `%.*s'", (int)s.n, s.p);
    *out = (struct iw_encoding){(uint8_t)major, (uint8_t)minor};
    return 0;
}

/* --- escapes --------------------------------------------------------------------------------------------------- */

static const char named_chars[] = "\a\b\f\n\r\t\v";
static const char named_letters[] = "abfnrtv";

/* Length of the UTF-8 sequence at p and its code point; 0 when malformed. */
static size_t utf8_read(const char *p, size_t n, uint32_t *cp)
{
    uint8_t c = (uint8_t)p[0];
    size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    uint32_t v = len == 4 ? c & 0x07u : len == 3 ? c & 0x0fu : c & 0x1fu;

    if (len == 0 || len > n || c > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if (((uint8_t)p[i] & 0xc0) != 0x80)
            return 0;
        v = (v << 6) | ((uint8_t)p[i] & 0x3fu);
    }
    *cp = v;
    return len;
}

static void utf8_put(struct ib_buf *out, uint32_t cp)
{
    if (cp < 0x80) {
        ib_buf_put_u8(out, (uint8_t)cp);
    } else if (cp < 0x800) {
        ib_buf_put_u8(out, (uint8_t)(0xc0 | (cp >> 6)));
        ib_buf_put_u8(out, (uint8_t)(0x80 | (cp & 0x3f)));
    } else if (cp < 0x10000) {
        ib_buf_put_u8(out, (uint8_t)(0xe0 | (cp >> 12)));
        ib_buf_put_u8(out, (uint8_t)(0x80 | ((cp >> 6) & 0x3f)));
        ib_buf_put_u8(out, (uint8_t)(0x80 | (cp & 0x3f)));
    } else {
        ib_buf_put_u8(out, (uint8_t)(0xf0 | (cp >> 18)));
        ib_buf_put_u8(out, (uint8_t)(0x80 | ((cp >> 12) & 0x3f)));
        ib_buf_put_u8(out, (uint8_t)(0x80 | ((cp >> 6) & 0x3f)));
        ib_buf_put_u8(out, (uint8_t)(0x80 | (cp & 0x3f)));
    }
}

/* A byte above 126 or below 32 that has no letter of its own. Returns how many bytes of s it took. */
static size_t escape_other(const char *p, size_t n, enum ir_string_mode mode, struct ib_buf *out)
{
    uint8_t c = (uint8_t)*p;
    uint32_t cp = c;
    size_t len = 1;

    if (c > 127 && mode == IR_UNICODE) {
        ib_buf_put_u8(out, c);
    } else if (mode == IR_COMPAT) {
        ib_buf_printf(out, "\\%03o", c);
    } else {
        if (c > 127) {
            len = utf8_read(p, n, &cp);
            if (len == 0) {
                len = 1;
                cp = 0xfffd;
            }
        }
        ib_buf_printf(out, cp > 0xffff ? "\\U%08x" : "\\u%04x", cp);
    }
    return len;
}

void ir_escape(struct ib_str s, const char *special, enum ir_string_mode mode, struct ib_buf *out)
{
    for (size_t i = 0; i < s.n;) {
        char c = s.p[i];
        const char *named = c != 0 ? strchr(named_chars, c) : NULL;

        if (c == '\\' || c == '\'' || c == '"' || (c != 0 && strchr(special, c) != NULL)) {
            ib_buf_put_u8(out, '\\');
            ib_buf_put_u8(out, (uint8_t)c);
            i++;
        } else if (named != NULL && !(mode == IR_COMPAT && (c == '\a' || c == '\v'))) {
            ib_buf_put_u8(out, '\\');
            ib_buf_put_u8(out, (uint8_t)named_letters[named - named_chars]);
            i++;
        } else if ((uint8_t)c < 32 || (uint8_t)c > 126) {
            i += escape_other(s.p + i, s.n - i, mode, out);
        } else {
            ib_buf_put_u8(out, (uint8_t)c);
            i++;
        }
    }
}

/* \uXXXX and \UXXXXXXXX; *at stands on the letter and is moved to the last digit. */
static int unescape_universal(struct ib_str s, size_t *at, struct ib_buf *out, struct ib_err *why)
{
    size_t digits = s.p[*at] == 'u' ? 4 : 8;
    uint32_t cp = 0;

    for (size_t k = 1; k <= digits; k++) {
        char c = *at + k < s.n ? s.p[*at + k] : 0;

        if (!isxdigit((unsigned char)c))
            return ib_err_set(why, IB_EINVAL, "Invalid universal character name: too few hex digits");
        cp = cp << 4 | (uint32_t)(isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    if (cp >= 0xd800 && cp <= 0xdfff)
        return ib_err_set(why, IB_EINVAL, "A universal character name cannot designate a surrogate");
    if (cp > 0x10ffff)
        return ib_err_set(why, IB_EINVAL, "Invalid universal character name");
    utf8_put(out, cp);
    *at += digits;
    return 0;
}

/* Octal and \x; *at stands on the first digit or the x and is moved to the last digit. */
static int unescape_number(struct ib_str s, size_t *at, struct ib_buf *out, struct ib_err *why)
{
    unsigned v = 0;
    size_t i = *at;

    if (s.p[i] == 'x') {
        size_t k = 0;

        for (; k < 2 && i + 1 < s.n && isxdigit((unsigned char)s.p[i + 1]); k++) {
            char c = s.p[++i];

            v = v * 16 + (unsigned)(isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10);
        }
        if (k == 0)
            return ib_err_set(why, IB_EINVAL, "Invalid \\x escape sequence: no hex digit");
    } else {
        v = (unsigned)(s.p[i] - '0');
        for (size_t k = 1; k < 3 && i + 1 < s.n && s.p[i + 1] >= '0' && s.p[i + 1] <= '7'; k++)
            v = v * 8 + (unsigned)(s.p[++i] - '0');
        if (v > 255)
            return ib_err_set(why, IB_EINVAL, "octal value \\%o (%u) is out of range", v, v);
    }
    ib_buf_put_u8(out, (uint8_t)v);
    *at = i;
    return 0;
}

/* What follows a backslash; *at stands on it. */
static int unescape_one(struct ib_str s, const char *special, size_t *at, struct ib_buf *out, struct ib_err *why)
{
    char c = s.p[*at];
    const char *letter = c != 0 ? strchr(named_letters, c) : NULL;

    if (c == '\\' || c == '\'' || c == '"' || c == '?' || (c != 0 && strchr(special, c) != NULL)) {
        ib_buf_put_u8(out, (uint8_t)c);
    } else if (letter != NULL) {
        ib_buf_put_u8(out, (uint8_t)named_chars[letter - named_letters]);
    } else if (c == 'u' || c == 'U') {
        return unescape_universal(s, at, out, why);
    } else if (c == 'x' || (c >= '0' && c <= '7')) {
        return unescape_number(s, at, out, why);
    } else {
        ib_buf_put_u8(out, '\\');
        (*at)--;
    }
    return 0;
}

int ir_unescape(struct ib_str s, const char *special, struct ib_buf *out, struct ib_err *why)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        int rc;

        if (c < 32 || c == 127) {
            if (i == 0)
                return ib_err_set(why, IB_EINVAL, "first character has invalid ordinal value %u", c);
            return ib_err_set(why, IB_EINVAL, "character after `%c' has invalid ordinal value %u", s.p[i - 1], c);
        }
        if (c != '\\' || i + 1 == s.n) {
            ib_buf_put_u8(out, c);
            continue;
        }
        i++;
        rc = unescape_one(s, special, &i, out, why);
        if (rc != 0)
            return rc;
    }
    return ib_buf_ok(out) ? 0 : IB_ENOMEM;
}
