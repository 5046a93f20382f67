/* SPDX-License-Identifier: Apache-2.0 */
/* Time, ids and randomness. */
#ifndef MOULIN_BASE_CLOCK_H
#define MOULIN_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t ib_clock_ms(void); /* monotonic milliseconds */
int64_t ib_clock_coarse_ms(void); /* the same, a few milliseconds late, but cheap: for stamps of messages */
int64_t ib_clock_us(void); /* monotonic microseconds */
int64_t ib_clock_wall_ms(void); /* milliseconds since the epoch */
void ib_random(void *p, size_t n); /* from the kernel; never fails (aborts when the kernel has none) */

#define IB_UUID_LEN 36
void ib_uuid(char out[IB_UUID_LEN + 1]); /* random UUID, upper-case hex as Ice prints it */

#endif
