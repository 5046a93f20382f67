/* SPDX-License-Identifier: Apache-2.0 */
/* What bounds clients and sessions, and who is throttled, as clients see it. */
#include "stage.h"

#include <moulin/auth/certificate_map.h>

#define DENIED "::Glacier2::PermissionDeniedException"
#define CANNOT "::Glacier2::CannotCreateSessionException"

static void expect_thrown(const struct outcome *o, const char *exception, const char *reason)
{
    assert_int_equal(o->outcome, IR_THROWN);
    assert_string_equal(o->exception, exception);
    assert_non_null(strstr(o->reason, reason));
}

static void sessions(void **state)
{
    static const char *const properties[] = {"Moulin.Gateway.MaxSessions=3", "Moulin.Gateway.MaxSessionsPerUser=2",
                                             NULL};
    struct stage s;
    struct client c[4];
    struct outcome o;
    (void)state;
    stage_open(&s, properties, false);
    for (size_t i = 0; i < 4; i++) {
        client_open(&s, &c[i]);
    }
    assert_int_equal(login(&s, &c[0], "alice").outcome, IR_SUCCESS);
    assert_int_equal(login(&s, &c[1], "alice").outcome, IR_SUCCESS);
    o = login(&s, &c[2], "alice");
    expect_thrown(&o, CANNOT, "the user has as many sessions");
    assert_int_equal(s.back.created, 2);
    assert_int_equal(login(&s, &c[2], "bob").outcome, IR_SUCCESS);
    o = login(&s, &c[3], "carol");
    expect_thrown(&o, CANNOT, "the router has as many sessions");
    assert_int_equal(simple(&s, &c[0], &Glacier2_Router_destroySession_op).outcome, IR_SUCCESS);
    assert_int_equal(login(&s, &c[3], "alice").outcome, IR_SUCCESS);
    assert_int_equal((int)atomic_load(&s.router->crew->books.sessions), 3);
    for (size_t i = 0; i < 4; i++) {
        client_close(&s, &c[i]);
    }
    stage_round(&s);
    assert_int_equal((int)atomic_load(&s.router->crew->books.sessions), 0);
    assert_int_equal((int)atomic_load(&s.router->crew->books.clients), 0);
    assert_int_equal((int)atomic_load(&s.router->crew->books.guests), 0);
    stage_close(&s);
}

/* A user that a map made of a certificate is the one with the password; a subject is not. */
static void certificate_users(void **state)
{
    static const char *const properties[] = {"Moulin.Gateway.MaxSessionsPerUser=1", NULL};
    struct stage s;
    struct client c[2];
    struct outcome o;
    struct ib_err err;
    (void)state;
    stage_open(&s, properties, false);
    for (size_t i = 0; i < 2; i++) {
        client_open(&s, &c[i]);
    }
    assert_int_equal(login(&s, &c[0], "alice").outcome, IR_SUCCESS);
    const struct gw_limits limits = s.router->limits;
    IB_CONTAINER(s.router->sessions.next, struct gw_session, node)->ssl = true; /* as if by certificate */
    s.router->edge.users = auth_certificate_map_parse("users", IB_STR("cn x alice"), &err);
    assert_non_null(s.router->edge.users);
    gw_limits_use(s.router, &limits); /* as a reload does it: users are counted anew */
    o = login(&s, &c[1], "alice");
    expect_thrown(&o, CANNOT, "the user has as many sessions");
    auth_certificate_map_free(s.router->edge.users);
    s.router->edge.users = NULL;
    gw_limits_use(s.router, &limits);
    assert_int_equal(login(&s, &c[1], "alice").outcome, IR_SUCCESS);
    for (size_t i = 0; i < 2; i++) {
        client_close(&s, &c[i]);
    }
    stage_close(&s);
}

/* Neither who is being verified nor whose session is being made gets in any more. */
static void draining(void **state)
{
    struct stage s;
    struct client c;
    struct outcome o;
    struct ib_err err;
    (void)state;
    stage_open(&s, NULL, false);
    client_open(&s, &c);
    s.back.hold_verifier = true;
    start_login(&s, &c, "alice", &o);
    stage_wait_count(&s, &s.back.verified, 1);
    gw_drain(s.router, 0);
    backend_release(&s);
    stage_wait(&s, &o.done);
    expect_thrown(&o, CANNOT, "takes no new sessions");
    assert_int_equal(s.back.created, 0);
    assert_int_equal(gw_undrain(s.router, &err), 0);
    s.back.hold_verifier = false;
    s.back.hold_manager = true;
    start_login(&s, &c, "alice", &o);
    stage_wait_count(&s, &s.back.created, 1);
    gw_drain(s.router, 0);
    backend_release(&s);
    stage_wait(&s, &o.done);
    expect_thrown(&o, CANNOT, "takes no new sessions");
    stage_wait_count(&s, &s.back.destroyed, 1); /* what its manager has made */
    assert_int_equal((int)atomic_load(&s.router->crew->books.sessions), 0);
    client_close(&s, &c);
    stage_close(&s);
}

static void connections(void **state)
{
    static const char *const properties[] = {"Moulin.Gateway.MaxConnections=1", NULL};
    struct stage s;
    struct client a, b;
    (void)state;
    stage_open(&s, properties, false);
    client_open(&s, &a);
    client_open(&s, &b);
    assert_int_equal(login(&s, &a, "alice").outcome, IR_SUCCESS);
    assert_int_equal(simple(&s, &b, &ir_op_ice_ping).outcome, IR_FAILED_LOCAL);
    assert_int_equal(simple(&s, &a, &Glacier2_Router_refreshSession_op).outcome, IR_SUCCESS);
    client_close(&s, &a);
    stage_round(&s);
    assert_int_equal(simple(&s, &b, &ir_op_ice_ping).outcome, IR_SUCCESS);
    client_close(&s, &b);
    stage_close(&s);
}

/* The oldest guest goes, unless it is logging in. */
static void guests(void **state)
{
    static const char *const properties[] = {"Moulin.Gateway.MaxUnauthenticated=2", NULL};
    struct stage s;
    struct client c[4];
    struct outcome o;
    (void)state;
    stage_open(&s, properties, false);
    for (size_t i = 0; i < 4; i++) {
        client_open(&s, &c[i]);
    }
    s.back.hold_verifier = true;
    start_login(&s, &c[0], "alice", &o);
    stage_wait_count(&s, &s.back.verified, 1);
    assert_int_equal(simple(&s, &c[1], &ir_op_ice_ping).outcome, IR_SUCCESS);
    assert_int_equal((int)atomic_load(&s.router->crew->books.guests), 2);
    assert_int_equal(simple(&s, &c[2], &ir_op_ice_ping).outcome, IR_SUCCESS); /* in the place of the second */
    stage_round(&s);
    assert_int_equal((int)atomic_load(&s.router->crew->books.clients), 2);
    backend_release(&s);
    stage_wait(&s, &o.done);
    assert_int_equal(o.outcome, IR_SUCCESS);
    assert_int_equal((int)atomic_load(&s.router->crew->books.guests), 1);
    assert_int_equal(simple(&s, &c[3], &ir_op_ice_ping).outcome, IR_SUCCESS);
    assert_int_equal((int)atomic_load(&s.router->crew->books.guests), 2);
    for (size_t i = 0; i < 4; i++) {
        client_close(&s, &c[i]);
    }
    stage_close(&s);
}

/* Who asks things but never logs in is dropped; who has a session is not. */
static void login_timeout(void **state)
{
    static const char *const properties[] = {"Moulin.Gateway.LoginTimeout=1", NULL};
    struct stage s;
    struct client guest, user;
    (void)state;
    stage_open(&s, properties, false);
    client_open(&s, &guest);
    client_open(&s, &user);
    assert_int_equal(login(&s, &user, "alice").outcome, IR_SUCCESS);
    assert_int_equal(simple(&s, &guest, &ir_op_ice_ping).outcome, IR_SUCCESS);
    int64_t begin = ib_clock_ms();
    while ((int)atomic_load(&s.router->crew->books.clients) == 2 && ib_clock_ms() < begin + 5000) {
        (void)ic_loop_run_once(s.loop, 50);
    }
    assert_int_equal((int)atomic_load(&s.router->crew->books.clients), 1);
    assert_in_range(ib_clock_ms() - begin, 800, 4000);
    assert_int_equal(simple(&s, &user, &Glacier2_Router_refreshSession_op).outcome, IR_SUCCESS);
    client_close(&s, &guest);
    client_close(&s, &user);
    stage_close(&s);
}

static void lifetime(void **state)
{
    static const char *const properties[] = {"Moulin.Gateway.SessionLifetime=1", NULL};
    struct stage s;
    struct client c;
    struct outcome o;
    (void)state;
    stage_open(&s, properties, false);
    client_open(&s, &c);
    assert_int_equal(login(&s, &c, "alice").outcome, IR_SUCCESS);
    int64_t end = ib_clock_ms() + 5000;
    do { /* use does not prolong it */
        o = simple(&s, &c, &Glacier2_Router_refreshSession_op);
    } while (o.outcome == IR_SUCCESS && ib_clock_ms() < end);
    assert_int_equal(o.outcome, IR_THROWN);
    stage_wait_count(&s, &s.back.destroyed, 1);
    client_close(&s, &c);
    stage_close(&s);
}

/* Denials count, unreachable verifiers do not; no verifier is asked while the penalty runs; 0 is off. */
static void throttled(void **state)
{
    static const char *const strict[] = {"Moulin.Gateway.Throttle.Failures=3", NULL};
    static const char *const off[] = {"Moulin.Gateway.Throttle.Failures=0", NULL};
    struct stage s;
    struct client c, other;
    struct outcome o;
    (void)state;
    stage_open(&s, strict, false);
    client_open(&s, &c);
    client_open(&s, &other);
    s.back.deny = true;
    for (int i = 0; i < 4; i++) {
        o = login(&s, &c, "alice");
        expect_thrown(&o, DENIED, "permission denied");
    }
    o = login(&s, &c, "alice");
    expect_thrown(&o, DENIED, "too many failed logins: try again in 1 s");
    assert_int_equal(s.back.verified, 4);
    s.back.deny = false;
    assert_int_equal(login(&s, &other, "bob").outcome, IR_SUCCESS);
    client_close(&s, &c);
    client_close(&s, &other);
    stage_close(&s);
    stage_open(&s, off, false);
    client_open(&s, &c);
    s.back.deny = true;
    for (int i = 0; i < 30; i++) {
        o = login(&s, &c, "alice");
        expect_thrown(&o, DENIED, "permission denied");
    }
    client_close(&s, &c);
    stage_close(&s);
}

/* Who stands in line has asked nobody yet, and leaves it with his client. */
static void the_line(void **state)
{
    struct stage s;
    struct client c[2];
    struct outcome o[2];
    (void)state;
    stage_open(&s, NULL, false);
    s.router->limits.throttle_concurrent = 0; /* nobody may be verified */
    for (size_t i = 0; i < 2; i++) {
        client_open(&s, &c[i]);
        start_login(&s, &c[i], "alice", &o[i]);
    }
    int64_t end = ib_clock_ms() + 5000;
    while (s.router->door.n_line < 2 && ib_clock_ms() < end) {
        (void)ic_loop_run_once(s.loop, 50);
    }
    assert_int_equal(s.router->door.n_line, 2);
    assert_int_equal(s.back.verified, 0);
    client_close(&s, &c[0]);
    stage_round(&s);
    assert_int_equal(s.router->door.n_line, 1);
    client_close(&s, &c[1]);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions),      cmocka_unit_test(connections), cmocka_unit_test(guests),
        cmocka_unit_test(login_timeout), cmocka_unit_test(lifetime),    cmocka_unit_test(throttled),
        cmocka_unit_test(the_line),      cmocka_unit_test(draining),    cmocka_unit_test(certificate_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
