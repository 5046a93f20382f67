/* SPDX-License-Identifier: Apache-2.0 */
/* The 14-byte header of every message (ice-protocol 7) and compressed bodies (13). */
#ifndef ICE_NET_FRAME_H
#define ICE_NET_FRAME_H

#include <moulin/base/block.h>
#include <moulin/base/err.h>
#include <moulin/net/conn.h>

enum { IC_COMPRESS_NO = 0, IC_COMPRESS_ASK = 1, IC_COMPRESS_DONE = 2 };
#define IC_COMPRESS_MIN 100 /* smaller messages are never compressed (13) */

struct ic_header {
    uint8_t type;
    uint8_t compression;
    int32_t size; /* whole message as transmitted */
};

/* Checks magic, versions, size and type in the order of real peers. size_max limits the size. */
int ic_header_parse(const uint8_t p[IC_HEADER_SIZE], int32_t size_max, struct ic_header *h,
                    struct ib_err *err) IB_MUST_CHECK;
void ic_header_build(uint8_t p[IC_HEADER_SIZE], uint8_t type, uint8_t compression, int32_t size);

/* The body of a compressed message made plain; *out is a new block of exactly the declared size less the header. */
int ic_decompress(struct ib_span body, int32_t size_max, struct ib_block **out, struct ib_err *err) IB_MUST_CHECK;
/* Declared size and bzip2 stream of head + body in a new block, whose first *n bytes count. */
int ic_compress(struct ib_span head, struct ib_span body, int level, struct ib_block **out, size_t *n) IB_MUST_CHECK;

int32_t ic_get_i32(const uint8_t *p);
void ic_put_i32(uint8_t *p, int32_t v);

#endif
