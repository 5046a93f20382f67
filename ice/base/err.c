/* SPDX-License-Identifier: Apache-2.0 */
/* The error table's texts, and filling in struct ib_err. */
#include <moulin/base/err.h>

#include <stdio.h>
#include <string.h>

struct entry {
    const char *ice_name;
    const char *text;
};

static const struct entry table[] = {
#define X(sym, exc, text) {exc, text},
#include <moulin/base/err.def>
#undef X
};

static const struct entry *find(int code)
{
    int i = code - IB_E_BASE_ - 1;
    return i >= 0 && i < (int)(sizeof(table) / sizeof(table[0])) ? &table[i] : NULL;
}

const char *ib_err_text(int code)
{
    const struct entry *e = find(code);
    if (e)
        return e->text;
    return code == IB_OK ? "success" : "unknown failure";
}

const char *ib_err_ice_name(int code)
{
    const struct entry *e = find(code);
    return e ? e->ice_name : "UnknownException";
}

/* A text that was cut ends with a whole character: peers decode it as UTF-8. */
static void end_whole(struct ib_err *err)
{
    size_t n = strlen(err->text), start = n;
    if (n + 1 < sizeof(err->text))
        return;
    while (start > 0 && n - start < 4 && ((unsigned char)err->text[start - 1] & 0xc0) == 0x80)
        start--;
    unsigned char lead = start > 0 ? (unsigned char)err->text[start - 1] : 0;
    size_t needs = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (needs > 1 && n - (start - 1) < needs)
        err->text[start - 1] = '\0';
}

int ib_err_set(struct ib_err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    va_list ap;
    va_start(ap, fmt);
    err->code = code;
    if (vsnprintf(err->text, sizeof(err->text), fmt, ap) < 0)
        err->text[0] = '\0';
    va_end(ap);
    end_whole(err);
    return code;
}

int ib_err_wrap(struct ib_err *err, const char *fmt, ...)
{
    if (!err)
        return IB_EUNKNOWN;
    char old[sizeof(err->text)];
    memcpy(old, err->text, sizeof(old));
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    if (n < 0)
        n = 0;
    if ((size_t)n < sizeof(err->text)) {
        size_t room = sizeof(err->text) - (size_t)n;
        /* A text too long is cut: better a short line than none. */
        if (snprintf(err->text + n, room, ": %s", old) < 0)
            err->text[n] = '\0';
    }
    end_whole(err);
    return err->code;
}
