/* SPDX-License-Identifier: Apache-2.0 */
/* A connection as requests see it: who is at the other end, and to be told when it goes. */
#ifndef MOULIN_RPC_CONN_H
#define MOULIN_RPC_CONN_H

#include <moulin/base/list.h>
#include <moulin/net/conn.h>
#include <moulin/wire/types.h>

struct ir_conn;
struct ir_runtime;
struct ir_adapter;

/* Embedded in whoever must know; fn is called once, when the connection is closed, with why. Then the hook is unlinked. */
struct ir_conn_hook {
    struct ib_list node;
    void (*fn)(struct ir_conn_hook *hook, struct ir_conn *c, const struct ib_err *why);
};
void ir_conn_on_close(struct ir_conn *c, struct ir_conn_hook *hook);
void ir_conn_off_close(struct ir_conn_hook *hook); /* harmless when not linked (after ib_list_init(&hook->node)) */
/* The same for a congested connection (ic_conn_congested): fn is called once when its queue is short again; not when it
   closes. */
struct ir_drain_hook {
    struct ib_list node;
    void (*fn)(struct ir_drain_hook *hook, struct ir_conn *c);
};
void ir_conn_on_drained(struct ir_conn *c, struct ir_drain_hook *hook);

/* Flow control: nothing is read from c while by is congested. Nothing happens when it is not or when c waits already.
   False: c cannot wait, because it is by or because by waits for it. */
bool ir_conn_hold_back(struct ir_conn *c, struct ir_conn *by);
/* What c may have in dispatch before it is not read. Small requests count as 4 KiB. */
struct ir_limits {
    unsigned requests, oneways; /* oneways are among the requests */
    size_t bytes;
};
void ir_conn_set_limits(struct ir_conn *c, const struct ir_limits *l);
/* Appends a oneway to the connection's open batch, as IR_BATCH_IF_MANY does: header, context (n 0: empty) and parameters
   as they go on the wire. An error: nothing was done, take the long way (closed, congested, too large). */
int ir_conn_send_batched(struct ir_conn *c, struct ib_span header, struct ib_span context,
                         struct ib_span params) IB_MUST_CHECK;
/* A large open batch leaves now, not at the end of the loop's round: for those who have as much for many others. Drain hooks
   may be called from here. */
void ir_conn_push(struct ir_conn *c);

/* Called for each heartbeat received. One per connection; NULL removes. */
void ir_conn_on_heartbeat(struct ir_conn *c, void (*fn)(void *arg, struct ir_conn *c), void *arg);

struct ic_conn *ir_conn_net(struct ir_conn *c); /* for info, certificates, ACM, hold, congestion */
uint64_t ir_conn_id(const struct ir_conn *c); /* unique in the process, for traces */
void ir_conn_close(struct ir_conn *c, bool forcibly);
/* Dispatches what the peer asks over this (outgoing) connection to the adapter; NULL: ObjectNotExist. */
void ir_conn_set_adapter(struct ir_conn *c, struct ir_adapter *adapter);
/* User data of the role, e.g. the gateway's session. */
void ir_conn_set_data(struct ir_conn *c, void *data);
void *ir_conn_data(const struct ir_conn *c);

#endif
