/* SPDX-License-Identifier: Apache-2.0 */
/* The servants of the captured calls (ice-protocol 24), for tests within one process and for echo_server. */
#ifndef MOULIN_TESTS_ECHO_SERVANT_H
#define MOULIN_TESTS_ECHO_SERVANT_H

#include <moulin/rpc/adapter.h>

struct echo {
    struct ir_runtime *rt;
    struct ir_servant servant; /* cat/obj, also with facet "face" */
    struct ir_servant plain; /* o: its exUnknown is status 6 */
    void (*on_shutdown)(void *arg); /* may be NULL */
    void *arg;
    unsigned pings; /* noargs so far */
    struct ib_list sleepers;
};

/* Adds both objects to the adapter. */
int echo_init(struct echo *e, struct ir_runtime *rt, struct ir_adapter *a);
void echo_fini(struct echo *e); /* answers what still sleeps */

#endif
