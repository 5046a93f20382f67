/* SPDX-License-Identifier: Apache-2.0 */
/* Errors, strings, time, UUIDs, state machines, the logger. */
#include "test.h"

#include <moulin/base/clock.h>
#include <moulin/base/err.h>
#include <moulin/base/list.h>
#include <moulin/base/log.h>
#include <moulin/base/sm.h>

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A character of two to four bytes at the end of a full text is there as a whole or not at all. */
static void cut_texts_stay_utf8(void **state)
{
    static const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (size_t before = 0; before < 6; before++) {
            struct ib_err err;
            char text[700] = "";
            size_t step = strlen(characters[i]), n = 0;
            while (n < before)
                text[n++] = 'a';
            while (n + step < sizeof text) {
                memcpy(text + n, characters[i], step);
                n += step;
            }
            text[n] = 0;
            ib_err_set(&err, IB_EINVAL, "%s", text);
            size_t whole = before + (sizeof err.text - 1 - before) / step * step;
            assert_int_equal(strlen(err.text), whole);
            assert_memory_equal(err.text, text, whole);
        }
    }
}

static void errors(void **state)
{
    (void)state;
    struct ib_err e;
    assert_int_equal(ib_err_set(&e, IB_EREFUSED, "port %d", 7), IB_EREFUSED);
    assert_int_equal(ib_err_wrap(&e, "a %s", "b"), IB_EREFUSED);
    assert_string_equal(e.text, "a b: port 7");
    assert_int_equal(ib_err_set(NULL, IB_EIO, "x"), IB_EIO);
    assert_string_equal(ib_err_text(IB_EREFUSED), "connection refused");
    assert_string_equal(ib_err_ice_name(IB_EREFUSED), "ConnectionRefusedException");
    assert_string_equal(ib_err_text(IB_EUNKNOWN), "unknown failure");
    assert_string_equal(ib_err_ice_name(12345), "UnknownException");
    char longer[1000];
    memset(longer, 'x', sizeof(longer));
    longer[999] = '\0';
    ib_err_set(&e, IB_EIO, "%s", longer);
    ib_err_wrap(&e, "%s", longer);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

static void strings(void **state)
{
    (void)state;
    assert_true(ib_str_cmp(IB_STR("a"), IB_STR("ab")) < 0);
    assert_true(ib_str_cmp(IB_STR("b"), IB_STR("ab")) > 0);
    assert_true(ib_str_cmp(IB_STR("\xff"), IB_STR("a")) > 0);
    assert_int_equal(ib_str_cmp((struct ib_str){NULL, 0}, IB_STR("")), 0);
    assert_true(ib_str_eq((struct ib_str){NULL, 0}, IB_STR("")));
}

static void lists(void **state)
{
    (void)state;
    struct ib_list head, n[3];
    ib_list_init(&head);
    for (int i = 0; i < 3; i++)
        ib_list_append(&head, &n[i]);
    ib_list_remove(&n[1]);
    ib_list_remove(&n[1]);
    assert_ptr_equal(head.next, &n[0]);
    assert_ptr_equal(n[0].next, &n[2]);
    IB_LIST_FOREACH_SAFE(it, &head)
    {
        ib_list_remove(it);
    }
    assert_true(ib_list_empty(&head));
}

static void uuids(void **state)
{
    (void)state;
    char a[IB_UUID_LEN + 1], b[IB_UUID_LEN + 1];
    ib_uuid(a);
    ib_uuid(b);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 36);
    for (int i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23)
            assert_int_equal(a[i], '-');
        else
            assert_true(isdigit((unsigned char)a[i]) || (a[i] >= 'A' && a[i] <= 'F'));
    }
    assert_int_equal(a[14], '4');
    assert_true(ib_clock_wall_ms() > 1700000000000);
    int64_t t = ib_clock_ms();
    assert_true(ib_clock_ms() >= t);
}

static const struct ib_sm_state doors[] = {{"open", IB_SM_BIT(1)}, {"shut", IB_SM_BIT(0)}};

static void state_machine(void **state)
{
    (void)state;
    uint8_t s = 0;
    ib_sm_move(doors, 2, &s, 1);
    assert_int_equal(s, 1);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        ib_sm_move(doors, 2, &s, 1); /* not in the table */
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

struct tapped {
    enum ib_log_kind kind;
    char category[32];
    char text[64];
    struct ib_log *log;
};

static void on_tap(void *arg, enum ib_log_kind kind, const char *category, const char *text)
{
    struct tapped *t = arg;
    t->kind = kind;
    snprintf(t->category, sizeof(t->category), "%s", category);
    snprintf(t->text, sizeof(t->text), "%s", text);
    ib_log_print(t->log, "from the tap"); /* must not recurse */
}

/* What the logger wrote, with the time replaced by "T". */
static void read_back(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char line[256];
    size_t n = 0;
    while (fgets(line, sizeof(line), f)) {
        int mo, d, y, h, m, s, ms, end = 0;
        char mark[3];
        bool dated =
            sscanf(line, "%2[-!] %2d/%2d/%2d %2d:%2d:%2d.%3d %n", mark, &mo, &d, &y, &h, &m, &s, &ms, &end) == 8;
        if (dated) {
            assert_int_equal(end, 25);
            n += (size_t)snprintf(out + n, cap - n, "%s T %s", mark, line + end);
        } else {
            n += (size_t)snprintf(out + n, cap - n, "%s", line);
        }
        assert_true(n < cap);
    }
    fclose(f);
}

static void logger(void **state)
{
    (void)state;
    char path[] = "/tmp/moulin-test-log-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct ib_err e;
    struct ib_log *log = ib_log_new("prog");
    assert_non_null(log);
    assert_int_equal(ib_log_open(log, "/nonexistent/x", 0, &e), IB_EFILE);
    assert_non_null(strstr(e.text, "/nonexistent/x"));
    assert_int_equal(ib_log_open(log, path, 0, &e), IB_OK);
    struct tapped t = {.log = log};
    ib_log_trace(log, "Network", "one\ntwo");
    ib_log_warning(log, "w %d", 1);
    ib_log_set_tap(log, on_tap, &t);
    ib_log_error(log, "e");
    ib_log_set_tap(log, NULL, NULL);
    ib_log_print(log, "p\nq");
    ib_log_free(log);
    assert_int_equal(t.kind, IB_LOG_ERROR);
    assert_string_equal(t.text, "e");
    char got[512];
    read_back(path, got, sizeof(got));
    unlink(path);
    assert_string_equal(got, "-- T prog: Network: one\n   two\n-! T prog: warning: w 1\n!! T prog: error: e\n"
                             "from the tap\np\nq\n");
}

/* Messages and files in a directory: how many files begin with "m-", and the bytes of all. */
static int moved_files(const char *dir, size_t *bytes)
{
    int n = 0;
    *bytes = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (*e->d_name == '.')
            continue;
        n += !strncmp(e->d_name, "m-", 2) && strstr(e->d_name, ".log");
        assert_int_equal(fstatat(dirfd(d), e->d_name, &st, 0), 0);
        assert_in_range(st.st_size, 1, 99);
        *bytes += (size_t)st.st_size;
        assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    }
    closedir(d);
    return n;
}

/* Two loggers of one file: no file reaches the limit, nothing is lost. */
static void log_moved_away(void **state)
{
    (void)state;
    char dir[] = "/tmp/moulin-test-log-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/m.log", dir);
    struct ib_err e;
    struct ib_log *a = ib_log_new("a"), *b = ib_log_new("b");
    assert_int_equal(ib_log_open(a, path, 100, &e), IB_OK);
    assert_int_equal(ib_log_open(b, path, 100, &e), IB_OK);
    for (int i = 0; i < 10; i++) {
        ib_log_print(a, "%039d", i); /* 40 bytes: two a file */
        ib_log_print(b, "%039d", i);
    }
    ib_log_free(a);
    ib_log_free(b);
    size_t bytes;
    assert_int_equal(moved_files(dir, &bytes), 9);
    assert_int_equal(bytes, 20 * 40);
    assert_int_equal(rmdir(dir), 0);
}

static void syslog_settings(void **state)
{
    (void)state;
    struct ib_err e;
    struct ib_log *log = ib_log_new("prog");
    assert_int_equal(ib_log_open_syslog(log, "LOG_BOGUS", &e), IB_ECONFIG);
    assert_non_null(strstr(e.text, "LOG_BOGUS"));
    assert_int_equal(ib_log_open_syslog(log, "LOG_LOCAL7", &e), IB_OK);
    assert_int_equal(ib_log_open_syslog(log, "LOG_DAEMON", &e), IB_OK);
    ib_log_free(log);
}

static void escaping(void **state)
{
    (void)state;
    char out[64], small[8];
    assert_string_equal(ib_log_escape((struct ib_str){"a\n\"\\\x01\0\x7f", 7}, out, sizeof(out)),
                        "a\\n\\\"\\\\\\x01\\x00\\x7f");
    assert_string_equal(ib_log_escape(IB_STR("caf\xc3\xa9"), out, sizeof(out)), "caf\xc3\xa9");
    assert_string_equal(ib_log_escape(IB_STR("\xe2\x82\xac\xf0\x9f\x8d\x8c"), out, sizeof(out)),
                        "\xe2\x82\xac\xf0\x9f\x8d\x8c");
    /* a control character in UTF-8, a stray byte, one cut off, an overlong form, a surrogate, one beyond the last */
    assert_string_equal(ib_log_escape(IB_STR("\xc2\x9b"), out, sizeof(out)), "\\xc2\\x9b");
    assert_string_equal(ib_log_escape(IB_STR("\x80g"), out, sizeof(out)), "\\x80g");
    assert_string_equal(ib_log_escape(IB_STR("\xc3"), out, sizeof(out)), "\\xc3");
    assert_string_equal(ib_log_escape(IB_STR("\xe0\x81\x81"), out, sizeof(out)), "\\xe0\\x81\\x81");
    assert_string_equal(ib_log_escape(IB_STR("\xed\xa0\x80"), out, sizeof(out)), "\\xed\\xa0\\x80");
    assert_string_equal(ib_log_escape(IB_STR("\xf4\x90\x80\x80"), out, sizeof(out)), "\\xf4\\x90\\x80\\x80");
    assert_string_equal(ib_log_escape(IB_STR("1234567"), small, sizeof(small)), "1234567");
    assert_string_equal(ib_log_escape(IB_STR("12345678"), small, sizeof(small)), "1234...");
    assert_string_equal(ib_log_escape(IB_STR("123\n\n\n"), small, sizeof(small)), "123...");
    assert_string_equal(ib_log_escape(IB_STR("12"), small, 2), "1");
    assert_string_equal(ib_log_escape((struct ib_str){NULL, 0}, out, sizeof(out)), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors),         cmocka_unit_test(strings),
        cmocka_unit_test(lists),          cmocka_unit_test(uuids),
        cmocka_unit_test(state_machine),  cmocka_unit_test(logger),
        cmocka_unit_test(log_moved_away), cmocka_unit_test(syslog_settings),
        cmocka_unit_test(escaping),       cmocka_unit_test(cut_texts_stay_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
