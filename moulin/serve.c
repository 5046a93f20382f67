/* SPDX-License-Identifier: Apache-2.0 */
/* "serve" starts a registry replica and then a gateway on one loop from one configuration. The gateway knows the
   registry as any router does, by its locator; only the transport between them is shorter. Owns both. */
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moulin/gateway/gateway.h>
#include <moulin/registry/registry.h>

struct serve {
    void *registry, *gateway;
    void (*done)(void *arg);
    void *arg;
};

/* The gateway takes --nowarn only; whatever else is there is the registry's to judge. */
static void gateway_arguments(int argc, char **argv, int *n, char *out[3])
{
    *n = 0;
    out[(*n)++] = argv[0];
    for (int i = 1; i < argc && *n == 1; i++) {
        if (strcmp(argv[i], "--nowarn") == 0) {
            out[(*n)++] = argv[i];
        }
    }
    out[*n] = NULL;
}

/* Without a locator of its own the gateway uses the registry beside it. The admin object is the registry's: both share
   the endpoints that the configuration names. */
static int gateway_properties(struct ir_properties *p, struct ib_err *err)
{
    char text[2048];
    int rc = ir_properties_set(p, "Ice.Admin.Endpoints", "");
    if (rc == 0 && !ir_properties_has(p, "Moulin.Workers")) { /* the short way to the registry is on its loop only */
        rc = ir_properties_set(p, "Moulin.Workers", "1");
    }
    if (rc != 0 || ir_properties_get(p, "Ice.Default.Locator")[0]) {
        return rc;
    }
    int n = snprintf(text, sizeof(text), "%s/Locator:%s", ir_properties_get_or(p, "IceGrid.InstanceName", "IceGrid"),
                     ir_properties_get(p, "IceGrid.Registry.Client.Endpoints"));
    if (n < 0 || (size_t)n >= sizeof(text)) {
        return ib_err_set(err, IB_ECONFIG, "property IceGrid.Registry.Client.Endpoints is too long");
    }
    return ir_properties_set(p, "Ice.Default.Locator", text);
}

static int start_gateway(struct serve *s, struct ic_loop *loop, const struct ir_properties *props, int argc,
                         char **argv, struct ib_err *err)
{
    char *args[3];
    int n;
    struct ir_properties *copy = ir_properties_copy(props);
    if (!copy) {
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    }
    int rc = gateway_properties(copy, err);
    if (rc == 0) {
        gateway_arguments(argc, argv, &n, args);
        s->gateway = gw_service.start(loop, copy, n, args, err);
        rc = s->gateway ? 0 : err->code ? err->code : IB_EINIT;
    }
    ir_properties_free(copy);
    return rc;
}

static void serve_free(void *state)
{
    struct serve *s = state;
    if (s->gateway) {
        gw_service.free(s->gateway);
    }
    if (s->registry) {
        reg_service.free(s->registry);
    }
    free(s);
}

static void *serve_start(struct ic_loop *loop, struct ir_properties *props, int argc, char **argv, struct ib_err *err)
{
    struct serve *s = calloc(1, sizeof(*s));
    if (!s) {
        (void)ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    s->registry = reg_service.start(loop, props, argc, argv, err);
    if (!s->registry || start_gateway(s, loop, props, argc, argv, err) != 0) {
        serve_free(s);
        return NULL;
    }
    return s;
}

/* The gateway first: it tells the registry which sessions end. */
static void on_gateway_stopped(void *arg)
{
    struct serve *s = arg;
    reg_service.stop(s->registry, s->done, s->arg);
}

static void serve_stop(void *state, void (*done)(void *arg), void *arg)
{
    struct serve *s = state;
    if (!s) { /* told to stop before the start was over */
        done(arg);
        return;
    }
    s->done = done;
    s->arg = arg;
    gw_service.stop(s->gateway, on_gateway_stopped, s);
}

static void serve_reload(void *state)
{
    struct serve *s = state;
    gw_service.reload(s->gateway);
    if (reg_service.reload) {
        reg_service.reload(s->registry);
    }
}

const struct ir_service serve_service = {
    .name = "moulin serve",
    .usage = "--nowarn             Do not warn about services that cannot be contacted at the start.\n"
             "and the options of moulin registry.\n",
    .start = serve_start,
    .stop = serve_stop,
    .free = serve_free,
    .reload = serve_reload,
};
