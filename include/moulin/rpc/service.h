/* SPDX-License-Identifier: Apache-2.0 */
/* What every daemon does the same way: command line, --daemon, --pidfile, signals, the runtime's life (ice-protocol 21.4). */
#ifndef MOULIN_RPC_SERVICE_H
#define MOULIN_RPC_SERVICE_H

#include <moulin/rpc/runtime.h>

/* One role to run. start returns its state (passed to stop) or NULL with err set (code IB_EINVAL: the usage is shown too). props stay
   the service's: a role gives its runtime a copy (ir_properties_copy). argv holds what no property and no common option took.
   stop ends the role gracefully and then calls done once; after 10 s or a second signal free is called without waiting. */
struct ir_service {
    const char *name; /* "moulin registry": for help and errors */
    const char *usage; /* text of --help after the first line */
    void *(*start)(struct ic_loop *loop, struct ir_properties *props, int argc, char **argv, struct ib_err *err);
    void (*stop)(void *state, void (*done)(void *arg), void *arg);
    void (*free)(void *state);
    void (*reload)(void *state); /* SIGHUP; may be NULL */
};

/* Parses, daemonises, runs until SIGINT/SIGTERM or ir_service_quit, stops. Returns the exit status: 0, or 1 after one "!!" line. */
int ir_service_main(const struct ir_service *s, int argc, char **argv);
/* For a role that ends itself (Process facet shutdown, registry shutdown): stops the loop's service gracefully. */
void ir_service_quit(struct ic_loop *loop);

#endif
