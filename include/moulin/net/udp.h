/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams (ice-protocol 14.2): one Ice message each, no connection, no answer. Out, nothing is kept for later: what
   the socket does not take is lost, as datagrams may be. In, what is no message is lost, too. */
#ifndef MOULIN_NET_UDP_H
#define MOULIN_NET_UDP_H

#include <moulin/net/conn.h>

struct ic_udp;

struct ic_udp_config {
    int compression_level;
    /* May be NULL. False: nothing is sent to this address, all is lost. sa is what the endpoint's host was resolved to.
     */
    bool (*may_send)(void *arg, const struct iw_endpoint *ep, const struct sockaddr *sa);
    void *may_send_arg;
};

/* To the first address of a udp endpoint. What is sent before its name is resolved waits (64 KiB at most). NULL only
   when memory is short. */
struct ic_udp *ic_udp_new(struct ic_loop *loop, const struct iw_endpoint *ep, const struct ic_udp_config *cfg);
void ic_udp_free(struct ic_udp *u); /* NULL is fine */
/* IC_REQUEST or IC_BATCH. max is the largest datagram. IB_EDATAGRAMLIMIT, IB_ENOMEM; a loss is no error. */
int ic_udp_send(struct ic_udp *u, const struct ic_out *m, size_t max) IB_MUST_CHECK;

/* --- receiving --- */

struct ic_udp_server;

/* One message, IC_REQUEST or IC_BATCH, made plain. */
typedef void (*ic_datagram_fn)(void *arg, const struct ic_frame *f);

/* Binds to the udp endpoint; a multicast address is joined on the endpoint's interface (a name, an address or an index;
   without: on every interface that can, at least one). Resolving blocks: servers are made before the loop runs. */
struct ic_udp_server *ic_udp_listen(struct ic_loop *loop, const struct iw_endpoint *ep, ic_datagram_fn on_datagram,
                                    void *arg, struct ib_err *err);
void ic_udp_server_start(struct ic_udp_server *s); /* nothing is delivered before */
void ic_udp_server_stop(struct ic_udp_server *s); /* for good */
void ic_udp_server_free(struct ic_udp_server *s); /* NULL is fine */
const struct iw_endpoint *ic_udp_server_endpoint(const struct ic_udp_server *s); /* with its real port; borrowed */

#endif
