/* SPDX-License-Identifier: Apache-2.0 */
/* Host names to addresses without blocking the loop. */
#ifndef ICE_NET_RESOLVE_H
#define ICE_NET_RESOLVE_H

#include "loop_priv.h"
#include <netdb.h>

struct ic_resolve;

/* Exactly one of addresses (free with ic_resolve_free) and err is given. Never called from inside ic_resolve. */
typedef void (*ic_resolve_fn)(void *arg, struct addrinfo *list, const struct ib_err *err);

/* A numeric host is answered in the next round, too. NULL without memory. The request ends by its callback or by
   ic_resolve_cancel. */
struct ic_resolve *ic_resolve(struct ic_loop *loop, const char *host, int port, ic_resolve_fn fn, void *arg);
void ic_resolve_cancel(struct ic_resolve *r);
void ic_resolve_free(struct addrinfo *list);

#endif
