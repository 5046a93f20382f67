/* SPDX-License-Identifier: Apache-2.0 */
/* Properties: every line of property_lines.json, files, command line, typed access, unknown names. */
#include "test.h"
#include "vectors.h"

#include <moulin/base/arena.h>
#include <moulin/rpc/properties.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void count_one(void *arg, const char *key, const char *value)
{
    (void)key;
    (void)value;
    (*(size_t *)arg)++;
}

static void keep_last(void *arg, const char *text)
{
    snprintf(arg, 600, "%s", text);
}

static void line_vectors(void **state)
{
    (void)state;
    json_t *all = vec_load("property_lines.json"), *v, *value;
    const char *key;
    size_t i, n = 0;

    json_array_foreach(all, i, v)
    {
        struct ir_properties *p = ir_properties_new();
        json_t *want = json_object_get(v, "properties");
        size_t got = 0;
        int rc = ir_properties_parse_line(p, vec_text(v, "line"), "test:1");

        assert_true(rc == 0 || rc == IB_ECONFIG);
        ir_properties_each(p, "", count_one, &got);
        if (got != json_object_size(want))
            print_error("line <%s>\n", vec_text(v, "line"));
        assert_int_equal(got, json_object_size(want));
        json_object_foreach(want, key, value) assert_string_equal(ir_properties_get(p, key), json_string_value(value));
        ir_properties_free(p);
        n++;
    }
    json_decref(all);
    assert_int_equal(n, 42);
    print_message("property_lines.json: %zu vectors\n", n);
}

static void bad_lines(void **state)
{
    (void)state;
    struct ir_properties *p = ir_properties_new();
    char text[600] = "";

    assert_int_equal(ir_properties_parse_line(p, "A.B", ""), IB_ECONFIG);
    ir_properties_take_warnings(p, keep_last, text);
    assert_string_equal(text, "invalid config file entry: \"A.B\"");
    assert_int_equal(ir_properties_parse_line(p, "=1", ""), IB_ECONFIG);
    assert_int_equal(ir_properties_parse_line(p, "  # only a comment", ""), 0);
    assert_int_equal(ir_properties_parse_line(p, "A=1", ""), 0);
    assert_int_equal(ir_properties_parse_line(p, "A=", ""), 0);
    assert_false(ir_properties_has(p, "A"));
    ir_properties_free(p);
}

static void numbers(void **state)
{
    (void)state;
    struct ir_properties *p = ir_properties_new();
    struct ib_err err;
    int v = 7;

    assert_int_equal(ir_properties_parse_line(p, "X=12x", "f.cfg:3"), 0);
    assert_int_equal(ir_properties_int(p, "X", 1, &v, &err), IB_ECONFIG);
    assert_int_equal(v, 7);
    assert_non_null(strstr(err.text, "f.cfg:3"));
    assert_non_null(strstr(err.text, "X"));
    assert_non_null(strstr(err.text, "12x"));
    assert_int_equal(ir_properties_int_or(p, NULL, "X", 5), 5);
    assert_int_equal(ir_properties_int(p, "Y", 9, &v, &err), 0);
    assert_int_equal(v, 9);
    assert_int_equal(ir_properties_set(p, "Y", "-12"), 0);
    assert_int_equal(ir_properties_int_or(p, NULL, "Y", 5), -12);
    assert_int_equal(ir_properties_set(p, "Y", "99999999999"), 0);
    assert_int_equal(ir_properties_int_or(p, NULL, "Y", 5), 5);
    ir_properties_free(p);
}

static void lists(void **state)
{
    (void)state;
    struct ir_properties *p = ir_properties_new();
    struct ib_arena arena;
    struct ib_str *v;

    ib_arena_init(&arena, 0);
    assert_int_equal(ir_properties_list(p, "L", &arena, &v), 0);
    assert_int_equal(ir_properties_set(p, "L", " a, b\t'c d' \"e,f\",, \"g\\\"h\" "), 0);
    assert_int_equal(ir_properties_list(p, "L", &arena, &v), 5);
    assert_string_equal(v[0].p, "a");
    assert_string_equal(v[2].p, "c d");
    assert_string_equal(v[3].p, "e,f");
    assert_string_equal(v[4].p, "g\"h");
    assert_int_equal(ir_properties_words(p, "L", &arena, &v), 5);
    assert_string_equal(v[0].p, "a,");
    assert_string_equal(v[3].p, "e,f,,");
    assert_int_equal(ir_properties_set(p, "L", "a 'b"), 0);
    assert_int_equal(ir_properties_list(p, "L", &arena, &v), IB_ECONFIG);
    assert_int_equal(ir_properties_words(p, "L", &arena, &v), IB_ECONFIG);
    ib_arena_fini(&arena);
    ir_properties_free(p);
}

static void order_and_copy(void **state)
{
    (void)state;
    struct ir_properties *p = ir_properties_new(), *c;
    size_t n = 0;

    for (int i = 500; i > 0; i--) {
        char key[32];

        snprintf(key, sizeof(key), "K.%d", i * 7 % 501);
        assert_int_equal(ir_properties_set(p, key, "v"), 0);
    }
    assert_int_equal(ir_properties_set(p, "", "v"), IB_EINVAL);
    c = ir_properties_copy(p);
    ir_properties_free(p);
    ir_properties_each(c, "K.", count_one, &n);
    assert_int_equal(n, 500);
    n = 0;
    ir_properties_each(c, "K.49", count_one, &n);
    assert_int_equal(n, 11);
    ir_properties_free(c);
}

static void write_file(char *path, const char *text)
{
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void command_line(void **state)
{
    (void)state;
    char one[] = "/tmp/moulin-cfg-XXXXXX", two[] = "/tmp/moulin-cfg-XXXXXX", config[100], origin[64];
    struct ir_properties *p = ir_properties_new();
    struct ib_err err;

    write_file(one, "\xef\xbb\xbf"
                    "A=1\nIce.MessageSizeMax=5\nB = from one\n");
    write_file(two, "B=from two # here\r\nC=3");
    snprintf(config, sizeof(config), "--Ice.Config=%s , %s", one, two);
    char prog[] = "bin\\prog", keep[] = "--daemon", opt[] = "--Ice.MessageSizeMax=7",
         flag[] = "--Glacier2.SessionTimeout", no[] = "--Icefoo=3", rest[] = "rest", ours[] = "--Moulin.Workers=2 # x",
         gone[] = "--Ice.Trace.Network=";
    char *argv[] = {prog, keep, opt, config, flag, no, rest, ours, gone, NULL};
    int argc = 9;

    assert_int_equal(ir_properties_from_args(p, &argc, argv, &err), 0);
    assert_int_equal(argc, 4);
    assert_string_equal(argv[1], "--daemon");
    assert_string_equal(argv[2], "--Icefoo=3");
    assert_string_equal(argv[3], "rest");
    assert_null(argv[4]);
    assert_string_equal(ir_properties_get(p, "A"), "1");
    assert_string_equal(ir_properties_get(p, "B"), "from two");
    assert_string_equal(ir_properties_get(p, "C"), "3");
    assert_string_equal(ir_properties_get(p, "Ice.MessageSizeMax"), "7");
    assert_string_equal(ir_properties_origin(p, "Ice.MessageSizeMax"), "command line");
    snprintf(origin, sizeof(origin), "%s:1", two);
    assert_string_equal(ir_properties_origin(p, "B"), origin);
    assert_string_equal(ir_properties_get(p, "Glacier2.SessionTimeout"), "1");
    assert_string_equal(ir_properties_get(p, "Moulin.Workers"), "2");
    assert_string_equal(ir_properties_get(p, "Ice.ProgramName"), "bin/prog");
    assert_false(ir_properties_has(p, "Ice.Trace.Network"));
    unlink(one);
    unlink(two);
    ir_properties_free(p);
}

static void missing_file(void **state)
{
    (void)state;
    struct ir_properties *p = ir_properties_new();
    char prog[] = "p", config[] = "--Ice.Config=/nonexistent/x.cfg";
    char *argv[] = {prog, config, NULL};
    struct ib_err err;
    int argc = 2;

    assert_int_equal(ir_properties_from_args(p, &argc, argv, &err), IB_EFILE);
    assert_non_null(strstr(err.text, "/nonexistent/x.cfg"));
    ir_properties_free(p);
    p = ir_properties_new();
    assert_int_equal(ir_properties_load(p, "/proc/self/exe", &err), IB_ECONFIG);
    ir_properties_free(p);
}

static void environment(void **state)
{
    (void)state;
    char one[] = "/tmp/moulin-cfg-XXXXXX", prog[] = "p";
    char *argv[] = {prog, NULL};
    struct ir_properties *p = ir_properties_new();
    struct ib_err err;
    int argc = 1;

    write_file(one, "A=env\n");
    setenv("ICE_CONFIG", one, 1);
    assert_int_equal(ir_properties_from_args(p, &argc, argv, &err), 0);
    assert_string_equal(ir_properties_get(p, "A"), "env");
    assert_string_equal(ir_properties_get(p, "Ice.Config"), one);
    unsetenv("ICE_CONFIG");
    unlink(one);
    ir_properties_free(p);
}

static const struct name_case {
    const char *line, *warning; /* "" = none */
} names[] = {
    {"Ice.Trace.Netwrk=1", "unknown property: `Ice.Trace.Netwrk'"},
    {"Ice.trace.network=1", "unknown property: `Ice.trace.network'; did you mean `Ice.Trace.Network'"},
    {"Ice.Trace.Network=1", ""},
    {"Ice.Admin.Endpoints=tcp", ""},
    {"IceGrid.Registry.Client.ThreadPool.Size=1", ""},
    {"IceGrid.Registry.Client.Locator.PreferSecure=1", ""},
    {"Glacier2.Client.Enpoints=tcp", "unknown property: `Glacier2.Client.Enpoints'"},
    {"Ice.Default.Locator.Context.x=1", ""},
    {"Ice.Plugin.IceSSL=IceSSL:createIceSSL", ""},
    {"MyAdapter.Enpoints=tcp", ""},
};

static void known_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct ir_properties *p = ir_properties_new();
        char text[600] = "";

        assert_int_equal(ir_properties_parse_line(p, names[i].line, ""), 0);
        ir_properties_take_warnings(p, keep_last, text);
        assert_string_equal(text, names[i].warning);
        ir_properties_free(p);
    }
}

static void near_misses(void **state)
{
    static const char *const cases[][2] = {
        {"Glacier2.Client.Enpoints", "Glacier2.Client.Endpoints"},
        {"Glacier2.Server.ThraedPool.Size", "Glacier2.Server.ThreadPool.Size"},
        {"Glacier2.SessionManager.EndPointSelektion", "Glacier2.SessionManager.EndpointSelection"},
        {"Glacier2.sessiontimeout", "Glacier2.SessionTimeout"},
        {"Ice.Trace.Netwrk", "Ice.Trace.Network"},
        {"Moulin.Gateway.HideError", "Moulin.Gateway.HideErrors"},
        {"Glacier2.Something.Else", ""},
        {"Glacier2.", ""},
        {"Moulin.Gateway.Filter", ""},
    };
    char meant[128], longest[400];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_false(ir_property_is_known(cases[i][0], meant, sizeof(meant)));
        assert_string_equal(meant, cases[i][1]);
    }
    assert_true(ir_property_is_known("Glacier2.SessionTimeout", meant, sizeof(meant)));
    assert_true(ir_property_is_known("Glacier2.SessionManager.Context.x", meant, sizeof(meant)));
    assert_true(ir_property_is_known("My.Own", meant, sizeof(meant)));
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    memcpy(longest, "Glacier2.", 9);
    assert_false(ir_property_is_known(longest, meant, sizeof(meant)));
    assert_string_equal(meant, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_vectors), cmocka_unit_test(bad_lines),      cmocka_unit_test(numbers),
        cmocka_unit_test(lists),        cmocka_unit_test(order_and_copy), cmocka_unit_test(command_line),
        cmocka_unit_test(missing_file), cmocka_unit_test(environment),    cmocka_unit_test(known_names),
        cmocka_unit_test(near_misses),
    };

    unsetenv("ICE_CONFIG");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
