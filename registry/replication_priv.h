/* SPDX-License-Identifier: Apache-2.0 */
/* One slave's session on the master, shared by replication.c (its life and operations) and replica_stream.c (what is
   sent to it and acknowledged).

       ACTIVE -> ENDED          what is sent:  SILENT -> SYNCING -> FOLLOWING
*/
#ifndef REG_REPLICATION_PRIV_H
#define REG_REPLICATION_PRIV_H

#include "replication.h"
#include "slices.h"

#include <moulin/net/loop.h>

enum reg_stream_state { REG_STREAM_SILENT, REG_STREAM_SYNCING, REG_STREAM_FOLLOWING, REG_STREAM_STATE_MAX };

#define REG_STREAM_WINDOW 64 /* messages on their way to one slave */
#define REG_STREAM_QUEUE 8192 /* and waiting behind them: beyond, the slave is too slow and starts again */

struct reg_stream {
    struct reg *reg;
    struct iw_proxy *observer; /* owned by the session's arena */
    uint8_t state; /* enum reg_stream_state */
    struct reg_observer tap; /* on the registry's events */
    struct ib_list queue; /* struct message: not sent yet */
    struct ib_list sent; /* struct message: unanswered */
    struct ib_list waits; /* struct wait: not acknowledged yet */
    size_t n_queue, n_sent;
    unsigned registering; /* registerWellKnownObjects under way: unversioned events are waited for, too */
    struct ir_request *subscribe; /* setDatabaseObserver, until the three tables are acknowledged */
    void (*broken)(struct reg_stream *s, const char *why); /* the session must end */
    const char *name; /* the slave's, for logs; borrowed */
};

void reg_stream_init(struct reg_stream *s, struct reg *reg, const char *name,
                     void (*broken)(struct reg_stream *s, const char *why));
/* Sends the three tables; rq is answered once they are acknowledged. */
void reg_stream_start(struct reg_stream *s, struct ir_request *rq, struct iw_proxy *observer);
void reg_stream_received(struct reg_stream *s, int topic, int32_t serial, struct ib_str failure);
/* Milliseconds the oldest message has gone unacknowledged; 0 when none. */
int64_t reg_stream_lag(const struct reg_stream *s);
void reg_stream_fini(struct reg_stream *s); /* releases whoever waits for this slave */

#endif
