/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway: a Glacier2 router (glacier2-router.md). Logs clients in, gives each connection one session, forwards its
   requests to the servers behind and the servers' callbacks to it. */
#ifndef MOULIN_GATEWAY_GATEWAY_H
#define MOULIN_GATEWAY_GATEWAY_H

#include <moulin/rpc/service.h>

extern const struct ir_service gw_service; /* role "gateway" */

#endif
