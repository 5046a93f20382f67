/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions of replication. Pure. */
#include "replica_policy.h"

#include <stdio.h>
#include <string.h>

#define PROMOTION_STEP 1000

/* --- the master about a slave ---------------------------------------------------------------------------------- */

int64_t reg_session_ms(int timeout)
{
    if (timeout <= 0)
        return 0;
    return timeout < 10 ? 10000 : (int64_t)timeout * 1000;
}

enum reg_slave_verdict reg_judge_slave(const struct reg_slave_facts *f, const struct reg_slave_limits *l)
{
    if (l->silent > 0 && f->silent >= l->silent)
        return REG_SLAVE_SILENT;
    if (f->table >= l->table)
        return REG_SLAVE_LAGGING;
    if (f->change >= l->change)
        return f->syncing ? REG_SLAVE_RELEASE : REG_SLAVE_LAGGING;
    return REG_SLAVE_KEEP;
}

static void earlier(int64_t *next, int64_t limit, int64_t age)
{
    int64_t left = limit - (age > 0 ? age : 0);
    if (left < *next)
        *next = left;
}

int64_t reg_slave_next_look(const struct reg_slave_facts *f, const struct reg_slave_limits *l)
{
    int64_t next = l->change; /* a change that begins to wait now */
    earlier(&next, l->change, f->change);
    earlier(&next, l->table, f->table);
    if (l->silent > 0)
        earlier(&next, l->silent, f->silent);
    return next > 1 ? next : 1;
}

/* --- names ------------------------------------------------------------------------------------------------------ */

bool reg_replica_name_ok(struct ib_str name)
{
    if (name.n == 0 || name.n > REG_REPLICA_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f)
            return false;
    return true;
}

bool reg_replica_owns(struct ib_str instance, struct ib_str replica, const struct iw_identity *id)
{
    static const char *const kinds[] = {"InternalRegistry-", "Registry-", "RegistryUserAccountMapper-",
                                        "AdminSessionManager-", "AdminSSLSessionManager-"};
    if (!ib_str_eq(id->category, instance))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t n = strlen(kinds[i]);
        if (id->name.n == n + replica.n && memcmp(id->name.p, kinds[i], n) == 0 &&
            memcmp(id->name.p + n, replica.p, replica.n) == 0)
            return true;
    }
    return false;
}

/* --- serials ---------------------------------------------------------------------------------------------------- */

bool reg_serials_ahead(const struct reg_serials *ours, const struct reg_serials *theirs, char *out, size_t cap)
{
    static const char *const names[REG_POLICY_TABLES] = {"applications", "adapters", "objects"};
    size_t at = 0;
    out[0] = '\0';
    for (int t = 0; t < REG_POLICY_TABLES; t++) {
        if (theirs->v[t] <= ours->v[t])
            continue;
        int n = snprintf(out + at, cap - at, "\n`%s' database: master serial = %lld, replica serial = %lld", names[t],
                         (long long)ours->v[t], (long long)theirs->v[t]);
        at += n > 0 && (size_t)n < cap - at ? (size_t)n : 0;
    }
    return out[0];
}

bool reg_serial_backwards(int64_t have, int64_t given)
{
    return given && given < have;
}

/* --- a master about another master ------------------------------------------------------------------------------ */

enum reg_rival_verdict reg_judge_rival(const struct reg_search *s, bool *away)
{
    bool frozen = s->took > s->limit;
    *away = *away || s->lost || frozen;
    if (s->found)
        return *away ? REG_RIVAL_STEP_DOWN : REG_RIVAL_REPORT;
    if (frozen)
        return REG_RIVAL_AGAIN;
    *away = *away && !s->followed; /* that nobody answers proves nothing: it may be cut off still */
    return REG_RIVAL_NONE;
}

int64_t reg_promoted_serial(int64_t serial)
{
    return serial > INT64_MAX - PROMOTION_STEP ? serial : serial + PROMOTION_STEP;
}
