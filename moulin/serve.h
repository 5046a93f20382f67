/* SPDX-License-Identifier: Apache-2.0 */
/* The role "serve": a gateway and a registry replica in one process. */
#ifndef MOULIN_SERVE_H
#define MOULIN_SERVE_H

#include <moulin/rpc/service.h>

extern const struct ir_service serve_service;

#endif
