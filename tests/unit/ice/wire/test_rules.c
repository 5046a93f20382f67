/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of ice-protocol 1 to 6 that no vector shows: unknown types, tables, limits, ends of encapsulations. */
#include "test.h"
#include "vectors.h"

#include <moulin/wire/codec.h>
#include <vec/Shapes.h>
#include <vec/registry.h>

#include <stdio.h>
#include <stdlib.h>

/* A hex body put into an encapsulation, decoded as the in-parameters of an operation. */
static int decode_with(const struct iw_type *t, int minor, const char *body, const struct iw_registry *reg,
                       struct iw_limits limits, struct ib_arena *a, void **out)
{
    struct ib_span hex = vec_hex(body);
    uint8_t *p = malloc(hex.n + 6);
    assert_non_null(p);
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)((hex.n + 6) >> 8 * i);
    p[4] = 1;
    p[5] = (uint8_t)minor;
    memcpy(p + 6, hex.p, hex.n);
    int rc = iw_decode_params(t, (struct ib_span){p, hex.n + 6}, reg, limits, a, out);
    free(p);
    vec_free(hex);
    return rc;
}

static int decode(const struct iw_type *t, int minor, const char *body, char *text, size_t cap)
{
    struct ib_arena a;
    ib_arena_init(&a, 0);
    void *v = NULL;
    int rc = decode_with(t, minor, body, &vec_registry, IW_LIMITS_DEFAULT, &a, &v);
    if (!rc && text) {
        struct ib_buf b;
        ib_buf_init(&b);
        iw_print(t, v, &b);
        snprintf(text, cap, "%s", ib_buf_cstr(&b));
        ib_buf_fini(&b);
    }
    ib_arena_fini(&a);
    return rc;
}

struct rule {
    const struct iw_type *type;
    int minor;
    const char *body;
    int want;
    const char *text;
};

static void run(const struct rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char text[512] = "";
        int rc = decode(rules[i].type, rules[i].minor, rules[i].body, text, sizeof(text));
        if (rc != rules[i].want)
            fail_msg("rule %zu (%s): got '%s', want '%s'", i, rules[i].body, ib_err_text(rc),
                     ib_err_text(rules[i].want));
        if (rules[i].text)
            assert_string_equal(text, rules[i].text);
    }
}
#define RUN(rules) run(rules, sizeof(rules) / sizeof((rules)[0]))

static void values(void **state)
{
    (void)state;
    const struct rule rules[] = {
        {&Shapes_Plain_aBool_in_type, 1, "02", IB_OK, "{v = true}"},
        {&Shapes_Plain_aString_in_type, 1, "FF 01000000 61", IB_OK, "{v = \"a\"}"}, /* long form of a short size */
        {&Shapes_Plain_aString_in_type, 1, "FF FFFFFFFF", IB_EBOUNDS, NULL},
        {&Shapes_Plain_aString_in_type, 1, "FF FFFFFF7F", IB_EBOUNDS, NULL},
        {&Shapes_Plain_aString_in_type, 1, "03 610062", IB_OK, "{v = \"a\\x00b\"}"},
        {&Shapes_Plain_ints_in_type, 1, "02 01000000 020000", IB_EBOUNDS, NULL},
        {&Shapes_Plain_points_in_type, 1, "FF FFFFFF7F", IB_EBOUNDS, NULL},
        {&Shapes_Plain_stringDict_in_type, 1, "02 0161 0131 0161 0132", IB_OK, NULL},
        {&Shapes_Plain_color_in_type, 1, "03", IB_EMARSHAL, NULL},
        {&Shapes_Plain_color_in_type, 0, "03", IB_EMARSHAL, NULL},
        {&Shapes_Plain_color_in_type, 0, "FF", IB_EMARSHAL, NULL},
        {&Shapes_Plain_big_in_type, 0, "71110100", IB_EMARSHAL, NULL},
        {&Shapes_Plain_big_in_type, 0, "05000000", IB_OK, "{v = 5}"}, /* gaps are not checked */
    };
    RUN(rules);
}

static void ends(void **state)
{
    (void)state;
    const struct rule rules[] = {
        {&Shapes_Plain_anInt_in_type, 1, "01000000 0A 04000000", IB_OK, "{v = 1}"}, /* unknown optional */
        {&Shapes_Plain_anInt_in_type, 1, "01000000 FF", IB_EENCAPS, NULL},
        {&Shapes_Plain_anInt_in_type, 1, "01000000 0A 0400", IB_EBOUNDS, NULL},
        {&Shapes_Plain_anInt_in_type, 0, "01000000 77", IB_OK, "{v = 1}"}, /* one surplus byte */
        {&Shapes_Plain_anInt_in_type, 0, "01000000 7777", IB_EENCAPS, NULL},
        {&iw_empty, 1, "0102030405", IB_OK, "{}"},
        {&iw_empty, 0, "01", IB_EENCAPS, NULL},
        {&iw_empty, 2, "", IB_EENCODING, NULL},
        {&Shapes_Plain_anInt_in_type, 2, "01000000", IB_EENCODING, NULL},
    };
    RUN(rules);
    size_t size;
    struct iw_encoding enc;
    assert_int_equal(iw_encaps_peek((struct ib_span){(const uint8_t *)"\6\0\0", 3}, &size, &enc), IB_EBOUNDS);
    assert_int_equal(iw_encaps_peek((struct ib_span){(const uint8_t *)"\5\0\0\0\1\1", 6}, &size, &enc), IB_EENCAPS);
    assert_int_equal(iw_encaps_peek((struct ib_span){(const uint8_t *)"\7\0\0\0\1\1", 6}, &size, &enc), IB_EBOUNDS);
    assert_int_equal(iw_encaps_peek((struct ib_span){(const uint8_t *)"\6\0\0\0\1\2x", 7}, &size, &enc), IB_OK);
    assert_int_equal(size, 6);
    assert_int_equal(enc.minor, 2);
}

static void optionals(void **state)
{
    (void)state;
    const struct iw_type *many = &Shapes_Optionals_many_in_type;
    const struct rule rules[] = {
        {many, 1, "01000000", IB_OK, "{v = 1}"},
        {many, 0, "01000000", IB_OK, "{v = 1}"},
        {many, 1, "01000000 0A 02000000 4D 08 03000000 04000000", IB_OK, "{v = 1, a = 2, d = {x = 3, y = 4}}"},
        /* unknown tags of every format between known ones */
        {many, 1,
         "01000000 0A 02000000 18 FF 29 FFFF 32 FFFFFFFF 3B FFFFFFFFFFFFFFFF 44 FF00010000 4D 08 03000000 04000000",
         IB_OK, "{v = 1, a = 2, d = {x = 3, y = 4}}"},
        {many, 1, "01000000 1D 02 FFFF 1E 03000000 FFFFFF F5 FF2C010000 01 00", IB_OK, "{v = 1}"},
        /* an unknown class value defines instance 2, which a known one then refers to */
        {many, 1, "01000000 07 01 21 0B 3a3a5665633a3a42617365 05000000 17 02", IB_OK,
         "{v = 1, b = #1 ::Vec::Base {i = 5}}"},
    };
    RUN(rules);
    assert_int_equal(decode(many, 1, "01000000 09 0200", NULL, 0), IB_EMARSHAL); /* wrong format of a known tag */
    assert_int_equal(decode(many, 1, "01000000 4D 07 03000000 04000000", NULL, 0), IB_EMARSHAL); /* length too small */
    assert_int_equal(decode(many, 1, "01000000 4D 7F 03000000 04000000", NULL, 0), IB_EBOUNDS);
    assert_int_equal(decode(many, 1, "01000000 26 FFFFFFFF", NULL, 0), IB_EBOUNDS);
    /* a known tag after a higher one is not recognised any more, as by real peers */
    const struct rule late[] = {
        {many, 1, "01000000 4D 08 03000000 04000000 0A 02000000", IB_OK, "{v = 1, d = {x = 3, y = 4}}"}};
    RUN(late);
}

#define BASE "0B 3a3a5665633a3a42617365" /* "::Vec::Base" */
#define DERIVED "0E 3a3a5665633a3a44657269766564" /* "::Vec::Derived" */
#define NODE "0B 3a3a5665633a3a4e6f6465" /* "::Vec::Node" */
#define TREE "0B 3a3a5665633a3a54726565" /* "::Vec::Tree" */
#define NEWER "0C 3a3a5665633a3a4e65776572" /* "::Vec::Newer", which nobody knows */
#define OBJECT "0D 3a3a4963653a3a4f626a656374" /* "::Ice::Object" */

static void unknown_classes(void **state)
{
    (void)state;
    const struct iw_type *base = &Shapes_Classes_base_in_type, *two = &Shapes_Classes_two_in_type;
    const struct rule rules[] = {
        /* sliced: sliced off, whatever is in it */
        {base, 1, "01 11" NEWER "06000000 FFFF 31" BASE "08000000 07000000", IB_OK, "{v = #1 ::Vec::Base {i = 7}}"},
        /* its optionals are part of the size, its table is not */
        {base, 1, "01 1D" NEWER "09000000 01 0A 01 FF FF 01 01 31" BASE "08000000 09000000 31 0B", IB_EBOUNDS, NULL},
        {two, 1, "01 19" NEWER "05000000 01 01 01 31" BASE "08000000 09000000 32 02 08000000 07000000 03", IB_OK,
         "{v = #1 ::Vec::Base {i = 7}, w = #2 ::Vec::Base {i = 9}}"},
        /* type ids of skipped slices count */
        {two, 1, "01 11" NEWER "04000000 31" BASE "08000000 07000000 01 32 02 08000000 08000000", IB_OK,
         "{v = #1 ::Vec::Base {i = 7}, w = #2 ::Vec::Base {i = 8}}"},
        /* compact: cannot be skipped */
        {base, 1, "01 01" NEWER "20 07000000", IB_ENOFACTORY, NULL},
        {base, 1, "01 23 63 07000000", IB_ENOFACTORY, NULL},
        /* nothing known at all */
        {base, 1, "01 31" NEWER "04000000", IB_ENOFACTORY, NULL},
        {base, 0, "FFFFFFFF 01 01000000 00" NEWER "04000000 00" OBJECT "05000000 00 00", IB_ENOFACTORY, NULL},
        {base, 0,
         "FFFFFFFF 01 01000000 00" NEWER "06000000 FFFF 00" BASE "08000000 07000000 00" OBJECT "05000000 00 00", IB_OK,
         "{v = #1 ::Vec::Base {i = 7}}"},
        /* a class that is none of the declared one's */
        {&Shapes_Classes_empty_in_type, 1, "01 21" BASE "05000000", IB_EMARSHAL, NULL},
        {&Shapes_Classes_empty_in_type, 0,
         "FFFFFFFF 01 01000000 00" BASE "08000000 07000000 00" OBJECT "05000000 00 00", IB_EMARSHAL, NULL},
        {&Shapes_Classes_anything_in_type, 1, "01 21" BASE "05000000", IB_OK, "{v = #1 ::Vec::Base {i = 5}}"},
        /* an exception's id is no class */
        {&Shapes_Classes_anything_in_type, 1, "01 21 09 3a3a5665633a3a4530", IB_ENOFACTORY, NULL},
    };
    RUN(rules);
}

static void broken_graphs(void **state)
{
    (void)state;
    const struct iw_type *base = &Shapes_Classes_base_in_type, *node = &Shapes_Classes_node_in_type;
    const struct iw_type *two = &Shapes_Classes_two_in_type;
    const struct rule rules[] = {
        {base, 1, "02", IB_EMARSHAL, NULL}, /* refers to nothing */
        {base, 1, "FF FFFFFF7F", IB_EMARSHAL, NULL},
        {base, 1, "01 22 01 05000000", IB_EMARSHAL, NULL}, /* type id 1 was never sent */
        {base, 1, "01 22 00 05000000", IB_EMARSHAL, NULL},
        {base, 1, "01 20 05000000", IB_ENOFACTORY, NULL}, /* no type id at all */
        {base, 1, "01 31" BASE "03000000 05000000", IB_EBOUNDS, NULL}, /* size below 4 */
        {base, 1, "01 31" BASE "07000000 05000000", IB_EMARSHAL, NULL}, /* size that cuts a member */
        {base, 1, "01 31" BASE "09000000 05000000 00", IB_EMARSHAL, NULL}, /* size with more than the members */
        {base, 1, "01 21" DERIVED "0164 20 05000000", IB_EMARSHAL, NULL}, /* the last slice before the root */
        {node, 1, "01 39" NODE "07000000 0161 01 00", IB_EMARSHAL, NULL}, /* empty table */
        {node, 1, "01 39" NODE "07000000 0161 02 01 01 32 01 07000000 0162 00", IB_EMARSHAL, NULL}, /* beyond it */
        {node, 1, "01 39" NODE "07000000 0161 00 01 01 32 01 07000000 0162 00", IB_EMARSHAL, NULL}, /* unused table */
        {node, 1, "01 39" NODE "07000000 0161 01 01 00", IB_EMARSHAL, NULL}, /* null in the table */
        {node, 1, "01 21" NODE "0161 02", IB_EMARSHAL, NULL}, /* cycle, not accepted */
        {node, 1, "01 39" NODE "07000000 0161 01 01 02", IB_EMARSHAL, NULL},
        {base, 0, "01000000", IB_EMARSHAL, NULL}, /* positive reference */
        {base, 0, "FFFFFFFF 00", IB_EMARSHAL, NULL}, /* never sent */
        {base, 0, "00000080 00", IB_EMARSHAL, NULL},
        {base, 0, "00000000", IB_EBOUNDS, NULL}, /* no end of groups */
        {base, 0, "00000000 01 00000000 00", IB_EMARSHAL, NULL}, /* instance 0 */
        {base, 0, "00000000 01 FFFFFF7F 00", IB_EMARSHAL, NULL}, /* number beyond reason */
        {two, 0,
         "FFFFFFFF FFFFFFFF 02 01000000 00" BASE "08000000 07000000 00" OBJECT "05000000 00"
         "01000000 01 01 08000000 07000000 01 02 05000000 00 00",
         IB_EMARSHAL, NULL}, /* one number twice */
    };
    RUN(rules);
}

/* n nodes, each holding the next, in compact format. */
static struct ib_buf chain(int n)
{
    struct ib_buf b;
    ib_buf_init(&b);
    ib_buf_put(&b, "\0\0\0\0\1\1\1\x21\x0b::Vec::Node\0", 21);
    for (int i = 1; i < n; i++)
        ib_buf_put(&b, "\1\x22\1\0", 4);
    ib_buf_put_u8(&b, 0);
    ib_buf_set_i32(&b, 0, (int32_t)b.n);
    assert_true(ib_buf_ok(&b));
    return b;
}

static int decode_chain(int n, uint32_t limit)
{
    struct ib_buf b = chain(n);
    struct ib_arena a;
    ib_arena_init(&a, 0);
    void *v;
    struct iw_limits limits = {limit, limit, false};
    int rc = iw_decode_params(&Shapes_Classes_node_in_type, ib_buf_span(&b), &vec_registry, limits, &a, &v);
    if (!rc) { /* what can be decoded can be copied and sent on */
        struct Shapes_Classes_node_in copy;
        assert_int_equal(iw_copy(&Shapes_Classes_node_in_type, v, &a, &copy), IB_OK);
        ib_buf_clear(&b);
        assert_int_equal(iw_encode_params(&Shapes_Classes_node_in_type, &copy, IW_ENCODING_1_1, true, &b), IB_OK);
    }
    ib_arena_fini(&a);
    ib_buf_fini(&b);
    return rc;
}

static void depth(void **state)
{
    (void)state;
    assert_int_equal(decode_chain(100, 100), IB_OK);
    assert_int_equal(decode_chain(101, 100), IB_EMARSHAL);
    assert_int_equal(decode_chain(500, UINT32_MAX), IB_OK);
    assert_int_equal(decode_chain(501, UINT32_MAX), IB_EMARSHAL); /* the stack sets a limit that nobody may raise */
    assert_int_equal(decode_chain(100000, 100), IB_EMARSHAL);
}

/* Instances that refer backwards, one parameter each: a deep graph although nothing is nested on the wire. */
static void depth_by_references(void **state)
{
    (void)state;
    const struct iw_type nodes = {.id = "nodes",
                                  .kind = IW_SEQ,
                                  .size = sizeof(struct iw_seq),
                                  .min_wire = 1,
                                  .has_class = true,
                                  .elem = &Vec_Node_type};
    const struct iw_field member = {.name = "v", .type = &nodes, .tag = -1};
    const struct iw_type t = {.id = "t",
                              .kind = IW_STRUCT,
                              .size = sizeof(struct iw_seq),
                              .min_wire = 1,
                              .has_class = true,
                              .fields = &member,
                              .n_fields = 1};
    for (int n = 100; n <= 101; n++) {
        struct ib_buf b;
        ib_buf_init(&b);
        ib_buf_put(&b, "\0\0\0\0\1\1", 6);
        iw_out_size(&b, (size_t)n);
        ib_buf_put(&b, "\1\x21\x0b::Vec::Node\0\0", 16);
        for (int i = 1; i < n; i++) {
            ib_buf_put(&b, "\1\x22\1\0", 4);
            iw_out_size(&b, (size_t)i + 1);
        }
        ib_buf_set_i32(&b, 0, (int32_t)b.n);
        struct ib_arena a;
        ib_arena_init(&a, 0);
        void *v;
        int rc = iw_decode_params(&t, ib_buf_span(&b), &vec_registry, IW_LIMITS_DEFAULT, &a, &v);
        assert_int_equal(rc, n <= 100 ? IB_OK : IB_EMARSHAL);
        ib_arena_fini(&a);
        ib_buf_fini(&b);
    }
}

/* Values that never came from the wire: the engine must not follow them into the ground. */
static void deep_values(void **state)
{
    (void)state;
    struct ib_arena a;
    ib_arena_init(&a, 0);
    struct Vec_Node *head = NULL;
    for (int i = 0; i < 5000; i++) {
        struct Vec_Node *n = Vec_Node_new(&a);
        assert_non_null(n);
        n->next = head;
        head = n;
    }
    struct Shapes_Classes_node_in in = {head}, copy;
    struct ib_buf b;
    ib_buf_init(&b);
    assert_int_equal(iw_encode_params(&Shapes_Classes_node_in_type, &in, IW_ENCODING_1_1, false, &b), IB_EMARSHAL);
    assert_int_equal(b.n, 0);
    assert_int_equal(iw_encode_params(&Shapes_Classes_node_in_type, &in, IW_ENCODING_1_0, false, &b), IB_OK);
    assert_int_equal(iw_copy(&Shapes_Classes_node_in_type, &in, &a, &copy), IB_EMARSHAL);
    ib_buf_clear(&b);
    iw_print(&Shapes_Classes_node_in_type, &in, &b);
    assert_true(ib_buf_ok(&b));
    ib_buf_fini(&b);
    ib_arena_fini(&a);
}

static int decode_exception(int minor, const char *body, char *id, size_t cap)
{
    struct ib_span hex = vec_hex(body);
    struct ib_buf b;
    ib_buf_init(&b);
    ib_buf_put_i32(&b, (int32_t)hex.n + 6);
    ib_buf_put_u8(&b, 1);
    ib_buf_put_u8(&b, (uint8_t)minor);
    ib_buf_put(&b, hex.p, hex.n);
    struct ib_arena a;
    ib_arena_init(&a, 0);
    const struct iw_class *cls = NULL;
    void *value = NULL;
    struct ib_str unknown = IB_STR("-");
    int rc = iw_decode_exception(ib_buf_span(&b), &vec_registry, IW_LIMITS_DEFAULT, &a, &cls, &value, &unknown);
    snprintf(id, cap, "%s", cls ? cls->id : unknown.p);
    ib_arena_fini(&a);
    ib_buf_fini(&b);
    vec_free(hex);
    return rc;
}

#define E1 "09 3a3a5665633a3a4531"
#define EX "09 3a3a5665633a3a4578"

static void exceptions(void **state)
{
    (void)state;
    const struct {
        int minor;
        const char *body;
        int want;
        const char *id;
    } rules[] = {
        {1, "00" EX "01000000 20" E1 "03776879", IB_ENOFACTORY, "::Vec::Ex"},
        {1, "10" EX "08000000 01000000 30" E1 "08000000 03776879", IB_OK, "::Vec::E1"},
        {1, "10" EX "08000000 01000000 10" E1 "08000000 03776879", IB_OK, "::Vec::E1"},
        {1, "30" EX "08000000 01000000", IB_ENOFACTORY, "::Vec::Ex"},
        {1, "10" EX "08000000 01000000", IB_ENOFACTORY, "::Vec::Ex"},
        {1, "10" EX "09000000 01000000", IB_EBOUNDS, "-"},
        {1, "", IB_EBOUNDS, "-"},
        {0, "00" EX "06000000 FFFF" E1 "08000000 03776879", IB_OK, "::Vec::E1"},
        {0, "00" EX "06000000 FFFF", IB_ENOFACTORY, "::Vec::Ex"},
        {0, "01" EX "06000000 FFFF 00", IB_ENOFACTORY, "::Vec::Ex"},
        {0, "00" E1 "08000000 037768", IB_EBOUNDS, NULL},
        {1, "20 0B 3a3a5665633a3a42617365 05000000", IB_ENOFACTORY, "::Vec::Base"}, /* a class, not an exception */
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        char id[64];
        int rc = decode_exception(rules[i].minor, rules[i].body, id, sizeof(id));
        if (rc != rules[i].want)
            fail_msg("exception %zu: got '%s', want '%s'", i, ib_err_text(rc), ib_err_text(rules[i].want));
        if (rules[i].id)
            assert_string_equal(id, rules[i].id);
    }
}

static void wrong_values(void **state)
{
    (void)state;
    struct ib_buf b;
    ib_buf_init(&b);
    ib_buf_puts(&b, "kept");
    struct Shapes_Plain_color_in bad = {(enum Vec_Color)7};
    assert_int_equal(iw_encode_params(&Shapes_Plain_color_in_type, &bad, IW_ENCODING_1_1, false, &b), IB_EMARSHAL);
    struct Vec_Empty empty = {{&Vec_Empty_class}};
    struct {
        void *v;
    } in = {&empty};
    assert_int_equal(iw_encode_params(&Shapes_Classes_base_in_type, &in, IW_ENCODING_1_1, false, &b), IB_EINVAL);
    assert_int_equal(iw_encode_params(&iw_empty, &in, (struct iw_encoding){1, 2}, false, &b), IB_EENCODING);
    assert_int_equal(iw_encode_value(&Vec_Base_type, &in, IW_ENCODING_1_1, &b), IB_EINVAL);
    b.limit = 8;
    struct ib_str s = IB_STR("longer than the limit");
    assert_int_equal(iw_encode_value(&iw_string, &s, IW_ENCODING_1_1, &b), IB_EMEMLIMIT);
    assert_int_equal(b.n, 4);
    assert_memory_equal(b.p, "kept", 4);
    ib_buf_fini(&b);
}

static void bare_values(void **state)
{
    (void)state;
    struct ib_span in = {(const uint8_t *)"\1n\1crest", 8};
    struct ib_arena a;
    ib_arena_init(&a, 0);
    struct iw_identity id;
    assert_int_equal(iw_decode_value(&iw_identity_type, &in, IW_ENCODING_1_1, &a, &id), IB_OK);
    assert_true(ib_str_is(id.name, "n"));
    assert_true(ib_str_is(id.category, "c"));
    assert_int_equal(in.n, 4);
    assert_int_equal(iw_decode_value(&iw_identity_type, &in, IW_ENCODING_1_1, &a, &id), IB_EBOUNDS);
    assert_int_equal(in.n, 4);
    void *o;
    assert_int_equal(iw_decode_value(&iw_object_type, &in, IW_ENCODING_1_1, &a, &o), IB_EINVAL);
    assert_int_equal(iw_decode_value(&iw_int, &in, (struct iw_encoding){2, 0}, &a, &id), IB_EENCODING);
    ib_arena_fini(&a);
}

static void sorting(void **state)
{
    (void)state;
    struct Shapes_StringDict_entry s[] = {
        {IB_STR("b"), IB_STR("1")}, {IB_STR("ab"), IB_STR("2")}, {IB_STR("a"), IB_STR("3")}};
    struct Shapes_StringDict d = {3, s};
    iw_dict_sort(&Shapes_StringDict_type, &d);
    assert_true(ib_str_is(s[0].key, "a") && ib_str_is(s[1].key, "ab") && ib_str_is(s[2].key, "b"));
    assert_true(ib_str_is(s[0].value, "3"));
    struct Shapes_IntDict_entry n[] = {{2, 0}, {-1, 1}, {1, 2}};
    struct Shapes_IntDict e = {3, n};
    iw_dict_sort(&Shapes_IntDict_type, &e);
    assert_true(n[0].key == -1 && n[1].key == 1 && n[2].key == 2);
    struct Shapes_IntDict_entry m[] = {{2, 0}, {1, 2}, {-1, 1}};
    struct Shapes_IntDict g = {3, m};
    assert_true(iw_equal(&Shapes_IntDict_type, &e, &g)); /* the order does not matter */
    m[1].value = 3;
    assert_false(iw_equal(&Shapes_IntDict_type, &e, &g));
}

static void tables(void **state)
{
    (void)state;
    assert_ptr_equal(iw_registry_find(&vec_registry, IB_STR("::Vec::Base")), &Vec_Base_class);
    assert_null(iw_registry_find(&vec_registry, IB_STR("::Vec::Bas")));
    assert_null(iw_registry_find(NULL, IB_STR("::Vec::Base")));
    assert_ptr_equal(iw_registry_find_compact(&vec_registry, 300), &Vec_CompactD_class);
    assert_null(iw_registry_find_compact(&vec_registry, -1));
    assert_true(iw_class_is_a(&Vec_Derived_class, &Vec_Base_class));
    assert_false(iw_class_is_a(&Vec_Base_class, &Vec_Derived_class));
    for (size_t i = 0; i < Shapes_Plain_iface.n_ops; i++)
        assert_ptr_equal(iw_iface_find(&Shapes_Plain_iface, ib_str(Shapes_Plain_iface.ops[i]->name)),
                         Shapes_Plain_iface.ops[i]);
    assert_null(iw_iface_find(&Shapes_Plain_iface, (struct ib_str){"none\0", 5}));
    assert_true(iw_iface_is_a(&Shapes_Plain_iface, IB_STR("::Ice::Object")));
    assert_false(iw_iface_is_a(&Shapes_Plain_iface, IB_STR("::Vec::I")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(ends),
        cmocka_unit_test(optionals),
        cmocka_unit_test(unknown_classes),
        cmocka_unit_test(broken_graphs),
        cmocka_unit_test(depth),
        cmocka_unit_test(depth_by_references),
        cmocka_unit_test(deep_values),
        cmocka_unit_test(exceptions),
        cmocka_unit_test(wrong_values),
        cmocka_unit_test(bare_values),
        cmocka_unit_test(sorting),
        cmocka_unit_test(tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
