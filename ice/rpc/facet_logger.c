/* SPDX-License-Identifier: Apache-2.0 */
/* Admin facet "Logger": the last messages, and remote loggers that follow the log (ice-protocol 19.2). It owns what it
   remembers. Remote loggers are called by a runtime of their own that traces nothing: else each message sent could
   make the next. */
#include "admin_priv.h"

#include <moulin/base/clock.h>
#include <moulin/base/list.h>
#include <moulin/base/log.h>
#include <moulin/rpc/call.h>
#include <slice/Ice/RemoteLogger_rpc.h>

#include <stdlib.h>

#define MAX_REMOTE 20
#define MAX_OUTSTANDING 1000
#define MAX_TEXT 8192
#define CALL_MS 30000

struct message {
    struct ib_list node;
    struct Ice_LogMessage m; /* strings follow the struct */
};

struct remote {
    struct ib_list node;
    struct ir_facet_logger *logger;
    struct ib_arena arena; /* of the members below */
    struct iw_proxy *proxy;
    struct Ice_LogMessageTypeSeq types;
    struct Ice_StringSeq categories;
    size_t outstanding;
    bool detached; /* freed with the last outstanding call */
};

struct ir_facet_logger {
    struct ir_admin *admin;
    struct ib_list messages; /* oldest first */
    size_t n_logs, n_traces, keep_logs, keep_traces;
    struct ib_list remotes;
    size_t n_remotes;
    struct ir_runtime *sender; /* owns; made for the first remote logger */
};

/* --- what is remembered ------------------------------------------------------------------------------------------ */

static bool is_trace(const struct message *m)
{
    return m->m.type == Ice_LogMessageType_TraceMessage;
}

static void forget(struct ir_facet_logger *l, struct message *m)
{
    ib_list_remove(&m->node);
    if (is_trace(m))
        l->n_traces--;
    else
        l->n_logs--;
    free(m);
}

/* The oldest of its kind goes when there are too many. */
static void trim(struct ir_facet_logger *l)
{
    IB_LIST_FOREACH_SAFE(it, &l->messages)
    {
        struct message *m = IB_CONTAINER(it, struct message, node);

        if (l->n_logs <= l->keep_logs && l->n_traces <= l->keep_traces)
            return;
        if (is_trace(m) ? l->n_traces > l->keep_traces : l->n_logs > l->keep_logs)
            forget(l, m);
    }
}

static struct message *remember(struct ir_facet_logger *l, enum ib_log_kind kind, const char *category,
                                const char *text)
{
    size_t nc = category ? strlen(category) : 0, nt = strnlen(text, MAX_TEXT);
    struct message *m = calloc(1, sizeof(*m) + nc + nt + 2);
    char *p;

    if (m == NULL)
        return NULL;
    p = (char *)(m + 1);
    if (nc != 0)
        memcpy(p, category, nc);
    memcpy(p + nc + 1, text, nt);
    m->m.type = (enum Ice_LogMessageType)kind;
    m->m.timestamp = ib_clock_wall_ms() * 1000;
    m->m.traceCategory = (struct ib_str){p, nc};
    m->m.message = (struct ib_str){p + nc + 1, nt};
    ib_list_append(&l->messages, &m->node);
    if (is_trace(m))
        l->n_traces++;
    else
        l->n_logs++;
    return m;
}

static bool passes(const struct Ice_LogMessage *m, const struct Ice_LogMessageTypeSeq *types,
                   const struct Ice_StringSeq *categories)
{
    bool ok = types->n == 0;

    for (size_t i = 0; i < types->n && !ok; i++)
        ok = types->v[i] == m->type;
    if (!ok || m->type != Ice_LogMessageType_TraceMessage || categories->n == 0)
        return ok;
    for (size_t i = 0; i < categories->n; i++) {
        if (ib_str_eq(categories->v[i], m->traceCategory))
            return true;
    }
    return false;
}

/* The latest max that pass, oldest first; borrows the messages. */
static int select_messages(const struct ir_facet_logger *l, const struct Ice_LogMessageTypeSeq *types,
                           const struct Ice_StringSeq *categories, int32_t max, struct ib_arena *arena,
                           struct Ice_LogMessageSeq *out)
{
    size_t n = 0, skip;

    out->n = 0;
    out->v = IB_ARENA_ARRAY(arena, l->n_logs + l->n_traces, struct Ice_LogMessage);
    if (out->v == NULL)
        return IB_ENOMEM;
    IB_LIST_FOREACH(it, &l->messages)
    {
        const struct message *m = IB_CONTAINER(it, struct message, node);

        if (passes(&m->m, types, categories))
            out->v[n++] = m->m;
    }
    skip = max >= 0 && n > (size_t)max ? n - (size_t)max : 0;
    out->v += skip;
    out->n = n - skip;
    return 0;
}

/* --- remote loggers ---------------------------------------------------------------------------------------------- */

static void remote_unref(struct remote *r)
{
    if (!r->detached || r->outstanding != 0)
        return;
    ib_arena_fini(&r->arena);
    free(r);
}

static void detach(struct remote *r)
{
    if (r->detached)
        return;
    r->detached = true;
    ib_list_remove(&r->node);
    r->logger->n_remotes--;
    remote_unref(r);
}

static void on_reply(void *arg, const struct ir_result *result)
{
    struct remote *r = arg;

    r->outstanding--;
    if (result->outcome != IR_SUCCESS && !r->detached)
        detach(r);
    else
        remote_unref(r);
}

static const struct ir_call_options options = {.timeout_ms = CALL_MS};

static void send_message(struct remote *r, const struct Ice_LogMessage *m)
{
    struct Ice_RemoteLogger_log_in in = {.message = *m};

    if (r->outstanding >= MAX_OUTSTANDING)
        detach(r);
    else if (Ice_RemoteLogger_log_call(r->logger->sender, r->proxy, &options, &in, on_reply, r) != NULL)
        r->outstanding++;
}

static void on_message(void *arg, enum ib_log_kind kind, const char *category, const char *text)
{
    struct ir_facet_logger *l = arg;
    const struct message *m = remember(l, kind, category, text);

    if (m == NULL)
        return;
    IB_LIST_FOREACH_SAFE(it, &l->remotes)
    {
        struct remote *r = IB_CONTAINER(it, struct remote, node);

        if (passes(&m->m, &r->types, &r->categories))
            send_message(r, &m->m);
    }
    trim(l);
}

struct copying {
    struct ir_properties *to;
    int rc;
};

static void copy_property(void *arg, const char *key, const char *value)
{
    struct copying *c = arg;

    if (c->rc == 0)
        c->rc = ir_properties_set(c->to, key, value);
}

/* Its own connections; the locator and the TLS settings are the main runtime's. */
static struct ir_runtime *make_sender(struct ir_admin *admin, struct ib_err *err)
{
    const struct ir_properties *from = ir_runtime_properties(admin->rt);
    struct copying c = {.to = ir_properties_new()};
    struct ir_runtime *rt = NULL;

    if (c.to == NULL)
        return NULL;
    ir_properties_each(from, "IceSSL.", copy_property, &c);
    ir_properties_each(from, "Ice.Plugin.IceSSL", copy_property, &c);
    ir_properties_each(from, "Ice.Default.Locator", copy_property, &c);
    copy_property(&c, "Ice.ProgramName", ir_properties_get(from, "Ice.ProgramName"));
    copy_property(&c, "IceSSL.Trace.Security", "");
    if (c.rc == 0)
        rt = ir_runtime_new(ir_runtime_loop(admin->rt), c.to, ir_runtime_types(admin->rt), err);
    if (rt == NULL)
        ir_properties_free(c.to);
    return rt;
}

static struct remote *find_remote(struct ir_facet_logger *l, const struct iw_proxy *prx)
{
    IB_LIST_FOREACH(it, &l->remotes)
    {
        struct remote *r = IB_CONTAINER(it, struct remote, node);

        if (iw_identity_equal(&r->proxy->id, &prx->id))
            return r;
    }
    return NULL;
}

static struct remote *new_remote(struct ir_facet_logger *l, const struct Ice_LoggerAdmin_attachRemoteLogger_in *in)
{
    struct remote *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->logger = l;
    ib_list_init(&r->node);
    ib_arena_init(&r->arena, 0);
    r->proxy = iw_proxy_copy(in->prx, &r->arena);
    if (r->proxy != NULL && iw_copy(&Ice_LogMessageTypeSeq_type, &in->messageTypes, &r->arena, &r->types) == 0 &&
        iw_copy(&Ice_StringSeq_type, &in->traceCategories, &r->arena, &r->categories) == 0) {
        r->proxy->mode = IW_TWOWAY;
        return r;
    }
    ib_arena_fini(&r->arena);
    free(r);
    return NULL;
}

static int attach(struct ir_facet_logger *l, const struct Ice_LoggerAdmin_attachRemoteLogger_in *in,
                  struct ib_arena *arena)
{
    struct Ice_RemoteLogger_init_in init = {
        .prefix = ib_str(ir_properties_get(ir_runtime_properties(l->admin->rt), "Ice.ProgramName"))};
    struct ib_err err;
    struct remote *r;

    if (l->sender == NULL)
        l->sender = make_sender(l->admin, &err);
    if (l->sender == NULL || l->n_remotes >= MAX_REMOTE)
        return IB_ELIMIT;
    r = new_remote(l, in);
    if (r == NULL)
        return IB_ENOMEM;
    if (select_messages(l, &r->types, &r->categories, in->messageMax, arena, &init.logMessages) != 0 ||
        Ice_RemoteLogger_init_call(l->sender, r->proxy, &options, &init, on_reply, r) == NULL) {
        ib_arena_fini(&r->arena);
        free(r);
        return IB_ENOMEM;
    }
    r->outstanding = 1;
    ib_list_append(&l->remotes, &r->node);
    l->n_remotes++;
    return 0;
}

/* --- operations -------------------------------------------------------------------------------------------------- */

static void attach_remote(void *self, struct ir_request *rq, const struct Ice_LoggerAdmin_attachRemoteLogger_in *in)
{
    struct ir_admin *admin = self;
    int rc = 0;

    if (in->prx != NULL && find_remote(admin->logger, in->prx) != NULL) {
        Ice_RemoteLoggerAlreadyAttachedException_throw(rq, NULL);
        return;
    }
    if (in->prx != NULL)
        rc = attach(admin->logger, in, ir_request_arena(rq));
    if (rc != 0)
        ir_request_fail(rq, IR_UNKNOWN, rc == IB_ELIMIT ? "too many remote loggers" : "out of memory");
    else
        Ice_LoggerAdmin_attachRemoteLogger_reply(rq, NULL);
}

static void detach_remote(void *self, struct ir_request *rq, const struct Ice_LoggerAdmin_detachRemoteLogger_in *in)
{
    struct ir_admin *admin = self;
    struct remote *r = in->prx != NULL ? find_remote(admin->logger, in->prx) : NULL;
    struct Ice_LoggerAdmin_detachRemoteLogger_out out = {.ret = r != NULL};

    if (r != NULL)
        detach(r);
    Ice_LoggerAdmin_detachRemoteLogger_reply(rq, &out);
}

static void get_log(void *self, struct ir_request *rq, const struct Ice_LoggerAdmin_getLog_in *in)
{
    struct ir_admin *admin = self;
    struct Ice_LoggerAdmin_getLog_out out = {
        .prefix = ib_str(ir_properties_get(ir_runtime_properties(admin->rt), "Ice.ProgramName"))};

    if (select_messages(admin->logger, &in->messageTypes, &in->traceCategories, in->messageMax, ir_request_arena(rq),
                        &out.ret) != 0)
        ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
    else
        Ice_LoggerAdmin_getLog_reply(rq, &out);
}

const struct Ice_LoggerAdmin_servant ir_facet_logger = {
    .attachRemoteLogger = attach_remote,
    .detachRemoteLogger = detach_remote,
    .getLog = get_log,
};

/* --- life -------------------------------------------------------------------------------------------------------- */

struct ir_facet_logger *ir_facet_logger_new(struct ir_admin *admin)
{
    struct ir_facet_logger *l = calloc(1, sizeof(*l));
    const struct ir_properties *p = ir_runtime_properties(admin->rt);
    struct ib_log *log = ir_runtime_log(admin->rt);
    int logs = ir_properties_int_or(p, log, "Ice.Admin.Logger.KeepLogs", 100);
    int traces = ir_properties_int_or(p, log, "Ice.Admin.Logger.KeepTraces", 100);

    if (l == NULL)
        return NULL;
    l->admin = admin;
    ib_list_init(&l->messages);
    ib_list_init(&l->remotes);
    l->keep_logs = logs > 0 ? (size_t)logs : 0;
    l->keep_traces = traces > 0 ? (size_t)traces : 0;
    ib_log_set_tap(log, on_message, l);
    return l;
}

void ir_facet_logger_free(struct ir_facet_logger *l)
{
    if (l == NULL)
        return;
    ib_log_set_tap(ir_runtime_log(l->admin->rt), NULL, NULL);
    while (!ib_list_empty(&l->remotes))
        detach(IB_CONTAINER(l->remotes.next, struct remote, node));
    if (l->sender != NULL)
        ir_runtime_free(l->sender); /* its open calls end now and free their loggers */
    while (!ib_list_empty(&l->messages))
        forget(l, IB_CONTAINER(l->messages.next, struct message, node));
    free(l);
}
