/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that runs out: every allocation of every step fails once, which must give an error, no leak and no crash.
   Linked with malloc, calloc and realloc wrapped (tests/CMakeLists.txt). */
#include "test.h"
#include "vectors.h"

#include <moulin/base/log.h>
#include <moulin/base/secret.h>
#include <moulin/wire/codec.h>
#include <vec/Shapes.h>
#include <vec/registry.h>

#include <stdio.h>
#include <stdlib.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static long countdown = -1; /* allocations until one fails; -1 = none does */
static bool failed;

static bool fail_now(void)
{
    if (countdown < 0 || countdown-- > 0)
        return false;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fail_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fail_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fail_now() ? NULL : __real_realloc(p, n);
}

/* Many nodes, so that tables must grow; two parameters share them. */
static void *many_nodes(struct ib_arena *a, size_t n)
{
    struct Shapes_Classes_bases_in *in = IB_ARENA_NEW(a, struct Shapes_Classes_bases_in);
    in->v.v = IB_ARENA_ARRAY(a, n, struct Vec_Base *);
    in->v.n = n;
    for (size_t i = 0; i < n; i++) {
        if (i % 3 == 2) {
            in->v.v[i] = in->v.v[i - 1];
            continue;
        }
        struct Vec_Derived *d = Vec_Derived_new(a);
        d->s = IB_STR("some text");
        d->base.i = (int32_t)i;
        in->v.v[i] = &d->base;
    }
    return in;
}

struct step {
    const struct iw_type *type;
    void *value;
    struct iw_encoding enc;
    bool sliced;
    struct ib_span bytes;
};

static int encode(const struct step *s)
{
    struct ib_buf out;
    ib_buf_init(&out);
    int rc = iw_encode_params(s->type, s->value, s->enc, s->sliced, &out);
    ib_buf_fini(&out);
    return rc;
}

static int decode(const struct step *s)
{
    struct ib_arena a;
    ib_arena_init(&a, 0);
    void *v = NULL;
    int rc = iw_decode_params(s->type, s->bytes, &vec_registry, IW_LIMITS_DEFAULT, &a, &v);
    ib_arena_fini(&a);
    return rc;
}

static int copy(const struct step *s)
{
    uint8_t out[64];
    assert_true(s->type->size <= sizeof(out));
    struct ib_arena a;
    ib_arena_init(&a, 0);
    int rc = iw_copy(s->type, s->value, &a, out);
    ib_arena_fini(&a);
    return rc;
}

static int equal(const struct step *s)
{
    return iw_equal(s->type, s->value, s->value) ? IB_OK : IB_ENOMEM;
}

static int print(const struct step *s)
{
    struct ib_buf out;
    ib_buf_init(&out);
    iw_print(s->type, s->value, &out);
    const char *text = ib_buf_cstr(&out);
    int rc = text[0] == '{' && !strstr(text, "...") ? IB_OK : IB_ENOMEM;
    ib_buf_fini(&out);
    return rc;
}

/* Runs f with its first, second, third… allocation failing, until none is left that could. */
static size_t exhaust(int (*f)(const struct step *), const struct step *s)
{
    for (size_t n = 0;; n++) {
        failed = false;
        countdown = (long)n;
        int rc = f(s);
        countdown = -1;
        if (!failed) {
            assert_int_equal(rc, IB_OK);
            return n;
        }
        assert_int_equal(rc, IB_ENOMEM);
    }
}

static void engine(void **state)
{
    (void)state;
    struct ib_arena a;
    ib_arena_init(&a, 0);
    struct step s = {.type = &Shapes_Classes_bases_in_type, .value = many_nodes(&a, 100)};
    size_t tries = exhaust(copy, &s) + exhaust(equal, &s) + exhaust(print, &s);
    const struct iw_encoding encodings[] = {{1, 0}, {1, 1}, {1, 1}};
    for (size_t i = 0; i < 3; i++) {
        struct ib_buf out;
        ib_buf_init(&out);
        s.enc = encodings[i];
        s.sliced = i == 2;
        assert_int_equal(iw_encode_params(s.type, s.value, s.enc, s.sliced, &out), IB_OK);
        s.bytes = ib_buf_span(&out);
        tries += exhaust(encode, &s) + exhaust(decode, &s);
        ib_buf_fini(&out);
    }
    ib_arena_fini(&a);
    print_message("%zu allocations failed in turn\n", tries);
    assert_true(tries > 400);
}

/* A sequence in the slice of a class: its table grows too. */
static void tables(void **state)
{
    (void)state;
    struct ib_arena a;
    ib_arena_init(&a, 0);
    struct Vec_Tree *root = Vec_Tree_new(&a), *t = root;
    for (int i = 0; i < 40; i++) {
        t->left = Vec_Tree_new(&a);
        t->right = Vec_Tree_new(&a);
        t = t->left;
    }
    struct Shapes_Classes_tree_in in = {root};
    struct step s = {.type = &Shapes_Classes_tree_in_type, .value = &in, .enc = {1, 1}, .sliced = true};
    struct ib_buf out;
    ib_buf_init(&out);
    assert_int_equal(iw_encode_params(s.type, s.value, s.enc, s.sliced, &out), IB_OK);
    s.bytes = ib_buf_span(&out);
    exhaust(encode, &s);
    exhaust(decode, &s);
    ib_buf_fini(&out);
    ib_arena_fini(&a);
}

static void base(void **state)
{
    (void)state;
    countdown = 0;
    assert_null(ib_log_new("x"));
    countdown = 0;
    assert_null(ib_secret_new(IB_STR("x")));
    countdown = -1;
    struct ib_arena a;
    ib_arena_init(&a, 0);
    countdown = 0;
    assert_null(ib_arena_alloc(&a, 1));
    assert_non_null(ib_arena_alloc(&a, 1));
    countdown = 0;
    assert_null(ib_arena_printf(&a, "%2000d", 1).p);
    countdown = -1;
    ib_arena_fini(&a);
    struct ib_buf b;
    ib_buf_init(&b);
    countdown = 0;
    assert_string_equal(ib_buf_cstr(&b), "");
    assert_false(ib_buf_ok(&b));
    countdown = -1;
    ib_buf_fini(&b);
}

/* The output buffer's limit: whatever does not fit is not there at all. */
static void limited_output(void **state)
{
    (void)state;
    struct ib_arena a;
    ib_arena_init(&a, 0);
    void *v = many_nodes(&a, 10);
    struct ib_buf out;
    ib_buf_init(&out);
    assert_int_equal(iw_encode_params(&Shapes_Classes_bases_in_type, v, IW_ENCODING_1_1, true, &out), IB_OK);
    size_t need = out.n;
    for (size_t limit = 2; limit <= need + 1; limit++) {
        ib_buf_clear(&out);
        ib_buf_put_u8(&out, 7);
        out.limit = limit;
        int rc = iw_encode_params(&Shapes_Classes_bases_in_type, v, IW_ENCODING_1_1, true, &out);
        assert_int_equal(rc, limit > need ? IB_OK : IB_EMEMLIMIT);
        assert_int_equal(out.n, limit > need ? need + 1 : 1);
    }
    ib_buf_fini(&out);
    ib_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(engine), cmocka_unit_test(tables), cmocka_unit_test(base),
                                       cmocka_unit_test(limited_output)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
