/* SPDX-License-Identifier: Apache-2.0 */
/* A definition after an update (icegrid-registry 10.6): keys removed, then set; servers by their resolved ids. */
#include "descriptor.h"
#include "instantiate.h"
#include "names.h"
#include "walk.h"

#include <moulin/wire/codec.h>

struct merger {
    struct ib_arena *arena;
    struct reg_fault fault;
    struct reg_resolver old, now; /* application scopes before and after */
};

static bool listed(const struct reg_names *names, struct ib_str s)
{
    return reg_names_find(names, s) != SIZE_MAX;
}

/* Any dictionary with string keys: what remains of *dict, then what update sets. Entries are moved, not copied. Both
   are sorted, and so is the result. */
static void merge_dict(struct merger *m, const struct iw_type *t, void *dict, const struct Ice_StringSeq *remove,
                       const void *update)
{
    struct iw_seq *d = dict, out = {0, NULL};
    const struct iw_seq *set = update;
    struct reg_names gone = reg_names_of(m->arena, remove);
    size_t step = t->entry_size;
    out.v = ib_arena_array(m->arena, d->n + set->n, step);
    if (!out.v || !gone.v) {
        reg_fault_nomem(&m->fault);
        return;
    }
    for (size_t i = 0; i < d->n; i++) {
        const char *entry = (const char *)d->v + i * step;
        const struct ib_str *key = (const struct ib_str *)(const void *)entry;
        if (!listed(&gone, *key) && reg_sorted_find(t, set, *key) == SIZE_MAX)
            memcpy((char *)out.v + out.n++ * step, entry, step);
    }
    if (set->n)
        memcpy((char *)out.v + out.n * step, set->v, set->n * step);
    out.n += set->n;
    iw_dict_sort(t, &out);
    *d = out;
}

static void merge_groups(struct merger *m, struct IceGrid_ReplicaGroupDescriptorSeq *groups,
                         const struct IceGrid_ApplicationUpdateDescriptor *u)
{
    struct IceGrid_ReplicaGroupDescriptorSeq out = {
        0, IB_ARENA_ARRAY(m->arena, groups->n + u->replicaGroups.n, struct IceGrid_ReplicaGroupDescriptor)};
    struct reg_names gone = reg_names_of(m->arena, &u->removeReplicaGroups);
    struct reg_names given = reg_names_new(m->arena, u->replicaGroups.n);
    if (!out.v || !gone.v || !given.v) {
        reg_fault_nomem(&m->fault);
        return;
    }
    for (size_t i = 0; i < u->replicaGroups.n; i++) {
        out.v[out.n++] = u->replicaGroups.v[i];
        reg_names_add(&given, u->replicaGroups.v[i].id);
    }
    reg_names_sort(&given);
    for (size_t i = 0; i < groups->n; i++)
        if (!listed(&gone, groups->v[i].id) && !listed(&given, groups->v[i].id))
            out.v[out.n++] = groups->v[i];
    *groups = out;
}

/* --- servers of a node -------------------------------------------------------------------------------------------- */

/* What the update does not touch must not get another id by it. */
static void check_same_id(struct reg_resolver *node, struct ib_str old_id, struct ib_str new_id)
{
    if (!ib_str_eq(old_id, new_id))
        reg_resolver_fail(node, "invalid update in node `%s':\nserver instance id `%s' changed to `%s'",
                          ib_cstr(node->node), ib_cstr(old_id), ib_cstr(new_id));
}

static void merge_instances(struct merger *m, struct reg_resolver *old, struct reg_resolver *now,
                            struct IceGrid_ServerInstanceDescriptorSeq *list,
                            const struct IceGrid_NodeUpdateDescriptor *u)
{
    const struct IceGrid_ServerInstanceDescriptorSeq *set = &u->serverInstances;
    struct IceGrid_ServerInstanceDescriptorSeq out = {
        0, IB_ARENA_ARRAY(m->arena, list->n + set->n, struct IceGrid_ServerInstanceDescriptor)};
    struct reg_names given = reg_names_new(m->arena, set->n), gone = reg_names_of(m->arena, &u->removeServers);
    if (!out.v || !given.v || !gone.v) {
        reg_fault_nomem(&m->fault);
        return;
    }
    for (size_t i = 0; i < set->n && !m->fault.code; i++) {
        reg_names_add(&given, reg_server_instance_id(now, &set->v[i]));
        out.v[out.n++] = set->v[i];
    }
    reg_names_sort(&given);
    for (size_t i = 0; i < list->n && !m->fault.code; i++) {
        struct ib_str id = reg_server_instance_id(old, &list->v[i]);
        if (m->fault.code || listed(&given, id) || listed(&gone, id))
            continue;
        check_same_id(now, id, reg_server_instance_id(now, &list->v[i]));
        out.v[out.n++] = list->v[i];
    }
    *list = out;
}

static void merge_servers(struct merger *m, struct reg_resolver *old, struct reg_resolver *now,
                          struct IceGrid_ServerDescriptorSeq *list, const struct IceGrid_NodeUpdateDescriptor *u)
{
    const struct IceGrid_ServerDescriptorSeq *set = &u->servers;
    struct IceGrid_ServerDescriptorSeq out = {
        0, IB_ARENA_ARRAY(m->arena, list->n + set->n, struct IceGrid_ServerDescriptor *)};
    struct reg_names given = reg_names_new(m->arena, set->n), gone = reg_names_of(m->arena, &u->removeServers);
    if (!out.v || !given.v || !gone.v) {
        reg_fault_nomem(&m->fault);
        return;
    }
    for (size_t i = 0; i < set->n && !m->fault.code; i++) {
        reg_names_add(&given, reg_server_def_id(now, set->v[i]));
        out.v[out.n++] = set->v[i];
    }
    reg_names_sort(&given);
    for (size_t i = 0; i < list->n && !m->fault.code; i++) {
        struct ib_str id = reg_server_def_id(old, list->v[i]);
        if (m->fault.code || listed(&given, id) || listed(&gone, id))
            continue;
        check_same_id(now, id, reg_server_def_id(now, list->v[i]));
        out.v[out.n++] = list->v[i];
    }
    *list = out;
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

static void refuse_removals(struct merger *m, const struct IceGrid_NodeUpdateDescriptor *u)
{
    const char *what = u->removeServers.n        ? "servers"
                       : u->removeVariables.n    ? "variables"
                       : u->removePropertySets.n ? "property sets"
                                                 : NULL;
    if (what)
        reg_resolver_fail(&m->now, "can't remove %s for node `%s': node doesn't exist", what, ib_cstr(u->name));
}

/* before: the node as it was, NULL for a new one; node: a copy of it, or empty. */
static void merge_node(struct merger *m, const struct IceGrid_NodeDescriptor *before,
                       struct IceGrid_NodeDescriptor *node, const struct IceGrid_NodeUpdateDescriptor *u)
{
    struct reg_resolver old = m->old, now = m->now;
    if (!before)
        refuse_removals(m, u);
    merge_dict(m, &IceGrid_StringStringDict_type, &node->variables, &u->removeVariables, &u->variables);
    merge_dict(m, &IceGrid_PropertySetDescriptorDict_type, &node->propertySets, &u->removePropertySets,
               &u->propertySets);
    if (u->description)
        node->description = u->description->value;
    if (u->loadFactor)
        node->loadFactor = u->loadFactor->value;
    old.node = now.node = u->name;
    old.node_desc = before;
    now.node_desc = node;
    merge_instances(m, &old, &now, &node->serverInstances, u);
    merge_servers(m, &old, &now, &node->servers, u);
}

static void merge_nodes(struct merger *m, struct IceGrid_NodeDescriptorDict *nodes,
                        const struct IceGrid_ApplicationUpdateDescriptor *u)
{
    struct IceGrid_NodeDescriptorDict set = {
        0, IB_ARENA_ARRAY(m->arena, u->nodes.n, struct IceGrid_NodeDescriptorDict_entry)};
    struct reg_names seen = reg_names_new(m->arena, u->nodes.n);
    if (!set.v || !seen.v) {
        reg_fault_nomem(&m->fault);
        return;
    }
    for (size_t i = 0; i < u->nodes.n; i++)
        reg_names_add(&seen, u->nodes.v[i].name);
    reg_names_sort(&seen);
    for (size_t i = 0; i < u->nodes.n && !m->fault.code; i++) {
        const struct IceGrid_NodeUpdateDescriptor *nu = &u->nodes.v[i];
        if (reg_names_find(&seen, nu->name) != i)
            continue; /* named twice: the first counts, as in ZeroC's */
        size_t at = reg_sorted_find(&IceGrid_NodeDescriptorDict_type, nodes, nu->name);
        const struct IceGrid_NodeDescriptor *before = at == SIZE_MAX ? NULL : &nodes->v[at].value;
        struct IceGrid_NodeDescriptorDict_entry *e = &set.v[set.n++];
        e->key = nu->name;
        if (before)
            e->value = *before;
        merge_node(m, before, &e->value, nu);
    }
    iw_dict_sort(&IceGrid_NodeDescriptorDict_type, &set);
    merge_dict(m, &IceGrid_NodeDescriptorDict_type, nodes, &u->removeNodes, &set);
}

/* now is a copy of old in the arena, update a copy of the update: their parts may be moved. */
static void merge(struct merger *m, const struct IceGrid_ApplicationDescriptor *old,
                  struct IceGrid_ApplicationDescriptor *now, const struct IceGrid_ApplicationUpdateDescriptor *u)
{
    m->old = m->now = (struct reg_resolver){
        .arena = m->arena, .scratch = m->arena, .fault = &m->fault, .app = old, .application = old->name};
    m->now.app = now;
    if (u->description)
        now->description = u->description->value;
    if (u->distrib)
        now->distrib = u->distrib->value;
    merge_dict(m, &IceGrid_StringStringDict_type, &now->variables, &u->removeVariables, &u->variables);
    merge_dict(m, &IceGrid_PropertySetDescriptorDict_type, &now->propertySets, &u->removePropertySets,
               &u->propertySets);
    merge_dict(m, &IceGrid_TemplateDescriptorDict_type, &now->serverTemplates, &u->removeServerTemplates,
               &u->serverTemplates);
    merge_dict(m, &IceGrid_TemplateDescriptorDict_type, &now->serviceTemplates, &u->removeServiceTemplates,
               &u->serviceTemplates);
    merge_groups(m, &now->replicaGroups, u);
    if (!m->fault.code)
        merge_nodes(m, &now->nodes, u);
}

int reg_descriptor_merge(const struct IceGrid_ApplicationDescriptor *old,
                         const struct IceGrid_ApplicationUpdateDescriptor *update, struct ib_arena *arena,
                         struct IceGrid_ApplicationDescriptor *out, struct ib_err *err)
{
    struct merger m = {.arena = arena, .fault = {.err = err}};
    struct IceGrid_ApplicationDescriptor now;
    struct IceGrid_ApplicationUpdateDescriptor u;
    int rc = iw_copy(&IceGrid_ApplicationDescriptor_type, old, arena, &now);
    if (!rc)
        rc = iw_copy(&IceGrid_ApplicationUpdateDescriptor_type, update, arena, &u);
    if (!rc)
        rc = reg_sort_dicts(&IceGrid_ApplicationUpdateDescriptor_type, &u);
    if (rc)
        return ib_err_set(err, rc, "%s", ib_err_text(rc));
    merge(&m, old, &now, &u);
    if (!m.fault.code)
        *out = now;
    return m.fault.code;
}

/* --- one more instance -------------------------------------------------------------------------------------------- */

static struct IceGrid_NodeDescriptor *get_node(struct IceGrid_NodeDescriptorDict *nodes, struct ib_str name,
                                               struct ib_arena *arena)
{
    size_t at = reg_sorted_find(&IceGrid_NodeDescriptorDict_type, nodes, name);
    if (at != SIZE_MAX)
        return &nodes->v[at].value;
    struct IceGrid_NodeDescriptorDict more = {
        nodes->n, IB_ARENA_ARRAY(arena, nodes->n + 1, struct IceGrid_NodeDescriptorDict_entry)};
    if (!more.v)
        return NULL;
    if (nodes->n)
        memcpy(more.v, nodes->v, nodes->n * sizeof(*more.v));
    more.v[more.n++].key = name;
    iw_dict_sort(&IceGrid_NodeDescriptorDict_type, &more);
    *nodes = more;
    return &nodes->v[reg_sorted_find(&IceGrid_NodeDescriptorDict_type, nodes, name)].value;
}

int reg_descriptor_instantiate(const struct IceGrid_ApplicationDescriptor *old, struct ib_str node,
                               const struct IceGrid_ServerInstanceDescriptor *instance, struct ib_arena *arena,
                               struct IceGrid_ApplicationDescriptor *out, struct ib_err *err)
{
    struct IceGrid_ApplicationDescriptor now;
    struct IceGrid_ServerInstanceDescriptorSeq list = {0};
    struct IceGrid_NodeDescriptor *to = NULL;
    struct ib_str name = ib_arena_str(arena, node);
    if (name.p && iw_copy(&IceGrid_ApplicationDescriptor_type, old, arena, &now) == 0)
        to = get_node(&now.nodes, name, arena);
    if (to)
        list.v = IB_ARENA_ARRAY(arena, to->serverInstances.n + 1, struct IceGrid_ServerInstanceDescriptor);
    if (!list.v ||
        iw_copy(&IceGrid_ServerInstanceDescriptor_type, instance, arena, &list.v[to->serverInstances.n]) != 0)
        return ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
    list.n = to->serverInstances.n + 1;
    if (list.n > 1)
        memcpy(list.v, to->serverInstances.v, (list.n - 1) * sizeof(*list.v));
    to->serverInstances = list;
    *out = now;
    return 0;
}
