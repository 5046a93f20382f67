/* SPDX-License-Identifier: Apache-2.0 */
/* Identities, proxies and endpoints as text: the vectors of real peers, adapter endpoints, defaults, hostile text. */
#include "test.h"
#include "vectors.h"

#include <moulin/base/arena.h>
#include <moulin/rpc/proxy.h>
#include <moulin/wire/codec.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct fx {
    struct ib_arena arena;
    struct ir_proxy_defaults d;
};

static int setup(void **state)
{
    struct fx *fx = calloc(1, sizeof(*fx));
    struct ir_properties *p = ir_properties_new();
    struct ib_err err;

    ib_arena_init(&fx->arena, 0);
    assert_int_equal(ir_properties_set(p, "Ice.Plugin.IceSSL", "IceSSL:createIceSSL"), 0);
    assert_int_equal(ir_proxy_defaults(p, &fx->arena, &fx->d, &err), 0);
    ir_properties_free(p);
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    struct fx *fx = *state;

    ib_arena_fini(&fx->arena);
    free(fx);
    return 0;
}

static void identity_vectors(void **state)
{
    static const char *const modes[] = {"unicode", "ascii", "compat"};
    struct fx *fx = *state;
    json_t *all = vec_load("identity_strings.json"), *v;
    size_t i, n = 0;

    json_array_foreach(all, i, v)
    {
        struct iw_identity id = {vec_str(v, "name"), vec_str(v, "category")}, back;
        struct ib_err err;

        for (int m = 0; m < 3; m++) {
            struct ib_str text = ir_identity_format(&id, (enum ir_string_mode)m, &fx->arena);

            assert_string_equal(text.p, vec_text(v, modes[m]));
            assert_int_equal(ir_identity_parse(text, &fx->arena, &back, &err), 0);
            assert_true(iw_identity_equal(&id, &back));
            n++;
        }
    }
    json_decref(all);
    assert_int_equal(n, 42);
    print_message("identity_strings.json: %zu strings\n", n);
}

static void check_error(const json_t *v, int rc, const struct ib_err *err)
{
    char got[800];

    assert_true(rc < 0);
    assert_int_equal(rc, err->code);
    if (strstr(vec_text(v, "error"), " | ") == NULL)
        snprintf(got, sizeof(got), "::Ice::%s", ib_err_ice_name(rc));
    else
        snprintf(got, sizeof(got), "::Ice::%s | %s", ib_err_ice_name(rc), err->text);
    assert_string_equal(got, vec_text(v, "error"));
}

static void proxy_vectors(void **state)
{
    struct fx *fx = *state;
    json_t *all = vec_load("proxy_strings.json"), *v;
    size_t i, n = 0;

    json_array_foreach(all, i, v)
    {
        struct iw_proxy *p;
        struct ib_err err = {0, ""};
        int rc = ir_proxy_parse(vec_str(v, "input"), &fx->d, &fx->arena, &p, NULL, &err);

        n++;
        if (vec_text(v, "error") != NULL) {
            check_error(v, rc, &err);
            continue;
        }
        if (rc != 0)
            print_error("<%s>: %s\n", vec_text(v, "input"), err.text);
        assert_int_equal(rc, 0);
        assert_string_equal(ir_proxy_format(p, IR_UNICODE, &fx->arena).p, vec_text(v, "canonical"));
        if (p != NULL) {
            assert_true(ib_str_eq(p->id.name, vec_str(v, "identity_name")));
            assert_true(ib_str_eq(p->id.category, vec_str(v, "identity_category")));
        }
    }
    json_decref(all);
    assert_int_equal(n, 107);
    print_message("proxy_strings.json: %zu vectors\n", n);
}

/* Seen on a real runtime besides the vectors. */
static const struct text_case {
    const char *input, *want; /* want: canonical, or "!" and the error's text */
} more[] = {
    {"a -f \"\"", "!no argument provided for -f option in `a -f \"\"'"},
    {"a -f \"x", "!mismatched quotes around value for -f option in `a -f \"x'"},
    {"\"\" -t", "!invalid characters after identity in `\"\" -t'"},
    {"a:opaque -t 1 -t 2 -v abcd", "!multiple -t options in endpoint `opaque  -t 1 -t 2 -v abcd'"},
    {"a:opaque -t 99 -v abc=", "a -t -e 1.1:opaque -t 99 -e 1.0 -v abc="},
    {"a:udp --ttl -1", "!no argument provided for --ttl option in endpoint `udp  --ttl -1'"},
    {"a:udp -v 2.0", "a -t -e 1.1:udp -p 0"},
    {"a:tcp -p +1", "a -t -e 1.1:tcp -p 1 -t 60000"},
    {"a:tcp -h \"\" -p 1", "!no argument provided for -h option in endpoint `tcp  -h -p 1'"},
    {"a:tcp -t \"5 6\"", "!invalid timeout value `5 6' in endpoint `tcp  -t \"5 6\"'"},
    {"a:tcp -h \"x", "!mismatched quote"},
    {"a\\ud800", "!invalid identity name `a\\ud800': A universal character name cannot designate a surrogate"},
    {"a\\400", "!invalid identity name `a\\400': octal value \\400 (256) is out of range"},
    {"a\x01", "!invalid identity name `a\x01': character after `a' has invalid ordinal value 1"},
    {"a\\d\\101\\1012", "a\\\\dAA2 -t -e 1.1"},
    {"/", ""},
    {"a @ b:tcp -h x", "!invalid trailing characters after `a @ b:tcp ' in `a @ b:tcp -h x'"},
};

static void more_texts(void **state)
{
    struct fx *fx = *state;

    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
        struct iw_proxy *p;
        struct ib_err err = {0, ""};
        int rc = ir_proxy_parse(ib_str(more[i].input), &fx->d, &fx->arena, &p, NULL, &err);

        if (more[i].want[0] == '!')
            assert_string_equal(err.text, more[i].want + 1);
        else
            assert_string_equal(ir_proxy_format(p, IR_UNICODE, &fx->arena).p, more[i].want);
        assert_int_equal(rc != 0, more[i].want[0] == '!');
    }
}

static void skipped_endpoints(void **state)
{
    struct fx *fx = *state;
    struct ib_str skipped;
    struct iw_proxy *p;
    struct ib_err err;

    assert_int_equal(ir_proxy_parse(IB_STR("a:bogus -h a:tcp -h b:foo"), &fx->d, &fx->arena, &p, &skipped, &err), 0);
    assert_int_equal(p->n_endpoints, 1);
    assert_string_equal(skipped.p, "bogus -h a:foo");
    fx->d.has_ssl = false;
    assert_int_equal(ir_proxy_parse(IB_STR("a:ssl -h b -p 1"), &fx->d, &fx->arena, &p, NULL, &err), IB_EPARSEENDPOINT);
    assert_int_equal(ir_proxy_parse(IB_STR("a:opaque -t 2 -v abcd"), &fx->d, &fx->arena, &p, NULL, &err), 0);
    assert_true(p->endpoints[0].opaque);
}

static void adapter_endpoints(void **state)
{
    struct fx *fx = *state;
    struct iw_endpoint *v;
    struct ib_err err;
    size_t n;

    assert_int_equal(ir_endpoints_parse(IB_STR(""), true, &fx->d, &fx->arena, &v, &n, &err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(
        ir_endpoints_parse(IB_STR("default -p 12000 : ssl -h \"::1\" -p 1"), true, &fx->d, &fx->arena, &v, &n, &err),
        0);
    assert_int_equal(n, 2);
    assert_int_equal(v[0].type, IW_EP_TCP);
    assert_int_equal(v[0].port, 12000);
    assert_string_equal(v[1].host.p, "::1");
    assert_int_equal(ir_endpoints_parse(IB_STR("tcp -h *"), true, &fx->d, &fx->arena, &v, &n, &err), 0);
    assert_int_equal(v[0].host.n, 0);
    assert_int_equal(ir_endpoints_parse(IB_STR("tcp -h *"), false, &fx->d, &fx->arena, &v, &n, &err),
                     IB_EPARSEENDPOINT);
    assert_int_equal(ir_endpoints_parse(IB_STR("tcp:"), true, &fx->d, &fx->arena, &v, &n, &err), 0);
    assert_int_equal(ir_endpoints_parse(IB_STR(":tcp"), true, &fx->d, &fx->arena, &v, &n, &err), IB_EPARSEENDPOINT);
    assert_int_equal(ir_endpoints_parse(IB_STR("bogus -p 1"), true, &fx->d, &fx->arena, &v, &n, &err),
                     IB_EPARSEENDPOINT);
    assert_string_equal(err.text, "invalid object adapter endpoint `bogus -p 1'");
    assert_int_equal(
        ir_endpoints_parse(IB_STR("tcp --sourceAddress 127.0.0.1"), true, &fx->d, &fx->arena, &v, &n, &err),
        IB_EPARSEENDPOINT);
}

static void configured_defaults(void **state)
{
    struct fx *fx = *state;
    struct ir_properties *p = ir_properties_new();
    struct ir_proxy_defaults d;
    struct iw_proxy *prx;
    struct ib_err err;

    assert_int_equal(ir_properties_set(p, "Ice.Default.Host", "127.0.0.1"), 0);
    assert_int_equal(ir_properties_set(p, "Ice.Default.Protocol", "ws"), 0);
    assert_int_equal(ir_properties_set(p, "Ice.Default.Timeout", "-1"), 0);
    assert_int_equal(ir_properties_set(p, "Ice.Default.EncodingVersion", "1.0"), 0);
    assert_int_equal(ir_properties_set(p, "Ice.Override.Compress", "1"), 0);
    assert_int_equal(ir_proxy_defaults(p, &fx->arena, &d, &err), 0);
    assert_int_equal(ir_proxy_parse(IB_STR("a:default -p 5"), &d, &fx->arena, &prx, NULL, &err), 0);
    assert_string_equal(ir_proxy_format(prx, IR_UNICODE, &fx->arena).p,
                        "a -t -e 1.0:ws -h 127.0.0.1 -p 5 -t infinite -r /");
    assert_int_equal(ir_properties_set(p, "Ice.Default.Timeout", "0"), 0);
    assert_int_equal(ir_proxy_defaults(p, &fx->arena, &d, &err), IB_ECONFIG);
    assert_int_equal(ir_properties_set(p, "Ice.Default.Timeout", ""), 0);
    assert_int_equal(ir_properties_set(p, "Ice.Default.EncodingVersion", "one"), 0);
    assert_int_equal(ir_proxy_defaults(p, &fx->arena, &d, &err), IB_ECONFIG);
    ir_properties_free(p);
}

static void helpers(void **state)
{
    struct fx *fx = *state;
    struct iw_proxy *p = ir_proxy_well_known(IB_STR("Locator"), IB_STR("IceGrid"), &fx->arena);
    struct iw_identity id = {IB_STR("x"), IB_STR("")};

    assert_string_equal(ir_proxy_format(p, IR_UNICODE, &fx->arena).p, "IceGrid/Locator -t -e 1.1");
    p = ir_proxy_with_facet(p, "Process", &fx->arena);
    assert_string_equal(ir_proxy_format(p, IR_UNICODE, &fx->arena).p, "IceGrid/Locator -f Process -t -e 1.1");
    p = ir_proxy_with_identity(p, &id, &fx->arena);
    assert_string_equal(ir_proxy_format(p, IR_UNICODE, &fx->arena).p, "x -f Process -t -e 1.1");
}

/* Each vector cut at each byte, and with each byte changed: whatever comes out, printing it and reading that again
   gives the same proxy. */
static void mutations(void **state)
{
    static const char bytes[] = "\0\x01 \"'\\:@/-*x9\xff";
    struct fx *fx = *state;
    json_t *all = vec_load("proxy_strings.json"), *v;
    size_t i, n = 0;

    json_array_foreach(all, i, v)
    {
        struct ib_str in = vec_str(v, "input");

        for (size_t cut = 0; cut < in.n * sizeof(bytes); cut++) {
            struct ib_str s = ib_arena_str(&fx->arena, in);
            char *text = ib_arena_alloc(&fx->arena, in.n + 1);
            struct iw_proxy *p, *again;
            struct ib_err err;

            memcpy(text, s.p, s.n);
            if (cut < in.n)
                s.n = cut;
            else
                text[cut % in.n] = bytes[cut / in.n];
            s.p = text;
            n++;
            if (ir_proxy_parse(s, &fx->d, &fx->arena, &p, NULL, &err) == 0 && p != NULL) {
                struct ib_str out = ir_proxy_format(p, IR_UNICODE, &fx->arena);

                if (ir_proxy_parse(out, &fx->d, &fx->arena, &again, NULL, &err) == 0)
                    assert_true(iw_identity_equal(&p->id, &again->id));
            }
            ib_arena_reset(&fx->arena);
        }
    }
    json_decref(all);
    print_message("proxy text: %zu mutations\n", n);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(identity_vectors),  T(proxy_vectors),       T(more_texts), T(skipped_endpoints),
        T(adapter_endpoints), T(configured_defaults), T(helpers),    T(mutations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
