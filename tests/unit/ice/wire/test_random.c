/* SPDX-License-Identifier: Apache-2.0 */
/* Random values of every type and of the parameters of every operation: encoded in each format, decoded, compared;
   decoded once more with every memory limit that is too small. */
#include "test.h"

#include <moulin/wire/codec.h>
#include <slice/registry.h>
#include <vec/registry.h>

#include <stdlib.h>

enum { ROUNDS = 12 };

struct format {
    struct iw_encoding enc;
    bool sliced;
};

static const struct format formats[] = {{{1, 0}, false}, {{1, 1}, false}, {{1, 1}, true}};

static bool same_bytes(const struct ib_buf *a, const struct ib_buf *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

/* 1.0 drops optional members: there, what was decoded is compared through its encoding. */
static void check_decoded(const struct iw_type *t, const void *v, const void *got, struct format f,
                          const struct ib_buf *bytes)
{
    struct ib_buf again;
    ib_buf_init(&again);
    assert_int_equal(iw_encode_params(t, got, f.enc, f.sliced, &again), IB_OK);
    assert_true(same_bytes(&again, bytes));
    ib_buf_fini(&again);
    if (f.enc.minor > 0 && !iw_equal(t, v, got)) {
        struct ib_buf text;
        ib_buf_init(&text);
        iw_print(t, v, &text);
        ib_buf_puts(&text, "\n");
        iw_print(t, got, &text);
        fail_msg("%s changed on the wire:\n%s", t->id, ib_buf_cstr(&text));
    }
}

static void check_format(const struct iw_type *t, const void *v, const struct iw_registry *reg, struct format f)
{
    struct ib_buf bytes;
    ib_buf_init(&bytes);
    struct ib_arena a;
    ib_arena_init(&a, 0);
    void *got = NULL;
    int rc = iw_encode_params(t, v, f.enc, f.sliced, &bytes);
    if (!rc)
        rc = iw_decode_params(t, ib_buf_span(&bytes), reg, IW_LIMITS_DEFAULT, &a, &got);
    if (rc)
        fail_msg("%s in %d.%d: %s", t->id, f.enc.major, f.enc.minor, ib_err_text(rc));
    check_decoded(t, v, got, f, &bytes);
    size_t need = a.used;
    ib_arena_fini(&a);
    for (size_t limit = need / 4; limit > 15 && limit < need; limit += 1 + need / 5) {
        ib_arena_init(&a, limit);
        rc = iw_decode_params(t, ib_buf_span(&bytes), reg, IW_LIMITS_DEFAULT, &a, &got);
        assert_int_equal(rc, IB_EMEMLIMIT);
        ib_arena_fini(&a);
    }
    ib_buf_fini(&bytes);
}

/* The type itself, or a struct around it: encapsulations hold members. */
static size_t check_type(const struct iw_type *t, const struct iw_registry *reg)
{
    const struct iw_field field = {.name = "v", .type = t, .tag = -1};
    const struct iw_type holder = {.id = t->id,
                                   .kind = IW_STRUCT,
                                   .size = t->size,
                                   .min_wire = t->min_wire,
                                   .has_class = t->has_class,
                                   .fields = &field,
                                   .n_fields = 1};
    if (t->kind != IW_STRUCT)
        t = &holder;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct ib_arena a, b;
        ib_arena_init(&a, 0);
        ib_arena_init(&b, 0);
        uint64_t seed = round;
        size_t size = t->size ? t->size : 1;
        void *v = ib_arena_alloc(&a, size), *copy = ib_arena_alloc(&b, size);
        assert_int_equal(iw_random(t, &seed, &a, v), IB_OK);
        assert_int_equal(iw_copy(t, v, &b, copy), IB_OK);
        assert_true(iw_equal(t, v, copy));
        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
            check_format(t, v, reg, formats[i]);
        ib_arena_fini(&a);
        ib_arena_fini(&b);
    }
    return 1;
}

static size_t check_ifaces(const struct iw_iface *const *ifaces, const struct iw_registry *reg)
{
    size_t n = 0;
    for (; *ifaces; ifaces++) {
        for (size_t i = 0; i < (*ifaces)->n_ops; i++) {
            n += check_type((*ifaces)->ops[i]->in, reg);
            n += check_type((*ifaces)->ops[i]->out, reg);
        }
    }
    return n;
}

static void operations(void **state)
{
    (void)state;
    size_t n = check_ifaces(slice_ifaces, &slice_registry) + check_ifaces(vec_ifaces, &vec_registry);
    print_message("%zu parameter lists, %d values each\n", n, ROUNDS);
    assert_true(n > 400);
}

static void types(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct iw_type *const *t = slice_types; *t; t++)
        n += check_type(*t, &slice_registry);
    for (const struct iw_type *const *t = vec_types; *t; t++)
        n += check_type(*t, &vec_registry);
    print_message("%zu types, %d values each\n", n, ROUNDS);
    assert_true(n > 100);
}

static void check_exception(const struct iw_class *c, const struct iw_registry *reg)
{
    /* The members of every level, as one struct. */
    struct iw_field fields[32];
    uint32_t n = 0;
    for (const struct iw_class *level = c; level; level = level->base) {
        assert_true(n + level->n_fields <= 32);
        for (uint32_t i = 0; i < level->n_fields; i++)
            fields[n++] = level->fields[i];
    }
    const struct iw_type t = {.id = c->id, .kind = IW_STRUCT, .size = c->size, .fields = fields, .n_fields = n};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct ib_arena a;
        ib_arena_init(&a, 0);
        uint64_t seed = round;
        void *v = ib_arena_alloc(&a, c->size), *got = NULL;
        assert_int_equal(iw_random(&t, &seed, &a, v), IB_OK);
        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
            struct ib_buf bytes;
            ib_buf_init(&bytes);
            const struct iw_class *cls = NULL;
            assert_int_equal(iw_encode_exception(c, v, formats[i].enc, formats[i].sliced, &bytes), IB_OK);
            assert_int_equal(iw_decode_exception(ib_buf_span(&bytes), reg, IW_LIMITS_DEFAULT, &a, &cls, &got, NULL),
                             IB_OK);
            assert_ptr_equal(cls, c);
            if (formats[i].enc.minor > 0)
                assert_true(iw_equal(&t, v, got));
            ib_buf_fini(&bytes);
        }
        ib_arena_fini(&a);
    }
}

static void exceptions(void **state)
{
    (void)state;
    const struct iw_registry *all[] = {&slice_registry, &vec_registry};
    size_t n = 0;
    for (size_t r = 0; r < 2; r++) {
        for (size_t i = 0; i < all[r]->n; i++) {
            if (!all[r]->classes[i]->is_exception)
                continue;
            check_exception(all[r]->classes[i], all[r]);
            n++;
        }
    }
    print_message("%zu exceptions, %d values each\n", n, ROUNDS);
    assert_true(n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(operations), cmocka_unit_test(types),
                                       cmocka_unit_test(exceptions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
