/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of a role's own: what is observed here shows in the views of the Metrics facet (IceMX.Metrics.<view>.*), next to
   the maps every runtime has. Nothing is counted for an object while no view is enabled: it is only remembered. */
#ifndef MOULIN_RPC_METRICS_H
#define MOULIN_RPC_METRICS_H

#include <moulin/base/buf.h>
#include <moulin/base/list.h>
#include <moulin/wire/types.h>

#define IR_METRICS_VALUES 16 /* of one class */

struct ir_conn;
struct ir_runtime;
struct ir_metrics_link;
struct ir_metrics_source;

/* A map: what its elements are called, made of, and grouped by. Lives as long as the runtime. */
struct ir_metrics_kind {
    const char *map; /* "Session" */
    const struct iw_class *cls; /* extends IceMX::Metrics; its own int and long members, in order, are the values */
    uint32_t levels; /* bit i: value i is a level (it falls when the object ends), not a count */
    bool one; /* its objects in runtimes beside each other are one to the outside */
    /* Appends an attribute of an object, for GroupBy, Accept and Reject; false: it has none of that name. */
    bool (*resolve)(const void *object, const char *attribute, struct ib_buf *out);
    /* All values of an object as they are now, when somebody looks and when it ends. Counts never fall. */
    void (*read)(const void *object, int64_t *values);
};

/* Before ir_admin_create. The source is the runtime's. NULL: memory is short. */
struct ir_metrics_source *ir_metrics_add(struct ir_runtime *rt, const struct ir_metrics_kind *kind);

/* Embedded in an object; all zero while it is not observed. */
struct ir_observed {
    struct ib_list node; /* source's objects */
    struct ir_metrics_source *source;
    const void *object;
    struct ir_metrics_link *links; /* to the elements that count it */
};

void ir_observe(struct ir_metrics_source *source, struct ir_observed *o, const void *object); /* borrows until the end */
void ir_observe_again(struct ir_observed *o); /* its attributes have changed: it may belong to other elements from now on */
void ir_observe_failure(struct ir_observed *o, const char *what); /* a type id: "::Ice::ConnectionLostException" */
void ir_observe_end(struct ir_observed *o); /* harmless when it is not observed; before the runtime is freed */

/* The attributes of a connection (incoming, remoteHost, endpointType, …) for the resolve of something that has one. */
bool ir_metrics_conn_attribute(const struct ir_conn *c, const char *attribute, struct ib_buf *out);

#endif
