/* SPDX-License-Identifier: Apache-2.0 */
/* The executable's entry: one table from the first argument to the role that runs. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include <moulin/admin/admin.h>
#include <moulin/auth/helper.h>
#include <moulin/auth/passwd.h>
#include <moulin/certs/certs.h>
#include <moulin/gateway/gateway.h>
#include <moulin/registry/registry.h>
#include <moulin/storm/storm.h>

#include "serve.h"

struct role {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is "moulin NAME" */
    const char *summary; /* NULL: not for people */
};

static int run_gateway(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "sessions") == 0) {
        static char name[] = "moulin gateway sessions";
        argv[1] = name;
        return adm_gateway_main(argc - 1, argv + 1);
    }
    return ir_service_main(&gw_service, argc, argv);
}

static int run_registry(int argc, char **argv)
{
    if (argc > 1 && reg_is_maintenance(argv[1])) {
        return reg_maintenance_main(argc - 1, argv + 1);
    }
    return ir_service_main(&reg_service, argc, argv);
}

static int run_serve(int argc, char **argv)
{
    return ir_service_main(&serve_service, argc, argv);
}

static int run_storm(int argc, char **argv)
{
    if (argc > 1 && storm_is_maintenance(argv[1])) {
        return storm_maintenance_main(argc - 1, argv + 1);
    }
    return ir_service_main(&storm_service, argc, argv);
}

static int run_auth_helper(int argc, char **argv)
{
    auth_helper_main(argc, argv);
}

static const struct role roles[] = {
    {"gateway", run_gateway, "log clients in and route their requests: a Glacier2 router"},
    {"registry", run_registry, "one replica of the grid's registry, master or slave"},
    {"serve", run_serve, "a gateway and a registry replica in one process"},
    {"storm", run_storm, "topics: publish and subscribe"},
    {"admin", adm_admin_main, "deploy and inspect a grid"},
    {"client", adm_client_main, "log in through a gateway, look up, allocate, release"},
    {"passwd", auth_passwd_main, "make a line for a password file"},
    {"certs", certs_main, "make a private certificate authority and certificates"},
    {AUTH_HELPER_ROLE, run_auth_helper, NULL},
};

#define ROLE_COUNT (sizeof(roles) / sizeof(roles[0]))

static void print_usage(FILE *f)
{
    (void)fputs("Usage: moulin ROLE [options]\n\nRoles:\n", f);
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        if (roles[i].summary) {
            (void)fprintf(f, "  %-10s %s\n", roles[i].name, roles[i].summary);
        }
    }
    (void)fputs("\n  --help, --version; moulin ROLE --help tells the options of a role, moulin gateway sessions --help "
                "how to list and\n"
                "  end the sessions of a gateway that runs, drain it, and have it read its configuration again.\n",
                f);
}

static int run(const struct role *role, int argc, char **argv)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "moulin %s", role->name);
    argv[1] = name;
    return role->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    /* Messages come and go at the top of the heap, batches of a MiB too: giving each back to the system, and taking its pages
       anew, costs more than carrying it. */
    (void)mallopt(M_TRIM_THRESHOLD, 4 << 20);
    (void)mallopt(M_MMAP_THRESHOLD, 4 << 20);
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-v") == 0) {
        (void)puts("moulin " MOULIN_VERSION);
        return 0;
    }
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        if (strcmp(word, roles[i].name) == 0) {
            return run(&roles[i], argc, argv);
        }
    }
    if (argc > 1) {
        (void)fprintf(stderr, "moulin: unknown role `%.64s'\n", word);
    }
    print_usage(stderr);
    return 1;
}
