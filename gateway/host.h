/* SPDX-License-Identifier: Apache-2.0 */
/* A host as filters see it: one name for all spellings that reach the same machine (glacier2-router 10.6 [N]). */
#ifndef GATEWAY_HOST_H
#define GATEWAY_HOST_H

#include <moulin/base/span.h>

#define GW_HOST_MAX 255

struct sockaddr;

/* An IPv4 address is kept mapped into IPv6 (::ffff:a.b.c.d), so that one comparison serves both. */
struct gw_address {
    uint8_t bytes[16];
};

struct gw_host {
    char text[GW_HOST_MAX + 1]; /* lower case, without the dot at the end, otherwise as it came */
    char canonical[GW_HOST_MAX + 1]; /* the usual spelling of an address; for a name the same as text */
    bool is_address;
    struct gw_address address;
};

/* false: no rule can judge it, since it is empty, too long, or has bytes no host name has (blanks, controls, NUL).
   0.0.0.0 and :: reach this machine's loopback, and are taken for it. */
bool gw_host_read(struct ib_str host, struct gw_host *out);
bool gw_host_from_sockaddr(const struct sockaddr *sa, struct gw_host *out); /* false: neither IPv4 nor IPv6 */
bool gw_host_is_loopback(const struct gw_host *h); /* 127/8, ::1, localhost and what is below it */

bool gw_address_is_ipv4(const struct gw_address *a);
/* The first `bits' of 128 are equal. */
bool gw_address_within(const struct gw_address *a, const struct gw_address *net, unsigned bits);

#endif
