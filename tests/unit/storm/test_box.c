/* SPDX-License-Identifier: Apache-2.0 */
/* Which services a configuration names, in which order, and what each of them has for properties. */
#include "box.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ENTRY "IceStormService,37:createIceStorm"

static struct ir_properties *properties(const char *const *pairs)
{
    struct ir_properties *p = ir_properties_new();
    assert_non_null(p);
    for (; *pairs; pairs += 2)
        assert_int_equal(ir_properties_set(p, pairs[0], pairs[1]), 0);
    return p;
}

/* Reads the configuration with one option on the command line; the names in their order, with blanks between them. */
static int read_box(struct storm_box *box, const char *const *pairs, const char *option, char *names,
                    struct ib_err *err)
{
    char program[] = "storm", extra[100];
    char *argv[] = {program, extra, NULL};
    struct ir_properties *p = properties(pairs);
    int argc = option ? 2 : 1;
    snprintf(extra, sizeof extra, "%s", option ? option : "");
    argv[argc] = NULL;
    int rc = storm_box_read(box, p, &argc, argv, err);
    *names = 0;
    for (size_t i = 0; i < box->n; i++)
        strcat(strcat(names, i ? " " : ""), box->v[i].name.p);
    if (!rc && option)
        strcat(names, argc == 1 ? " (taken)" : " (left)");
    ir_properties_free(p);
    return rc;
}

static void names_and_order(void **state)
{
    static const struct {
        const char *pairs[10];
        const char *option, *names;
        bool boxed;
    } cases[] = {
        {{NULL}, NULL, "IceStorm", false},
        {{"Moulin.Storm.Services", "b, a"}, NULL, "b a", false},
        {{"Moulin.Storm.Services", "b", "IceBox.Service.A", "junk"}, "--b.X=1", "b (left)", false},
        {{"IceBox.Service.B", ENTRY, "IceBox.Service.A", ENTRY}, NULL, "A B", true},
        {{"IceBox.Service.B", ENTRY, "IceBox.Service.A", ENTRY, "IceBox.LoadOrder", "B"}, "--A.X", "B A (taken)", true},
        {{"IceBox.Service.C", ENTRY, "IceBox.Service.A", ENTRY, "IceBox.LoadOrder", "C, A C"},
         "--AX",
         "C A (left)",
         true},
        {{"IceBox.Service.A", "IceStormService:createIceStorm"}, "--A=1", "A (left)", true},
        {{"IceBox.Service.A.B", "/lib:x/IceStormService,3.7:createIceStorm"}, "--A.B.C=1", "A.B (taken)", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct storm_box box;
        struct ib_err err = {0};
        char names[200];
        assert_int_equal(read_box(&box, cases[i].pairs, cases[i].option, names, &err), 0);
        assert_string_equal(names, cases[i].names);
        assert_int_equal(box.boxed, cases[i].boxed);
        storm_box_fini(&box);
    }
}

static void refusals(void **state)
{
    static const char *const cases[][3] = {
        {"IceBox.Service.A", "HelloService:create", "only IceStorm services run here"},
        {"IceBox.Service.A", "IceStormService,37", "only IceStorm services run here"},
        {"IceBox.Service.A", "IceStormServices:createIceStorm", "only IceStorm services run here"},
        {"IceBox.Service.A", "IceStormService/x:createIceStorm", "only IceStorm services run here"},
        {"IceBox.Service.A", ENTRY " 'x", "quote"},
        {"IceBox.Service.A", ENTRY " --Ice.Config=/nowhere", "/nowhere"},
        {"IceBox.Service.", ENTRY, "has to be a name"},
        {"Moulin.Storm.Services", "'a", "quote"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const pairs[] = {cases[i][0], cases[i][1], NULL};
        struct storm_box box;
        struct ib_err err = {0};
        char names[200];
        assert_int_not_equal(read_box(&box, pairs, NULL, names, &err), 0);
        assert_non_null(strstr(err.text, cases[i][2]));
        storm_box_fini(&box);
    }
}

/* Later ones win: what is inherited, the file, the entry, the command line. */
static void precedence(void **state)
{
    char path[] = "/tmp/box-XXXXXX", entry[200], names[200];
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "A.File=file\nA.Entry=file\nA.Line=file\n") > 0);
    close(fd);
    snprintf(entry, sizeof entry, ENTRY " '--Ice.Config=%s' \"--A.Entry=of the entry\" --A.Line=entry --A.Flag stray",
             path);
    for (int inherit = 0; inherit < 2; inherit++) {
        const char *const pairs[] = {"IceBox.Service.A",
                                     entry,
                                     "A.File",
                                     "box",
                                     "A.Box",
                                     "box",
                                     "Ice.ProgramName",
                                     "p",
                                     "Ice.Admin.Endpoints",
                                     "tcp",
                                     "IceBox.InheritProperties",
                                     inherit ? "1" : "0",
                                     NULL};
        struct storm_box box;
        struct ib_err err = {0};
        assert_int_equal(read_box(&box, pairs, "--A.Line=line", names, &err), 0);
        const struct ir_properties *p = box.v[0].props;
        assert_string_equal(ir_properties_get(p, "A.File"), "file");
        assert_string_equal(ir_properties_get(p, "A.Entry"), "of the entry");
        assert_string_equal(ir_properties_get(p, "A.Line"), "line");
        assert_string_equal(ir_properties_get(p, "A.Flag"), "1");
        assert_string_equal(ir_properties_get(p, "A.Box"), inherit ? "box" : "");
        assert_string_equal(ir_properties_get(p, "Ice.Admin.Endpoints"), "");
        assert_string_equal(ir_properties_get(p, "Ice.ProgramName"), "p-A");
        storm_box_fini(&box);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_order),
        cmocka_unit_test(refusals),
        cmocka_unit_test(precedence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
