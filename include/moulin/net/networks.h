/* SPDX-License-Identifier: Apache-2.0 */
/* A set of IP addresses and CIDR blocks, as properties name them: "10.0.0.0/8, 192.0.2.7 fd00::/8". Immutable, shared
   by reference. */
#ifndef MOULIN_NET_NETWORKS_H
#define MOULIN_NET_NETWORKS_H

#include <moulin/base/err.h>
#include <stdbool.h>
#include <stddef.h>

struct ic_networks;

/* Items are separated by commas and blanks. NULL with err: something is no address or block (the text names it), there
   is no item at all, or memory is short. */
struct ic_networks *ic_networks_parse(const char *text, struct ib_err *err);
struct ic_networks *ic_networks_ref(struct ic_networks *n);
void ic_networks_unref(struct ic_networks *n); /* NULL is fine */
size_t ic_networks_count(const struct ic_networks *n);
/* A numeric address; IPv4 in IPv6 (::ffff:a.b.c.d) counts as IPv4, and what is no address is in no network. */
bool ic_networks_contain(const struct ic_networks *n, const char *address);

#endif
