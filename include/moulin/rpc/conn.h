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
