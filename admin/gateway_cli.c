/* SPDX-License-Identifier: Apache-2.0 */
/* `moulin gateway sessions`: what operators ask of a running gateway, through the facet "Gateway" of its admin object,
   which is found by the gateway's own configuration file. */
#include <moulin/admin/admin.h>

#include "peer.h"
#include "print.h"

#include <moulin/rpc/properties.h>
#include <moulin/rpc/proxy.h>
#include <slice/Moulin/Gateway.h>

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "Usage: moulin gateway sessions [options] [COMMAND [ARGUMENT]]\n"
    "Asks a running gateway by its admin object: give its configuration (--Ice.Config=FILE, with Ice.Admin.Endpoints "
    "and\n"
    "Ice.Admin.InstanceName), or the object's proxy.\n"
    "\n"
    "  -a, --admin PROXY         the admin object, instead of what the configuration says\n"
    "  -j, --json                lists and shows as JSON, one object a line\n"
    "  -h, --help                this text\n"
    "\n"
    "Commands:\n"
    "  list                      the sessions (without a command, too)\n"
    "  show ID                   one of them, whole\n"
    "  end ID                    end it and close its connection\n"
    "  end-user USER             end all sessions of a user\n"
    "  status                    how many connections and sessions there are\n"
    "  drain [SECONDS]           let nobody new in; after so many seconds end the sessions that are left\n"
    "  undrain                   let clients in again\n"
    "  reload                    read certificates, passwords and configuration again, as SIGHUP does\n";

struct cli {
    struct adm_peer peer;
    struct iw_proxy *gateway;
    const char *admin;
    bool json;
};

/* --- output ------------------------------------------------------------------------------------------------------- */

/* Names come from outside: control characters must not reach the terminal. */
static const char *shown(struct ib_str s, char *buf, size_t cap)
{
    return ib_log_escape(s, buf, cap);
}

static void json_text(const char *name, struct ib_str s, bool first)
{
    printf("%s\"%s\":", first ? "" : ",", name);
    adm_print_json_string(s);
}

static void print_json(const struct Moulin_SessionInfo *s)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"ageMs", s->age},           {"idleMs", s->idle},     {"requests", s->requests},
                   {"callbacks", s->callbacks}, {"bytesIn", s->bytesIn}, {"bytesOut", s->bytesOut},
                   {"routes", s->routes}};
    putchar('{');
    json_text("id", s->id, true);
    json_text("user", s->user, false);
    printf(",\"certificate\":%s", s->certificate ? "true" : "false");
    json_text("transport", s->transport, false);
    json_text("remote", s->remoteAddress, false);
    json_text("local", s->localAddress, false);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        printf(",\"%s\":%" PRId64, numbers[i].name, numbers[i].value);
    puts("}");
}

static void print_row(const struct Moulin_SessionInfo *s)
{
    char user[128], remote[96];
    printf("%-20s %-20s %-5s %-22s %8" PRId64 " %8" PRId64 " %10" PRId64 "\n", ib_cstr(s->id),
           shown(s->user, user, sizeof user), ib_cstr(s->transport), shown(s->remoteAddress, remote, sizeof remote),
           s->age / 1000, s->idle / 1000, s->requests);
}

static void print_whole(const struct Moulin_SessionInfo *s)
{
    char text[512];
    printf("id           %s\n", ib_cstr(s->id));
    printf("user         %s\n", shown(s->user, text, sizeof text));
    printf("login        %s\n", s->certificate ? "certificate" : "password");
    printf("transport    %s\n", ib_cstr(s->transport));
    printf("client       %s\n", shown(s->remoteAddress, text, sizeof text));
    printf("here         %s\n", shown(s->localAddress, text, sizeof text));
    printf("age          %.1f s\nidle         %.1f s\n", (double)s->age / 1000, (double)s->idle / 1000);
    printf("requests     %" PRId64 "\ncallbacks    %" PRId64 "\n", s->requests, s->callbacks);
    printf("bytes in     %" PRId64 "\nbytes out    %" PRId64 "\n", s->bytesIn, s->bytesOut);
    printf("routes       %d\n", s->routes);
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

static int do_list(struct cli *c, const char *arg, struct ib_err *err)
{
    struct Moulin_GatewayAdmin_getSessions_in in = {.after = IB_STR("")};
    const void *out = NULL;
    int code = 0;
    (void)arg;
    if (!c->json)
        printf("%-20s %-20s %-5s %-22s %8s %8s %10s\n", "ID", "USER", "OVER", "CLIENT", "AGE/s", "IDLE/s", "REQUESTS");
    do {
        code = adm_invoke(&c->peer, c->gateway, &Moulin_GatewayAdmin_getSessions_op, &in, &out, err);
        if (code != 0)
            return code;
        const struct Moulin_SessionInfoSeq *page = &((const struct Moulin_GatewayAdmin_getSessions_out *)out)->ret;
        for (size_t i = 0; i < page->n; i++)
            (c->json ? print_json : print_row)(&page->v[i]);
        in.after = page->n ? page->v[page->n - 1].id : IB_STR("");
    } while (in.after.n);
    return 0;
}

static int do_show(struct cli *c, const char *arg, struct ib_err *err)
{
    const struct Moulin_GatewayAdmin_getSession_in in = {.id = ib_str(arg)};
    const void *out = NULL;
    int code = adm_invoke(&c->peer, c->gateway, &Moulin_GatewayAdmin_getSession_op, &in, &out, err);
    if (code == 0)
        (c->json ? print_json : print_whole)(&((const struct Moulin_GatewayAdmin_getSession_out *)out)->ret);
    return code;
}

static int do_end(struct cli *c, const char *arg, struct ib_err *err)
{
    const struct Moulin_GatewayAdmin_endSession_in in = {.id = ib_str(arg)};
    return adm_invoke(&c->peer, c->gateway, &Moulin_GatewayAdmin_endSession_op, &in, NULL, err);
}

static int do_end_user(struct cli *c, const char *arg, struct ib_err *err)
{
    const struct Moulin_GatewayAdmin_endSessionsOf_in in = {.user = ib_str(arg)};
    const void *out = NULL;
    int code = adm_invoke(&c->peer, c->gateway, &Moulin_GatewayAdmin_endSessionsOf_op, &in, &out, err);
    if (code == 0)
        printf("%d ended\n", ((const struct Moulin_GatewayAdmin_endSessionsOf_out *)out)->ret);
    return code;
}

static int do_status(struct cli *c, const char *arg, struct ib_err *err)
{
    const struct Moulin_GatewayAdmin_getStatus_in in = {0};
    const void *out = NULL;
    int code = adm_invoke(&c->peer, c->gateway, &Moulin_GatewayAdmin_getStatus_op, &in, &out, err);
    (void)arg;
    if (code != 0)
        return code;
    const struct Moulin_GatewayStatus *s = &((const struct Moulin_GatewayAdmin_getStatus_out *)out)->ret;
    if (c->json) {
        printf("{\"version\":\"%s\",\"uptimeMs\":%" PRId64 ",\"connections\":%d,\"guests\":%d,\"sessions\":%d,"
               "\"draining\":%s,\"drainSeconds\":%" PRId64 "}\n",
               ib_cstr(s->version), s->uptime, s->connections, s->guests, s->sessions, s->draining ? "true" : "false",
               s->drainSeconds);
        return 0;
    }
    printf("version      %s\nuptime       %" PRId64 " s\nconnections  %d\nguests       %d\nsessions     %d\n",
           ib_cstr(s->version), s->uptime / 1000, s->connections, s->guests, s->sessions);
    printf("draining     %s\n", s->draining ? "yes" : "no");
    if (s->drainSeconds >= 0)
        printf("ended in     %" PRId64 " s\n", s->drainSeconds);
    return 0;
}

static int do_drain(struct cli *c, const char *arg, struct ib_err *err)
{
    char *end;
    long seconds = arg ? strtol(arg, &end, 10) : -1;
    if (arg && (*end || end == arg || seconds < 0 || seconds > 31536000))
        return ib_err_set(err, IB_EINVAL, "`%s' is no number of seconds", arg);
    const struct Moulin_GatewayAdmin_drain_in in = {.seconds = (int32_t)seconds};
    return adm_invoke(&c->peer, c->gateway, &Moulin_GatewayAdmin_drain_op, &in, NULL, err);
}

static int do_undrain(struct cli *c, const char *arg, struct ib_err *err)
{
    const struct Moulin_GatewayAdmin_undrain_in in = {0};
    (void)arg;
    return adm_invoke(&c->peer, c->gateway, &Moulin_GatewayAdmin_undrain_op, &in, NULL, err);
}

static int do_reload(struct cli *c, const char *arg, struct ib_err *err)
{
    const struct Moulin_GatewayAdmin_reload_in in = {0};
    (void)arg;
    return adm_invoke(&c->peer, c->gateway, &Moulin_GatewayAdmin_reload_op, &in, NULL, err);
}

static const struct command {
    const char *name;
    int min, max; /* arguments */
    int (*run)(struct cli *c, const char *arg, struct ib_err *err);
} commands[] = {
    {"list", 0, 0, do_list},         {"show", 1, 1, do_show},     {"end", 1, 1, do_end},
    {"end-user", 1, 1, do_end_user}, {"status", 0, 0, do_status}, {"drain", 0, 1, do_drain},
    {"undrain", 0, 0, do_undrain},   {"reload", 0, 0, do_reload},
};

/* --- the tool ----------------------------------------------------------------------------------------------------- */

static int find_gateway(struct cli *c, struct ib_err *err)
{
    const struct ir_properties *p = ir_runtime_properties(c->peer.rt);
    const char *endpoints = ir_properties_get(p, "Ice.Admin.Endpoints");
    const char *instance = ir_properties_get(p, "Ice.Admin.InstanceName");
    struct iw_proxy *admin = NULL;
    struct ib_str text = ib_str(c->admin ? c->admin : "");
    if (!c->admin) {
        if (!endpoints[0] || !instance[0])
            return ib_err_set(err, IB_ECONFIG,
                              "where is the gateway? Give its configuration (--Ice.Config=FILE), in which "
                              "Ice.Admin.Endpoints and Ice.Admin.InstanceName are set, or --admin PROXY");
        text = ib_arena_printf(&c->peer.arena, "\"%s/admin\":%s", instance, endpoints);
    }
    int code = ir_runtime_parse_proxy(c->peer.rt, ib_cstr(text), &c->peer.arena, &admin, err);
    if (code == 0 && !admin)
        code = ib_err_set(err, IB_EPARSEPROXY, "the proxy of the admin object is null");
    if (code == 0 && !(c->gateway = ir_proxy_with_facet(admin, "Gateway", &c->peer.arena)))
        code = ib_err_set(err, IB_ENOMEM, "out of memory");
    return code;
}

static int run(struct cli *c, int argc, char **argv, struct ib_err *err)
{
    const char *name = argc ? argv[0] : "list";
    int n = argc ? argc - 1 : 0;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const struct command *cmd = &commands[i];
        if (strcmp(cmd->name, name) != 0)
            continue;
        if (n < cmd->min || n > cmd->max)
            return ib_err_set(err, IB_EINVAL, "`%s' takes %s; see --help", name,
                              cmd->max ? "one argument" : "no argument");
        int code = find_gateway(c, err);
        return code ? code : cmd->run(c, n ? argv[1] : NULL, err);
    }
    return ib_err_set(err, IB_EINVAL, "unknown command `%s'; see --help", name);
}

static int parse(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {{"admin", required_argument, NULL, 'a'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int o;
    while ((o = getopt_long(argc, argv, "+a:jh", options, NULL)) != -1) {
        switch (o) {
        case 'a':
            c->admin = optarg;
            break;
        case 'j':
            c->json = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 1;
        }
    }
    return -1;
}

int adm_gateway_main(int argc, char **argv)
{
    struct cli c = {0};
    struct ib_err err = {0};
    int code = adm_peer_open(&c.peer, &argc, argv, &err);
    int status = code == 0 ? parse(&c, argc, argv) : 1;
    if (status < 0) {
        c.peer.router = NULL; /* the gateway's administrators come from inside */
        code = run(&c, argc - optind, argv + optind, &err);
        status = code != 0;
    }
    if (code != 0)
        fprintf(stderr, "error: %s\n", err.text);
    if (c.peer.loop)
        adm_peer_close(&c.peer);
    return status;
}
