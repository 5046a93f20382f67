/* SPDX-License-Identifier: Apache-2.0 */
/* A change as a value: what it holds, the events it will tell, and the ways to refuse it. */
#include "change_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* --- the value --------------------------------------------------------------------------------------------------- */

struct reg_change *reg_change_new(enum reg_change_op op, reg_change_fn done, void *arg)
{
    struct reg_change *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->refs = 1;
    c->op = (uint8_t)op;
    c->done = done;
    c->done_arg = arg;
    c->events_tail = &c->events;
    ib_list_init(&c->node);
    ib_list_init(&c->ack_waits);
    ib_arena_init(&c->arena, 0);
    return c;
}

struct reg_change *reg_change_ref(struct reg_change *c)
{
    c->refs++;
    return c;
}

void reg_change_unref(struct reg_change *c)
{
    if (!c || --c->refs)
        return;
    reg_app_free(c->new_app);
    reg_app_free(c->old_app);
    ib_arena_fini(&c->arena);
    free(c->refusal);
    free(c);
}

static int copy_value(struct reg_change *c, const struct iw_type *type, const void *v, void *out_ptr)
{
    void *copy = ib_arena_alloc(&c->arena, type->size);
    if (!copy || iw_copy(type, v, &c->arena, copy))
        return IB_ENOMEM;
    memcpy(out_ptr, &copy, sizeof copy);
    return 0;
}

int reg_change_set_object(struct reg_change *c, const struct IceGrid_ObjectInfo *v)
{
    return copy_value(c, &IceGrid_ObjectInfo_type, v, &c->object);
}

int reg_change_set_adapter(struct reg_change *c, const struct IceGrid_AdapterInfo *v)
{
    return copy_value(c, &IceGrid_AdapterInfo_type, v, &c->adapter);
}

int reg_change_set_descriptor(struct reg_change *c, const struct IceGrid_ApplicationDescriptor *v)
{
    return copy_value(c, &IceGrid_ApplicationDescriptor_type, v, &c->descriptor);
}

int reg_change_set_update(struct reg_change *c, const struct IceGrid_ApplicationUpdateDescriptor *v)
{
    return copy_value(c, &IceGrid_ApplicationUpdateDescriptor_type, v, &c->update);
}

int reg_change_set_id(struct reg_change *c, const struct iw_identity *id)
{
    c->id.name = ib_arena_str(&c->arena, id->name);
    c->id.category = ib_arena_str(&c->arena, id->category);
    return c->id.name.p && c->id.category.p ? 0 : IB_ENOMEM;
}

int reg_change_set_name(struct reg_change *c, struct ib_str name)
{
    c->name = ib_arena_str(&c->arena, name);
    return c->name.p ? 0 : IB_ENOMEM;
}

int reg_change_set_user(struct reg_change *c, struct ib_str user)
{
    c->user = ib_arena_str(&c->arena, user);
    return c->user.p ? 0 : IB_ENOMEM;
}

struct reg_event *reg_event_add(struct reg_change *c, enum reg_event_kind kind)
{
    static const uint8_t topics[] = {
        [REG_EV_APP_ADDED] = REG_TOPIC_APPLICATION,   [REG_EV_APP_UPDATED] = REG_TOPIC_APPLICATION,
        [REG_EV_APP_REMOVED] = REG_TOPIC_APPLICATION, [REG_EV_APPS_INIT] = REG_TOPIC_APPLICATION,
        [REG_EV_ADAPTER_ADDED] = REG_TOPIC_ADAPTER,   [REG_EV_ADAPTER_UPDATED] = REG_TOPIC_ADAPTER,
        [REG_EV_ADAPTER_REMOVED] = REG_TOPIC_ADAPTER, [REG_EV_ADAPTERS_INIT] = REG_TOPIC_ADAPTER,
        [REG_EV_OBJECT_ADDED] = REG_TOPIC_OBJECT,     [REG_EV_OBJECT_UPDATED] = REG_TOPIC_OBJECT,
        [REG_EV_OBJECT_REMOVED] = REG_TOPIC_OBJECT,   [REG_EV_OBJECTS_INIT] = REG_TOPIC_OBJECT,
        [REG_EV_REGISTRY_UP] = REG_TOPIC_REGISTRY,    [REG_EV_REGISTRY_DOWN] = REG_TOPIC_REGISTRY,
    };
    struct reg_event *ev = IB_ARENA_NEW(&c->arena, struct reg_event);
    if (!ev)
        return NULL;
    ev->change = c;
    ev->kind = (uint8_t)kind;
    ev->topic = topics[kind];
    *c->events_tail = ev;
    c->events_tail = &ev->next;
    return ev;
}

/* --- refusing ---------------------------------------------------------------------------------------------------- */

int reg_change_fail(struct reg_change *c, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    c->err.code = c->code = code;
    vsnprintf(c->err.text, sizeof c->err.text, fmt, args);
    va_end(args);
    return code;
}

int reg_change_fail_nomem(struct reg_change *c)
{
    return reg_change_fail(c, IB_ENOMEM, "out of memory");
}

int reg_change_fail_with(struct reg_change *c, const struct iw_class *exception, const void *value, size_t size)
{
    void *copy = ib_arena_alloc(&c->arena, size);
    if (!copy)
        return reg_change_fail_nomem(c);
    memcpy(copy, value, size);
    c->exception = exception;
    c->exception_value = copy;
    c->code = IB_EINVAL;
    if (!*c->err.text)
        ib_err_set(&c->err, IB_EINVAL, "%s", exception->id);
    return c->code;
}

int reg_change_fail_deployment(struct reg_change *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->err.text, sizeof c->err.text, fmt, args);
    va_end(args);
    c->err.code = IB_EINVAL;
    struct IceGrid_DeploymentException ex = {.reason = ib_arena_strz(&c->arena, c->err.text)};
    return reg_change_fail_with(c, &IceGrid_DeploymentException_class, &ex, sizeof ex);
}

bool reg_change_throw(struct reg_change *c, struct ir_request *rq)
{
    if (!c->code)
        return false;
    if (c->exception)
        ir_request_throw(rq, c->exception, c->exception_value);
    else
        ir_request_fail(rq, IR_UNKNOWN, c->err.text);
    return true;
}
