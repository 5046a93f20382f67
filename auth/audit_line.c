/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON: whatever bytes a peer chose as its name, the line stays one line, and valid. */
#include "audit_line.h"

#include <inttypes.h>
#include <time.h>

/* Bytes of the UTF-8 character at p, 0 when it is none (a stray byte, one cut off, a surrogate, an overlong form). */
static size_t character(const unsigned char *p, size_t n)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (len > n) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool bad3 = len == 3 && ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f));
    bool bad4 = len == 4 && ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f));
    return bad3 || bad4 ? 0 : len;
}

/* C1 controls and the line separators of Unicode are written as escapes, too: terminals and viewers obey them. */
static bool is_control(const unsigned char *p, size_t len)
{
    return p[0] < 0x20 || p[0] == 0x7f || (len == 2 && p[0] == 0xc2 && p[1] < 0xa0) ||
           (len == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9));
}

static unsigned code_point(const unsigned char *p, size_t len)
{
    return len == 1   ? p[0]
           : len == 2 ? (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu)
                      : (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
}

static void put_text(struct ib_buf *out, struct ib_str s)
{
    const unsigned char *p = (const unsigned char *)ib_cstr(s);
    size_t i = 0, most = s.n < AUTH_AUDIT_TEXT_MAX ? s.n : AUTH_AUDIT_TEXT_MAX;
    ib_buf_put_u8(out, '"');
    while (i < most) {
        size_t len = character(p + i, s.n - i);
        if (len == 0) {
            ib_buf_puts(out, "\\ufffd");
            len = 1;
        } else if (is_control(p + i, len)) {
            ib_buf_printf(out, "\\u%04x", code_point(p + i, len));
        } else {
            if (p[i] == '"' || p[i] == '\\') {
                ib_buf_put_u8(out, '\\');
            }
            ib_buf_put(out, p + i, len);
        }
        i += len;
    }
    ib_buf_puts(out, i < s.n ? "...\"" : "\"");
}

/* RFC 3339, UTC. */
static void put_time(struct ib_buf *out, int64_t wall_ms)
{
    struct tm tm;
    time_t seconds = (time_t)(wall_ms / 1000);
    char text[32] = "";
    if (gmtime_r(&seconds, &tm)) {
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    }
    ib_buf_printf(out, "\"%s.%03dZ\"", text, (int)(wall_ms % 1000));
}

void audit_line(struct ib_buf *out, int64_t wall_ms, const char *event, const struct auth_audit_field *fields, size_t n)
{
    ib_buf_puts(out, "{\"time\":");
    put_time(out, wall_ms);
    ib_buf_printf(out, ",\"event\":\"%s\"", event);
    for (size_t i = 0; i < n; i++) {
        const struct auth_audit_field *f = &fields[i];
        if (!f->name) {
            continue;
        }
        ib_buf_printf(out, ",\"%s\":", f->name);
        if (f->is_number) {
            ib_buf_printf(out, "%" PRId64, f->number);
        } else {
            put_text(out, f->text);
        }
    }
    ib_buf_puts(out, "}\n");
}
