/* SPDX-License-Identifier: Apache-2.0 */
/* The header a load balancer sends before the bytes of its client: PROXY protocol, versions 1 (a line of text) and 2
   (binary). The reader takes exactly the header's bytes, however they are cut. */
#ifndef ICE_NET_PROXY_PROTOCOL_H
#define ICE_NET_PROXY_PROTOCOL_H

#include "address.h"

#include <moulin/base/err.h>
#include <stdbool.h>
#include <stddef.h>

#define IC_PROXY_V1_MAX 107 /* with its CR LF */
#define IC_PROXY_V2_MAX 536 /* with its extensions (TLV), which are skipped */
#define IC_PROXY_DEADLINE_MS 3000

/* Zeroed before the first byte. */
struct ic_proxy_header {
    uint16_t have;
    uint8_t buf[IC_PROXY_V1_MAX]; /* of version 2 only the beginning is kept */
};

struct ic_proxy_ends {
    bool told; /* false (LOCAL, UNKNOWN, unix): the socket's own addresses count */
    struct ic_addr source, destination;
};

/* The next n bytes. Returns 0 when the header is complete (*used of them were its), IC_TP_READABLE when all belong to
   it and more must come, IB_EBALANCER when it is malformed. */
int ic_proxy_header_feed(struct ic_proxy_header *h, const uint8_t *p, size_t n, size_t *used,
                         struct ic_proxy_ends *ends, struct ib_err *err);

struct ic_conn;
/* Reads the header of an accepted connection from its socket. 0: it is complete and the connection's addresses are
   those it tells; IC_TP_READABLE, IB_E…. */
int ic_proxy_read(struct ic_conn *c, struct ib_err *err);

#endif
