/* SPDX-License-Identifier: Apache-2.0 */
/* Reading test data. */
#include "vectors.h"
#include "test.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

json_t *vec_load(const char *name)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/tests/data/vectors/%s", MOULIN_SOURCE_DIR, name);
    json_error_t e;
    json_t *a = json_load_file(path, JSON_ALLOW_NUL, &e);
    if (!a)
        fail_msg("%s:%d: %s", path, e.line, e.text);
    assert_true(json_is_array(a));
    assert_true(json_array_size(a) > 0);
    return a;
}

struct ib_str vec_str(const json_t *v, const char *key)
{
    const json_t *m = json_object_get(v, key);
    if (!json_is_string(m))
        return (struct ib_str){NULL, 0};
    return (struct ib_str){json_string_value(m), json_string_length(m)};
}

const char *vec_text(const json_t *v, const char *key)
{
    return vec_str(v, key).p;
}

bool vec_true(const json_t *v, const char *key)
{
    return json_is_true(json_object_get(v, key));
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct ib_span vec_hex(const char *hex)
{
    assert_non_null(hex);
    uint8_t *p = malloc(strlen(hex) / 2 + 1);
    assert_non_null(p);
    size_t n = 0;
    for (const char *s = hex; *s; s++) {
        if (isspace((unsigned char)*s))
            continue;
        int hi = digit(s[0]), lo = hi < 0 ? -1 : digit(s[1]);
        if (lo < 0)
            fail_msg("not hex: %s", hex);
        p[n++] = (uint8_t)(hi << 4 | lo);
        s++;
    }
    return (struct ib_span){p, n};
}

struct ib_span vec_bytes(const json_t *v)
{
    return vec_hex(vec_text(v, "hex"));
}

void vec_free(struct ib_span s)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } p = {s.p}; /* made by malloc above; const only in the span */
    free(p.out);
}

char *vec_to_hex(struct ib_span s)
{
    char *out = malloc(s.n * 2 + 1);
    assert_non_null(out);
    for (size_t i = 0; i < s.n; i++)
        snprintf(out + 2 * i, 3, "%02x", s.p[i]);
    out[2 * s.n] = '\0';
    return out;
}

void vec_assert_same(const char *name, struct ib_span got, struct ib_span want)
{
    if (got.n == want.n && (got.n == 0 || memcmp(got.p, want.p, got.n) == 0))
        return;
    char *g = vec_to_hex(got), *w = vec_to_hex(want);
    print_error("%s:\n  got  %s\n  want %s\n", name, g, w);
    free(g);
    free(w);
    fail_msg("%s: bytes differ", name);
}

char *vec_file(const char *path, size_t *n)
{
    char full[1024];
    snprintf(full, sizeof(full), "%s/%s", MOULIN_SOURCE_DIR, path);
    FILE *f = fopen(full, "rb");
    if (!f)
        fail_msg("cannot open %s", full);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long size = ftell(f);
    assert_true(size >= 0);
    rewind(f);
    char *p = malloc((size_t)size + 1);
    assert_non_null(p);
    assert_int_equal(fread(p, 1, (size_t)size, f), (size_t)size);
    fclose(f);
    p[size] = '\0';
    if (n)
        *n = (size_t)size;
    return p;
}
