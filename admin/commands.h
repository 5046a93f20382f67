/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of `moulin admin`, as one table: it runs them, checks their arguments and prints the help. */
#ifndef MOULIN_ADMIN_COMMANDS_H
#define MOULIN_ADMIN_COMMANDS_H

#include "peer.h"

#define ADM_WORDS_MAX 64

struct adm_console {
    struct adm_peer *peer;
    struct iw_proxy *admin; /* IceGrid::Admin of the session */
};

struct adm_command {
    const char *category, *name, *arguments; /* category NULL ends the table */
    int min_arguments, max_arguments;
    int (*run)(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
};

extern const struct adm_command adm_commands[];

int adm_application_add(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
int adm_application_update(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
int adm_application_remove(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
int adm_application_list(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);

#endif
