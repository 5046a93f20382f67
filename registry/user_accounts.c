/* SPDX-License-Identifier: Apache-2.0 */
/* IN/RegistryUserAccountMapper[-replica]: which account of the system stands for a user, from a file read once
   (icegrid-registry 13.1). A line is an account, then the user's name, which may have blanks. */
#include "registry.h"

#include <moulin/rpc/properties.h>
#include <slice/IceGrid/UserAccountMapper_rpc.h>
#include <uthash.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PROPERTY "IceGrid.Registry.UserAccounts"
#define BLANKS " \t\r\n"

struct account {
    UT_hash_handle hh; /* by user */
    char *user, *account; /* own */
};

struct mapper {
    struct reg *reg;
    struct ir_servant servant;
    struct account *accounts;
};

static void get_user_account(void *self, struct ir_request *rq,
                             const struct IceGrid_UserAccountMapper_getUserAccount_in *in)
{
    const struct mapper *m = self;
    const struct account *a;
    HASH_FIND(hh, m->accounts, ib_cstr(in->user), in->user.n, a);
    if (!a) {
        IceGrid_UserAccountNotFoundException_throw(rq, NULL);
        return;
    }
    const struct IceGrid_UserAccountMapper_getUserAccount_out out = {.ret = ib_str(a->account)};
    IceGrid_UserAccountMapper_getUserAccount_reply(rq, &out);
}

static const struct IceGrid_UserAccountMapper_servant vtable = {.getUserAccount = get_user_account};

static void account_free(struct account *a)
{
    free(a->user);
    free(a->account);
    free(a);
}

/* Later lines win. */
static int add(struct mapper *m, const char *account, const char *user)
{
    struct account *a = calloc(1, sizeof *a), *old;
    if (a) {
        a->account = strdup(account);
        a->user = strdup(user);
    }
    if (!a || !a->account || !a->user) {
        if (a)
            account_free(a);
        return IB_ENOMEM;
    }
    HASH_FIND_STR(m->accounts, a->user, old);
    if (old) {
        HASH_DEL(m->accounts, old);
        account_free(old);
    }
    HASH_ADD_KEYPTR(hh, m->accounts, a->user, strlen(a->user), a);
    if (a->hh.tbl)
        return 0;
    account_free(a);
    return IB_ENOMEM;
}

static int add_line(struct mapper *m, char *line)
{
    char *account, *user, *end = strchr(line, '#');
    if (end)
        *end = '\0';
    account = line + strspn(line, BLANKS);
    user = account + strcspn(account, BLANKS);
    if (*user)
        *user++ = '\0';
    user += strspn(user, BLANKS);
    for (end = user + strlen(user); end > user && strchr(BLANKS, end[-1]); end--)
        end[-1] = '\0';
    return *user ? add(m, account, user) : 0;
}

static int read_file(struct mapper *m, const char *path, struct ib_err *err)
{
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    int rc = 0;
    if (!f)
        return ib_err_set(err, IB_EFILE, "property `" PROPERTY "': cannot open user account file `%s': %s", path,
                          strerror(errno));
    while (!rc && getline(&line, &cap, f) >= 0)
        rc = add_line(m, line);
    if (!rc && ferror(f))
        rc = ib_err_set(err, IB_EFILE, "property `" PROPERTY "': cannot read user account file `%s'", path);
    else if (rc)
        ib_err_set(err, rc, "out of memory");
    free(line);
    fclose(f);
    return rc;
}

static void mapper_stop(void *state)
{
    struct mapper *m = state;
    struct account *a, *next;
    HASH_ITER(hh, m->accounts, a, next)
    {
        HASH_DEL(m->accounts, a);
        account_free(a);
    }
    free(m);
}

static void *mapper_start(struct reg *reg, struct ib_err *err)
{
    const char *path = ir_properties_get(ir_runtime_properties(reg->rt), PROPERTY);
    struct mapper *m = calloc(1, sizeof *m);
    if (!m) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    m->reg = reg;
    m->servant = (struct ir_servant){.iface = &IceGrid_UserAccountMapper_iface, .vtable = &vtable, .self = m};
    if (!*path)
        return m;
    struct iw_identity id = reg_replica_identity(reg, "RegistryUserAccountMapper", &reg->arena);
    int rc = read_file(m, path, err);
    if (!rc && (rc = id.name.p ? ir_adapter_add(reg->internal, &id, "", &m->servant) : IB_ENOMEM) != 0)
        ib_err_set(err, rc, "%s", ib_err_text(rc));
    if (!rc)
        return m;
    mapper_stop(m);
    return NULL;
}

const struct reg_part reg_user_accounts_part = {"user accounts", mapper_start, mapper_stop};
