/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor files read by us and by ZeroC's icegridadmin: the same files make the same descriptors, and what it
   refuses we refuse at the same place. tests/data/xml, descriptors.json written by record.py there. */
#include "test.h"
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <moulin/deploy/descriptor_xml.h>

#include <moulin/base/buf.h>
#include <moulin/wire/codec.h>
#include <slice/IceGrid/Admin.h>
#include <slice/registry.h>

#define WORDS_MAX 8
#define DIR MOULIN_SOURCE_DIR "/tests/data/xml/"

/* Faults whose wording is ours; the place must still be the same. */
static const char *const own_words[] = {
    "bad-boxadapter.xml", "bad-dbenv.xml",  "bad-empty.xml",     "bad-identity.xml", "bad-include.xml",
    "bad-misplaced.xml",  "bad-policy.xml", "bad-reference.xml", "bad-root.xml",     "bad-syntax.xml",
    "bad-text.xml",       "bad-twice.xml",  "bad-template.xml",
};

/* Faults that have no place in our file, or a better one. */
static const char *const own_place[] = {"bad-empty.xml", "bad-include.xml"};

/* What icegridadmin lets pass though it drops half of it. */
static const char *const stricter[] = {"bad-templates.xml"};

static bool is_listed(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

#define LISTED(list, name) is_listed(list, sizeof(list) / sizeof((list)[0]), name)

static const struct IceGrid_ApplicationDescriptor *decode(const char *hex, struct ib_arena *arena)
{
    struct ib_span bytes = vec_hex(hex);
    void *v;
    assert_int_equal(
        iw_decode_params(&IceGrid_Admin_addApplication_in_type, bytes, &slice_registry, IW_LIMITS_DEFAULT, arena, &v),
        0);
    vec_free(bytes);
    return &((const struct IceGrid_Admin_addApplication_in *)v)->descriptor;
}

/* For files that import the default templates: base.xml as icegridadmin sent it. */
static const struct IceGrid_ApplicationDescriptor *defaults(json_t *cases, struct ib_arena *arena)
{
    size_t i;
    json_t *c;
    json_array_foreach(cases, i, c) if (strcmp(vec_text(c, "file"), "base.xml") == 0) return decode(vec_text(c, "sent"),
                                                                                                    arena);
    fail_msg("no base.xml");
    return NULL;
}

static int read_case(json_t *cases, json_t *c, struct ib_arena *arena, struct IceGrid_ApplicationDescriptor *out,
                     struct ib_err *err)
{
    struct ib_str targets[WORDS_MAX];
    struct IceGrid_StringStringDict_entry entries[WORDS_MAX];
    struct IceGrid_StringStringDict overrides = {0, entries};
    struct dep_xml_options o = {.targets = targets, .overrides = &overrides};
    size_t i;
    json_t *word;
    json_array_foreach(json_object_get(c, "targets"), i, word)
    {
        assert_true(i < WORDS_MAX);
        targets[o.n_targets++] = ib_str(json_string_value(word));
    }
    json_array_foreach(json_object_get(c, "variables"), i, word)
    {
        const char *s = json_string_value(word), *eq = strchr(s, '=');
        assert_true(i < WORDS_MAX && eq);
        entries[overrides.n].key = ib_arena_str(arena, (struct ib_str){s, (size_t)(eq - s)});
        entries[overrides.n++].value = ib_str(eq + 1);
    }
    struct ib_str path = ib_arena_printf(arena, "%s%s", DIR, vec_text(c, "file"));
    bool wants;
    int rc = dep_xml_wants_defaults(path.p, &wants, err);
    return rc ? rc : dep_xml_read(path.p, &o, wants ? defaults(cases, arena) : NULL, arena, out, err);
}

static void compare_sent(json_t *cases, json_t *c, struct ib_arena *arena)
{
    struct IceGrid_ApplicationDescriptor got;
    struct ib_err err = {0};
    const struct IceGrid_ApplicationDescriptor *want = decode(vec_text(c, "sent"), arena);
    if (read_case(cases, c, arena, &got, &err) != 0)
        fail_msg("%s: %s", vec_text(c, "file"), err.text);
    if (iw_equal(&IceGrid_ApplicationDescriptor_type, &got, want))
        return;
    struct ib_buf a, b;
    ib_buf_init(&a);
    ib_buf_init(&b);
    iw_print(&IceGrid_ApplicationDescriptor_type, &got, &a);
    iw_print(&IceGrid_ApplicationDescriptor_type, want, &b);
    /* the message has room for the neighbourhood of the difference only */
    const char *got_text = ib_buf_cstr(&a), *want_text = ib_buf_cstr(&b);
    size_t at = 0;
    while (got_text[at] && got_text[at] == want_text[at])
        at++;
    at = at > 100 ? at - 100 : 0;
    fail_msg("%s: got\n%.300s\nwant\n%.300s", vec_text(c, "file"), got_text + at, want_text + at);
}

/* "error in <FILE> descriptor, line N": from its "error: … error in <FILE> …", with the folder taken out of ours. */
static void compare_said(json_t *cases, json_t *c, struct ib_arena *arena)
{
    struct IceGrid_ApplicationDescriptor unused;
    struct ib_err err = {0};
    const char *file = vec_text(c, "file"), *said = vec_text(c, "said");
    char ours[sizeof(err.text)] = "";
    if (read_case(cases, c, arena, &unused, &err) == 0)
        fail_msg("%s is accepted; icegridadmin: %s", file, said);
    const char *dir;
    size_t n = 0;
    for (const char *p = err.text; *p; p = *dir ? dir + strlen(DIR) : dir) {
        dir = strstr(p, DIR);
        if (!dir)
            dir = p + strlen(p);
        memcpy(ours + n, p, (size_t)(dir - p));
        n += (size_t)(dir - p);
    }
    const char *place = strstr(said, "error in <"), *column = place ? strstr(place, ", column") : NULL;
    assert_non_null(column);
    if (!LISTED(own_place, file) && strncmp(ours, place, (size_t)(column - place)) != 0 &&
        !strstr(said, ours)) /* unknown attributes are told without a column */
        fail_msg("%s: got\n%s\nwant\n%s", file, ours, said);
    if (LISTED(own_words, file))
        return;
    const char *message = strrchr(said, '\n'), *our_message = strrchr(ours, '\n');
    assert_true(message && our_message);
    if (strcmp(message, our_message) != 0)
        fail_msg("%s: got\n%s\nwant\n%s", file, ours, said);
}

static void the_same_files_mean_the_same(void **state)
{
    (void)state;
    size_t n, i, sent = 0, said = 0;
    json_error_t err;
    char *text = vec_file("tests/data/xml/descriptors.json", &n);
    json_t *file = json_loadb(text, n, 0, &err), *cases, *c;
    assert_non_null(file);
    free(text);
    cases = json_object_get(file, "cases");
    json_array_foreach(cases, i, c)
    {
        struct ib_arena arena;
        ib_arena_init(&arena, 0);
        if (LISTED(stricter, vec_text(c, "file"))) {
            struct IceGrid_ApplicationDescriptor unused;
            assert_int_not_equal(read_case(cases, c, &arena, &unused, NULL), 0);
        } else if (vec_text(c, "sent")) {
            compare_sent(cases, c, &arena);
            sent++;
        } else {
            compare_said(cases, c, &arena);
            said++;
        }
        ib_arena_fini(&arena);
    }
    assert_true(sent >= 15 && said >= 20);
    json_decref(file);
}

static void read_bytes(const char *path, const char *text, size_t n)
{
    static const struct dep_xml_options none;
    struct IceGrid_ApplicationDescriptor d;
    struct ib_arena arena;
    struct ib_err err = {0};
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    ib_arena_init(&arena, 0);
    int rc = dep_xml_read(path, &none, NULL, &arena, &d, &err);
    assert_true(rc == 0 || err.text[0]);
    ib_arena_fini(&arena);
}

/* Cut anywhere or with any byte changed, a file is read or refused with a text. */
static void damaged_files_do_no_harm(void **state)
{
    (void)state;
    char path[] = "/tmp/moulin-xml-XXXXXX";
    size_t n;
    uint32_t seed = 1;
    char *text = vec_file("tests/data/xml/everything.xml", &n);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t cut = 0; cut < n; cut += 13)
        read_bytes(path, text, cut);
    for (int i = 0; i < 600; i++) {
        seed = seed * 1664525u + 1013904223u;
        size_t at = (seed >> 8) % n;
        char was = text[at];
        text[at] = "<>/\"& x\0"[(seed >> 3) % 8];
        read_bytes(path, text, n);
        text[at] = was;
    }
    unlink(path);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_files_mean_the_same),
                                       cmocka_unit_test(damaged_files_do_no_harm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
