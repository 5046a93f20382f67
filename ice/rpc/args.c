/* SPDX-License-Identifier: Apache-2.0 */
/* Properties from the command line and the configuration files it names (ice-protocol 20.2, 20.3). */
#include <moulin/base/buf.h>
#include <moulin/rpc/properties.h>

#include "text_priv.h"

#include <stdlib.h>

/* Is arg a property option: two dashes, a reserved prefix, a dot? */
static bool is_property_option(const char *arg)
{
    return strncmp(arg, "--", 2) == 0 && ir_reserved_prefix(arg + 2) != 0;
}

static int parse_option(struct ir_properties *p, const char *arg)
{
    struct ib_buf line;
    int rc = IB_ENOMEM;

    ib_buf_init(&line);
    ib_buf_puts(&line, arg + 2);
    if (strchr(arg, '=') == NULL)
        ib_buf_puts(&line, "=1");
    if (ib_buf_ok(&line))
        rc = ir_properties_parse_line(p, ib_buf_cstr(&line), "command line");
    ib_buf_fini(&line);
    return rc == IB_ECONFIG ? 0 : rc;
}

/* The comma-separated list of Ice.Config; names are trimmed. */
int ir_properties_load_list(struct ir_properties *p, const char *list, struct ib_err *err)
{
    const char *s = list;
    int rc = 0;

    while (rc == 0 && *s != 0) {
        size_t n = strcspn(s, ","), from = strspn(s, " \t\r\n"), to = n;

        if (from > n)
            from = n;
        while (to > from && strchr(" \t\r\n", s[to - 1]) != NULL)
            to--;
        if (to > from) {
            char *name = strndup(s + from, to - from);

            if (name == NULL)
                return ib_err_set(err, IB_ENOMEM, "out of memory");
            rc = ir_properties_load(p, name, err);
            free(name);
        }
        s += n + (s[n] == ',');
    }
    return rc;
}

/* The last --Ice.Config on the command line: its value; "" when it has none worth using; NULL when it is not there. */
static const char *config_option(int argc, char **argv)
{
    static const char option[] = "--Ice.Config";
    const char *value = NULL;

    for (int i = 1; i < argc; i++) {
        size_t n = sizeof(option) - 1;

        if (strncmp(argv[i], option, n) != 0)
            continue;
        if (argv[i][n] == 0)
            value = "";
        else if (argv[i][n] == '=')
            value = argv[i] + n + 1;
    }
    return value;
}

static int load_config(struct ir_properties *p, int argc, char **argv, struct ib_err *err)
{
    const char *list = config_option(argc, argv);
    const char *env = getenv("ICE_CONFIG");
    char *copy;
    int rc;

    if (list == NULL && ir_properties_has(p, "Ice.Config"))
        return 0; /* preset by the program: nothing is loaded */
    if (list == NULL || *list == 0 || strcmp(list, "1") == 0)
        list = env;
    if (list == NULL || *list == 0)
        return 0;
    copy = strdup(list);
    if (copy == NULL)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    rc = ir_properties_load_list(p, copy, err);
    if (rc == 0)
        rc = ir_properties_set(p, "Ice.Config", copy);
    free(copy);
    return rc;
}

static int program_name(struct ir_properties *p, const char *argv0)
{
    char *name;
    int rc;

    if (argv0 == NULL || ir_properties_has(p, "Ice.ProgramName"))
        return 0;
    name = strdup(argv0);
    if (name == NULL)
        return IB_ENOMEM;
    for (char *c = name; *c != 0; c++) {
        if (*c == '\\')
            *c = '/';
    }
    rc = ir_properties_set(p, "Ice.ProgramName", name);
    free(name);
    return rc;
}

int ir_properties_from_args(struct ir_properties *p, int *argc, char **argv, struct ib_err *err)
{
    int kept = *argc > 0 ? 1 : 0;
    int rc = load_config(p, *argc, argv, err);

    if (rc != 0)
        return rc;
    for (int i = 1; i < *argc && rc == 0; i++) {
        bool config = strncmp(argv[i], "--Ice.Config", 12) == 0 && (argv[i][12] == 0 || argv[i][12] == '=');

        if (config)
            continue; /* has had its effect */
        if (is_property_option(argv[i]))
            rc = parse_option(p, argv[i]);
        else
            argv[kept++] = argv[i];
    }
    if (rc == 0)
        rc = program_name(p, *argc > 0 ? argv[0] : NULL);
    if (rc != 0)
        return ib_err_set(err, rc, "command line: %s", ib_err_text(rc));
    *argc = kept;
    argv[kept] = NULL;
    return 0;
}
