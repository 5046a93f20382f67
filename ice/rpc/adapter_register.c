/* SPDX-License-Identifier: Apache-2.0 */
/* An adapter with an id and its locator's registry (ice-protocol 16.3): registered at activation, taken out again at
   deactivation. The registry's proxy is asked for once. */
#include "rpc_priv.h"

#include <slice/Ice/Locator.h>
#include <slice/Ice/Locator_rpc.h>

#include <stdio.h>

static const struct ir_call_options registry_options = {.no_locator = true, .endpoint_selection = 2};

static void registration_failed(struct ir_adapter *a, const struct ir_result *r)
{
    char text[256];
    if (Ice_AdapterNotFoundException_caught(r)) {
        snprintf(text, sizeof(text), "no object adapter with id `%s' registered", ib_cstr(a->adapter_id));
        ir_adapter_registered(a, IB_ENOTREGISTERED, text);
    } else if (Ice_InvalidReplicaGroupIdException_caught(r)) {
        snprintf(text, sizeof(text), "no replica group with id `%s' registered", ib_cstr(a->replica_group_id));
        ir_adapter_registered(a, IB_ENOTREGISTERED, text);
    } else if (Ice_AdapterAlreadyActiveException_caught(r)) {
        snprintf(text, sizeof(text), "object adapter with id `%s' already in use", ib_cstr(a->adapter_id));
        ir_adapter_registered(a, IB_EIDINUSE, text);
    } else {
        ir_result_text(r, text, sizeof(text));
        ir_adapter_registered(a, r->err.code ? r->err.code : IB_EUNKNOWN, text);
    }
}

static void on_registered(void *arg, const struct ir_result *r)
{
    struct ir_adapter *a = arg;
    a->registration = NULL;
    if (r->outcome == IR_SUCCESS) {
        a->registered = true;
        ir_adapter_registered(a, 0, NULL);
    } else {
        registration_failed(a, r);
    }
}

static struct iw_proxy *dummy_proxy(struct ir_adapter *a, struct ib_arena *arena)
{
    struct iw_identity dummy = {IB_STR("dummy"), IB_STR("")};
    return ir_adapter_direct_proxy(a, &dummy, arena);
}

static void register_now(struct ir_adapter *a)
{
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    struct iw_proxy *p = dummy_proxy(a, &arena);
    if (p && a->replica_group_id.n) {
        struct Ice_LocatorRegistry_setReplicatedAdapterDirectProxy_in in = {
            .adapterId = a->adapter_id, .replicaGroupId = a->replica_group_id, .p = p};
        a->registration = Ice_LocatorRegistry_setReplicatedAdapterDirectProxy_call(
            a->rt, a->registry, &registry_options, &in, on_registered, a);
    } else if (p) {
        struct Ice_LocatorRegistry_setAdapterDirectProxy_in in = {.id = a->adapter_id, .proxy = p};
        a->registration = Ice_LocatorRegistry_setAdapterDirectProxy_call(a->rt, a->registry, &registry_options, &in,
                                                                         on_registered, a);
    }
    ib_arena_fini(&arena);
    if (!a->registration)
        ir_adapter_registered(a, IB_ENOMEM, ib_err_text(IB_ENOMEM));
}

static void on_registry(void *arg, const struct ir_result *r)
{
    struct ir_adapter *a = arg;
    a->registration = NULL;
    const struct Ice_Locator_getRegistry_out *out = Ice_Locator_getRegistry_result(r);
    if (!out) {
        registration_failed(a, r);
        return;
    }
    if (!out->ret) { /* a locator without a registry: nothing to do */
        ir_adapter_registered(a, 0, NULL);
        return;
    }
    a->registry = iw_proxy_copy(out->ret, &a->arena);
    if (a->registry)
        register_now(a);
    else
        ir_adapter_registered(a, IB_ENOMEM, ib_err_text(IB_ENOMEM));
}

void ir_adapter_register(struct ir_adapter *a)
{
    if (a->registry) {
        register_now(a);
        return;
    }
    a->registration = Ice_Locator_getRegistry_call(a->rt, ir_runtime_locator(a->rt),
                                                   &(struct ir_call_options){.no_locator = true}, NULL, on_registry, a);
    if (!a->registration)
        ir_adapter_registered(a, IB_ENOMEM, ib_err_text(IB_ENOMEM));
}

static void on_unregistered(void *arg, const struct ir_result *r)
{
    struct ir_adapter *a = arg;
    (void)r; /* errors are ignored: the locator forgets us anyway */
    a->registration = NULL;
    ir_runtime_check_shutdown(a->rt);
}

void ir_adapter_unregister(struct ir_adapter *a)
{
    a->registered = false;
    if (a->replica_group_id.n) {
        struct Ice_LocatorRegistry_setReplicatedAdapterDirectProxy_in in = {
            .adapterId = a->adapter_id, .replicaGroupId = a->replica_group_id, .p = NULL};
        a->registration = Ice_LocatorRegistry_setReplicatedAdapterDirectProxy_call(
            a->rt, a->registry, &registry_options, &in, on_unregistered, a);
    } else {
        struct Ice_LocatorRegistry_setAdapterDirectProxy_in in = {.id = a->adapter_id, .proxy = NULL};
        a->registration = Ice_LocatorRegistry_setAdapterDirectProxy_call(a->rt, a->registry, &registry_options, &in,
                                                                         on_unregistered, a);
    }
}
