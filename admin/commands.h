/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of `moulin admin`, as one table: it runs them, checks their arguments and prints the help. */
#ifndef MOULIN_ADMIN_COMMANDS_H
#define MOULIN_ADMIN_COMMANDS_H

#include "peer.h"

#define ADM_WORDS_MAX 64

struct Ice_StringSeq;
struct IceGrid_ApplicationDescriptor;

struct adm_console {
    struct adm_peer *peer;
    struct iw_proxy *admin; /* IceGrid::Admin of the session */
    bool json; /* lists and descriptions for scripts */
};

struct adm_command {
    const char *category, *name, *arguments; /* category NULL ends the table; a name may be two words */
    int min_arguments, max_arguments;
    int (*run)(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
};

extern const struct adm_command adm_commands[];

int adm_application_add(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
int adm_application_update(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
int adm_application_remove(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
int adm_application_list(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
int adm_application_describe(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
int adm_application_diff(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
int adm_application_patch(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
int adm_server_template_describe(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
int adm_server_template_instantiate(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);
int adm_service_template_describe(struct adm_console *c, const struct ib_str *args, int n, struct ib_err *err);

/* What now would change in old, to stdout; IB_ENOMEM. */
int adm_print_difference(const struct IceGrid_ApplicationDescriptor *old,
                         const struct IceGrid_ApplicationDescriptor *now, struct ib_arena *arena, struct ib_err *err);
/* One name a line, or a JSON array. */
void adm_print_names(const struct adm_console *c, const struct Ice_StringSeq *names);

#endif
