/* SPDX-License-Identifier: Apache-2.0 */
/* What a round does to sockets: all that are readable are received from with one system call, then dispatched; what
   that leaves to be written is sent with another. One alone, or any without io_uring, is read and written directly. */
#ifndef ICE_NET_SWEEP_H
#define ICE_NET_SWEEP_H

struct ic_conn;
struct ic_loop;

void ic_sweep_read_later(struct ic_conn *c); /* in this round, before what was deferred */
void ic_sweep_write_later(struct ic_conn *c); /* behind it */
void ic_sweep_forget(struct ic_conn *c);
void ic_sweep_reads(struct ic_loop *loop);
void ic_sweep_writes(struct ic_loop *loop);
void ic_sweep_free(struct ic_loop *loop);

#endif
