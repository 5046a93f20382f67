/* SPDX-License-Identifier: Apache-2.0 */
/* `moulin client`: logs in through a gateway and looks up, allocates, holds and releases, one command after the other.
   With --reconnect it logs in again at the router's next endpoint when the gateway is lost. */
#include <moulin/admin/admin.h>

#include "peer.h"
#include "words.h"

#include <slice/IceGrid/Registry.h>
#include <slice/IceGrid/Session.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct client {
    struct adm_peer peer;
    struct adm_login login;
    struct ib_str user;
    struct ib_secret *password;
    const char *instance; /* IceGrid instance behind the gateway */
    bool reconnect;
    int allocation_timeout; /* ms, kept for the session after a reconnect; -1 */
};

static const char usage[] =
    "Usage: moulin client [options] --Ice.Default.Router=PROXY\n"
    "Logs in through a gateway and runs commands, from -e or line by line from stdin.\n"
    "\n"
    "  -u, --user NAME           who logs in (asked for when missing)\n"
    "  -P, --password-file FILE  its first line is the password; '-' is stdin (asked for when missing)\n"
    "  -S, --ssl                 log in with the TLS certificate (IceSSL.CertFile) instead\n"
    "  -i, --instance NAME       IceGrid instance behind the gateway (default: IceGrid)\n"
    "  -r, --reconnect           after a loss log in again, at the next endpoint of the router proxy\n"
    "  -e, --execute COMMANDS    commands separated by ';'; may be repeated\n"
    "  -h, --help                this text\n"
    "\n"
    "Commands:\n"
    "  find IDENTITY             the proxy of a well-known object\n"
    "  find-type TYPE            the proxies of all objects of a type\n"
    "  ping PROXY                call ice_ping on an object\n"
    "  timeout MS                how long an allocation may wait (-1: for ever, 0: not at all)\n"
    "  allocate IDENTITY         allocate an object, waiting for it if needed\n"
    "  allocate-type TYPE        allocate any free object of a type\n"
    "  release IDENTITY          give it back\n"
    "  hold SECONDS              keep the session for so long\n"
    "  quit                      end the session\n";

static int login(struct client *c, struct ib_err *err)
{
    int code = adm_peer_login(&c->peer, c->user, c->password, c->login.certificate, err);
    if (code != 0)
        return code;
    struct ic_conn_info info;
    ic_conn_get_info(ir_conn_net(c->peer.conn), &info);
    printf("logged in at %s:%d over %s%s\n", info.remote_host, info.remote_port, info.transport,
           c->peer.session ? ", with a registry session" : "");
    return 0;
}

static int identity(struct client *c, const char *text, struct iw_identity *id, struct ib_err *err)
{
    return ir_identity_parse(ib_str(text), &c->peer.arena, id, err);
}

static void print_proxy(struct client *c, const char *what, const struct iw_proxy *prx)
{
    printf("%s %s\n", what, ib_cstr(ir_proxy_format(prx, IR_UNICODE, &c->peer.arena)));
}

static struct iw_proxy *query(struct client *c)
{
    return ir_proxy_well_known(IB_STR("Query"), ib_str(c->instance), &c->peer.arena);
}

static int do_find(struct client *c, const char *arg, struct ib_err *err)
{
    struct IceGrid_Query_findObjectById_in in;
    const void *out = NULL;
    int code = identity(c, arg, &in.id, err);
    if (code == 0)
        code = adm_invoke(&c->peer, query(c), &IceGrid_Query_findObjectById_op, &in, &out, err);
    if (code != 0)
        return code;
    const struct iw_proxy *found = ((const struct IceGrid_Query_findObjectById_out *)out)->ret;
    if (!found)
        return ib_err_set(err, IB_ENOTFOUND, "no object `%s' is registered", arg);
    print_proxy(c, "found", found);
    return 0;
}

static int do_find_type(struct client *c, const char *arg, struct ib_err *err)
{
    const struct IceGrid_Query_findAllObjectsByType_in in = {.type = ib_str(arg)};
    const void *out = NULL;
    int code = adm_invoke(&c->peer, query(c), &IceGrid_Query_findAllObjectsByType_op, &in, &out, err);
    if (code != 0)
        return code;
    const struct IceGrid_Query_findAllObjectsByType_out *all = out;
    for (size_t i = 0; i < all->ret.n; i++)
        print_proxy(c, "found", all->ret.v[i]);
    return all->ret.n ? 0 : ib_err_set(err, IB_ENOTFOUND, "no object of type `%s' is registered", arg);
}

static int do_ping(struct client *c, const char *arg, struct ib_err *err)
{
    struct iw_proxy *prx = NULL;
    int code = ir_runtime_parse_proxy(c->peer.rt, arg, &c->peer.arena, &prx, err);
    if (code == 0 && !prx)
        code = ib_err_set(err, IB_EPARSEPROXY, "the proxy is null");
    if (code == 0)
        code = adm_invoke(&c->peer, prx, &ir_op_ice_ping, NULL, NULL, err);
    if (code == 0)
        printf("alive %s\n", arg);
    return code;
}

static int need_session(struct client *c, struct ib_err *err)
{
    if (c->peer.session)
        return 0;
    return ib_err_set(err, IB_ECONFIG,
                      "this gateway gives no registry session (Glacier2.SessionManager is not set there), so "
                      "nothing can be allocated");
}

static int set_timeout(struct client *c, struct ib_err *err)
{
    const struct IceGrid_Session_setAllocationTimeout_in in = {.timeout = c->allocation_timeout};
    return adm_invoke(&c->peer, c->peer.session, &IceGrid_Session_setAllocationTimeout_op, &in, NULL, err);
}

static int do_timeout(struct client *c, const char *arg, struct ib_err *err)
{
    char *end;
    long ms = strtol(arg, &end, 10);
    if (*end || ms < -1 || ms > INT32_MAX)
        return ib_err_set(err, IB_EINVAL, "`%s' is not a number of milliseconds", arg);
    c->allocation_timeout = (int)ms;
    int code = need_session(c, err);
    return code == 0 ? set_timeout(c, err) : code;
}

static int do_allocate(struct client *c, const char *arg, struct ib_err *err)
{
    struct IceGrid_Session_allocateObjectById_in in;
    const void *out = NULL;
    int code = need_session(c, err);
    if (code == 0)
        code = identity(c, arg, &in.id, err);
    if (code == 0)
        code = adm_invoke(&c->peer, c->peer.session, &IceGrid_Session_allocateObjectById_op, &in, &out, err);
    if (code == 0)
        print_proxy(c, "allocated", ((const struct IceGrid_Session_allocateObjectById_out *)out)->ret);
    return code;
}

static int do_allocate_type(struct client *c, const char *arg, struct ib_err *err)
{
    const struct IceGrid_Session_allocateObjectByType_in in = {.type = ib_str(arg)};
    const void *out = NULL;
    int code = need_session(c, err);
    if (code == 0)
        code = adm_invoke(&c->peer, c->peer.session, &IceGrid_Session_allocateObjectByType_op, &in, &out, err);
    if (code == 0)
        print_proxy(c, "allocated", ((const struct IceGrid_Session_allocateObjectByType_out *)out)->ret);
    return code;
}

static int do_release(struct client *c, const char *arg, struct ib_err *err)
{
    struct IceGrid_Session_releaseObject_in in;
    int code = need_session(c, err);
    if (code == 0)
        code = identity(c, arg, &in.id, err);
    if (code == 0)
        code = adm_invoke(&c->peer, c->peer.session, &IceGrid_Session_releaseObject_op, &in, NULL, err);
    if (code == 0)
        printf("released %s\n", arg);
    return code;
}

static int do_hold(struct client *c, const char *arg, struct ib_err *err)
{
    char *end;
    long s = strtol(arg, &end, 10);
    if (*end || s < 0 || s > 1000000)
        return ib_err_set(err, IB_EINVAL, "`%s' is not a number of seconds", arg);
    printf("holding for %ld s\n", s);
    fflush(stdout);
    adm_peer_wait(&c->peer, s * 1000, NULL, NULL);
    return c->peer.conn ? 0 : ib_err_set(err, IB_ELOST, "the gateway closed the connection");
}

static const struct command {
    const char *name;
    int (*run)(struct client *c, const char *arg, struct ib_err *err);
} commands[] = {
    {"find", do_find},         {"find-type", do_find_type},         {"ping", do_ping},       {"timeout", do_timeout},
    {"allocate", do_allocate}, {"allocate-type", do_allocate_type}, {"release", do_release}, {"hold", do_hold},
};

static int run_once(struct client *c, const struct command *cmd, const char *arg, struct ib_err *err)
{
    int code = c->peer.conn ? 0 : login(c, err);
    return code == 0 ? cmd->run(c, arg, err) : code;
}

/* False: the client is to end. */
static bool run_line(struct client *c, char *line, bool *failed)
{
    struct ib_str words[3];
    struct ib_err err = {0};
    int n = adm_words(line, &c->peer.arena, words, 3, &err);
    if (n == 0 || (n == 1 && ib_str_is(words[0], "quit")))
        return n == 0;
    const struct command *cmd = NULL;
    for (size_t i = 0; n == 2 && i < sizeof commands / sizeof *commands; i++)
        if (ib_str_is(words[0], commands[i].name))
            cmd = &commands[i];
    int code = n < 0 ? n
               : !cmd
                   ? ib_err_set(&err, IB_EINVAL, "unknown command or wrong number of words; see moulin client --help")
                   : run_once(c, cmd, words[1].p, &err);
    if (code != 0 && cmd && c->reconnect && !c->peer.conn) {
        printf("gateway lost: %s\n", err.text);
        fflush(stdout);
        code = run_once(c, cmd, words[1].p, &err);
    }
    if (code != 0) {
        fprintf(stderr, "error: %s\n", err.text);
        *failed = true;
    }
    fflush(stdout);
    return true;
}

static void run_stdin(struct client *c, bool *failed)
{
    struct adm_line_reader reader;
    char *line;
    adm_line_reader_init(&reader, c->peer.loop);
    while ((line = adm_line_reader_next(&reader)) != NULL && run_line(c, line, failed))
        ;
    adm_line_reader_fini(&reader);
}

#define EXECUTE_MAX 64

static int parse(struct client *c, int argc, char **argv, char **execute, size_t *n_execute)
{
    static const struct option options[] = {
        {"user", required_argument, NULL, 'u'}, {"password-file", required_argument, NULL, 'P'},
        {"ssl", no_argument, NULL, 'S'},        {"instance", required_argument, NULL, 'i'},
        {"reconnect", no_argument, NULL, 'r'},  {"execute", required_argument, NULL, 'e'},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
    };
    int o;
    while ((o = getopt_long(argc, argv, "u:P:Si:re:h", options, NULL)) != -1) {
        switch (o) {
        case 'u':
            c->login.user = optarg;
            break;
        case 'P':
            c->login.password_file = optarg;
            break;
        case 'S':
            c->login.certificate = true;
            break;
        case 'i':
            c->instance = optarg;
            break;
        case 'r':
            c->reconnect = true;
            break;
        case 'e':
            if (*n_execute == EXECUTE_MAX) {
                fprintf(stderr, "error: more than %d -e options\n", EXECUTE_MAX);
                return 1;
            }
            execute[(*n_execute)++] = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 1;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "error: too many arguments: `%s'\n", argv[optind]);
        return 1;
    }
    return -1;
}

static int start_session(struct client *c, struct ib_err *err)
{
    int code = adm_credentials(&c->login, &c->peer.arena, &c->user, &c->password, err);
    if (code == 0)
        code = login(c, err);
    if (code == 0)
        fflush(stdout);
    return code;
}

int adm_client_main(int argc, char **argv)
{
    struct client c = {.instance = "IceGrid", .allocation_timeout = -1};
    struct ib_err err = {0};
    char *execute[EXECUTE_MAX];
    size_t n_execute = 0;
    bool failed = false;
    int code = adm_peer_open(&c.peer, &argc, argv, &err);
    if (code == 0) {
        int status = parse(&c, argc, argv, execute, &n_execute);
        if (status >= 0) {
            adm_peer_close(&c.peer);
            return status;
        }
        code = start_session(&c, &err);
    }
    if (code != 0) {
        fprintf(stderr, "error: %s\n", err.text);
        failed = true;
    }
    for (size_t i = 0; code == 0 && i < n_execute; i++) {
        char *rest = execute[i], *line;
        while ((line = strsep(&rest, ";")) != NULL && run_line(&c, line, &failed))
            ;
    }
    if (code == 0 && n_execute == 0)
        run_stdin(&c, &failed);
    ib_secret_free(c.password);
    adm_peer_close(&c.peer);
    return failed ? 1 : 0;
}
