/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the configuration again: what changes, what outranks the files, and that a failure changes nothing. */
#include "test.h"

#include <moulin/rpc/properties.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const names[] = {"Moulin.One", "IceSSL.*", NULL};

static void fill(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void collect(void *arg, const char *text)
{
    strncat(arg, text, 200);
    strcat(arg, ";");
}

/* A set as a daemon has it: two files, a command line. */
static struct ir_properties *start(char one[32], char two[32])
{
    char config[100], program[] = "test", own[] = "--IceSSL.Own=line", unknown[1024] = "";
    struct ib_err err = {0};
    strcpy(one, "/tmp/reread-1-XXXXXX");
    strcpy(two, "/tmp/reread-2-XXXXXX");
    close(mkstemp(one));
    close(mkstemp(two));
    fill(one, "Moulin.One=1\nMoulin.Other=1\nIceSSL.CAs=a\nIceSSL.Own=file\nIceSSL.Gone=x\nIceSSL.Admin=file\n");
    fill(two, "IceSSL.CertFile=c\n");
    snprintf(config, sizeof config, "--Ice.Config=%s, %s", one, two);
    char *argv[] = {program, config, own, NULL};
    int argc = 3;
    struct ir_properties *p = ir_properties_new();
    assert_int_equal(ir_properties_from_args(p, &argc, argv, &err), 0);
    assert_int_equal(ir_properties_set(p, "IceSSL.Admin", "afar"), 0);
    ir_properties_take_warnings(p, collect, unknown); /* as the daemon does when it has a logger */
    return p;
}

static void check(const struct ir_properties *p, const char *key, const char *value)
{
    assert_string_equal(ir_properties_get(p, key), value);
}

static void warnings(struct ir_properties *fresh, const char *file)
{
    char said[1024] = "", wanted[1024];
    snprintf(wanted, sizeof wanted,
             "%s:3: `Moulin.Other' has changed: restart to put it in force;"
             "%s:4: `Moulin.Third' has changed: restart to put it in force;unknown property: `Moulin.One';",
             file, file);
    ir_properties_take_warnings(fresh, collect, said);
    assert_string_equal(said, wanted);
}

static void changes(void **state)
{
    (void)state;
    char one[32], two[32], origin[64];
    struct ib_err err = {0};
    struct ir_properties *p = start(one, two);
    const char *kept = ir_properties_get(p, "Moulin.Other");
    fill(one, "\nMoulin.One=2\nMoulin.Other=2\nMoulin.Third=2\nIceSSL.CAs=b\nIceSSL.Own=file\nIceSSL.Admin=file\n");
    fill(two, "IceSSL.CertFile=d\nIceSSL.KeyFile=k\n");
    struct ir_properties *fresh = ir_properties_reread(p, names, &err);
    assert_non_null(fresh);
    warnings(fresh, one);
    check(p, "Moulin.One", "1");
    for (int i = 0; i < 2; i++) { /* the fresh set, then the one that took it over */
        const struct ir_properties *now = i ? p : fresh;
        check(now, "Moulin.One", "2");
        check(now, "Moulin.Other", "1"); /* not reloadable */
        check(now, "Moulin.Third", "");
        check(now, "IceSSL.CAs", "b");
        check(now, "IceSSL.CertFile", "d");
        check(now, "IceSSL.KeyFile", "k");
        check(now, "IceSSL.Gone", "");
        check(now, "IceSSL.Own", "line"); /* the command line wins */
        check(now, "IceSSL.Admin", "afar"); /* and what was set since */
        snprintf(origin, sizeof origin, "%s:2", one);
        assert_string_equal(ir_properties_origin(now, "Moulin.One"), origin);
        if (!i) {
            assert_int_equal(ir_properties_adopt(p, fresh, names), 0);
            ir_properties_free(fresh);
        }
    }
    assert_ptr_equal(ir_properties_get(p, "Moulin.Other"), kept); /* whoever borrowed it still may */
    ir_properties_free(p);
    unlink(one);
    unlink(two);
}

static void failure(void **state)
{
    (void)state;
    char one[32], two[32];
    struct ib_err err = {0};
    struct ir_properties *p = start(one, two);
    unlink(two);
    assert_null(ir_properties_reread(p, names, &err));
    assert_int_equal(err.code, IB_EFILE);
    assert_non_null(strstr(err.text, two));
    check(p, "Moulin.One", "1");
    check(p, "IceSSL.CertFile", "c");
    ir_properties_free(p);
    unlink(one);
}

static void without_files(void **state)
{
    (void)state;
    struct ib_err err = {0};
    struct ir_properties *p = ir_properties_new();
    assert_int_equal(ir_properties_set(p, "Moulin.One", "1"), 0);
    struct ir_properties *fresh = ir_properties_reread(p, names, &err);
    assert_non_null(fresh);
    assert_int_equal(ir_properties_adopt(p, fresh, names), 0);
    check(p, "Moulin.One", "1");
    ir_properties_free(fresh);
    ir_properties_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(changes), cmocka_unit_test(failure),
                                       cmocka_unit_test(without_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
