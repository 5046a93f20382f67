/* SPDX-License-Identifier: Apache-2.0 */
/* What IceBox's administrators see of the services: that they run. Nodes and tools ask for it by the admin object. */
#include <moulin/rpc/call.h>
#include <moulin/rpc/request.h>
#include <moulin/rpc/service.h>
#include <slice/IceBox/IceBox_rpc.h>

#include "box.h"

static bool is_there(const struct storm_box *b, struct ib_str name)
{
    for (size_t i = 0; i < b->n; i++)
        if (ib_str_eq(b->v[i].name, name))
            return true;
    return false;
}

static void get_slice_checksums(void *self, struct ir_request *rq,
                                const struct IceBox_ServiceManager_getSliceChecksums_in *in)
{
    (void)self, (void)in;
    IceBox_ServiceManager_getSliceChecksums_reply(rq, &(struct IceBox_ServiceManager_getSliceChecksums_out){0});
}

static void start_service(void *self, struct ir_request *rq, const struct IceBox_ServiceManager_startService_in *in)
{
    const struct storm_box_manager *m = self;
    if (is_there(m->box, in->service))
        IceBox_AlreadyStartedException_throw(rq, NULL);
    else
        IceBox_NoSuchServiceException_throw(rq, NULL);
}

static void stop_service(void *self, struct ir_request *rq, const struct IceBox_ServiceManager_stopService_in *in)
{
    const struct storm_box_manager *m = self;
    if (is_there(m->box, in->service))
        ir_request_fail(rq, IR_UNKNOWN, "the services of this process run as long as it does: stop the server");
    else
        IceBox_NoSuchServiceException_throw(rq, NULL);
}

/* Nothing changes afterwards, so nobody is remembered. */
static void add_observer(void *self, struct ir_request *rq, const struct IceBox_ServiceManager_addObserver_in *in)
{
    const struct storm_box_manager *m = self;
    struct IceBox_ServiceObserver_servicesStarted_in started = {
        .services.v = IB_ARENA_ARRAY(ir_request_arena(rq), m->box->n, struct ib_str)};
    if (!started.services.v) {
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
        return;
    }
    for (size_t i = 0; i < m->box->n; i++)
        started.services.v[started.services.n++] = m->box->v[i].name;
    if (in->observer)
        (void)IceBox_ServiceObserver_servicesStarted_call(m->rt, in->observer, NULL, &started, NULL, NULL);
    IceBox_ServiceManager_addObserver_reply(rq, NULL);
}

static void shut_down(void *self, struct ir_request *rq, const struct IceBox_ServiceManager_shutdown_in *in)
{
    const struct storm_box_manager *m = self;
    (void)in;
    IceBox_ServiceManager_shutdown_reply(rq, NULL);
    ir_service_quit(ir_runtime_loop(m->rt));
}

static const struct IceBox_ServiceManager_servant vtable = {
    .getSliceChecksums = get_slice_checksums,
    .startService = start_service,
    .stopService = stop_service,
    .addObserver = add_observer,
    .shutdown = shut_down,
};

void storm_box_manager_init(struct storm_box_manager *m, const struct storm_box *box, struct ir_runtime *rt)
{
    *m = (struct storm_box_manager){
        .servant = {.iface = &IceBox_ServiceManager_iface, .vtable = &vtable, .self = m}, .box = box, .rt = rt};
}
