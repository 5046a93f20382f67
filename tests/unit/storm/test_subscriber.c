/* SPDX-License-Identifier: Apache-2.0 */
/* What a subscriber may ask for, what an event costs, and the queue in between. */
#include <test.h>

#include <stdlib.h>

#include <moulin/base/err.h>

#include "subscriber.h"

static int parse(const char *key, const char *value, uint8_t mode, struct storm_qos *out, char *reason)
{
    struct IceStorm_QoS_entry entry = {ib_str(key), ib_str(value)};
    const struct IceStorm_QoS qos = {1, &entry};
    return storm_qos_parse(&qos, mode, out, reason);
}

static void reliability(void **state)
{
    struct storm_qos q;
    char reason[STORM_QOS_REASON];
    (void)state;
    assert_int_equal(storm_qos_parse(&(struct IceStorm_QoS){0}, IW_TWOWAY, &q, reason), 0);
    assert_false(q.ordered);
    assert_int_equal(q.retry_count, 0);
    assert_int_equal(parse("reliability", "", IW_TWOWAY, &q, reason), 0);
    assert_false(q.ordered);
    assert_int_equal(parse("reliability", "ordered", IW_TWOWAY, &q, reason), 0);
    assert_true(q.ordered);
    for (uint8_t mode = IW_ONEWAY; mode <= IW_BATCH_DATAGRAM; mode++) {
        assert_int_equal(parse("reliability", "ordered", mode, &q, reason), IB_EINVAL);
        assert_string_equal(reason, "ordered reliability requires a twoway proxy");
    }
    assert_int_equal(parse("reliability", "Ordered", IW_TWOWAY, &q, reason), IB_EINVAL);
    assert_string_equal(reason, "invalid reliability: Ordered");
}

static void numbers(void **state)
{
    struct storm_qos q;
    char reason[STORM_QOS_REASON], huge[2000];
    (void)state;
    static const struct {
        const char *text;
        int count;
    } counts[] = {{"3", 3}, {"-1", -1}, {"4x", 4}, {"zz", 0}, {"", 0}, {"99999999999999999999", 2147483647}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        assert_int_equal(parse("retryCount", counts[i].text, IW_ONEWAY, &q, reason), 0);
        assert_int_equal(q.retry_count, counts[i].count);
    }
    static const char *const good[] = {"5", " 7 ", "-1"}, *const bad[] = {"", "x", "1x", " ", "99999999999"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(parse("locatorCacheTimeout", good[i], IW_TWOWAY, &q, reason), 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(parse("connectionCached", bad[i], IW_TWOWAY, &q, reason), IB_EINVAL);
    memset(huge, 'x', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_int_equal(parse("locatorCacheTimeout", huge, IW_TWOWAY, &q, reason), IB_EINVAL);
    assert_int_equal(strlen(reason), STORM_QOS_REASON - 1);
}

static struct storm_event *event(const char *key, const char *value)
{
    static uint8_t nothing[] = {6, 0, 0, 0, 1, 1};
    struct Ice_Context_entry entry = {ib_str(key), ib_str(value)};
    const struct IceStorm_EventData data = {
        .op = IB_STR("tick"), .data = {sizeof nothing, nothing}, .context = {1, &entry}};
    struct storm_event *e = storm_event_from(&data);
    assert_non_null(e);
    return e;
}

static void costs(void **state)
{
    static const struct {
        const char *key, *value;
        int cost;
    } cases[] = {{"cost", "5", 5},   {"cost", "", 0},   {"cost", "abc", 0},
                 {"cost", "-3", -3}, {"cost", "7x", 7}, {"Cost", "5", 0},
                 {"", "", 0},        {"cost", " 6", 6}, {"cost", "999999999999999999999", 2147483647}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct storm_event *e = event(cases[i].key, cases[i].value);
        assert_int_equal(storm_event_cost(e), cases[i].cost);
        storm_event_unref(e);
    }
}

/* No encapsulation, one that is cut off, one with something after it: nothing a subscriber could read. */
static void bad_data(void **state)
{
    static uint8_t bytes[] = {6, 0, 0, 0, 1, 1, 0};
    (void)state;
    for (size_t n = 0; n <= sizeof bytes; n++) {
        const struct IceStorm_EventData data = {.data = {n, bytes}};
        struct storm_event *e = storm_event_from(&data);
        assert_int_equal(e != NULL, n == 6);
        storm_event_unref(e);
    }
}

static void queue(void **state)
{
    struct storm_queue q = {0};
    struct storm_event *events[100];
    (void)state;
    for (size_t i = 0; i < 100; i++)
        events[i] = event("cost", "1");
    size_t in = 0, out = 0;
    for (size_t round = 1; in < 100; round++) { /* wraps around, and grows while wrapped */
        for (size_t i = 0; i < round && in < 100; i++)
            assert_int_equal(storm_queue_push(&q, storm_event_ref(events[in++])), 0);
        for (size_t i = 0; i < round / 2; i++) {
            assert_ptr_equal(storm_queue_peek(&q, 0), events[out]);
            struct storm_event *e = storm_queue_pop(&q);
            assert_ptr_equal(e, events[out++]);
            storm_event_unref(e);
        }
        assert_int_equal(q.n, in - out);
        assert_int_equal(q.bytes, q.n * storm_event_bytes(events[0]));
        if (q.n)
            assert_ptr_equal(storm_queue_peek(&q, q.n - 1), events[in - 1]);
    }
    storm_queue_clear(&q);
    assert_null(storm_queue_pop(&q));
    assert_int_equal(q.bytes, 0);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(events[i]->refs, 1);
        storm_event_unref(events[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reliability), cmocka_unit_test(numbers), cmocka_unit_test(costs),
        cmocka_unit_test(bad_data),    cmocka_unit_test(queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
