/* SPDX-License-Identifier: Apache-2.0 */
/* The update that turns one definition into another, and what two definitions of a server may differ in without its
   restart (icegrid-registry 10.6, 9.1). More is compared than ZeroC's registry does: a difference told twice is
   harmless, one that is missed is not. */
#include "descriptor.h"
#include "catalog.h"
#include "instantiate.h"
#include "names.h"
#include "walk.h"

#include <stdlib.h>

#include <moulin/base/buf.h>
#include <moulin/wire/codec.h>

struct differ {
    struct ib_arena *arena;
    struct reg_fault fault;
    struct reg_resolver old, now;
};

static const char *entry_of(const struct iw_seq *d, const struct iw_type *t, struct ib_str key)
{
    size_t i = reg_sorted_find(t, d, key);
    return i == SIZE_MAX ? NULL : (const char *)d->v + i * t->entry_size;
}

/* Any dictionary with string keys: *set gets what is new or different, *remove the keys that are gone. */
static void diff_dict(struct differ *x, const struct iw_type *t, const void *old_dict, const void *new_dict, void *set,
                      struct Ice_StringSeq *remove)
{
    const struct iw_seq *old = old_dict, *now = new_dict;
    struct iw_seq *out = set;
    size_t step = t->entry_size;
    *out = (struct iw_seq){0, ib_arena_array(x->arena, now->n, step)};
    *remove = (struct Ice_StringSeq){0, IB_ARENA_ARRAY(x->arena, old->n, struct ib_str)};
    if (!out->v || !remove->v) {
        reg_fault_nomem(&x->fault);
        return;
    }
    for (size_t i = 0; i < now->n; i++) {
        const char *entry = (const char *)now->v + i * step;
        const char *was = entry_of(old, t, *(const struct ib_str *)(const void *)entry);
        if (!was || !iw_equal(t->elem, was + t->value_offset, entry + t->value_offset))
            memcpy((char *)out->v + out->n++ * step, entry, step);
    }
    for (size_t i = 0; i < old->n; i++) {
        const struct ib_str *key = (const struct ib_str *)(const void *)((const char *)old->v + i * step);
        if (!entry_of(now, t, *key))
            remove->v[remove->n++] = *key;
    }
}

static struct IceGrid_BoxedString *boxed(struct differ *x, struct ib_str now)
{
    struct IceGrid_BoxedString *b = IceGrid_BoxedString_new(x->arena);
    if (b)
        b->value = now;
    else
        reg_fault_nomem(&x->fault);
    return b;
}

static struct reg_names group_ids(struct differ *x, const struct IceGrid_ReplicaGroupDescriptorSeq *groups)
{
    struct reg_names ids = reg_names_new(x->arena, groups->n);
    for (size_t i = 0; ids.v && i < groups->n; i++)
        reg_names_add(&ids, groups->v[i].id);
    reg_names_sort(&ids);
    return ids;
}

static void diff_groups(struct differ *x, struct IceGrid_ApplicationUpdateDescriptor *u)
{
    const struct IceGrid_ReplicaGroupDescriptorSeq *old = &x->old.app->replicaGroups, *now = &x->now.app->replicaGroups;
    struct reg_names was = group_ids(x, old), is = group_ids(x, now);
    u->replicaGroups.v = IB_ARENA_ARRAY(x->arena, now->n, struct IceGrid_ReplicaGroupDescriptor);
    u->removeReplicaGroups.v = IB_ARENA_ARRAY(x->arena, old->n, struct ib_str);
    if (!u->replicaGroups.v || !u->removeReplicaGroups.v || !was.v || !is.v) {
        reg_fault_nomem(&x->fault);
        return;
    }
    for (size_t i = 0; i < now->n; i++) {
        size_t j = reg_names_find(&was, now->v[i].id);
        if (j == SIZE_MAX || !iw_equal(&IceGrid_ReplicaGroupDescriptor_type, &old->v[j], &now->v[i]))
            u->replicaGroups.v[u->replicaGroups.n++] = now->v[i];
    }
    for (size_t i = 0; i < old->n; i++) {
        if (reg_names_find(&is, old->v[i].id) == SIZE_MAX)
            u->removeReplicaGroups.v[u->removeReplicaGroups.n++] = old->v[i].id;
    }
}

/* --- servers -------------------------------------------------------------------------------------------------------
 */

/* The resolved ids of one list of a node, in its order and for look-ups. */
struct listing {
    struct Ice_StringSeq ids;
    struct reg_names by_name;
};

static struct listing listing(struct differ *x, size_t n)
{
    struct listing l = {{0, IB_ARENA_ARRAY(x->arena, n, struct ib_str)}, {0, NULL}};
    if (!l.ids.v)
        reg_fault_nomem(&x->fault);
    return l;
}

static void index_listing(struct differ *x, struct listing *l)
{
    l->by_name = reg_names_of(x->arena, &l->ids);
    if (!l->by_name.v)
        reg_fault_nomem(&x->fault);
}

static struct listing list_instances(struct differ *x, struct reg_resolver *node,
                                     const struct IceGrid_ServerInstanceDescriptorSeq *s)
{
    struct listing l = listing(x, s->n);
    while (l.ids.n < s->n && !x->fault.code) {
        l.ids.v[l.ids.n] = reg_server_instance_id(node, &s->v[l.ids.n]);
        l.ids.n++;
    }
    index_listing(x, &l);
    return l;
}

static struct listing list_servers(struct differ *x, struct reg_resolver *node,
                                   const struct IceGrid_ServerDescriptorSeq *s)
{
    struct listing l = listing(x, s->n);
    while (l.ids.n < s->n && !x->fault.code) {
        l.ids.v[l.ids.n] = reg_server_def_id(node, s->v[l.ids.n]);
        l.ids.n++;
    }
    index_listing(x, &l);
    return l;
}

/* What changed from one list to the other has to leave the old one, too. */
static void remove_absent(const struct listing *old, const struct listing *now, struct Ice_StringSeq *remove)
{
    for (size_t i = 0; i < old->ids.n; i++)
        if (reg_names_find(&now->by_name, old->ids.v[i]) == SIZE_MAX)
            remove->v[remove->n++] = old->ids.v[i];
}

static void diff_servers(struct differ *x, struct reg_resolver *old, struct reg_resolver *now,
                         struct IceGrid_NodeUpdateDescriptor *u)
{
    const struct IceGrid_NodeDescriptor *a = old->node_desc, *b = now->node_desc;
    struct listing oi = list_instances(x, old, &a->serverInstances), os = list_servers(x, old, &a->servers);
    struct listing ni = list_instances(x, now, &b->serverInstances), ns = list_servers(x, now, &b->servers);
    u->serverInstances.v = IB_ARENA_ARRAY(x->arena, ni.ids.n, struct IceGrid_ServerInstanceDescriptor);
    u->servers.v = IB_ARENA_ARRAY(x->arena, ns.ids.n, struct IceGrid_ServerDescriptor *);
    u->removeServers.v = IB_ARENA_ARRAY(x->arena, oi.ids.n + os.ids.n, struct ib_str);
    if (!u->serverInstances.v || !u->servers.v || !u->removeServers.v)
        reg_fault_nomem(&x->fault);
    if (x->fault.code)
        return;
    for (size_t i = 0; i < ni.ids.n; i++) {
        size_t j = reg_names_find(&oi.by_name, ni.ids.v[i]);
        if (j == SIZE_MAX ||
            !iw_equal(&IceGrid_ServerInstanceDescriptor_type, &a->serverInstances.v[j], &b->serverInstances.v[i]))
            u->serverInstances.v[u->serverInstances.n++] = b->serverInstances.v[i];
    }
    for (size_t i = 0; i < ns.ids.n; i++) {
        size_t j = reg_names_find(&os.by_name, ns.ids.v[i]);
        if (j == SIZE_MAX || !iw_equal(&IceGrid_ServerDescriptor_type, &a->servers.v[j], &b->servers.v[i]))
            u->servers.v[u->servers.n++] = b->servers.v[i];
    }
    remove_absent(&oi, &ni, &u->removeServers);
    remove_absent(&os, &ns, &u->removeServers);
}

/* --- nodes ---------------------------------------------------------------------------------------------------------
 */

static bool node_differs(const struct IceGrid_NodeUpdateDescriptor *u)
{
    return u->description || u->loadFactor || u->variables.n || u->removeVariables.n || u->propertySets.n ||
           u->removePropertySets.n || u->serverInstances.n || u->servers.n || u->removeServers.n;
}

/* was NULL: the node is new. */
static void diff_node(struct differ *x, struct ib_str name, const struct IceGrid_NodeDescriptor *was,
                      const struct IceGrid_NodeDescriptor *b, struct IceGrid_NodeUpdateDescriptor *u)
{
    static const struct IceGrid_NodeDescriptor none;
    const struct IceGrid_NodeDescriptor *a = was ? was : &none;
    struct reg_resolver old = x->old, now = x->now;
    old.node = now.node = name;
    old.node_desc = a;
    now.node_desc = b;
    *u = (struct IceGrid_NodeUpdateDescriptor){.name = name};
    if (!was || !ib_str_eq(a->description, b->description))
        u->description = boxed(x, b->description);
    if (!was || !ib_str_eq(a->loadFactor, b->loadFactor))
        u->loadFactor = boxed(x, b->loadFactor);
    diff_dict(x, &IceGrid_StringStringDict_type, &a->variables, &b->variables, &u->variables, &u->removeVariables);
    diff_dict(x, &IceGrid_PropertySetDescriptorDict_type, &a->propertySets, &b->propertySets, &u->propertySets,
              &u->removePropertySets);
    diff_servers(x, &old, &now, u);
}

static void diff_nodes(struct differ *x, struct IceGrid_ApplicationUpdateDescriptor *u)
{
    const struct IceGrid_NodeDescriptorDict *old = &x->old.app->nodes, *now = &x->now.app->nodes;
    u->nodes.v = IB_ARENA_ARRAY(x->arena, now->n, struct IceGrid_NodeUpdateDescriptor);
    u->removeNodes.v = IB_ARENA_ARRAY(x->arena, old->n, struct ib_str);
    if (!u->nodes.v || !u->removeNodes.v)
        reg_fault_nomem(&x->fault);
    for (size_t i = 0; i < now->n && !x->fault.code; i++) {
        size_t j = reg_sorted_find(&IceGrid_NodeDescriptorDict_type, old, now->v[i].key);
        struct IceGrid_NodeUpdateDescriptor *nu = &u->nodes.v[u->nodes.n];
        diff_node(x, now->v[i].key, j != SIZE_MAX ? &old->v[j].value : NULL, &now->v[i].value, nu);
        if (j == SIZE_MAX || node_differs(nu))
            u->nodes.n++;
    }
    for (size_t i = 0; i < old->n && !x->fault.code; i++) {
        if (reg_sorted_find(&IceGrid_NodeDescriptorDict_type, now, old->v[i].key) == SIZE_MAX)
            u->removeNodes.v[u->removeNodes.n++] = old->v[i].key;
    }
}

static void diff(struct differ *x, struct IceGrid_ApplicationUpdateDescriptor *u)
{
    const struct IceGrid_ApplicationDescriptor *a = x->old.app, *b = x->now.app;
    *u = (struct IceGrid_ApplicationUpdateDescriptor){.name = b->name};
    if (!ib_str_eq(a->description, b->description))
        u->description = boxed(x, b->description);
    if (!iw_equal(&IceGrid_DistributionDescriptor_type, &a->distrib, &b->distrib)) {
        u->distrib = IceGrid_BoxedDistributionDescriptor_new(x->arena);
        if (u->distrib)
            u->distrib->value = b->distrib;
        else
            reg_fault_nomem(&x->fault);
    }
    diff_dict(x, &IceGrid_StringStringDict_type, &a->variables, &b->variables, &u->variables, &u->removeVariables);
    diff_dict(x, &IceGrid_PropertySetDescriptorDict_type, &a->propertySets, &b->propertySets, &u->propertySets,
              &u->removePropertySets);
    diff_dict(x, &IceGrid_TemplateDescriptorDict_type, &a->serverTemplates, &b->serverTemplates, &u->serverTemplates,
              &u->removeServerTemplates);
    diff_dict(x, &IceGrid_TemplateDescriptorDict_type, &a->serviceTemplates, &b->serviceTemplates, &u->serviceTemplates,
              &u->removeServiceTemplates);
    diff_groups(x, u);
    diff_nodes(x, u);
}

int reg_descriptor_diff(const struct IceGrid_ApplicationDescriptor *old,
                        const struct IceGrid_ApplicationDescriptor *now, struct ib_arena *arena,
                        struct IceGrid_ApplicationUpdateDescriptor *out, struct ib_err *err)
{
    struct differ x = {.arena = arena, .fault = {.err = err}};
    struct IceGrid_ApplicationDescriptor a, b;
    struct IceGrid_ApplicationUpdateDescriptor u;
    int rc = iw_copy(&IceGrid_ApplicationDescriptor_type, old, arena, &a);
    if (!rc)
        rc = iw_copy(&IceGrid_ApplicationDescriptor_type, now, arena, &b);
    /* dictionaries compare in order */
    if (!rc)
        rc = reg_sort_dicts(&IceGrid_ApplicationDescriptor_type, &a);
    if (!rc)
        rc = reg_sort_dicts(&IceGrid_ApplicationDescriptor_type, &b);
    if (rc)
        return ib_err_set(err, rc, "%s", ib_err_text(rc));
    x.old = x.now =
        (struct reg_resolver){.arena = arena, .scratch = arena, .fault = &x.fault, .app = &a, .application = a.name};
    x.now.app = &b;
    diff(&x, &u);
    if (!x.fault.code)
        *out = u;
    return x.fault.code;
}

/* --- without restart -----------------------------------------------------------------------------------------------
 */

/* A copy without the properties of the server and its services. */
static struct IceGrid_ServerDescriptor *without_properties(const struct IceGrid_ServerDescriptor *s,
                                                           struct ib_arena *arena)
{
    struct IceGrid_ServerDescriptor *copy = NULL;
    if (iw_copy(&IceGrid_ServerDescriptor_type, &s, arena, &copy) != 0)
        return NULL;
    const struct IceGrid_IceBoxDescriptor *box = reg_icebox(copy);
    copy->base.propertySet = (struct IceGrid_PropertySetDescriptor){0};
    for (size_t i = 0; box && i < box->services.n; i++)
        if (box->services.v[i].descriptor)
            box->services.v[i].descriptor->base.propertySet = (struct IceGrid_PropertySetDescriptor){0};
    return copy;
}

static int needs_restart(const struct reg_server *a, const struct reg_server *b, bool *needs)
{
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    const struct IceGrid_ServerDescriptor *x = without_properties(a->desc, &arena);
    const struct IceGrid_ServerDescriptor *y = without_properties(b->desc, &arena);
    if (x && y)
        *needs = !iw_equal(&IceGrid_ServerDescriptor_type, &x, &y);
    ib_arena_fini(&arena);
    return x && y ? 0 : IB_ENOMEM;
}

static int compare_servers(const void *a, const void *b)
{
    const struct reg_server *const *x = a, *const *y = b;
    return ib_str_cmp((*x)->id, (*y)->id);
}

/* Sorted by id; NULL when memory is short. free() it. */
static const struct reg_server **sorted_servers(const struct reg_app *app)
{
    const struct reg_server **v = calloc(app->n_servers + 1, sizeof(const struct reg_server *));
    if (!v)
        return NULL;
    for (size_t i = 0; i < app->n_servers; i++)
        v[i] = &app->servers[i];
    qsort(v, app->n_servers, sizeof(const struct reg_server *), compare_servers);
    return v;
}

/* What an update without restart runs into. Nodes are those it would have to ask: where a server changes in its
   properties only, or goes away. */
struct obstacles {
    struct ib_buf servers, nodes;
    size_t n_servers, n_nodes;
    const struct ib_str **down; /* names, as found */
    bool (*up)(void *arg, struct ib_str node); /* NULL: none is */
    void *arg;
};

/* Is the server on its node another one afterwards? `needs`: so that it would have to stop. */
static int server_changes(const struct reg_server *a, const struct reg_server *b, bool *changes, bool *needs)
{
    *needs = false;
    *changes = !b || ib_str_cmp(a->node, b->node) != 0;
    if (*changes)
        return 0;
    *changes = !iw_equal(&IceGrid_ServerDescriptor_type, &a->desc, &b->desc);
    return *changes ? needs_restart(a, b, needs) : 0;
}

static int compare_names(const void *a, const void *b)
{
    const struct ib_str *const *x = a, *const *y = b;
    return ib_str_cmp(**x, **y);
}

static void list_nodes(struct obstacles *o)
{
    size_t found = o->n_nodes;
    qsort(o->down, found, sizeof(const struct ib_str *), compare_names);
    o->n_nodes = 0;
    for (size_t i = 0; i < found; i++)
        if (!i || ib_str_cmp(*o->down[i - 1], *o->down[i]) != 0)
            ib_buf_printf(&o->nodes, "%s%s", o->n_nodes++ ? ", " : "", ib_cstr(*o->down[i]));
}

static int find_obstacles(const struct reg_app *old, const struct reg_app *now, const struct reg_server **a,
                          const struct reg_server **b, struct obstacles *o)
{
    for (size_t i = 0; i < old->n_servers; i++) {
        const struct reg_server **same =
            bsearch(&a[i], b, now->n_servers, sizeof(const struct reg_server *), compare_servers);
        bool changes, needs;
        int rc = server_changes(a[i], same ? *same : NULL, &changes, &needs);
        if (rc)
            return rc;
        if (needs)
            ib_buf_printf(&o->servers, "%s%s", o->n_servers++ ? ", " : "", ib_cstr(a[i]->id));
        else if (changes && !(o->up && o->up(o->arg, a[i]->node)))
            o->down[o->n_nodes++] = &a[i]->node;
    }
    list_nodes(o);
    return ib_buf_ok(&o->servers) && ib_buf_ok(&o->nodes) ? 0 : IB_ENOMEM;
}

static int refuse_obstacles(const struct reg_app *old, struct obstacles *o, struct ib_err *err)
{
    struct ib_buf text;
    ib_buf_init(&text);
    if (o->n_servers)
        ib_buf_printf(&text, "\nthe server%s `%s' would need to be stopped", o->n_servers > 1 ? "s" : "",
                      ib_buf_cstr(&o->servers));
    if (o->n_nodes)
        ib_buf_printf(&text, "\nthe node%s `%s' %s down", o->n_nodes > 1 ? "s" : "", ib_buf_cstr(&o->nodes),
                      o->n_nodes > 1 ? "are" : "is");
    int rc = ib_buf_ok(&text) ? 0 : IB_ENOMEM;
    if (rc)
        ib_err_set(err, rc, "%s", ib_err_text(rc));
    else if (o->n_servers + o->n_nodes)
        rc = ib_err_set(err, IB_EINVAL, "check for application `%s' update failed:%s", ib_cstr(old->name),
                        ib_buf_cstr(&text));
    ib_buf_fini(&text);
    return rc;
}

int reg_app_check_without_restart(const struct reg_app *old, const struct reg_app *now,
                                  bool (*up)(void *arg, struct ib_str node), void *arg, struct ib_err *err)
{
    const struct reg_server **a = sorted_servers(old), **b = sorted_servers(now);
    struct obstacles o = {.up = up, .arg = arg, .down = calloc(old->n_servers + 1, sizeof(const struct ib_str *))};
    ib_buf_init(&o.servers);
    ib_buf_init(&o.nodes);
    int rc = a && b && o.down ? find_obstacles(old, now, a, b, &o) : IB_ENOMEM;
    rc = rc ? ib_err_set(err, rc, "%s", ib_err_text(rc)) : refuse_obstacles(old, &o, err);
    ib_buf_fini(&o.servers);
    ib_buf_fini(&o.nodes);
    free(o.down);
    free(a);
    free(b);
    return rc;
}
