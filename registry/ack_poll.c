/* SPDX-License-Identifier: Apache-2.0 */
#include "ack_poll.h"

int reg_ack_poll_begin(struct reg_ack_poll *p, int64_t now)
{
    p->since = now;
    return p->slow ? 0 : p->us;
}

bool reg_ack_poll_end(struct reg_ack_poll *p, int64_t now)
{
    if (!p->since)
        return false;
    p->slow = now - p->since > p->us;
    p->since = 0;
    return true;
}
