/* SPDX-License-Identifier: Apache-2.0 */
/* A definition after an update (icegrid-registry 10.6): keys removed, then set; servers by their resolved ids. */
#include "descriptor.h"
#include "instantiate.h"
#include "walk.h"

#include <moulin/wire/codec.h>

struct merger {
    struct ib_arena *arena;
    struct reg_fault fault;
    struct reg_resolver old, now; /* application scopes before and after */
};

static bool listed(const struct Ice_StringSeq *seq, struct ib_str s)
{
    for (size_t i = 0; i < seq->n; i++)
        if (ib_str_eq(seq->v[i], s))
            return true;
    return false;
}

/* Any dictionary with string keys: what remains of *dict, then what update sets. Entries are moved, not copied. */
static void merge_dict(struct merger *m, const struct iw_type *t, void *dict, const struct Ice_StringSeq *remove,
                       const void *update)
{
    struct iw_seq *d = dict, out = {0, NULL};
    const struct iw_seq *set = update;
    size_t step = t->entry_size;
    out.v = ib_arena_array(m->arena, d->n + set->n, step);
    if (!out.v) {
        reg_fault_nomem(&m->fault);
        return;
    }
    for (size_t i = 0; i < d->n; i++) {
        const char *entry = (const char *)d->v + i * step;
        const struct ib_str *key = (const struct ib_str *)(const void *)entry;
        bool gone = listed(remove, *key);
        for (size_t j = 0; j < set->n && !gone; j++)
            gone = ib_str_eq(*(const struct ib_str *)(const void *)((const char *)set->v + j * step), *key);
        if (!gone)
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
    if (!out.v) {
        reg_fault_nomem(&m->fault);
        return;
    }
    for (size_t i = 0; i < u->replicaGroups.n; i++)
        out.v[out.n++] = u->replicaGroups.v[i];
    for (size_t i = 0; i < groups->n; i++) {
        bool gone = listed(&u->removeReplicaGroups, groups->v[i].id);
        for (size_t j = 0; j < u->replicaGroups.n && !gone; j++)
            gone = ib_str_eq(u->replicaGroups.v[j].id, groups->v[i].id);
        if (!gone)
            out.v[out.n++] = groups->v[i];
    }
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
    struct Ice_StringSeq given = {0, IB_ARENA_ARRAY(m->arena, set->n, struct ib_str)};
    if (!out.v || !given.v) {
        reg_fault_nomem(&m->fault);
        return;
    }
    for (size_t i = 0; i < set->n; i++) {
        given.v[given.n++] = reg_server_instance_id(now, &set->v[i]);
        out.v[out.n++] = set->v[i];
    }
    for (size_t i = 0; i < list->n && !m->fault.code; i++) {
        struct ib_str id = reg_server_instance_id(old, &list->v[i]);
        if (m->fault.code || listed(&given, id) || listed(&u->removeServers, id))
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
    struct Ice_StringSeq given = {0, IB_ARENA_ARRAY(m->arena, set->n, struct ib_str)};
    if (!out.v || !given.v) {
        reg_fault_nomem(&m->fault);
        return;
    }
    for (size_t i = 0; i < set->n; i++) {
        given.v[given.n++] = reg_server_def_id(now, set->v[i]);
        out.v[out.n++] = set->v[i];
    }
    for (size_t i = 0; i < list->n && !m->fault.code; i++) {
        struct ib_str id = reg_server_def_id(old, list->v[i]);
        if (m->fault.code || listed(&given, id) || listed(&u->removeServers, id))
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
    if (!set.v) {
        reg_fault_nomem(&m->fault);
        return;
    }
    for (size_t i = 0; i < u->nodes.n && !m->fault.code; i++) {
        const struct IceGrid_NodeUpdateDescriptor *nu = &u->nodes.v[i];
        const struct IceGrid_NodeDescriptor *before = NULL;
        struct IceGrid_NodeDescriptorDict_entry *e = NULL;
        for (size_t j = 0; j < nodes->n && !before; j++)
            if (ib_str_eq(nodes->v[j].key, nu->name))
                before = &nodes->v[j].value;
        for (size_t j = 0; j < set.n && !e; j++)
            if (ib_str_eq(set.v[j].key, nu->name))
                e = &set.v[j];
        if (!e) {
            e = &set.v[set.n++];
            e->key = nu->name;
            if (before)
                e->value = *before;
        }
        struct IceGrid_NodeDescriptor was = e->value;
        merge_node(m, before ? &was : NULL, &e->value, nu);
    }
    merge_dict(m, &IceGrid_NodeDescriptorDict_type, nodes, &u->removeNodes, &set);
}

/* now is a copy of old in the arena, update a copy of the update: their parts may be moved. */
static void merge(struct merger *m, const struct IceGrid_ApplicationDescriptor *old,
                  struct IceGrid_ApplicationDescriptor *now, const struct IceGrid_ApplicationUpdateDescriptor *u)
{
    m->old = m->now =
        (struct reg_resolver){.arena = m->arena, .fault = &m->fault, .app = old, .application = old->name};
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
    if (rc)
        return ib_err_set(err, rc, "%s", ib_err_text(rc));
    merge(&m, old, &now, &u);
    if (!m.fault.code)
        *out = now;
    return m.fault.code;
}
