/* SPDX-License-Identifier: Apache-2.0 */
/* `moulin admin`: deploys and inspects a grid, direct or through a gateway. One command from the command line, or
   several line by line from stdin. */
#include <moulin/admin/admin.h>

#include "commands.h"
#include "words.h"

#include <slice/IceGrid/Admin.h>

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "Usage: moulin admin [options] [COMMAND [ARGUMENT...]]\n"
    "Runs one command, or those on stdin line by line. Reaches the registry by --Ice.Default.Locator=PROXY, or through "
    "a\n"
    "gateway by --Ice.Default.Router=PROXY.\n"
    "\n"
    "  -u, --user NAME           who logs in (asked for when missing)\n"
    "  -P, --password-file FILE  its first line is the password; '-' is stdin (asked for when missing)\n"
    "  -S, --ssl                 log in with the TLS certificate (IceSSL.CertFile) instead\n"
    "  -r, --replica NAME        registry replica to ask (default: the master)\n"
    "  -j, --json                lists and descriptions as JSON\n"
    "  -h, --help                this text\n"
    "\n"
    "Commands:\n";

struct adm_options {
    struct adm_login login;
    const char *replica;
    bool json;
};

static void print_usage(FILE *to)
{
    fputs(usage, to);
    for (const struct adm_command *c = adm_commands; c->category; c++)
        fprintf(to, "  %s %s %s\n", c->category, c->name, c->arguments);
}

static int parse(struct adm_options *o, int argc, char **argv)
{
    static const struct option options[] = {
        {"user", required_argument, NULL, 'u'},
        {"password-file", required_argument, NULL, 'P'},
        {"ssl", no_argument, NULL, 'S'},
        {"replica", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "+u:P:Sr:jh", options, NULL)) != -1) {
        switch (c) {
        case 'u':
            o->login.user = optarg;
            break;
        case 'P':
            o->login.password_file = optarg;
            break;
        case 'S':
            o->login.certificate = true;
            break;
        case 'r':
            o->replica = optarg;
            break;
        case 'j':
            o->json = true;
            break;
        case 'h':
            print_usage(stdout);
            return 0;
        default:
            print_usage(stderr);
            return 1;
        }
    }
    return -1;
}

static int log_in(struct adm_peer *p, const struct adm_options *o, struct ib_err *err)
{
    struct ib_str user;
    struct ib_secret *password = NULL;
    int code = adm_credentials(&o->login, &p->arena, &user, &password, err);
    if (code == 0)
        code = p->router ? adm_peer_login(p, user, password, o->login.certificate, err)
                         : adm_peer_login_registry(p, o->replica, user, password, o->login.certificate, err);
    ib_secret_free(password);
    if (code == 0 && !p->session)
        code = ib_err_set(err, IB_ECONFIG,
                          "the gateway gives no admin session: set its Glacier2.SessionManager to the registry's "
                          "AdminSessionManager");
    return code;
}

static int get_admin(struct adm_peer *p, struct iw_proxy **admin, struct ib_err *err)
{
    const struct IceGrid_AdminSession_getAdmin_in in = {0};
    const void *out = NULL;
    int code = adm_invoke(p, p->session, &IceGrid_AdminSession_getAdmin_op, &in, &out, err);
    if (code == 0)
        *admin = ((const struct IceGrid_AdminSession_getAdmin_out *)out)->ret;
    return code;
}

/* How many words name the command; 0: another one. */
static int command_words(const struct adm_command *cmd, const struct ib_str *words, int n)
{
    const char *rest = cmd->name;
    int used = 1;
    if (n < 1 || !ib_str_is(words[0], cmd->category))
        return 0;
    while (*rest) {
        size_t length = strcspn(rest, " ");
        if (used == n || words[used].n != length || memcmp(words[used].p, rest, length) != 0)
            return 0;
        used++;
        rest += length + (rest[length] == ' ');
    }
    return used;
}

static int run_words(struct adm_console *c, const struct ib_str *words, int n, struct ib_err *err)
{
    for (const struct adm_command *cmd = adm_commands; cmd->category; cmd++) {
        int used = command_words(cmd, words, n);
        if (!used)
            continue;
        if (n - used < cmd->min_arguments || n - used > cmd->max_arguments)
            return ib_err_set(err, IB_EINVAL, "usage: %s %s %s", cmd->category, cmd->name, cmd->arguments);
        return cmd->run(c, words + used, n - used, err);
    }
    return ib_err_set(err, IB_EINVAL, "unknown command `%s%s%s'; see moulin admin --help", n > 0 ? words[0].p : "",
                      n > 1 ? " " : "", n > 1 ? words[1].p : "");
}

static bool report(int code, const struct ib_err *err)
{
    if (code != 0)
        fprintf(stderr, "error: %s\n", err->text);
    fflush(stdout);
    return code != 0;
}

static bool run_stdin(struct adm_console *c)
{
    struct adm_line_reader reader;
    bool failed = false;
    char *line;
    adm_line_reader_init(&reader, c->peer->loop);
    while ((line = adm_line_reader_next(&reader)) != NULL) {
        struct ib_str words[ADM_WORDS_MAX];
        struct ib_err err = {0};
        int n = adm_words(line, &c->peer->arena, words, ADM_WORDS_MAX, &err);
        if (n != 0)
            failed |= report(n < 0 ? n : run_words(c, words, n, &err), &err);
    }
    adm_line_reader_fini(&reader);
    return failed;
}

static bool run_arguments(struct adm_console *c, int argc, char **argv)
{
    struct ib_str words[ADM_WORDS_MAX];
    struct ib_err err = {0};
    if (argc > ADM_WORDS_MAX)
        return report(ib_err_set(&err, IB_ELIMIT, "more than %d words in a command", ADM_WORDS_MAX), &err);
    for (int i = 0; i < argc; i++)
        words[i] = ib_str(argv[i]);
    return report(run_words(c, words, argc, &err), &err);
}

int adm_admin_main(int argc, char **argv)
{
    struct adm_options options = {.replica = ""};
    struct adm_peer peer;
    struct adm_console console = {.peer = &peer};
    struct ib_err err = {0};
    int code = adm_peer_open(&peer, &argc, argv, &err);
    if (code != 0)
        return report(code, &err);
    int status = parse(&options, argc, argv);
    console.json = options.json;
    if (status < 0) {
        code = log_in(&peer, &options, &err);
        if (code == 0)
            code = get_admin(&peer, &console.admin, &err);
        bool failed = code != 0       ? report(code, &err)
                      : optind < argc ? run_arguments(&console, argc - optind, argv + optind)
                                      : run_stdin(&console);
        status = failed ? 1 : 0;
    }
    adm_peer_close(&peer);
    return status;
}
