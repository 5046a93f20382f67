/* SPDX-License-Identifier: Apache-2.0 */
/* Identities as text: "category/name" with escapes (ice-protocol 15.1, 15.2). */
#include "text_priv.h"

/* Finds the one '/' without an odd number of backslashes before it; text.n when there is none. IB_EPARSEIDENTITY: two.
 */
static int find_slash(struct ib_str text, size_t *at, struct ib_err *err)
{
    bool escaped = false;

    *at = text.n;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '/' && !escaped) {
            if (*at != text.n)
                return ib_err_set(err, IB_EPARSEIDENTITY, "unescaped '/' in identity `%.*s'", (int)text.n, text.p);
            *at = i;
        }
        escaped = text.p[i] == '\\' && !escaped;
    }
    return 0;
}

static int unescape_part(struct ib_str text, struct ib_str part, const char *what, struct ib_arena *arena,
                         struct ib_str *out, struct ib_err *err)
{
    struct ib_buf b;
    struct ib_err why;
    int rc;

    ib_buf_init(&b);
    rc = ir_unescape(part, "/", &b, &why);
    if (rc == IB_EINVAL)
        rc = ib_err_set(err, IB_EPARSEIDENTITY, "invalid identity %s `%.*s': %s", what, (int)text.n, text.p, why.text);
    if (rc == 0) {
        *out = ir_keep(arena, &b);
        rc = out->p == NULL ? IB_ENOMEM : 0;
    }
    ib_buf_fini(&b);
    return rc;
}

int ir_identity_parse(struct ib_str text, struct ib_arena *arena, struct iw_identity *out, struct ib_err *err)
{
    struct iw_identity id = {{"", 0}, {"", 0}};
    struct ib_str name = text, category;
    size_t slash;
    int rc = find_slash(text, &slash, err);

    if (rc == 0 && slash < text.n) {
        category = (struct ib_str){text.p, slash};
        name = (struct ib_str){text.p + slash + 1, text.n - slash - 1};
        rc = unescape_part(text, category, "category", arena, &id.category, err);
    }
    if (rc == 0)
        rc = unescape_part(text, name, "name", arena, &id.name, err);
    if (rc == IB_ENOMEM)
        ib_err_set(err, rc, "out of memory");
    if (rc == 0)
        *out = id;
    return rc;
}

struct ib_str ir_identity_format(const struct iw_identity *id, enum ir_string_mode mode, struct ib_arena *arena)
{
    struct ib_buf b;
    struct ib_str s;

    ib_buf_init(&b);
    if (id->category.n != 0) {
        ir_escape(id->category, "/", mode, &b);
        ib_buf_put_u8(&b, '/');
    }
    ir_escape(id->name, "/", mode, &b);
    s = ir_keep(arena, &b);
    ib_buf_fini(&b);
    return s;
}
