/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log: lines that are valid whatever is in them, a queue with a bound, files that are rotated away, the
   journal's protocol. */
#include <test.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit_line.h"

struct place {
    char directory[32], file[64], text[65536];
};

static void place_open(struct place *p)
{
    memset(p, 0, sizeof(*p));
    (void)snprintf(p->directory, sizeof(p->directory), "/tmp/audit-XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    (void)snprintf(p->file, sizeof(p->file), "%s/log", p->directory);
}

static void place_close(struct place *p)
{
    (void)unlink(p->file);
    assert_int_equal(rmdir(p->directory), 0);
}

static const char *content(struct place *p, const char *path)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    p->text[fread(p->text, 1, sizeof(p->text) - 1, f)] = '\0';
    (void)fclose(f);
    return p->text;
}

static struct auth_audit *open_log(const char *target, size_t queue_max)
{
    const struct auth_audit_config cfg = {.target = target, .program = "test", .queue_max = queue_max};
    struct ib_err err = {0};
    struct auth_audit *a = auth_audit_new(&cfg, &err);
    if (!a) {
        fail_msg("%s", err.text);
    }
    return a;
}

/* The text as a JSON reader gets it back. */
static void expect_read_back(struct ib_str text, const char *expected)
{
    const struct auth_audit_field f[] = {AUTH_AUDIT_TEXT("user", text), {0}, AUTH_AUDIT_NUMBER("n", -5)};
    struct ib_buf b;
    json_error_t error;
    ib_buf_init(&b);
    audit_line(&b, 1764331200123, "login accepted", f, 3);
    assert_true(ib_buf_ok(&b));
    assert_ptr_equal(memchr(b.p, '\n', b.n), b.p + b.n - 1);
    json_t *line = json_loadb((const char *)b.p, b.n, JSON_ALLOW_NUL, &error);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "time")), "2025-11-28T12:00:00.123Z");
    assert_string_equal(json_string_value(json_object_get(line, "event")), "login accepted");
    assert_string_equal(json_string_value(json_object_get(line, "user")), expected);
    assert_int_equal(json_integer_value(json_object_get(line, "n")), -5);
    assert_int_equal(json_object_size(line), 4);
    json_decref(line);
    ib_buf_fini(&b);
}

#define WRONG "\xef\xbf\xbd"

static void texts_are_escaped(void **state)
{
    (void)state;
    expect_read_back(IB_STR("alice"), "alice");
    expect_read_back((struct ib_str){NULL, 0}, "");
    expect_read_back(IB_STR("a\"b\\c/d"), "a\"b\\c/d");
    expect_read_back(IB_STR("x\r\n\t\x1b[2J\x7f"), "x\r\n\t\x1b[2J\x7f");
    expect_read_back(IB_STR("J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x98\x80"),
                     "J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x98\x80");
    expect_read_back(IB_STR("\xff\xc3"), WRONG WRONG);
    expect_read_back(IB_STR("\xc0\xaf\xed\xa0\x80"), WRONG WRONG WRONG WRONG WRONG);
    expect_read_back(IB_STR("\xc2\x85\xe2\x80\xa8|"), "\xc2\x85\xe2\x80\xa8|");
    char big[3000], cut[AUTH_AUDIT_TEXT_MAX + 8];
    memset(big, 'x', sizeof(big));
    memset(cut, 'x', AUTH_AUDIT_TEXT_MAX);
    (void)snprintf(cut + AUTH_AUDIT_TEXT_MAX, 4, "...");
    expect_read_back((struct ib_str){big, sizeof(big)}, cut);
}

/* What terminals and pagers obey never stands in the file as it came. */
static void controls_are_not_written_raw(void **state)
{
    const struct auth_audit_field f = AUTH_AUDIT_TEXT("user", IB_STR("\x1b\x7f\n\xc2\x9b\xe2\x80\xa9"));
    struct ib_buf b;
    (void)state;
    ib_buf_init(&b);
    audit_line(&b, 0, "x", &f, 1);
    assert_non_null(strstr(ib_buf_cstr(&b), "\\u001b\\u007f\\u000a\\u009b\\u2029"));
    ib_buf_fini(&b);
}

static void a_file_is_private_and_appended_to(void **state)
{
    struct place p;
    struct stat st;
    (void)state;
    place_open(&p);
    for (int i = 0; i < 2; i++) {
        struct auth_audit *a = open_log(p.file, 0);
        auth_audit_event(a, i == 0 ? "first" : "second", NULL, 0);
        auth_audit_free(a);
    }
    assert_int_equal(stat(p.file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_non_null(strstr(content(&p, p.file), "\"first\"}\n{"));
    assert_non_null(strstr(p.text, "\"second\"}\n"));
    place_close(&p);
}

static void rotation(void **state)
{
    struct place p;
    struct ib_err err = {0};
    char old[80];
    (void)state;
    place_open(&p);
    (void)snprintf(old, sizeof(old), "%s.1", p.file);
    struct auth_audit *a = open_log(p.file, 0);
    auth_audit_event(a, "before", NULL, 0);
    while (!content(&p, p.file)[0]) {
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(rename(p.file, old), 0);
    assert_int_equal(auth_audit_reopen(a, &err), 0);
    auth_audit_event(a, "after", NULL, 0);
    auth_audit_free(a);
    assert_non_null(strstr(content(&p, old), "before"));
    assert_null(strstr(p.text, "after"));
    assert_non_null(strstr(content(&p, p.file), "after"));
    (void)unlink(old);
    place_close(&p);
}

static void a_file_that_cannot_be_opened(void **state)
{
    const struct auth_audit_config cfg = {.target = "/nonexistent/audit.log", .program = "test"};
    struct ib_err err = {0};
    (void)state;
    assert_null(auth_audit_new(&cfg, &err));
    assert_int_equal(err.code, IB_ECONFIG);
    assert_non_null(strstr(err.text, "/nonexistent/audit.log"));
}

/* What found no room is counted, and the log says so before the next event. */
static void overflow(void **state)
{
    struct place p;
    char big[600];
    int why = -1;
    (void)state;
    place_open(&p);
    memset(big, 'x', sizeof(big));
    const struct auth_audit_field f = AUTH_AUDIT_TEXT("user", ((struct ib_str){big, sizeof(big)}));
    struct auth_audit *a = open_log(p.file, 500);
    for (int i = 0; i < 3; i++) {
        auth_audit_event(a, "big", &f, 1);
    }
    assert_int_equal(auth_audit_lost(a, &why), 3);
    assert_int_equal(why, 0);
    auth_audit_event(a, "small", NULL, 0);
    auth_audit_free(a);
    assert_non_null(strstr(content(&p, p.file), "\"events lost\",\"count\":3}\n{"));
    assert_non_null(strstr(p.text, "\"small\"}\n"));
    assert_null(strstr(p.text, "\"big\""));
    place_close(&p);
}

/* A device that is always full: the loss is counted with its reason, and nobody waits. */
static void a_full_disk(void **state)
{
    int why = 0;
    (void)state;
    struct auth_audit *a = open_log("/dev/full", 0);
    auth_audit_event(a, "x", NULL, 0);
    while (auth_audit_lost(a, &why) == 0) {
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(why, ENOSPC);
    auth_audit_free(a);
}

static void journal(void **state)
{
    struct place p;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char data[1024];
    (void)state;
    place_open(&p);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", p.file);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    const struct auth_audit_config cfg = {.target = "journal", .program = "prog", .journal = p.file};
    struct ib_err err = {0};
    struct auth_audit *a = auth_audit_new(&cfg, &err);
    assert_non_null(a);
    const struct auth_audit_field f = AUTH_AUDIT_TEXT("user", IB_STR("x\nPRIORITY=0"));
    auth_audit_event(a, "login refused", &f, 1);
    ssize_t n = recv(fd, data, sizeof(data) - 1, 0);
    assert_true(n > 0);
    data[n] = '\0';
    assert_ptr_equal(strstr(data, "PRIORITY=5\nSYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=prog\nMESSAGE={\"time\":"), data);
    assert_non_null(strstr(data, "x\\u000aPRIORITY=0\"}\n"));
    auth_audit_free(a);
    (void)close(fd);
    place_close(&p);
}

static void without_a_log(void **state)
{
    struct ib_err err = {0};
    (void)state;
    auth_audit_event(NULL, "x", NULL, 0);
    assert_int_equal(auth_audit_reopen(NULL, &err), 0);
    auth_audit_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(controls_are_not_written_raw),
        cmocka_unit_test(a_file_is_private_and_appended_to),
        cmocka_unit_test(rotation),
        cmocka_unit_test(a_file_that_cannot_be_opened),
        cmocka_unit_test(overflow),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(journal),
        cmocka_unit_test(without_a_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
