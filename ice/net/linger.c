/* SPDX-License-Identifier: Apache-2.0 */
#include "linger.h"

int64_t ic_linger_due(struct ic_linger *l, int64_t now_us)
{
    bool only = l->oneways && !l->awaited;
    l->oneways = l->awaited = false;
    if (!only || l->max_us == 0)
        return 0;
    int64_t us = now_us - l->at < l->max_us ? l->max_us : 0;
    l->at = now_us + us;
    return us;
}
