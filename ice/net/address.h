/* SPDX-License-Identifier: Apache-2.0 */
/* The address of one end of a connection. */
#ifndef ICE_NET_ADDRESS_H
#define ICE_NET_ADDRESS_H

#include <stdint.h>

struct ic_addr {
    uint8_t family; /* AF_INET, AF_INET6; 0 = unknown */
    uint16_t port;
    uint8_t ip[16]; /* the first 4 for AF_INET; IPv4 in IPv6 is kept as AF_INET */
};

#endif
