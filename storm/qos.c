/* SPDX-License-Identifier: Apache-2.0 */
#include "qos.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/err.h>
#include <moulin/wire/types.h>

/* A number with nothing but blanks around it. */
static bool is_number(struct ib_str s)
{
    const char *text = ib_cstr(s);
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || errno || value > INT_MAX || value < INT_MIN)
        return false;
    while (isspace((unsigned char)*end))
        end++;
    return end == text + s.n;
}

/* As lenient as the original: what comes first, else 0. */
static int leading_number(struct ib_str s)
{
    long value = strtol(ib_cstr(s), NULL, 10);
    return value > INT_MAX ? INT_MAX : value < INT_MIN ? INT_MIN : (int)value;
}

static int refuse(char *reason, const char *what, struct ib_str value)
{
    snprintf(reason, STORM_QOS_REASON, "%s: %s", what, ib_cstr(value));
    return IB_EINVAL;
}

static int parse_reliability(struct ib_str value, uint8_t mode, struct storm_qos *out, char *reason)
{
    out->ordered = ib_str_is(value, "ordered");
    if (value.n && !out->ordered)
        return refuse(reason, "invalid reliability", value);
    if (!out->ordered || mode == IW_TWOWAY)
        return 0;
    snprintf(reason, STORM_QOS_REASON, "ordered reliability requires a twoway proxy");
    return IB_EINVAL;
}

int storm_qos_parse(const struct IceStorm_QoS *qos, uint8_t mode, struct storm_qos *out, char reason[STORM_QOS_REASON])
{
    *out = (struct storm_qos){0};
    for (size_t i = 0; i < qos->n; i++) {
        struct ib_str key = qos->v[i].key, value = qos->v[i].value;
        int rc = 0;
        if (ib_str_is(key, "reliability"))
            rc = parse_reliability(value, mode, out, reason);
        else if (ib_str_is(key, "retryCount"))
            out->retry_count = leading_number(value);
        else if (ib_str_is(key, "locatorCacheTimeout") && !is_number(value))
            rc = refuse(reason, "invalid locator cache timeout (numeric value required)", value);
        else if (ib_str_is(key, "connectionCached") && !is_number(value))
            rc = refuse(reason, "invalid connection cached setting (numeric value required)", value);
        if (rc)
            return rc;
    }
    return 0;
}
