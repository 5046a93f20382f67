/* SPDX-License-Identifier: Apache-2.0 */
/* Half of a test of the engine against a real runtime, the other half is echo.py:
     wire_values slice          prints an interface with an operation for every Slice type
     wire_values values ROUNDS  prints "operation round encoding-minor parameters", the latter in hex
     wire_values check          reads "operation round encoding-minor results" and compares
   An operation c<n> takes and returns type n; s<n> does in the sliced format; o<n> as an optional value. */
#include <moulin/wire/codec.h>
#include <slice/registry.h>
#include <vec/registry.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAG_IN = 2, TAG_OUT = 3, VALUE_AT = 16 }; /* Slice wants the tags of one operation to differ */

/* Parameters with the one value, whatever its type: struct { bool has; T v; } */
struct holder {
    struct iw_field field;
    struct iw_type type;
    const struct iw_registry *registry;
};

static const struct iw_type *type_at(size_t n, const struct iw_registry **registry)
{
    *registry = &slice_registry;
    for (const struct iw_type *const *t = slice_types; *t; t++) {
        if (n-- == 0)
            return *t;
    }
    *registry = &vec_registry;
    for (const struct iw_type *const *t = vec_types; *t; t++) {
        if (n-- == 0)
            return *t;
    }
    return NULL;
}

static bool hold(struct holder *h, char letter, size_t n, int32_t tag)
{
    const struct iw_type *t = type_at(n, &h->registry);
    if (!t)
        return false;
    h->field = (struct iw_field){.name = "v", .type = t, .offset = VALUE_AT, .tag = letter == 'o' ? tag : -1};
    h->type = (struct iw_type){.id = t->id,
                               .kind = IW_STRUCT,
                               .size = VALUE_AT + t->size,
                               .min_wire = letter == 'o' ? 0 : t->min_wire,
                               .has_class = t->has_class,
                               .fields = &h->field,
                               .n_fields = 1};
    return true;
}

static void print_slice(void)
{
    const struct iw_registry *reg;
    const struct iw_type *t;
    printf("module Echo {\ninterface Peer {\n");
    for (size_t n = 0; (t = type_at(n, &reg)); n++) {
        printf("    %s c%zu(%s v);\n", t->id, n, t->id);
        printf("    [\"format:sliced\"] %s s%zu(%s v);\n", t->id, n, t->id);
        printf("    optional(%d) %s o%zu(optional(%d) %s v);\n", TAG_OUT, t->id, n, TAG_IN, t->id);
    }
    printf("}\n}\n");
}

/* The bytes of the value number round. */
static bool make(const struct holder *h, char letter, uint64_t round, uint8_t minor, struct ib_buf *out)
{
    struct ib_arena a;
    ib_arena_init(&a, 0);
    uint64_t seed = round;
    void *v = ib_arena_alloc(&a, h->type.size);
    bool ok = v && iw_random(&h->type, &seed, &a, v) == IB_OK &&
              iw_encode_params(&h->type, v, (struct iw_encoding){1, minor}, letter == 's', out) == IB_OK;
    ib_arena_fini(&a);
    return ok;
}

static bool print_values(uint64_t rounds)
{
    struct holder h;
    struct ib_buf out;
    ib_buf_init(&out);
    bool ok = true;
    for (size_t n = 0; ok && hold(&h, 'c', n, TAG_IN); n++) {
        for (const char *letter = "cso"; ok && *letter; letter++) {
            hold(&h, *letter, n, TAG_IN);
            for (uint64_t i = 0; ok && i < rounds * 2; i++) {
                uint8_t minor = i & 1;
                ib_buf_clear(&out);
                ok = make(&h, *letter, i / 2, minor, &out);
                printf("%c%zu %u %u ", *letter, n, (unsigned)(i / 2), minor);
                for (size_t k = 0; k < out.n; k++)
                    printf("%02x", out.p[k]);
                printf("\n");
            }
        }
    }
    ib_buf_fini(&out);
    return ok;
}

static bool unhex(const char *hex, struct ib_buf *out)
{
    for (; hex[0] && hex[1] && hex[0] != '\n'; hex += 2) {
        const char digits[3] = {hex[0], hex[1], '\0'};
        ib_buf_put_u8(out, (uint8_t)strtoul(digits, NULL, 16));
    }
    return ib_buf_ok(out);
}

/* What came back is decoded and must equal what was sent, decoded likewise (1.0 drops optional members). */
static bool same(const struct holder *in, const struct ib_buf *sent, const struct holder *out, const struct ib_buf *got)
{
    struct ib_arena a;
    ib_arena_init(&a, 0);
    void *x = NULL, *y = NULL;
    struct iw_limits l = IW_LIMITS_DEFAULT;
    bool ok = iw_decode_params(&in->type, ib_buf_span(sent), in->registry, l, &a, &x) == IB_OK &&
              iw_decode_params(&out->type, ib_buf_span(got), out->registry, l, &a, &y) == IB_OK &&
              iw_equal(&out->type, x, y);
    ib_arena_fini(&a);
    return ok;
}

static bool check_line(const char *line, unsigned *identical)
{
    char letter;
    size_t n;
    unsigned round, minor;
    int at = 0;
    struct holder in, out;
    if (sscanf(line, "%c%zu %u %u %n", &letter, &n, &round, &minor, &at) != 4 || at == 0 ||
        !hold(&in, letter, n, TAG_IN) || !hold(&out, letter, n, TAG_OUT))
        return false;
    struct ib_buf sent, got;
    ib_buf_init(&sent);
    ib_buf_init(&got);
    bool ok = make(&in, letter, round, (uint8_t)minor, &sent) && unhex(line + at, &got) && same(&in, &sent, &out, &got);
    if (ok && sent.n == got.n && memcmp(sent.p, got.p, sent.n) == 0)
        (*identical)++;
    if (!ok)
        printf("%s came back different: %s", in.type.id, line);
    ib_buf_fini(&sent);
    ib_buf_fini(&got);
    return ok;
}

static bool check(void)
{
    char *line = NULL;
    size_t cap = 0;
    unsigned lines = 0, bad = 0, identical = 0;
    while (getline(&line, &cap, stdin) > 0) {
        lines++;
        if (!check_line(line, &identical))
            bad++;
    }
    free(line);
    printf("%u values, %u came back different, %u byte for byte the same\n", lines, bad, identical);
    return lines > 0 && bad == 0;
}

int main(int argc, char **argv)
{
    bool ok = false;
    if (argc == 2 && strcmp(argv[1], "slice") == 0) {
        print_slice();
        ok = true;
    } else if (argc == 3 && strcmp(argv[1], "values") == 0) {
        ok = print_values(strtoul(argv[2], NULL, 10));
    } else if (argc == 2 && strcmp(argv[1], "check") == 0) {
        ok = check();
    } else {
        fprintf(stderr, "usage: wire_values slice | values ROUNDS | check\n");
    }
    return ok ? 0 : 1;
}
