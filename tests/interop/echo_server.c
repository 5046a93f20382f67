/* SPDX-License-Identifier: Apache-2.0 */
/* A server for real Ice clients: ::Vec::I under cat/obj (facet "face" too) and o, on the adapter "Echo", whose
   properties are given on the command line. Ends by its shutdown operation, SIGINT or SIGTERM. */
#include "echo_servant.h"

#include <moulin/rpc/service.h>
#include <slice/registry.h>
#include <vec/registry.h>

#include <stdlib.h>

struct server {
    struct ic_loop *loop;
    struct ir_runtime *rt;
    struct ir_adapter *adapter;
    struct echo echo;
    struct iw_registry types; /* both registries */
    const struct iw_class *classes[512];
};

static int by_id(const void *a, const void *b)
{
    return strcmp((*(const struct iw_class *const *)a)->id, (*(const struct iw_class *const *)b)->id);
}

static void merge_types(struct server *s)
{
    const struct iw_registry *from[] = {&slice_registry, &vec_registry};
    size_t n = 0;
    for (size_t r = 0; r < 2; r++) {
        for (size_t i = 0; i < from[r]->n && n < sizeof(s->classes) / sizeof(s->classes[0]); i++)
            s->classes[n++] = from[r]->classes[i];
    }
    qsort(s->classes, n, sizeof(s->classes[0]), by_id);
    s->types = (struct iw_registry){s->classes, n};
}

static void quit(void *arg)
{
    ir_service_quit(((struct server *)arg)->loop);
}

static void free_server(void *state)
{
    struct server *s = state;
    if (s->rt && s->adapter)
        echo_fini(&s->echo);
    ir_adapter_free(s->adapter);
    ir_runtime_free(s->rt);
    free(s);
}

static void activated(void *arg, int code, const char *text)
{
    struct server *s = arg;
    if (!code)
        return;
    ib_log_error(ir_runtime_log(s->rt), "cannot activate: %s", text);
    ir_service_quit(s->loop);
}

/* The runtime owns its properties; --Echo.Name=value is no prefix of Ice's own, so it is taken here. */
static struct ir_properties *own_properties(const struct ir_properties *props, int argc, char **argv,
                                            struct ib_err *err)
{
    struct ir_properties *own = ir_properties_copy(props);
    for (int i = 1; own && i < argc; i++) {
        if (strncmp(argv[i], "--Echo.", 7) == 0 && ir_properties_parse_line(own, argv[i] + 2, "command line")) {
            ib_err_set(err, IB_ECONFIG, "malformed option %s", argv[i]);
            ir_properties_free(own);
            return NULL;
        }
    }
    return own;
}

static void *start(struct ic_loop *loop, struct ir_properties *props, int argc, char **argv, struct ib_err *err)
{
    struct server *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->loop = loop;
    merge_types(s);
    struct ir_properties *own = own_properties(props, argc, argv, err);
    s->rt = own ? ir_runtime_new(loop, own, &s->types, err) : NULL;
    if (s->rt)
        s->adapter = ir_adapter_new(s->rt, "Echo", err);
    else
        ir_properties_free(own);
    if (!s->adapter || echo_init(&s->echo, s->rt, s->adapter)) {
        free_server(s);
        return NULL;
    }
    s->echo.on_shutdown = quit;
    s->echo.arg = s;
    ir_adapter_activate(s->adapter, activated, s);
    return s;
}

static void stop(void *state, void (*done)(void *arg), void *arg)
{
    struct server *s = state;
    ir_runtime_shutdown(s->rt, done, arg);
}

int main(int argc, char **argv)
{
    static const struct ir_service service = {
        .name = "echo_server", .usage = "", .start = start, .stop = stop, .free = free_server};
    return ir_service_main(&service, argc, argv);
}
