/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors that real peers made: every one is decoded, printed, copied and encoded again; then it is cut and bent at
   every byte, which must give a value or an error and nothing else. */
#include "test.h"
#include "vectors.h"

#include <moulin/wire/codec.h>
#include <slice/registry.h>
#include <vec/Shapes.h>
#include <vec/registry.h>

#include <stdio.h>
#include <stdlib.h>

struct shape {
    const char *vector; /* name without _e10, _e11…, or a prefix that ends with '*' */
    const struct iw_iface *iface;
    const char *op;
    const char *text; /* as printed; NULL = not compared */
};

#define P &Shapes_Plain_iface
#define O &Shapes_Optionals_iface
#define C &Shapes_Classes_iface

static const struct shape shapes[] = {
    {"bool_true", P, "aBool", "{v = true}"},
    {"bool_false", P, "aBool", "{v = false}"},
    {"byte_ff", P, "aByte", "{v = 255}"},
    {"short_min", P, "aShort", "{v = -32768}"},
    {"short_258", P, "aShort", "{v = 258}"},
    {"int_1", P, "anInt", "{v = 1}"},
    {"int_m2", P, "anInt", "{v = -2}"},
    {"int_67305985", P, "anInt", "{v = 67305985}"},
    {"long_big", P, "aLong", "{v = 578437695752307201}"},
    {"long_m1", P, "aLong", "{v = -1}"},
    {"float_1_5", P, "aFloat", "{v = 1.5}"},
    {"double_m0_1", P, "aDouble", "{v = -0.1}"},
    {"double_inf", P, "aDouble", "{v = inf}"},
    {"string_empty", P, "aString", "{v = \"\"}"},
    {"string_hello", P, "aString", "{v = \"hello\"}"},
    {"string_utf8", P, "aString", "{v = \"caf\xc3\xa9\"}"},
    {"string_25*", P, "aString", NULL},
    {"seq_bool", P, "bools", "{v = [true, false, true]}"},
    {"seq_byte", P, "bytes", "{v = [1, 2, 3]}"},
    {"seq_short", P, "shorts", "{v = [1, -1]}"},
    {"seq_int", P, "ints", "{v = [1, 2, -3]}"},
    {"seq_int_empty", P, "ints", "{v = []}"},
    {"seq_long", P, "longs", "{v = [1, -1]}"},
    {"seq_float", P, "floats", "{v = [0.5]}"},
    {"seq_double", P, "doubles", "{v = [1, 2]}"},
    {"seq_string", P, "strings", "{v = [\"a\", \"\", \"bc\"]}"},
    {"struct_point", P, "aPoint", "{v = {x = 1, y = 2}}"},
    {"struct_var", P, "aVar", "{v = {s = \"k\", i = 7}}"},
    {"seq_struct", P, "points", "{v = [{x = 1, y = 2}, {x = 3, y = 4}]}"},
    {"dict_string_string", P, "stringDict", "{v = {\"a\" = \"1\", \"b\" = \"2\"}}"},
    {"dict_int_string", P, "intStringDict", "{v = {1 = \"x\"}}"},
    {"dict_empty", P, "stringDict", "{v = {}}"},
    {"enum_small", P, "color", "{v = Blue}"},
    {"enum_big_small_value", P, "big", NULL},
    {"enum_big_300", P, "big", NULL},
    {"enum_big_70000", P, "big", NULL},
    {"encaps_empty", P, "none", "{}"},
    {"encaps_int_string", P, "intString", "{v = 5, w = \"hi\"}"},
    {"identity_cat", P, "identity", "{v = {name = \"name\", category = \"cat\"}}"},
    {"identity_nocat", P, "identity", "{v = {name = \"name\", category = \"\"}}"},
    {"proxy_*", P, "aProxy", NULL},
    {"opt_bool", O, "aBool", "{v = true}"},
    {"opt_byte", O, "aByte", "{v = 9}"},
    {"opt_short", O, "aShort", "{v = 3}"},
    {"opt_int", O, "anInt", "{v = 4}"},
    {"opt_long", O, "aLong", "{v = 5}"},
    {"opt_float", O, "aFloat", "{v = 0.5}"},
    {"opt_double", O, "aDouble", "{v = 1}"},
    {"opt_string", O, "aString", "{v = \"hi\"}"},
    {"opt_enum", O, "color", "{v = Blue}"},
    {"opt_struct_fixed", O, "aPoint", "{v = {x = 1, y = 2}}"},
    {"opt_struct_var", O, "aVar", "{v = {s = \"k\", i = 7}}"},
    {"opt_seq_byte", O, "bytes", "{v = [1, 2]}"},
    {"opt_seq_int", O, "ints", "{v = [1, 2]}"},
    {"opt_seq_point", O, "points", "{v = [{x = 1, y = 2}]}"},
    {"opt_seq_string", O, "strings", "{v = [\"a\", \"b\"]}"},
    {"opt_dict_int_int", O, "intDict", "{v = {1 = 2}}"},
    {"opt_dict_string_string", O, "stringDict", "{v = {\"a\" = \"1\"}}"},
    {"opt_proxy", O, "aProxy", "{v = \"obj\" @ \"A\"}"},
    {"opt_class", O, "base", "{v = #1 ::Vec::Base {i = 5}}"},
    {"opt_unset", O, "anInt", "{}"},
    {"opt_tag_29", O, "tag29", "{v = 1}"},
    {"opt_tag_300", O, "tag300", "{v = 1}"},
    {"opt_tag_30", O, "tag30", "{v = 1}"},
    {"opt_two", O, "two", "{v = 9, w = 4, x = \"q\"}"},
    {"class_null", C, "base", "{v = null}"},
    {"class_base", C, "base", "{v = #1 ::Vec::Base {i = 5}}"},
    {"class_derived", C, "base", "{v = #1 ::Vec::Derived {i = 6, s = \"d\"}}"},
    {"class_empty", C, "empty", "{v = #1 ::Vec::Empty {}}"},
    {"class_compactid", C, "compact", "{v = #1 ::Vec::Compact {v = 9}}"},
    {"class_compactid_derived", C, "compact", "{v = #1 ::Vec::CompactD {v = 1, w = 2}}"},
    {"class_shared", C, "two", "{v = #1 ::Vec::Base {i = 5}, w = #1}"},
    {"class_two_same_type", C, "two", "{v = #1 ::Vec::Base {i = 5}, w = #2 ::Vec::Base {i = 50}}"},
    {"class_chain", C, "node",
     "{v = #1 ::Vec::Node {name = \"a\", next = #2 ::Vec::Node {name = \"b\", next = null}}}"},
    {"class_selfcycle", C, "node", "{v = #1 ::Vec::Node {name = \"self\", next = #1}}"},
    {"class_cycle2", C, "node", "{v = #1 ::Vec::Node {name = \"x\", next = #2 ::Vec::Node {name = \"y\", next = #1}}}"},
    {"class_tree_shared", C, "tree",
     "{v = #1 ::Vec::Tree {left = #2 ::Vec::Tree {left = null, right = null}, right = #2}}"},
    {"class_opt_members", C, "optC", NULL},
    {"class_opt_members_unset", C, "optC", "{v = #1 ::Vec::OptC {a = 1}}"},
    {"class_opt_members_derived", C, "optC", NULL},
    {"class_int_then_class", C, "intBase", "{v = 77, w = #1 ::Vec::Base {i = 5}}"},
    {"class_struct_with_class", C, "namedBase", "{v = {name = \"h\", b = #1 ::Vec::Base {i = 5}}}"},
    {"class_seq_class", C, "bases", "{v = [#1 ::Vec::Base {i = 5}, null, #2 ::Vec::Derived {i = 6, s = \"d\"}, #1]}"},
};

/* The vector's name without its encoding and format. */
static void base_name(const char *name, char *out, size_t cap)
{
    snprintf(out, cap, "%s", name);
    char *e = strstr(out, "_e11");
    if (!e && strlen(out) > 4 && strcmp(out + strlen(out) - 4, "_e10") == 0)
        e = out + strlen(out) - 4;
    if (e)
        *e = '\0';
}

static const struct shape *find_shape(const char *name)
{
    char base[128];
    base_name(name, base, sizeof(base));
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        const char *v = shapes[i].vector;
        size_t n = strlen(v) - 1;
        if (v[n] == '*' ? strncmp(base, v, n) == 0 : strcmp(base, v) == 0)
            return &shapes[i];
    }
    fail_msg("no shape for vector %s", name);
    return NULL;
}

/* The encapsulation of a vector: some files hold bare values. */
static struct ib_span encapsulated(const json_t *v)
{
    struct ib_span hex = vec_bytes(v);
    const char *type = vec_text(v, "type");
    if (strcmp(type, "encapsulation") == 0 || strcmp(type, "optional") == 0 || strcmp(type, "class") == 0 ||
        strcmp(type, "userexception") == 0)
        return hex;
    uint8_t *p = malloc(hex.n + 6);
    assert_non_null(p);
    uint32_t n = (uint32_t)hex.n + 6;
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(n >> 8 * i);
    p[4] = 1;
    p[5] = strcmp(vec_text(v, "encoding"), "1.0") != 0;
    memcpy(p + 6, hex.p, hex.n);
    vec_free(hex);
    return (struct ib_span){p, n};
}

static struct iw_limits limits_for(const char *name)
{
    struct iw_limits l = IW_LIMITS_DEFAULT;
    l.accept_cycles = strstr(name, "cycle") != NULL;
    return l;
}

static void check_params(const json_t *v, const struct shape *s, struct ib_span in)
{
    const char *name = vec_text(v, "name");
    struct ib_arena a, b;
    ib_arena_init(&a, 0);
    ib_arena_init(&b, 0);
    struct ib_buf out;
    ib_buf_init(&out);
    const struct iw_op *op = iw_iface_find(s->iface, ib_str(s->op));
    assert_non_null(op);
    void *value = NULL;
    int rc = iw_decode_params(op->in, in, &vec_registry, limits_for(name), &a, &value);
    if (rc)
        fail_msg("%s: %s", name, ib_err_text(rc));
    iw_print(op->in, value, &out);
    if (s->text)
        assert_string_equal(ib_buf_cstr(&out), s->text);
    void *copy = ib_arena_alloc(&b, op->in->size);
    assert_int_equal(iw_copy(op->in, value, &b, copy), IB_OK);
    assert_true(iw_equal(op->in, value, copy));
    ib_arena_fini(&a);
    if (!vec_true(v, "decode_only") && !vec_true(v, "order_dependent")) {
        bool sliced = vec_text(v, "format") && strcmp(vec_text(v, "format"), "sliced") == 0;
        struct iw_encoding enc = {in.p[4], in.p[5]};
        ib_buf_clear(&out);
        assert_int_equal(iw_encode_params(op->in, copy, enc, sliced, &out), IB_OK);
        vec_assert_same(name, ib_buf_span(&out), in);
    }
    ib_buf_fini(&out);
    ib_arena_fini(&b);
}

static void try_params(const struct iw_type *t, struct ib_span in, size_t limit)
{
    struct ib_arena a;
    ib_arena_init(&a, limit);
    void *value = NULL;
    if (iw_decode_params(t, in, &vec_registry, IW_LIMITS_DEFAULT, &a, &value) == IB_OK) {
        struct ib_buf out;
        ib_buf_init(&out);
        assert_int_equal(iw_encode_params(t, value, IW_ENCODING_1_1, true, &out), IB_OK);
        ib_buf_fini(&out);
    } else {
        assert_null(value);
    }
    ib_arena_fini(&a);
}

/* An exact-size heap copy of the first n bytes, so that ASan sees any read behind them. */
static uint8_t *clone(struct ib_span in, size_t n)
{
    uint8_t *p = malloc(n ? n : 1);
    assert_non_null(p);
    memcpy(p, in.p, n);
    return p;
}

static void put_size(uint8_t *p, size_t n)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(n >> 8 * i);
}

typedef void (*try_fn)(const struct iw_type *t, struct ib_span in, size_t limit);

static size_t bend(const struct iw_type *t, struct ib_span in, try_fn try)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0x02, 0x7f, 0x80, 0xfe, 0xff};
    size_t tries = 0;
    for (size_t n = 0; n < in.n; n++) {
        uint8_t *p = clone(in, n);
        try(t, (struct ib_span){p, n}, 0);
        if (n >= 6) {
            put_size(p, n); /* the same cut with a header that agrees */
            try(t, (struct ib_span){p, n}, 0);
        }
        free(p);
        p = clone(in, in.n);
        for (size_t k = 0; k < sizeof(bytes) + 8; k++) {
            p[n] = (uint8_t)(k < sizeof(bytes) ? bytes[k] : in.p[n] ^ (1u << k % 8));
            try(t, (struct ib_span){p, in.n}, 0);
            tries++;
        }
        free(p);
    }
    for (size_t limit = 16; limit < 2048; limit += 16) {
        try(t, in, limit);
        tries++;
    }
    return tries;
}

static void run_file(const char *file)
{
    json_t *all = vec_load(file), *v;
    size_t i, tries = 0, ran = 0;
    json_array_foreach(all, i, v)
    {
        if (strcmp(vec_text(v, "type"), "size") == 0)
            continue;
        const struct shape *s = find_shape(vec_text(v, "name"));
        struct ib_span in = encapsulated(v);
        check_params(v, s, in);
        tries += bend(iw_iface_find(s->iface, ib_str(s->op))->in, in, try_params);
        vec_free(in);
        ran++;
    }
    json_decref(all);
    print_message("%s: %zu vectors, %zu bent ones\n", file, ran, tries);
}

static void primitives(void **state)
{
    (void)state;
    run_file("primitives.json");
}

static void proxies(void **state)
{
    (void)state;
    run_file("proxies.json");
}

static void optionals(void **state)
{
    (void)state;
    run_file("optionals.json");
}

static void classes(void **state)
{
    (void)state;
    run_file("classes.json");
}

static void sizes(void **state)
{
    (void)state;
    json_t *all = vec_load("primitives.json"), *v;
    size_t i, ran = 0;
    json_array_foreach(all, i, v)
    {
        if (strcmp(vec_text(v, "type"), "size") != 0)
            continue;
        struct ib_span in = vec_bytes(v);
        struct iw_in c = iw_in(in);
        size_t n = iw_in_size(&c);
        assert_int_equal(c.err, 0);
        assert_ptr_equal(c.p, c.end);
        assert_int_equal(n, strtoul(vec_text(v, "name") + strlen("size_"), NULL, 10));
        struct ib_buf out;
        ib_buf_init(&out);
        iw_out_size(&out, n);
        vec_assert_same("size", ib_buf_span(&out), in);
        ib_buf_fini(&out);
        vec_free(in);
        ran++;
    }
    assert_int_equal(ran, 8);
    json_decref(all);
}

static const struct iw_registry *registry_for(const char *name)
{
    return strstr(name, "adapternotfound") ? &slice_registry : &vec_registry;
}

static void check_exception(const json_t *v, struct ib_span in)
{
    const char *name = vec_text(v, "name");
    struct ib_arena a;
    ib_arena_init(&a, 0);
    const struct iw_class *cls = NULL;
    void *value = NULL;
    int rc = iw_decode_exception(in, registry_for(name), IW_LIMITS_DEFAULT, &a, &cls, &value, NULL);
    if (rc)
        fail_msg("%s: %s", name, ib_err_text(rc));
    if (!vec_true(v, "decode_only")) {
        bool sliced = strcmp(vec_text(v, "format"), "sliced") == 0;
        struct iw_encoding enc = {in.p[4], in.p[5]};
        struct ib_buf out;
        ib_buf_init(&out);
        assert_int_equal(iw_encode_exception(cls, value, enc, sliced, &out), IB_OK);
        vec_assert_same(name, ib_buf_span(&out), in);
        ib_buf_fini(&out);
    }
    if (cls == &Vec_E2_class) {
        assert_int_equal(((struct Vec_E2 *)value)->code, 3);
        assert_true(ib_str_is(((struct Vec_E2 *)value)->base.reason, "why"));
    }
    ib_arena_fini(&a);
}

static void try_exception(const struct iw_type *t, struct ib_span in, size_t limit)
{
    (void)t;
    struct ib_arena a;
    ib_arena_init(&a, limit);
    const struct iw_class *cls = NULL;
    void *value = NULL;
    struct ib_str unknown = {NULL, 0};
    if (iw_decode_exception(in, &vec_registry, IW_LIMITS_DEFAULT, &a, &cls, &value, &unknown) == IB_OK) {
        struct ib_buf out;
        ib_buf_init(&out);
        assert_int_equal(iw_encode_exception(cls, value, IW_ENCODING_1_0, false, &out), IB_OK);
        ib_buf_fini(&out);
    }
    ib_arena_fini(&a);
}

static void exceptions(void **state)
{
    (void)state;
    json_t *all = vec_load("exceptions.json"), *v;
    size_t i, tries = 0;
    json_array_foreach(all, i, v)
    {
        struct ib_span in = vec_bytes(v);
        check_exception(v, in);
        tries += bend(NULL, in, try_exception);
        vec_free(in);
    }
    print_message("exceptions.json: %zu vectors, %zu bent ones\n", json_array_size(all), tries);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),     cmocka_unit_test(primitives), cmocka_unit_test(proxies),
        cmocka_unit_test(optionals), cmocka_unit_test(classes),    cmocka_unit_test(exceptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
