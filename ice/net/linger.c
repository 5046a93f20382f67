/* SPDX-License-Identifier: Apache-2.0 */
#include "linger.h"

#define SHARE_MIN 25 /* percent of a processor: with less there is nothing to save */
#define SHARE_FULL 50 /* from here on it lingers as long as it may */
#define SOURCES_MIN 16
#define SOURCES_PER_HEARD 4
#define VAIN_MAX 8 /* then one round in 256 */

void ic_linger_window(struct ic_linger *l, int64_t now_us, int64_t cpu_us)
{
    l->share = (int)((cpu_us - l->cpu_us) * 100 / (now_us - l->since_us));
    l->since_us = now_us;
    l->cpu_us = cpu_us;
    l->sources_before = l->sources;
    l->sources = 0;
    l->window++;
}

static int64_t oneways_due(struct ic_linger *l, int64_t now_us)
{
    int64_t us = now_us - l->at < l->oneway_us ? l->oneway_us : 0;
    l->at = now_us + us;
    return us;
}

/* What the last time was good for: a wait that brings less than two messages is tried less and less. */
static bool pays(struct ic_linger *l, unsigned heard)
{
    if (l->lingered && heard >= 2) {
        l->vain = 0;
    } else if (l->lingered) {
        l->vain = (uint8_t)(l->vain < VAIN_MAX ? l->vain + 1 : VAIN_MAX);
        l->skip = 1U << l->vain;
    }
    l->lingered = false;
    if (l->skip == 0)
        return true;
    l->skip--;
    return false;
}

static int64_t busy_due(struct ic_linger *l, unsigned heard)
{
    unsigned sources = l->sources > l->sources_before ? l->sources : l->sources_before;
    int share = l->share < SHARE_FULL ? l->share : SHARE_FULL;
    if (!pays(l, heard) || sources < SOURCES_MIN || heard * SOURCES_PER_HEARD > sources || share <= SHARE_MIN)
        return 0;
    int64_t us = l->busy_us * (share - SHARE_MIN) / (SHARE_FULL - SHARE_MIN);
    l->lingered = us > 0;
    return us;
}

int64_t ic_linger_due(struct ic_linger *l, int64_t now_us)
{
    bool oneways = l->oneways, awaited = l->awaited;
    unsigned heard = l->heard;
    l->oneways = l->awaited = false;
    l->heard = 0;
    if (awaited)
        return l->busy_us ? busy_due(l, heard) : 0;
    return oneways && l->oneway_us ? oneways_due(l, now_us) : 0;
}
