/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed messages (ice-protocol 13): an i32 with the size of the whole plain message, then one bzip2 stream.
   Output never exceeds what the message declares, and memory follows what really comes out. */
#include "frame.h"

#include <bzlib.h>
#include <string.h>

#define FIRST_GUESS 65536

/* A block twice as large (at most max) with the first n bytes of *b. */
static int enlarge(struct ib_block **b, size_t n, size_t max)
{
    size_t want = (*b)->n > max / 2 ? max : (*b)->n * 2;
    struct ib_block *larger = ib_block_new(want);
    if (!larger) {
        return IB_ENOMEM;
    }
    memcpy(larger->p, (*b)->p, n);
    ib_block_unref(*b);
    *b = larger;
    return 0;
}

/* Inflates into *b until the stream ends; *n is what came out. */
static int inflate(bz_stream *bz, struct ib_block **b, size_t max, size_t *n)
{
    for (;;) {
        bz->next_out = (char *)(*b)->p + *n;
        bz->avail_out = (unsigned)((*b)->n - *n);
        int rc = BZ2_bzDecompress(bz);
        *n = (*b)->n - bz->avail_out;
        if (rc == BZ_STREAM_END) {
            return 0;
        }
        if (rc == BZ_MEM_ERROR) {
            return IB_ENOMEM;
        }
        if (rc != BZ_OK) {
            return IB_ECOMPRESS;
        }
        if (bz->avail_out == 0) {
            if ((*b)->n == max) {
                /* The end marker may still be unread: one more call with no room tells. */
                rc = BZ2_bzDecompress(bz);
                return rc == BZ_STREAM_END ? 0 : IB_ECOMPRESS;
            }
            rc = enlarge(b, *n, max);
            if (rc < 0) {
                return rc;
            }
        } else if (bz->avail_in == 0) {
            return IB_ECOMPRESS; /* the stream is cut off */
        }
    }
}

int ic_decompress(struct ib_span body, int32_t size_max, struct ib_block **out, struct ib_err *err)
{
    if (body.n < 4) {
        return ib_err_set(err, IB_EMSGSIZE, "compressed message without a size");
    }
    int32_t declared = ic_get_i32(body.p);
    if (declared <= IC_HEADER_SIZE) {
        return ib_err_set(err, IB_EMSGSIZE, "illegal uncompressed message size: %d", (int)declared);
    }
    if (declared > size_max) {
        return ib_err_set(err, IB_EMEMLIMIT, "message of %d bytes when uncompressed: Ice.MessageSizeMax allows %d",
                          (int)declared, (int)size_max);
    }
    size_t max = (size_t)declared - IC_HEADER_SIZE, n = 0;
    struct ib_block *b = ib_block_new(max < FIRST_GUESS ? max : FIRST_GUESS);
    bz_stream bz = {.next_in = (char *)(uintptr_t)(body.p + 4), .avail_in = (unsigned)(body.n - 4)};
    if (!b || BZ2_bzDecompressInit(&bz, 0, 0) != BZ_OK) {
        ib_block_unref(b);
        return ib_err_set(err, IB_ENOMEM, "out of memory while uncompressing a message");
    }
    int rc = inflate(&bz, &b, max, &n);
    BZ2_bzDecompressEnd(&bz);
    if (rc == 0 && (n != max || b->n != max)) {
        rc = IB_ECOMPRESS;
    }
    if (rc < 0) {
        ib_block_unref(b);
        return ib_err_set(err, rc, "cannot uncompress a message of %zu bytes: %s", body.n,
                          rc == IB_ENOMEM ? "out of memory" : "damaged or of another size than declared");
    }
    *out = b;
    return 0;
}

/* Feeds one piece of input; the output buffer is large enough for everything (bzip2's manual: n + 1 % + 600). */
static int deflate(bz_stream *bz, struct ib_span in, int action)
{
    bz->next_in = (char *)(uintptr_t)in.p;
    bz->avail_in = (unsigned)in.n;
    int done = action == BZ_RUN ? BZ_RUN_OK : BZ_STREAM_END;
    int rc;
    do {
        rc = BZ2_bzCompress(bz, action);
    } while (rc >= 0 && rc != done && bz->avail_out > 0);
    return rc == done && bz->avail_in == 0 ? 0 : IB_ENOMEM;
}

int ic_compress(struct ib_span head, struct ib_span body, int level, struct ib_block **out, size_t *n)
{
    size_t plain = head.n + body.n;
    if (head.n > INT32_MAX || body.n > INT32_MAX || plain + IC_HEADER_SIZE > INT32_MAX) {
        return IB_EMEMLIMIT;
    }
    size_t room = plain + plain / 100 + 600 + 4;
    struct ib_block *b = ib_block_new(room);
    bz_stream bz = {0};
    if (!b || BZ2_bzCompressInit(&bz, level < 1 || level > 9 ? 1 : level, 0, 0) != BZ_OK) {
        ib_block_unref(b);
        return IB_ENOMEM;
    }
    bz.next_out = (char *)b->p + 4;
    bz.avail_out = (unsigned)(room - 4);
    int rc = head.n ? deflate(&bz, head, BZ_RUN) : 0;
    if (rc == 0) {
        rc = deflate(&bz, body, BZ_FINISH);
    }
    *n = room - bz.avail_out;
    BZ2_bzCompressEnd(&bz);
    if (rc < 0) {
        ib_block_unref(b);
        return rc;
    }
    ic_put_i32(b->p, (int32_t)(plain + IC_HEADER_SIZE));
    *out = b;
    return 0;
}
