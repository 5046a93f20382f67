/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and checks the properties of one service. Each is looked for with the service's prefix, then with the plain
   IceStorm one, except what can belong to one service only: endpoints and the database. */
#include "config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moulin/base/buf.h>
#include <moulin/base/log.h>

#define KEY_MAX 300
#define QUEUE_BYTES "Moulin.Storm.Queue.MaxBytes" /* of all services */
#define QUEUE_BYTES_DEFAULT (64 << 20)
#define REPLY_TIMEOUT "Moulin.Storm.ReplyTimeout" /* likewise */

/* All that is read or accepted below a service's prefix (icestorm 10). An entry with a dot at its end stands for all
   below it. */
static const char *const known[] = {
    "Discard.Interval",
    "Election.ElectionTimeout",
    "Election.MasterTimeout",
    "Election.ResponseTimeout",
    "Flush.Timeout",
    "InstanceName",
    "LMDB.MapSize",
    "LMDB.Path",
    "Node.",
    "NodeId",
    "Nodes.",
    "Publish.",
    "ReplicatedPublishEndpoints",
    "ReplicatedTopicManagerEndpoints",
    "Send.QueueSizeMax",
    "Send.QueueSizeMaxPolicy",
    "Send.Timeout",
    "TopicManager.",
    "Trace.Election",
    "Trace.Replication",
    "Trace.Subscriber",
    "Trace.Topic",
    "Trace.TopicManager",
    "Transient",
};

struct reader {
    struct storm_config *cfg;
    struct ir_properties *props;
    struct ib_log *log;
    struct ib_err *err;
    char key[KEY_MAX]; /* of the last property that was looked for */
};

static const char *own_key(struct reader *r, const char *name)
{
    snprintf(r->key, sizeof r->key, "%s.%s", r->cfg->service.p, name);
    return r->key;
}

/* The key that holds the value: the service's, else the plain one. */
static const char *find_key(struct reader *r, const char *name)
{
    if (!ir_properties_has(r->props, own_key(r, name)))
        snprintf(r->key, sizeof r->key, "IceStorm.%s", name);
    return r->key;
}

static int read_int(struct reader *r, const char *name, int otherwise, int *out)
{
    return ir_properties_int(r->props, find_key(r, name), otherwise, out, r->err);
}

static int read_numbers(struct reader *r)
{
    struct storm_config *cfg = r->cfg;
    int transient, megabytes, node, bytes, reply;
    const struct {
        const char *name;
        int otherwise, *out;
    } list[] = {
        {"Transient", 0, &transient},
        {"NodeId", -1, &node},
        {"LMDB.MapSize", 100, &megabytes},
        {"Flush.Timeout", 1000, &cfg->flush_ms},
        {"Discard.Interval", 60, &cfg->discard_s},
        {"Send.Timeout", 60000, &cfg->send_timeout_ms},
        {"Send.QueueSizeMax", -1, &cfg->queue_max},
        {"Trace.TopicManager", 0, &cfg->trace[STORM_TRACE_MANAGER]},
        {"Trace.Topic", 0, &cfg->trace[STORM_TRACE_TOPIC]},
        {"Trace.Subscriber", 0, &cfg->trace[STORM_TRACE_SUBSCRIBER]},
        {"Trace.Election", 0, &cfg->trace[STORM_TRACE_ELECTION]},
        {"Election.MasterTimeout", 1, &cfg->master_s},
        {"Election.ElectionTimeout", 1, &cfg->election_s},
        {"Election.ResponseTimeout", 2, &cfg->response_s},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        int rc = read_int(r, list[i].name, list[i].otherwise, list[i].out);
        if (rc)
            return rc;
    }
    int rc = ir_properties_int(r->props, QUEUE_BYTES, QUEUE_BYTES_DEFAULT, &bytes, r->err);
    if (!rc)
        rc = ir_properties_int(r->props, REPLY_TIMEOUT, 0, &reply, r->err);
    if (rc)
        return rc;
    cfg->transient = transient > 0;
    cfg->node_id = cfg->transient || node < 0 ? -1 : node;
    cfg->map_size = (size_t)(megabytes > 0 ? megabytes : 100) << 20;
    cfg->flush_ms = cfg->flush_ms < 0 ? 0 : cfg->flush_ms;
    cfg->discard_s = cfg->discard_s < 0 ? 0 : cfg->discard_s;
    cfg->send_timeout_ms = cfg->send_timeout_ms < 0 ? -1 : cfg->send_timeout_ms;
    cfg->reply_timeout_ms = reply <= 0 ? -1 : reply > INT_MAX / 1000 ? INT_MAX : reply * 1000;
    cfg->queue_max = cfg->queue_max < 0 ? 0 : cfg->queue_max;
    cfg->queue_bytes_max = bytes > 0 ? (size_t)bytes : 0;
    return 0;
}

/* --- replicas ----------------------------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    const struct storm_node *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

struct nodes {
    struct reader *r;
    struct ib_arena *arena;
    size_t prefix;
    int rc;
};

static void on_node(void *arg, const char *key, const char *value)
{
    struct nodes *n = arg;
    struct storm_config *cfg = n->r->cfg;
    char *end;
    long id = strtol(key + n->prefix, &end, 10);
    if (*end == '.' || n->rc)
        return; /* an option of the proxy */
    if (!key[n->prefix] || *end || id < 0 || id > INT_MAX) {
        n->rc =
            ib_err_set(n->r->err, IB_ECONFIG, "property `%s': behind `Nodes.' there has to be the id of a node", key);
    } else if (cfg->n_nodes == STORM_NODES_MAX) {
        n->rc = ib_err_set(n->r->err, IB_ECONFIG, "property `%s': more than %d nodes", key, STORM_NODES_MAX);
    } else {
        cfg->nodes[cfg->n_nodes++] = (struct storm_node){(int)id, ib_arena_strz(n->arena, value)};
        n->rc = cfg->nodes[cfg->n_nodes - 1].proxy.p ? 0 : ib_err_set(n->r->err, IB_ENOMEM, "out of memory");
    }
}

static void adjust(struct reader *r, const char *name, int *seconds)
{
    if (*seconds >= 0)
        return;
    ib_log_warning(r->log, "Election: %s < 0; Adjusted to 1", find_key(r, name));
    *seconds = 1;
}

static int read_election(struct reader *r)
{
    struct storm_config *cfg = r->cfg;
    int force;
    int rc = ir_properties_int(r->props, "Moulin.Storm.ForceMajority", 0, &force, r->err);
    if (!rc)
        rc = ir_properties_int(r->props, "Moulin.Storm.WaitTimeout", 0, &cfg->wait_s, r->err);
    adjust(r, "Election.MasterTimeout", &cfg->master_s);
    adjust(r, "Election.ElectionTimeout", &cfg->election_s);
    adjust(r, "Election.ResponseTimeout", &cfg->response_s);
    cfg->force = force > 0;
    return rc;
}

/* Without a list of nodes: what IceGrid sets, and needs to be asked for them. */
static int check_deployment(struct reader *r)
{
    static const char manager[] = ".TopicManager", node[] = ".Node";
    const struct storm_config *cfg = r->cfg;
    const char *other = ir_properties_get(r->props, own_key(r, "Node.AdapterId"));
    if (!cfg->manager_id.n || !*other)
        return ib_err_set(r->err, IB_ECONFIG,
                          "IceGrid deployment is incorrect: property `%s.%s.AdapterId' is not set: give the adapter "
                          "`%s.%s' an id, or list the replicas as `%s.Nodes.<id>'",
                          cfg->service.p, cfg->manager_id.n ? "Node" : "TopicManager", cfg->service.p,
                          cfg->manager_id.n ? "Node" : "TopicManager", cfg->service.p);
    const char *at = strstr(cfg->manager_id.p, manager);
    size_t n = at ? (size_t)(at - cfg->manager_id.p) : 0;
    if (!at || strncmp(other, cfg->manager_id.p, n) != 0 || strncmp(other + n, node, sizeof node - 1) != 0 ||
        strcmp(other + n + sizeof node - 1, at + sizeof manager - 1) != 0)
        return ib_err_set(r->err, IB_ECONFIG,
                          "IceGrid deployment is incorrect: `%s.Node.AdapterId' is `%s', `%s.TopicManager.AdapterId' "
                          "`%s': they have to be the same but for `.Node' and `.TopicManager'",
                          cfg->service.p, other, cfg->service.p, cfg->manager_id.p);
    return 0;
}

static int check_listed(struct reader *r)
{
    const struct storm_config *cfg = r->cfg;
    bool there = false;
    for (size_t i = 0; i < cfg->n_nodes; i++) {
        there = there || cfg->nodes[i].id == cfg->node_id;
        if (i && cfg->nodes[i - 1].id == cfg->nodes[i].id)
            return ib_err_set(r->err, IB_ECONFIG, "property `%s.Nodes.%d' is there twice", cfg->service.p,
                              cfg->nodes[i].id);
    }
    if (cfg->n_nodes < 3)
        return ib_err_set(r->err, IB_ECONFIG,
                          "Replication requires at least 3 Nodes: set `%s.Nodes.<id>' for each, with the proxies of "
                          "their objects `%s/node<id>'",
                          cfg->service.p, cfg->instance.p);
    if (!there)
        return ib_err_set(r->err, IB_ECONFIG, "property `%s.NodeId': there is no `%s.Nodes.%d'", cfg->service.p,
                          cfg->service.p, cfg->node_id);
    return 0;
}

static int check_nodes(struct reader *r)
{
    const struct storm_config *cfg = r->cfg;
    bool by_grid = cfg->manager_id.n || *ir_properties_get(r->props, own_key(r, "Node.AdapterId"));
    int rc = cfg->n_nodes || !by_grid ? check_listed(r) : check_deployment(r);
    if (rc)
        return rc;
    if (!*ir_properties_get(r->props, own_key(r, "Node.Endpoints")))
        return ib_err_set(r->err, IB_ECONFIG,
                          "property `%s' is not set: it says where the other replicas find this one", r->key);
    return 0;
}

static int read_replicas(struct reader *r, struct ib_arena *arena)
{
    struct storm_config *cfg = r->cfg;
    if (cfg->node_id < 0)
        return 0;
    struct nodes n = {.r = r, .arena = arena};
    cfg->nodes = IB_ARENA_ARRAY(arena, STORM_NODES_MAX, struct storm_node);
    if (!cfg->nodes)
        return ib_err_set(r->err, IB_ENOMEM, "out of memory");
    own_key(r, "Nodes.");
    n.prefix = strlen(r->key);
    ir_properties_each(r->props, r->key, on_node, &n);
    qsort(cfg->nodes, cfg->n_nodes, sizeof *cfg->nodes, by_id);
    int rc = n.rc ? n.rc : read_election(r);
    if (!rc)
        rc = check_nodes(r);
    if (cfg->manager_id.n)
        return rc;
    cfg->manager_endpoints =
        ib_arena_strz(arena, ir_properties_get(r->props, own_key(r, "ReplicatedTopicManagerEndpoints")));
    cfg->publish_endpoints =
        ib_arena_strz(arena, ir_properties_get(r->props, own_key(r, "ReplicatedPublishEndpoints")));
    if (!rc && (!cfg->manager_endpoints.p || !cfg->publish_endpoints.p))
        rc = ib_err_set(r->err, IB_ENOMEM, "out of memory");
    return rc;
}

static int read_texts(struct reader *r, struct ib_arena *arena)
{
    struct storm_config *cfg = r->cfg;
    cfg->instance = ib_arena_strz(arena, ir_properties_get_or(r->props, find_key(r, "InstanceName"), "IceStorm"));
    cfg->manager_id = ib_arena_strz(arena, ir_properties_get(r->props, own_key(r, "TopicManager.AdapterId")));
    cfg->publish_id = ib_arena_strz(arena, ir_properties_get(r->props, own_key(r, "Publish.AdapterId")));
    if (!cfg->instance.p || !cfg->manager_id.p || !cfg->publish_id.p)
        return ib_err_set(r->err, IB_ENOMEM, "out of memory");
    const char *policy = ir_properties_get(r->props, find_key(r, "Send.QueueSizeMaxPolicy"));
    cfg->drop_oldest = strcmp(policy, "DropEvents") == 0;
    if (*policy && !cfg->drop_oldest && strcmp(policy, "RemoveSubscriber") != 0)
        ib_log_warning(r->log, "invalid value `%s' for `%s': RemoveSubscriber is used, the other value is DropEvents",
                       policy, r->key);
    return 0;
}

static int read_path(struct reader *r, struct ib_arena *arena)
{
    struct stat st;
    if (r->cfg->transient)
        return 0;
    const char *path = ir_properties_get_or(r->props, own_key(r, "LMDB.Path"), r->cfg->service.p);
    if (strlen(path) > PATH_MAX - 32)
        return ib_err_set(r->err, IB_ECONFIG, "property `%s': the path is too long", r->key);
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode) || access(path, R_OK | W_OK | X_OK) != 0)
        return ib_err_set(r->err, IB_EFILE,
                          "property `%s': `%s' is not a directory this process may write to: make it, or set "
                          "%s.Transient=1 to keep nothing",
                          r->key, path, r->cfg->service.p);
    r->cfg->path = ib_arena_strz(arena, path);
    return r->cfg->path.p ? 0 : ib_err_set(r->err, IB_ENOMEM, "out of memory");
}

static int check_endpoints(struct reader *r)
{
    static const char *const names[] = {"TopicManager.Endpoints", "Publish.Endpoints"};
    for (size_t i = 0; i < 2; i++)
        if (!*ir_properties_get(r->props, own_key(r, names[i])))
            return ib_err_set(r->err, IB_ECONFIG, "property `%s' is not set: it says where the service listens",
                              r->key);
    return 0;
}

/* --- unknown properties ------------------------------------------------------------------------------------------ */

static bool is_known(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(known[i]);
        if (known[i][n - 1] == '.' ? strncmp(name, known[i], n) == 0 : strcmp(name, known[i]) == 0)
            return true;
    }
    return false;
}

struct strangers {
    size_t prefix;
    struct ib_buf names;
};

static void on_property(void *arg, const char *key, const char *value)
{
    struct strangers *s = arg;
    (void)value;
    if (!is_known(key + s->prefix))
        ib_buf_printf(&s->names, "\n    %s", key);
}

static void warn_unknown(struct reader *r)
{
    struct strangers s = {.prefix = r->cfg->service.n + 1};
    ib_buf_init(&s.names);
    ir_properties_each(r->props, own_key(r, ""), on_property, &s);
    if (s.names.n)
        ib_log_warning(r->log, "found unknown properties for IceStorm service '%s':%s", r->cfg->service.p,
                       ib_buf_cstr(&s.names));
    ib_buf_fini(&s.names);
}

int storm_config_read(struct storm_config *cfg, const char *service, struct ir_properties *props, struct ib_log *log,
                      struct ib_arena *arena, struct ib_err *err)
{
    struct reader r = {.cfg = cfg, .props = props, .log = log, .err = err};
    *cfg = (struct storm_config){.service = ib_arena_strz(arena, service)};
    if (!cfg->service.p)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    int rc = check_endpoints(&r);
    if (!rc)
        rc = read_numbers(&r);
    if (!rc)
        rc = read_texts(&r, arena);
    if (!rc)
        rc = read_replicas(&r, arena);
    if (!rc)
        rc = read_path(&r, arena);
    if (!rc)
        warn_unknown(&r);
    return rc;
}
