/* SPDX-License-Identifier: Apache-2.0 */
/* The one door: validate -> commit -> apply to the catalog -> publish to observers -> answer. A change is a value;
   changes are taken in the order submitted, those that do not touch each other share a commit. Publication is by
   events; an observer that must acknowledge holds the change, and its answer waits until every hold is released. */
#ifndef REG_CHANGE_H
#define REG_CHANGE_H

#include <moulin/base/arena.h>
#include <moulin/base/list.h>
#include <moulin/wire/types.h>

struct reg;
struct reg_change;
struct ir_request;
struct IceGrid_ObjectInfo;
struct IceGrid_AdapterInfo;
struct IceGrid_ApplicationInfo;
struct IceGrid_ApplicationDescriptor;
struct IceGrid_ApplicationUpdateDescriptor;
struct IceGrid_ApplicationUpdateInfo;
struct IceGrid_RegistryInfo;
struct reg_app;

enum reg_change_op {
    /* administrators and servers; serial of the table + 1 each */
    REG_OBJECT_ADD, /* object; ObjectExistsException */
    REG_OBJECT_UPDATE, /* object (type is ignored, the old one stays); ObjectNotRegisteredException, DeploymentException
                        */
    REG_OBJECT_REMOVE, /* id; likewise */
    REG_ADAPTER_SET, /* adapter; add or replace a dynamic adapter; null proxy removes; AdapterExistsException,
                        DeploymentException */
    REG_ADAPTER_REMOVE, /* name: adapter or dynamic group; AdapterNotExistException, DeploymentException */
    REG_APP_ADD, /* descriptor */
    REG_APP_UPDATE, /* update */
    REG_APP_SYNC, /* descriptor */
    REG_APP_REMOVE, /* name */
    /* registries' own objects and the master's stream: as told; serial as given (0: the table's serial stays) */
    REG_OBJECT_PUT, /* object; add or replace */
    REG_OBJECT_DROP, /* id; absent is fine */
    REG_ADAPTER_PUT, /* adapter */
    REG_ADAPTER_DROP, /* name */
    REG_APP_PUT, /* info: applicationAdded */
    REG_APP_PATCH, /* update_info: applicationUpdated */
    REG_APP_DROP, /* name */
    REG_APPS_INIT, /* infos: replaces the table */
    REG_ADAPTERS_INIT, /* adapters */
    REG_OBJECTS_INIT, /* objects */
    REG_ADAPTERS_SETTLED, /* serial: the master has the table up to it */
    REG_OBJECTS_SETTLED,
    REG_NODE_PUT, /* object: a node's proxy, not replicated, no events */
    REG_NODE_DROP, /* id */
    REG_NOTE, /* no change: carries an event that is not about a table */
    REG_CHANGE_OP_MAX
};

typedef void (*reg_change_fn)(void *arg, struct reg_change *c);

struct reg_written {
    struct ib_span key, record;
};

/* Fill the members the op names, with values in the change's own arena (reg_change_set_… copy), then submit. */
struct reg_change {
    uint32_t refs;
    uint8_t op; /* enum reg_change_op */
    bool without_restart; /* REG_APP_UPDATE, REG_APP_SYNC */
    bool instance; /* REG_APP_UPDATE: the one instance of its one node is added, whatever has its id */
    int64_t serial; /* in: given by the master (0 = none). After commit: the table's serial, 0 when it does not count */
    int64_t settled; /* in: how far the master's own disk is, when it has not got this change yet; 0: it has */
    struct ib_arena arena;
    struct ib_str user; /* session's user id, for ApplicationInfo */

    struct iw_identity id;
    struct ib_str name;
    struct IceGrid_ObjectInfo *object;
    struct IceGrid_AdapterInfo *adapter;
    struct IceGrid_ApplicationDescriptor *descriptor;
    struct IceGrid_ApplicationUpdateDescriptor *update;
    struct IceGrid_ApplicationInfo *info; /* also: result of REG_APP_ADD, _UPDATE, _SYNC */
    struct IceGrid_ApplicationUpdateInfo *update_info; /* also: result of REG_APP_UPDATE, _SYNC */
    size_t n_many;
    struct IceGrid_ApplicationInfo *infos;
    struct IceGrid_AdapterInfo *adapters;
    struct IceGrid_ObjectInfo *objects;

    /* outcome, valid in done */
    int code; /* 0, or IB_E… */
    const struct iw_class *exception; /* what to throw; NULL: a local failure, see err */
    const void *exception_value;
    struct ib_err err;

    /* change.c's own */
    reg_change_fn done;
    void *done_arg;
    struct reg *reg;
    struct ib_list node;
    struct reg_app *new_app, *old_app; /* owned: before, and after it is applied */
    struct reg_event *events, **events_tail;
    struct ib_span key, record; /* what is written */
    struct reg_written *written; /* the same of each of many objects or adapters */
    bool idle; /* nothing to write or to tell */
    bool checked; /* nodes have nothing against it */
    bool rollback; /* undoes a change that a node refused; goes before whatever else waits for the application */
    uint32_t acked; /* slaves that have said that they have it */
    uint32_t holds, loads; /* loads: those of holds that wait for nodes */
    char *refusal; /* owns; a node's, the first one */
    struct ib_list ack_waits; /* struct reg_ack_wait */
    bool answered;
};

struct reg_change *reg_change_new(enum reg_change_op op, reg_change_fn done, void *arg); /* refs 1; NULL: memory */
struct reg_change *reg_change_ref(struct reg_change *c);
void reg_change_unref(struct reg_change *c);
/* Deep copies into the change; IB_ENOMEM. */
int reg_change_set_object(struct reg_change *c, const struct IceGrid_ObjectInfo *v) IB_MUST_CHECK;
int reg_change_set_id(struct reg_change *c, const struct iw_identity *id) IB_MUST_CHECK;
int reg_change_set_name(struct reg_change *c, struct ib_str name) IB_MUST_CHECK;
int reg_change_set_user(struct reg_change *c, struct ib_str user) IB_MUST_CHECK;
int reg_change_set_adapter(struct reg_change *c, const struct IceGrid_AdapterInfo *v) IB_MUST_CHECK;
int reg_change_set_descriptor(struct reg_change *c, const struct IceGrid_ApplicationDescriptor *v) IB_MUST_CHECK;
int reg_change_set_update(struct reg_change *c, const struct IceGrid_ApplicationUpdateDescriptor *v) IB_MUST_CHECK;

/* Takes the caller's reference. done is called exactly once, later, on the loop: after the disk has it and every hold
   is released; or with the reason of the failure. It is also called when the registry stops (IB_EDESTROYED). */
void reg_change_submit(struct reg *reg, struct reg_change *c);
/* True when c failed; rq has then been answered with its exception (or UnknownException for local failures). */
bool reg_change_throw(struct reg_change *c, struct ir_request *rq);

/* --- events ------------------------------------------------------------------------------------------------------- */

enum reg_topic {
    REG_TOPIC_REGISTRY,
    REG_TOPIC_NODE,
    REG_TOPIC_APPLICATION,
    REG_TOPIC_ADAPTER,
    REG_TOPIC_OBJECT,
    REG_TOPIC_MAX
}; /* = IceGrid::TopicName */

enum reg_event_kind {
    REG_EV_APP_ADDED, /* info */
    REG_EV_APP_UPDATED, /* update_info */
    REG_EV_APP_REMOVED, /* name */
    REG_EV_APPS_INIT, /* the whole table was replaced: send what the catalog has now */
    REG_EV_ADAPTER_ADDED, /* adapter */
    REG_EV_ADAPTER_UPDATED,
    REG_EV_ADAPTER_REMOVED, /* name */
    REG_EV_ADAPTERS_INIT,
    REG_EV_OBJECT_ADDED, /* object */
    REG_EV_OBJECT_UPDATED,
    REG_EV_OBJECT_REMOVED, /* id */
    REG_EV_OBJECTS_INIT,
    REG_EV_REGISTRY_UP, /* registry */
    REG_EV_REGISTRY_DOWN, /* name */
};

/* Lives as long as its change. */
struct reg_event {
    struct reg_change *change;
    struct reg_event *next; /* of the same change */
    uint8_t kind; /* enum reg_event_kind */
    uint8_t topic; /* enum reg_topic */
    bool last; /* of its change: the one whose acknowledgement counts */
    int32_t serial; /* topic serial */
    int64_t db_serial; /* 0: not sent */
    struct iw_identity id;
    struct ib_str name;
    const struct IceGrid_ObjectInfo *object;
    const struct IceGrid_AdapterInfo *adapter;
    const struct IceGrid_ApplicationInfo *info;
    const struct IceGrid_ApplicationUpdateInfo *update_info;
    const struct IceGrid_RegistryInfo *registry;
};

/* Embedded in whoever listens; told in order, after the catalog has it. May be removed from inside event. */
struct reg_observer {
    struct ib_list node;
    void (*event)(struct reg_observer *o, const struct reg_event *ev);
    /* NULL, or told also, in the same order and with the same numbers, before the disk has it: of adapters and objects. */
    void (*early)(struct reg_observer *o, const struct reg_event *ev);
    void (*lost)(struct reg_observer *o); /* what early told last will not happen: the disk has failed */
};
void reg_observe(struct reg *reg, struct reg_observer *o);
void reg_unobserve(struct reg_observer *o); /* harmless when not linked (after ib_list_init(&o->node)) */

/* The answer of c waits for one reg_change_release more. Only from inside event and early. Takes a reference; release drops it.
 */
void reg_change_hold(struct reg_change *c);
void reg_change_release(struct reg_change *c);

/* The same for a node that loads a server. With a refusal the change is undone by another one, and fails with
   DeploymentException(refusal) (icegrid-registry 9.1); not where changes come from a master. */
void reg_change_hold_load(struct reg_change *c);
void reg_change_release_load(struct reg_change *c, const char *refusal);

/* Before the commit of an update: what nodes were asked about it is known. reason NULL: nothing against it. */
void reg_change_checked(struct reg_change *c, const char *reason);

/* Whoever waits until all slaves have acknowledged that revision of an application
   (NodeSession.waitForApplicationUpdate). False: there is nothing to wait for. fn is called once, unless forgotten. */
struct reg_ack_wait {
    struct ib_list node;
    void (*fn)(void *arg);
    void *arg;
};
bool reg_changes_wait_acknowledged(struct reg *reg, struct ib_str uuid, int32_t revision, struct reg_ack_wait *w);
void reg_changes_forget_wait(struct reg_ack_wait *w);

int32_t reg_topic_serial(const struct reg *reg, enum reg_topic topic); /* 0 at start, +1 an event */
int64_t reg_db_serial(const struct reg *reg, int table); /* enum reg_table, the first three */
int64_t reg_settled(const struct reg *reg, int table); /* a slave: what of it the master has on disk as well */
/* A registry came or went; published at once. */
void reg_publish_registry(struct reg *reg, bool up, struct ib_str name, struct ib_str hostname);

/* --- life ------------------------------------------------------------------------------------------------------- */

struct reg_changes;
struct reg_changes *reg_changes_new(struct reg *reg);
int reg_changes_load(struct reg *reg, struct ib_err *err) IB_MUST_CHECK; /* the catalog, from the store */
void reg_changes_stop(struct reg_changes *x); /* answers what waits with IB_EDESTROYED */
void reg_changes_free(struct reg_changes *x);

#endif
