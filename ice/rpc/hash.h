/* SPDX-License-Identifier: Apache-2.0 */
/* uthash as this module uses it: failures of memory are reported, and keys that peers choose are hashed with a key of
   the process, so that nobody can choose them to collide. Include this instead of uthash.h. */
#ifndef MOULIN_ICE_RPC_HASH_H
#define MOULIN_ICE_RPC_HASH_H

#include <stddef.h>
#include <stdint.h>

uint32_t ir_hash(const void *key, size_t n);

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = ir_hash((keyptr), (keylen)))
#include <uthash.h>

#endif
