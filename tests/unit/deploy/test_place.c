/* SPDX-License-Identifier: Apache-2.0 */
/* From the words of a refusal to the line of the file. */
#include "test.h"

#include <moulin/deploy/descriptor_xml.h>
#include <slice/IceGrid/Descriptor.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char text[] = "<icegrid>\n"
                           "<application name=\"App\">\n"
                           "<server-template id=\"T\"><parameter name=\"x\"/>\n"
                           "<server id=\"t-${x}-${node}\" exe=\"e\"/></server-template>\n"
                           "<node name=\"n\">\n"
                           "<server-instance template=\"T\" x=\"1\"/>\n"
                           "<server id=\"s\" exe=\"e\">\n"
                           "<option>${a}</option>\n"
                           "<target name=\"not\"><env>${b}</env></target>\n"
                           "</server>\n"
                           "</node></application></icegrid>\n";

static void the_element_is_found(void **state)
{
    static const struct {
        const char *reason;
        int line; /* 0: nowhere */
    } cases[] = {
        {"application `App':\nempty variable name", 2},
        {"node `n':\ninvalid value `x' for `load factor':\nnot a float", 5},
        {"server `s':\nunknown activation `x'", 7},
        {"server `t-1-n':\ninvalid value for attribute `executable':\nempty string", 4},
        {"node `n':\nundefined parameters when instantiating `T' template: x ", 6},
        {"server `s':\ninvalid value for attribute `option':\ninvalid variable `${a}':\n undefined variable `a'", 8},
        {"unknown server template `T'", 6},
        {"server `nobody':\nwhat is it", 0},
        {"server `t-1':\nno second hyphen", 0},
        {"no quotes at all", 0},
        {"server `unclosed", 0},
        {"invalid variable `${b}'", 0}, /* its target is not selected */
    };
    (void)state;
    char path[] = "/tmp/moulin-place-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, sizeof text - 1) == sizeof text - 1);
    close(fd);
    struct ib_arena arena;
    struct ib_err err = {0};
    struct dep_places places = {0};
    struct dep_xml_options options = {.places = &places};
    struct IceGrid_ApplicationDescriptor d;
    ib_arena_init(&arena, 0);
    int code = dep_xml_read(path, &options, NULL, &arena, &d, &err);
    unlink(path);
    assert_int_equal(code, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[64] = "";
        struct ib_str place = dep_xml_place(&places, cases[i].reason, &arena);
        if (cases[i].line)
            snprintf(expected, sizeof expected, "%s:%d", path, cases[i].line);
        if (strcmp(ib_cstr(place), expected) != 0)
            fail_msg("%s\nis at `%s', not `%s'", cases[i].reason, ib_cstr(place), expected);
    }
    ib_arena_fini(&arena);
}

static void a_folder_is_no_file(void **state)
{
    (void)state;
    char path[] = "/tmp/moulin-place-XXXXXX";
    struct ib_err err = {0};
    bool wants;
    assert_non_null(mkdtemp(path));
    assert_int_equal(dep_xml_wants_defaults(path, &wants, &err), IB_EFILE);
    assert_non_null(strstr(err.text, "not a regular file"));
    rmdir(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_element_is_found),
        cmocka_unit_test(a_folder_is_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
