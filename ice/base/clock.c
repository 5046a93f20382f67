/* SPDX-License-Identifier: Apache-2.0 */
/* Time, randomness and UUIDs from the kernel. */
#include <moulin/base/clock.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static int64_t now(clockid_t id)
{
    struct timespec ts;
    if (clock_gettime(id, &ts) != 0)
        abort(); /* only an id the kernel does not know can fail */
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t ib_clock_ms(void)
{
    return now(CLOCK_MONOTONIC);
}

int64_t ib_clock_coarse_ms(void)
{
    return now(CLOCK_MONOTONIC_COARSE);
}

int64_t ib_clock_us(void)
{
    struct timespec ts;
    if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
        abort();
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t ib_clock_wall_ms(void)
{
    return now(CLOCK_REALTIME);
}

void ib_random(void *p, size_t n)
{
    uint8_t *to = p;
    while (n > 0) {
        ssize_t got = getrandom(to, n, 0);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            abort();
        }
        to += got;
        n -= (size_t)got;
    }
}

void ib_uuid(char out[IB_UUID_LEN + 1])
{
    static const char hex[] = "0123456789ABCDEF";
    uint8_t r[16];
    ib_random(r, sizeof(r));
    r[6] = (uint8_t)((r[6] & 0x0f) | 0x40); /* version 4 */
    r[8] = (uint8_t)((r[8] & 0x3f) | 0x80); /* RFC 4122 variant */
    char *to = out;
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = hex[r[i] >> 4];
        *to++ = hex[r[i] & 15];
    }
    *to = '\0';
}
