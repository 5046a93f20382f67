/* SPDX-License-Identifier: Apache-2.0 */
/* The auth helpers that the properties ask for: how many, how long they may take, as whom they hash. */
#include <moulin/auth/helper.h>

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include <moulin/rpc/runtime.h>

#define PROPERTY_MAX 64
#define TIMEOUT_S 15
#define TIMEOUT_MAX_S 600
#define WORKERS 2
#define NOBODY 65534 /* where no user of that name is known */

static int read_int(const struct ir_properties *p, const char *key, int otherwise, int highest, int *out,
                    struct ib_err *err)
{
    int rc = ir_properties_int(p, key, otherwise, out, err);
    if (rc == 0 && (*out < 1 || *out > highest)) {
        rc = ib_err_set(err, IB_ECONFIG, "property %s=%d (%s) is out of range: give a number from 1 to %d", key, *out,
                        ir_properties_origin(p, key), highest);
    }
    return rc;
}

/* Only root can become somebody else; a wish that cannot be granted stops the start. */
static int read_user(const struct ir_properties *p, const char *key, struct auth_helper_config *cfg, struct ib_err *err)
{
    const char *name = ir_properties_get(p, key), *origin = ir_properties_origin(p, key);
    bool root = geteuid() == 0;
    if (!name[0] && !root) {
        return 0;
    }
    errno = 0;
    const struct passwd *pw = getpwnam(name[0] ? name : "nobody");
    if (name[0] && !pw) {
        return ib_err_set(err, IB_ECONFIG, "property %s=%.100s (%s) is invalid: %s; name a user of this system", key,
                          name, origin, errno ? strerror(errno) : "there is no such user");
    }
    cfg->uid = pw ? pw->pw_uid : NOBODY;
    cfg->gid = pw ? pw->pw_gid : NOBODY;
    cfg->drop = root && cfg->uid != 0;
    if (!root && cfg->uid != geteuid()) {
        return ib_err_set(err, IB_ECONFIG,
                          "property %s=%.100s (%s) needs a start as root: remove it, and the auth helper runs as the "
                          "user that starts this",
                          key, name, origin);
    }
    return 0;
}

int auth_helper_configure(struct ir_runtime *rt, const char *prefix, struct auth_helper **out, struct ib_err *err)
{
    const struct ir_properties *p = ir_runtime_properties(rt);
    struct auth_helper_config cfg = {.log = ir_runtime_log(rt)};
    char workers[PROPERTY_MAX], timeout[PROPERTY_MAX], user[PROPERTY_MAX];
    int n = WORKERS, s = TIMEOUT_S;
    (void)snprintf(workers, sizeof(workers), "%sAuthWorkers", prefix);
    (void)snprintf(timeout, sizeof(timeout), "%sAuthTimeout", prefix);
    (void)snprintf(user, sizeof(user), "%sAuthUser", prefix);
    *out = NULL;
    int rc = read_int(p, workers, WORKERS, AUTH_HELPER_WORKERS_MAX, &n, err);
    rc = rc ? rc : read_int(p, timeout, TIMEOUT_S, TIMEOUT_MAX_S, &s, err);
    rc = rc ? rc : read_user(p, user, &cfg, err);
    if (rc != 0) {
        return rc;
    }
    cfg.workers = (unsigned)n;
    cfg.deadline_ms = s * 1000;
    *out = auth_helper_new(ir_runtime_loop(rt), &cfg);
    return *out ? 0 : ib_err_set(err, IB_ENOMEM, "out of memory");
}
