/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of messages: built, parsed, checked (ice-protocol 7, 10). */
#include "frame.h"

#include <string.h>

static const uint8_t fixed[8] = {'I', 'c', 'e', 'P', 1, 0, 1, 0}; /* magic, protocol 1.0, protocol encoding 1.0 */

int32_t ic_get_i32(const uint8_t *p)
{
    uint32_t v = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return (int32_t)v;
}

void ic_put_i32(uint8_t *p, int32_t v)
{
    uint32_t u = (uint32_t)v;
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(u >> (8 * i));
    }
}

int ic_header_parse(const uint8_t p[IC_HEADER_SIZE], int32_t size_max, struct ic_header *h, struct ib_err *err)
{
    if (memcmp(p, fixed, 4) != 0) {
        return ib_err_set(err, IB_EMAGIC, "unknown magic number: 0x%02x, 0x%02x, 0x%02x, 0x%02x", p[0], p[1], p[2],
                          p[3]);
    }
    if (p[4] != fixed[4] || p[5] > fixed[5]) {
        return ib_err_set(err, IB_EPROTOCOL, "unsupported protocol version: %u.%u", p[4], p[5]);
    }
    if (p[6] != fixed[6] || p[7] > fixed[7]) {
        return ib_err_set(err, IB_EENCODING, "unsupported protocol encoding version: %u.%u", p[6], p[7]);
    }
    int32_t size = ic_get_i32(p + 10);
    if (size < IC_HEADER_SIZE) {
        return ib_err_set(err, IB_EMSGSIZE, "illegal message size: %d", (int)size);
    }
    if (size > size_max) {
        return ib_err_set(err, IB_EMEMLIMIT, "message of %d bytes: Ice.MessageSizeMax allows %d", (int)size,
                          (int)size_max);
    }
    if (p[8] > IC_CLOSE) {
        return ib_err_set(err, IB_EMSGTYPE, "unknown message type: %u", p[8]);
    }
    *h = (struct ic_header){.type = p[8], .compression = p[9], .size = size};
    return 0;
}

void ic_header_build(uint8_t p[IC_HEADER_SIZE], uint8_t type, uint8_t compression, int32_t size)
{
    memcpy(p, fixed, sizeof fixed);
    p[8] = type;
    p[9] = compression;
    ic_put_i32(p + 10, size);
}
