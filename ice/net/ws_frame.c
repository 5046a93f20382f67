/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket frame headers and masks on the sending side (ice-protocol 14.4). */
#include "transport.h"

#include <string.h>

size_t ic_ws_prefix(uint8_t p[IC_WS_PREFIX_MAX], int opcode, uint64_t n, const uint8_t *mask)
{
    uint8_t masked = mask ? 0x80 : 0;
    size_t at = 2;
    int bytes = 0; /* of the extended length */
    p[0] = (uint8_t)(0x80 | opcode); /* FIN: always the whole message */
    if (n <= 125) {
        p[1] = (uint8_t)(masked | n);
    } else {
        bytes = n <= 0xFFFF ? 2 : 8;
        p[1] = (uint8_t)(masked | (bytes == 2 ? 126 : 127));
    }
    for (int i = bytes - 1; i >= 0; i--) {
        p[at++] = (uint8_t)(n >> (8 * i));
    }
    if (mask) {
        memcpy(p + at, mask, 4);
        at += 4;
    }
    return at;
}

void ic_ws_mask(uint8_t *p, size_t n, const uint8_t mask[4], uint64_t offset)
{
    uint8_t turned[8];
    uint64_t word, part;
    for (size_t i = 0; i < sizeof turned; i++) {
        turned[i] = mask[(offset + i) & 3];
    }
    memcpy(&word, turned, sizeof word);
    size_t i = 0;
    for (; i + sizeof part <= n; i += sizeof part) {
        memcpy(&part, p + i, sizeof part);
        part ^= word;
        memcpy(p + i, &part, sizeof part);
    }
    for (; i < n; i++) {
        p[i] ^= turned[i & 7];
    }
}
