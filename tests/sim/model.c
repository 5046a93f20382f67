/* SPDX-License-Identifier: Apache-2.0 */
/* What writers know, and what must be true whatever happens. A change that was acknowledged has happened; of one whose
   answer never came nobody knows, until a master is seen. */
#include "cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication.h"
#include "slices.h"

#define ITEMS SIM_ITEMS_MAX
#define ANSWER_MS 10000
#define DEPLOYED_MS 40000 /* its node is asked, which may be frozen or gone */
#define ADAPTERS 6 /* of them; then come applications; the others are objects */
#define APPLICATIONS 4
#define QUIET 6 /* the last ones, which change seldom: they must be everywhere at any time */
#define QUIET_PERMILLE 20
#define POSSIBLE_MAX 64
#define LATELY_MAX 512

struct item;

/* A change under way. */
struct pending {
    struct item *item; /* NULL: whoever asked has given up */
    struct sim_replica *to;
    uint16_t wanted;
};

struct item {
    char name[16];
    bool adapter, application;
    struct pending *busy; /* NULL: no change is under way */
    uint16_t possible[POSSIBLE_MAX]; /* ports of its proxy; 0: it is not there */
    size_t n;
    uint16_t lately[LATELY_MAX]; /* all it may have been, somewhere, since all replicas were equal */
    size_t n_lately;
};

static struct item items[ITEMS];
static uint16_t last_port;
static int64_t settled_at; /* when all replicas were equal */

/* --- what is possible ------------------------------------------------------------------------------------------- */

static bool may_be(const struct item *it, uint16_t port)
{
    for (size_t i = 0; i < it->n; i++)
        if (it->possible[i] == port)
            return true;
    return false;
}

static void must_be(struct item *it, uint16_t port)
{
    it->possible[0] = port;
    it->n = 1;
}

static void also(struct item *it, uint16_t port)
{
    if (may_be(it, port))
        return;
    if (it->n == POSSIBLE_MAX)
        sim_fail("too many changes of %s whose outcome is unknown", it->name);
    it->possible[it->n++] = port;
}

static void note_lately(struct item *it, uint16_t port)
{
    if (it->n_lately < LATELY_MAX)
        it->lately[it->n_lately++] = port;
}

static bool was_lately(const struct item *it, uint16_t port)
{
    for (size_t i = 0; i < it->n_lately; i++)
        if (it->lately[i] == port)
            return true;
    return it->n_lately == LATELY_MAX;
}

static const char *text(const struct item *it)
{
    static char out[POSSIBLE_MAX * 8];
    size_t n = 0;
    for (size_t i = 0; i < it->n; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%d", i ? " or " : "", it->possible[i]);
    return out;
}

static uint16_t seen(struct sim_replica *r, const struct item *it)
{
    struct ib_arena arena;
    struct IceGrid_ObjectInfo object;
    struct IceGrid_AdapterInfo adapter;
    const struct iw_proxy *prx = NULL;
    if (it->application) { /* its description is a number, too */
        const struct reg_app *app = reg_catalog_app(r->reg->catalog, ib_str(it->name));
        return app ? (uint16_t)atoi(ib_cstr(app->info->descriptor.description)) : 0;
    }
    ib_arena_init(&arena, 0);
    if (it->adapter) {
        if (reg_catalog_dynamic(r->reg->catalog, ib_str(it->name), &arena, &adapter) == 0)
            prx = adapter.proxy;
    } else {
        const struct iw_identity id = {ib_str(it->name), IB_STR("")};
        if (reg_catalog_object(r->reg->catalog, &id, &arena, &object) == 0)
            prx = object.proxy;
    }
    uint16_t port = prx ? (uint16_t)prx->endpoints[0].port : 0;
    ib_arena_fini(&arena);
    return port;
}

void sim_model_master_started(struct sim_replica *m)
{
    for (size_t i = 0; i < ITEMS; i++) {
        struct item *it = &items[i];
        if (!it->name[0])
            continue;
        uint16_t port = seen(m, it);
        if (!may_be(it, port))
            sim_fail("the master %s has %s with %d, which must be %s: an acknowledged change is lost", m->name,
                     it->name, port, text(it));
        if (!it->busy)
            must_be(it, port);
    }
}

/* --- changes ---------------------------------------------------------------------------------------------------- */

static bool same(const struct sim_row *a, const struct sim_row *b)
{
    return a && b ? a->nv == b->nv && memcmp(a->value, b->value, a->nv) == 0 : a == b;
}

/* The moment of the answer: on the master's disk, and on that of every slave it counts on. */
static void check_acknowledged(const struct pending *p, const struct reg_change *c)
{
    const struct item *it = p->item;
    struct sim_replica *m = p->to;
    int table = it->adapter ? REG_ADAPTERS : it->application ? REG_APPLICATIONS : REG_OBJECTS;
    const struct sim_row *row = sim_disk_find(m->disk, table, c->key.p, c->key.n);
    if (!row != !p->wanted ||
        (row && !it->application && (row->nv != c->record.n || memcmp(row->value, c->record.p, row->nv) != 0)))
        sim_fail("a change of %s is acknowledged that is not on the disk of the master %s", it->name, m->name);
    for (int i = 0; i < sim_n_replicas; i++) {
        struct sim_replica *s = &sim_replicas[i];
        if (s == m || !sim_follows(m, s))
            continue;
        if (!same(row, sim_disk_find(s->disk, table, c->key.p, c->key.n)))
            sim_fail("a change of %s is acknowledged that is not on the disk of the slave %s", it->name, s->name);
    }
}

static bool is_about_presence(const struct reg_change *c, bool *present)
{
    *present = c->exception == &IceGrid_ObjectExistsException_class;
    return *present || c->exception == &IceGrid_ObjectNotRegisteredException_class ||
           c->exception == &IceGrid_AdapterNotExistException_class ||
           c->exception == &IceGrid_ApplicationNotExistException_class;
}

/* The master says that it is there, or not: that must be one of the possibilities, and rules out the others. */
static void narrow(struct item *it, bool present)
{
    size_t n = 0;
    for (size_t i = 0; i < it->n; i++)
        if ((it->possible[i] != 0) == present)
            it->possible[n++] = it->possible[i];
    if (n == 0)
        sim_fail("the master says that %s is %s, which must be %s", it->name, present ? "there" : "not there",
                 text(it));
    it->n = n;
}

static void answered(void *arg, struct reg_change *c)
{
    struct pending p = *(struct pending *)arg;
    struct item *it = p.item;
    bool present;
    free(arg);
    if (!it)
        return;
    it->busy = NULL;
    if (p.to->proc->dead || c->code == IB_EDESTROYED || c->code == IB_EIO) {
        also(it, p.wanted); /* nobody hears a dead one; and what its disk does not take, a slave may have */
    } else if (!c->code) {
        sim_note("%s is acknowledged: %s is %d", p.to->name, it->name, p.wanted);
        sim_counts.acknowledged++;
        check_acknowledged(&p, c);
        must_be(it, p.wanted);
    } else if (is_about_presence(c, &present)) {
        narrow(it, present);
    }
}

void sim_model_give_up(const struct sim_replica *m)
{
    for (size_t i = 0; i < ITEMS; i++) {
        struct item *it = &items[i];
        if (!it->busy || it->busy->to != m)
            continue;
        also(it, it->busy->wanted);
        it->busy->item = NULL;
        it->busy = NULL;
    }
}

static struct reg_change *object_change(struct pending *p, struct ib_arena *arena)
{
    struct item *it = p->item;
    bool add = may_be(it, 0) && (it->n == 1 || sim_chance(500)), drop = !add && sim_chance(250);
    enum reg_change_op op = add ? REG_OBJECT_ADD : drop ? REG_OBJECT_REMOVE : REG_OBJECT_UPDATE;
    struct reg_change *c = reg_change_new(op, answered, p);
    struct IceGrid_ObjectInfo info = {.type = IB_STR("::Sim")};
    const struct iw_identity id = {ib_str(it->name), IB_STR("")};
    struct ib_err err;
    char proxy[64];
    snprintf(proxy, sizeof proxy, "%s:tcp -h 10.1.1.1 -p %d", it->name, p->wanted);
    if (!c || ir_runtime_parse_proxy(p->to->reg->rt, proxy, arena, &info.proxy, &err) ||
        reg_change_set_object(c, &info) || reg_change_set_id(c, &id))
        sim_fail("cannot make a change");
    if (drop)
        p->wanted = 0;
    return c;
}

static struct reg_change *adapter_change(struct pending *p, struct ib_arena *arena)
{
    struct item *it = p->item;
    bool drop = !may_be(it, 0) && sim_chance(300);
    struct reg_change *c = reg_change_new(drop ? REG_ADAPTER_REMOVE : REG_ADAPTER_SET, answered, p);
    struct IceGrid_AdapterInfo info = {.id = ib_str(it->name)};
    struct ib_err err;
    char proxy[64];
    snprintf(proxy, sizeof proxy, "dummy:tcp -h 10.1.1.1 -p %d", p->wanted);
    if (!c || ir_runtime_parse_proxy(p->to->reg->rt, proxy, arena, &info.proxy, &err) ||
        reg_change_set_adapter(c, &info) || reg_change_set_name(c, info.id))
        sim_fail("cannot make a change");
    if (drop)
        p->wanted = 0;
    return c;
}

/* One server with one adapter, called <item>.A, on the node that the item's number says. */
struct deployed {
    char node[8], adapter[24];
    struct IceGrid_PropertyDescriptor endpoints;
    struct IceGrid_AdapterDescriptor a;
    struct IceGrid_ServerDescriptor server, *servers[1];
    struct IceGrid_NodeDescriptorDict_entry entry;
};

static void deploy(struct deployed *x, const struct item *it, struct IceGrid_ApplicationDescriptor *d)
{
    *x = (struct deployed){.endpoints = {IB_STR("A.Endpoints"), IB_STR("tcp")}};
    snprintf(x->node, sizeof x->node, "N%d", sim_model_node((int)(it - items)));
    snprintf(x->adapter, sizeof x->adapter, "%s.A", it->name);
    x->a = (struct IceGrid_AdapterDescriptor){.name = IB_STR("A"), .id = ib_str(x->adapter)};
    x->server = (struct IceGrid_ServerDescriptor){
        .id = ib_str(it->name), .exe = IB_STR("/bin/true"), .activation = IB_STR("on-demand")};
    x->server.base.object.cls = &IceGrid_ServerDescriptor_class;
    x->server.base.adapters.n = x->server.base.propertySet.properties.n = 1;
    x->server.base.adapters.v = &x->a;
    x->server.base.propertySet.properties.v = &x->endpoints;
    x->servers[0] = &x->server;
    x->entry = (struct IceGrid_NodeDescriptorDict_entry){.key = ib_str(x->node), .value.servers = {1, x->servers}};
    d->nodes.n = 1;
    d->nodes.v = &x->entry;
}

static struct reg_change *application_change(struct pending *p)
{
    const struct item *it = p->item;
    bool add = may_be(it, 0) && (it->n == 1 || sim_chance(500)), drop = !add && sim_chance(300);
    struct reg_change *c = reg_change_new(add ? REG_APP_ADD : drop ? REG_APP_REMOVE : REG_APP_SYNC, answered, p);
    char number[16];
    snprintf(number, sizeof number, "%d", p->wanted);
    struct IceGrid_ApplicationDescriptor d = {.name = ib_str(it->name), .description = ib_str(number)};
    struct deployed deployed;
    if (sim_n_nodes)
        deploy(&deployed, it, &d);
    if (!c || reg_change_set_descriptor(c, &d) || reg_change_set_name(c, d.name))
        sim_fail("cannot make a change");
    if (drop)
        p->wanted = 0;
    return c;
}

void sim_model_write(void)
{
    struct sim_replica *m = sim_master();
    size_t i = (size_t)sim_between(0, ITEMS - 1);
    struct item *it = &items[i];
    if (it->name[0] && i >= ITEMS - QUIET && !sim_chance(QUIET_PERMILLE))
        return;
    if (!sim_running(m) || it->busy || m->proc->frozen_until > sim_now)
        return;
    if (!it->name[0]) {
        it->adapter = i < ADAPTERS;
        it->application = !it->adapter && i < ADAPTERS + APPLICATIONS;
        snprintf(it->name, sizeof it->name, "%c%d", it->adapter ? 'a' : it->application ? 'p' : 'o', (int)i);
        must_be(it, 0);
        note_lately(it, 0);
    }
    struct ib_arena arena;
    struct sim_proc *before = sim_current;
    ib_arena_init(&arena, 0);
    struct pending *p = malloc(sizeof *p);
    if (!p)
        sim_fail("out of memory");
    last_port = last_port % 60000 + 1;
    *p = (struct pending){it, m, last_port};
    it->busy = p;
    sim_counts.writes++;
    sim_current = m->proc;
    struct reg_change *c = it->adapter       ? adapter_change(p, &arena)
                           : it->application ? application_change(p)
                                             : object_change(p, &arena);
    note_lately(it, p->wanted);
    reg_change_submit(m->reg, c);
    sim_current = before;
    ib_arena_fini(&arena);
}

void sim_model_look(struct sim_replica *r)
{
    for (size_t i = 0; i < ITEMS; i++)
        if (items[i].name[0] && !was_lately(&items[i], seen(r, &items[i])))
            sim_fail("%s has %s with %d, which it has not been since all were equal", r->name, items[i].name,
                     seen(r, &items[i]));
}

const char *sim_model_pick(bool *adapter, int *index)
{
    static char deployed[32];
    *index = (int)sim_between(0, ITEMS - 1);
    const struct item *it = &items[*index];
    *adapter = it->adapter || it->application;
    if (!it->application || !it->name[0])
        return it->name[0] ? it->name : NULL;
    snprintf(deployed, sizeof deployed, "%s.A", it->name);
    return sim_n_nodes ? deployed : NULL;
}

int sim_model_patience(int index)
{
    return items[index].application ? DEPLOYED_MS : ANSWER_MS;
}

int sim_model_node(int index)
{
    return index % sim_n_nodes;
}

const char *sim_model_deployed(int index, bool *there)
{
    const struct item *it = &items[index];
    if (index < ADAPTERS || index >= ADAPTERS + APPLICATIONS || !it->name[0])
        return NULL;
    *there = !may_be(it, 0);
    return it->name;
}

void sim_model_read(int index, int64_t asked, uint16_t port, const char *from)
{
    if (items[index].application) {
        if (port && port != SIM_NODE_PORT + sim_model_node(index))
            sim_fail("%s answers for %s with %d, which is no node's", from, items[index].name, port);
        return;
    }
    if (asked >= settled_at && !was_lately(&items[index], port))
        sim_fail("%s answers for %s with %d, which it has not been since all were equal", from, items[index].name,
                 port);
}

static void deposed_answered(void *arg, struct reg_change *c)
{
    const struct sim_replica *z = arg;
    const struct sim_replica *m = sim_master();
    bool in_place = m->healthy_since <= z->back_at && z->back_faults == sim_counts.faults;
    if (!c->code && z->deposed && z->was_frozen && in_place)
        sim_fail("%s, which was frozen, has taken a change although another master took its place", z->name);
}

void sim_model_write_deposed(struct sim_replica *z)
{
    static const struct iw_identity id = {{"deposed", 7}, {"", 0}};
    struct sim_proc *before = sim_current;
    struct IceGrid_ObjectInfo info = {.type = IB_STR("::Sim")};
    struct reg_change *c = reg_change_new(REG_OBJECT_ADD, deposed_answered, z);
    struct ib_arena arena;
    struct ib_err err;
    ib_arena_init(&arena, 0);
    if (!c || ir_runtime_parse_proxy(z->reg->rt, "deposed:tcp -h 10.1.1.1 -p 1", &arena, &info.proxy, &err) ||
        reg_change_set_object(c, &info) || reg_change_set_id(c, &id))
        sim_fail("cannot make a change");
    sim_current = z->proc;
    reg_change_submit(z->reg, c);
    sim_current = before;
    ib_arena_fini(&arena);
}

bool sim_model_busy(void)
{
    for (size_t i = 0; i < ITEMS; i++)
        if (items[i].busy)
            return true;
    return false;
}

void sim_model_free(void)
{
    memset(items, 0, sizeof items);
    last_port = 0;
}

/* --- what is always true ---------------------------------------------------------------------------------------- */

/* What a slave takes for settled, the master it follows has on its disk; and a master's own all is. */
static void check_settled(const struct sim_replica *r)
{
    const struct sim_replica *m = sim_master();
    for (int t = 0; t < REG_SERIALS; t++) {
        const struct sim_disk *d = r->disk;
        if (d->settled[t] > d->serial[t] || (sim_running(r) && r->master && d->settled[t] != d->serial[t]))
            sim_fail("serial %d on the disk of %s is %lld, and settled up to %lld", t, r->name, (long long)d->serial[t],
                     (long long)d->settled[t]);
        if (r != m && sim_running(m) && sim_follows(m, r) && d->settled[t] > m->disk->serial[t])
            sim_fail("%s takes serial %d for settled up to %lld, and the disk of the master %s is at %lld", r->name, t,
                     (long long)d->settled[t], m->name, (long long)m->disk->serial[t]);
    }
}

void sim_model_check(void)
{
    for (int i = 0; i < sim_n_replicas; i++) {
        struct sim_replica *r = &sim_replicas[i];
        if (r->init) {
            for (int t = 0; t < REG_SERIALS; t++)
                r->disk_settled[t] = INT64_MIN;
            continue;
        }
        check_settled(r);
        for (int t = 0; t < REG_SERIALS; t++) {
            if (r->disk->settled[t] < r->disk_settled[t])
                sim_fail("serial %d on the disk of %s went from %lld back to %lld", t, r->name,
                         (long long)r->disk_settled[t], (long long)r->disk->settled[t]);
            r->disk_settled[t] = r->disk->settled[t];
            if (!sim_running(r))
                continue;
            if (r->reg->settled[t] < r->settled[t])
                sim_fail("serial %d of %s went from %lld back to %lld", t, r->name, (long long)r->settled[t],
                         (long long)r->reg->settled[t]);
            if (r->reg->settled[t] > r->disk->settled[t])
                sim_fail("serial %d of %s is %lld, ahead of its disk's %lld", t, r->name, (long long)r->reg->settled[t],
                         (long long)r->disk->settled[t]);
            if (r->reg->db_serial[t] < r->serial[t])
                sim_counts.undone++;
            r->serial[t] = r->reg->db_serial[t];
            r->settled[t] = r->reg->settled[t];
        }
    }
}

/* --- when the network has healed -------------------------------------------------------------------------------- */

static bool equal_disks(const struct sim_replica *m, const struct sim_replica *s, char *why, size_t cap)
{
    for (int t = 0; t < REG_SERIALS; t++) {
        if (m->disk->serial[t] != s->disk->serial[t]) {
            snprintf(why, cap, "serial %d of %s is %lld, of %s %lld", t, m->name, (long long)m->disk->serial[t],
                     s->name, (long long)s->disk->serial[t]);
            return false;
        }
        bool equal = m->disk->n[t] == s->disk->n[t];
        for (size_t i = 0; equal && i < m->disk->n[t]; i++) {
            const struct sim_row *a = &m->disk->rows[t][i], *b = &s->disk->rows[t][i];
            equal = a->nk == b->nk && memcmp(a->key, b->key, a->nk) == 0 && same(a, b);
        }
        if (!equal) {
            snprintf(why, cap, "table %d of %s and %s", t, m->name, s->name);
            return false;
        }
    }
    return true;
}

static void settle(struct item *it, uint16_t port)
{
    must_be(it, port);
    it->n_lately = 0;
    note_lately(it, port);
}

bool sim_model_equal(char *why, size_t cap)
{
    struct sim_replica *m = sim_master();
    snprintf(why, cap, "the master %s does not run, or a change is not answered", m->name);
    if (!sim_running(m) || !reg_is_ready(m->reg) || sim_model_busy())
        return false;
    for (int i = 0; i < sim_n_replicas; i++) {
        struct sim_replica *s = &sim_replicas[i];
        int32_t timeout;
        snprintf(why, cap, "the slave %s does not follow the master %s", s->name, m->name);
        if (s != m &&
            (!sim_running(s) || !reg_is_ready(s->reg) || !sim_follows(m, s) || !reg_replica_session(s->reg, &timeout)))
            return false;
        if (s != m && !equal_disks(m, s, why, cap))
            return false;
    }
    for (int i = 0; i < sim_n_replicas; i++)
        for (size_t k = 0; k < ITEMS; k++)
            if (items[k].name[0] && !may_be(&items[k], seen(&sim_replicas[i], &items[k])))
                sim_fail("%s has %s with %d, which must be %s: an acknowledged change is lost", sim_replicas[i].name,
                         items[k].name, seen(&sim_replicas[i], &items[k]), text(&items[k]));
    for (size_t k = 0; k < ITEMS; k++)
        if (items[k].name[0])
            settle(&items[k], seen(m, &items[k]));
    settled_at = sim_now;
    return true;
}
