/* SPDX-License-Identifier: Apache-2.0 */
/* The application commands of `moulin admin`. */
#include "commands.h"

#include <slice/IceGrid/Admin.h>

#include <stdio.h>

int adm_application_remove(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    const struct IceGrid_Admin_removeApplication_in in = {.name = args[0]};
    (void)n;
    return adm_invoke(c->peer, c->admin, &IceGrid_Admin_removeApplication_op, &in, NULL, err);
}

int adm_application_list(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err)
{
    const struct IceGrid_Admin_getAllApplicationNames_in in = {0};
    const void *out = NULL;
    (void)args;
    (void)n;
    int code = adm_invoke(c->peer, c->admin, &IceGrid_Admin_getAllApplicationNames_op, &in, &out, err);
    if (code != 0)
        return code;
    const struct IceGrid_Admin_getAllApplicationNames_out *names = out;
    for (size_t i = 0; i < names->ret.n; i++)
        printf("%s\n", names->ret.v[i].p);
    return 0;
}
