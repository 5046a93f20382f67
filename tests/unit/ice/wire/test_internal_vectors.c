/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies captured between real registries and nodes: decoded with the tables, encoded again, compared byte by byte.
   Some operations exist on several interfaces: the one that gives the same bytes is the right one. */
#include "test.h"
#include "vectors.h"

#include <moulin/wire/codec.h>
#include <slice/registry.h>

#include <stdio.h>
#include <stdlib.h>

enum { COLUMNS = 7, EXPECTED = 147 };

struct line {
    char *column[COLUMNS];
    struct iw_encoding enc;
    struct ib_span encaps;
};

/* Splits in place; false for comments and empty lines. */
static bool parse(char *text, struct line *l)
{
    if (text[0] == '#' || text[0] == '\0')
        return false;
    for (int i = 0; i < COLUMNS; i++) {
        l->column[i] = text;
        char *bar = strchr(text, '|');
        if (i < COLUMNS - 1) {
            assert_non_null(bar);
            *bar = '\0';
            text = bar + 1;
        }
    }
    l->enc = strcmp(l->column[2], "enc=1.0") == 0 ? IW_ENCODING_1_0 : IW_ENCODING_1_1;
    struct ib_span body = vec_hex(l->column[6]);
    struct ib_buf b;
    ib_buf_init(&b);
    ib_buf_put_i32(&b, (int32_t)body.n + 6);
    ib_buf_put_u8(&b, l->enc.major);
    ib_buf_put_u8(&b, l->enc.minor);
    ib_buf_put(&b, body.p, body.n);
    vec_free(body);
    assert_true(ib_buf_ok(&b));
    l->encaps = ib_buf_span(&b); /* freed with vec_free */
    return true;
}

static bool same(const struct ib_buf *b, struct ib_span s)
{
    return b->n == s.n && memcmp(b->p, s.p, s.n) == 0;
}

/* Whether t decodes the line and gives its bytes again, directly and after a copy. */
static bool params_fit(const struct iw_type *t, const struct line *l)
{
    struct ib_arena a;
    ib_arena_init(&a, 0);
    struct ib_buf out;
    ib_buf_init(&out);
    void *v = NULL;
    bool fit = iw_decode_params(t, l->encaps, &slice_registry, IW_LIMITS_DEFAULT, &a, &v) == IB_OK;
    for (int sliced = 0; fit && sliced < 2; sliced++) {
        void *copy = ib_arena_alloc(&a, t->size);
        ib_buf_clear(&out);
        fit = iw_copy(t, v, &a, copy) == IB_OK && iw_encode_params(t, copy, l->enc, sliced, &out) == IB_OK;
        if (fit && same(&out, l->encaps))
            break;
        fit = fit && sliced == 0;
    }
    ib_buf_fini(&out);
    ib_arena_fini(&a);
    return fit;
}

static bool find_operation(const struct line *l)
{
    bool request = strcmp(l->column[0], "req") == 0;
    int mode = request ? atoi(l->column[3] + strlen("mode=")) : -1;
    for (const struct iw_iface *const *i = slice_ifaces; *i; i++) {
        const struct iw_op *op = iw_iface_find(*i, ib_str(l->column[1]));
        if (op && (mode < 0 || op->mode == mode) && params_fit(request ? op->in : op->out, l))
            return true;
    }
    return false;
}

static bool exception_fits(const struct line *l)
{
    struct ib_arena a;
    ib_arena_init(&a, 0);
    struct ib_buf out;
    ib_buf_init(&out);
    const struct iw_class *cls = NULL;
    void *v = NULL;
    bool fit = iw_decode_exception(l->encaps, &slice_registry, IW_LIMITS_DEFAULT, &a, &cls, &v, NULL) == IB_OK;
    const char *id = strchr(l->column[3], ' ');
    fit = fit && id && strcmp(cls->id, id + 1) == 0;
    bool sliced = l->encaps.n > 6 && (l->encaps.p[6] & 0x10);
    fit = fit && iw_encode_exception(cls, v, l->enc, sliced, &out) == IB_OK && same(&out, l->encaps);
    ib_buf_fini(&out);
    ib_arena_fini(&a);
    return fit;
}

static void round_trip(void **state)
{
    (void)state;
    char *text = vec_file("tests/data/vectors/icegrid-internal-vectors.txt", NULL), *rest = text, *raw;
    size_t ran = 0, failed = 0;
    while ((raw = strsep(&rest, "\n"))) {
        struct line l;
        if (!parse(raw, &l))
            continue;
        bool exception = strncmp(l.column[3], "status=1", 8) == 0;
        if (!(exception ? exception_fits(&l) : find_operation(&l))) {
            print_error("%s %s %s: no interface gives its bytes again\n", l.column[0], l.column[1], l.column[2]);
            failed++;
        }
        vec_free(l.encaps);
        ran++;
    }
    free(text);
    print_message("%zu bodies captured inside IceGrid, %zu failed\n", ran, failed);
    assert_int_equal(failed, 0);
    assert_int_equal(ran, EXPECTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
