/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the original's replicas and links (tests/data/vectors/storm.json): each is read by our tables, and
   written again byte for byte. */
#include <test.h>

#include <stdlib.h>
#include <vectors.h>

#include <slice/IceStorm/Election.h>
#include <slice/IceStorm/Internal.h>
#include <slice/registry.h>

#include "event.h"

static const struct {
    const char *name;
    const struct iw_type *type;
} messages[] = {
    {"Node::areYouCoordinator", &iw_empty},
    {"Node::invitation", &IceStormElection_Node_invitation_in_type},
    {"ReplicaObserver::init", &IceStormElection_ReplicaObserver_init_in_type},
    {"Node::ready", &IceStormElection_Node_ready_in_type},
    {"ReplicaObserver::ice_ping", &iw_empty},
    {"ReplicaObserver::createTopic", &IceStormElection_ReplicaObserver_createTopic_in_type},
    {"addSubscriber, a subscriber", &IceStormElection_ReplicaObserver_addSubscriber_in_type},
    {"addSubscriber, a link", &IceStormElection_ReplicaObserver_addSubscriber_in_type},
    {"TopicLink::forward", &IceStorm_TopicLink_forward_in_type},
    {"ReplicaObserver::removeSubscriber", &IceStormElection_ReplicaObserver_removeSubscriber_in_type},
    {"ReplicaObserver::destroyTopic", &IceStormElection_ReplicaObserver_destroyTopic_in_type},
    {"Node::query result", &IceStormElection_Node_query_out_type},
    {"Node::nodes result", &IceStormElection_Node_nodes_out_type},
    {"getReplicaNode result", &IceStorm_TopicManagerInternal_getReplicaNode_out_type},
    {"Node::accept", &IceStormElection_Node_accept_in_type},
    {"Node::areYouThere", &IceStormElection_Node_areYouThere_in_type},
};
#define MESSAGES (sizeof messages / sizeof *messages)

struct fx {
    json_t *all;
    struct ib_arena arena;
};

static int setup(void **state)
{
    struct fx *f = calloc(1, sizeof *f);
    f->all = vec_load("storm.json");
    ib_arena_init(&f->arena, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    json_decref(f->all);
    ib_arena_fini(&f->arena);
    free(f);
    return 0;
}

static struct ib_span bytes_of(const struct fx *f, const char *name)
{
    size_t i;
    json_t *v;
    json_array_foreach(f->all, i, v)
    {
        if (strcmp(vec_text(v, "name"), name) == 0)
            return vec_bytes(v);
    }
    fail_msg("no vector %s", name);
    return (struct ib_span){0};
}

static void *decode(struct fx *f, const char *name, const struct iw_type *type)
{
    struct ib_span bytes = bytes_of(f, name);
    void *value = NULL;
    int rc = iw_decode_params(type, bytes, &slice_registry, IW_LIMITS_DEFAULT, &f->arena, &value);
    vec_free(bytes);
    if (rc)
        fail_msg("%s: %s", name, ib_err_text(rc));
    return value;
}

static void same_bytes(void **state)
{
    struct fx *f = *state;
    assert_int_equal(json_array_size(f->all), MESSAGES + 1); /* and one exception */
    for (size_t i = 0; i < MESSAGES; i++) {
        struct ib_buf out;
        ib_buf_init(&out);
        const void *value = decode(f, messages[i].name, messages[i].type);
        assert_int_equal(iw_encode_params(messages[i].type, value, IW_ENCODING_1_1, false, &out), 0);
        struct ib_span want = bytes_of(f, messages[i].name);
        vec_assert_same(messages[i].name, ib_buf_span(&out), want);
        vec_free(want);
        ib_buf_fini(&out);
    }
}

static void exception(void **state)
{
    struct fx *f = *state;
    struct ib_span bytes = bytes_of(f, "NoSuchTopic");
    const struct iw_class *cls;
    void *value;
    struct ib_buf out;
    ib_buf_init(&out);
    assert_int_equal(iw_decode_exception(bytes, &slice_registry, IW_LIMITS_DEFAULT, &f->arena, &cls, &value, NULL), 0);
    assert_ptr_equal(cls, &IceStorm_NoSuchTopic_class);
    const struct IceStorm_NoSuchTopic *ex = value;
    assert_string_equal(ex->name.p, "q");
    assert_int_equal(iw_encode_exception(cls, value, IW_ENCODING_1_1, false, &out), 0);
    vec_assert_same("NoSuchTopic", ib_buf_span(&out), bytes);
    ib_buf_fini(&out);
    vec_free(bytes);
}

static void link_record(void **state)
{
    const struct IceStormElection_ReplicaObserver_addSubscriber_in *in =
        decode(*state, "addSubscriber, a link", &IceStormElection_ReplicaObserver_addSubscriber_in_type);
    assert_int_equal(in->llu.generation, 1);
    assert_int_equal(in->llu.iteration, 3);
    assert_true(in->record.link);
    assert_int_equal(in->record.cost, 3);
    assert_string_equal(in->record.id.name.p, "topic.R");
    assert_string_equal(in->record.obj->id.name.p, "R.link");
    assert_string_equal(in->record.theTopic->id.name.p, "topic.R");
}

/* What comes over a link is an event that goes on unchanged, and could go over another link unchanged. */
static void event_of_a_link(void **state)
{
    struct fx *f = *state;
    const struct IceStorm_TopicLink_forward_in *in =
        decode(f, "TopicLink::forward", &IceStorm_TopicLink_forward_in_type);
    assert_int_equal(in->events.n, 1);
    struct storm_event *e = storm_event_from(&in->events.v[0]);
    struct IceStorm_EventData back;
    assert_non_null(e);
    assert_true(e->forwarded);
    assert_int_equal(storm_event_cost(e), 2);
    assert_int_equal(e->params.n, 10);
    assert_true(storm_event_data(e, &f->arena, &back));
    assert_true(iw_equal(&IceStorm_EventData_type, &back, &in->events.v[0]));
    storm_event_unref(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(same_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(exception, setup, teardown),
        cmocka_unit_test_setup_teardown(link_record, setup, teardown),
        cmocka_unit_test_setup_teardown(event_of_a_link, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
