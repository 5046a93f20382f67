/* SPDX-License-Identifier: Apache-2.0 */
#include "box.h"

#include <stdio.h>
#include <stdlib.h>

#define PREFIX "IceBox.Service."
#define KEY_MAX 300

struct box_reader {
    struct storm_box *b;
    const struct ir_properties *props; /* of the process */
    struct ib_err *err;
    size_t cap;
    char key[KEY_MAX];
};

static int out_of_memory(struct ib_err *err)
{
    return ib_err_set(err, IB_ENOMEM, "out of memory");
}

static int bad_quote(struct ib_err *err, int rc, const char *key)
{
    return ib_err_set(err, rc, "property `%s' has an unbalanced quote, or there is no memory for it", key);
}

/* --- Moulin.Storm.Services ---------------------------------------------------------------------------------------- */

static int read_plain(struct box_reader *r)
{
    static const char key[] = "Moulin.Storm.Services";
    struct ib_str plain = IB_STR("IceStorm"), *names;
    int n = ir_properties_list(r->props, key, &r->b->arena, &names);
    if (n < 0)
        return bad_quote(r->err, n, key);
    if (n == 0) {
        names = &plain;
        n = 1;
    }
    r->b->v = IB_ARENA_ARRAY(&r->b->arena, (size_t)n, struct storm_box_service);
    if (!r->b->v)
        return out_of_memory(r->err);
    for (int i = 0; i < n; i++)
        r->b->v[r->b->n++] = (struct storm_box_service){.name = names[i]};
    return 0;
}

/* --- IceBox: which, in which order -------------------------------------------------------------------------------- */

static void count(void *arg, const char *key, const char *value)
{
    (void)key, (void)value;
    ++*(size_t *)arg;
}

static bool is_listed(const struct storm_box *b, struct ib_str name)
{
    for (size_t i = 0; i < b->n; i++)
        if (ib_str_eq(b->v[i].name, name))
            return true;
    return false;
}

static void put(struct box_reader *r, struct ib_str name)
{
    if (!is_listed(r->b, name) && r->b->n < r->cap)
        r->b->v[r->b->n++] = (struct storm_box_service){.name = name};
}

static void on_service(void *arg, const char *key, const char *value)
{
    struct box_reader *r = arg;
    (void)value;
    put(r, ib_arena_strz(&r->b->arena, key + sizeof PREFIX - 1));
}

/* Those of IceBox.LoadOrder, then the others by name. */
static int read_order(struct box_reader *r)
{
    static const char key[] = "IceBox.LoadOrder";
    struct ib_str *names;
    int n = ir_properties_list(r->props, key, &r->b->arena, &names);
    if (n < 0)
        return bad_quote(r->err, n, key);
    for (int i = 0; i < n; i++) {
        snprintf(r->key, sizeof r->key, PREFIX "%s", names[i].p);
        if (!ir_properties_has(r->props, r->key))
            return ib_err_set(r->err, IB_ECONFIG, "property `%s' names the service `%s', but there is no `%s'", key,
                              names[i].p, r->key);
        put(r, names[i]);
    }
    ir_properties_each(r->props, PREFIX, on_service, r);
    for (size_t i = 0; i < r->b->n; i++)
        if (!r->b->v[i].name.n)
            return ib_err_set(r->err, IB_ECONFIG, "property `" PREFIX "': behind the last dot there has to be a name");
    return 0;
}

/* --- IceBox: what a service is, and its properties ---------------------------------------------------------------- */

/* [directory/]IceStormService[,version]:createIceStorm */
static bool is_icestorm(const char *entry)
{
    static const char library[] = "IceStormService";
    const char *colon = strrchr(entry, ':'), *name = entry;
    if (!colon || strcmp(colon, ":createIceStorm") != 0)
        return false;
    for (const char *c = entry; c < colon; c++)
        if (*c == '/')
            name = c + 1;
    size_t n = sizeof library - 1;
    return strncmp(name, library, n) == 0 && (name[n] == ',' || name + n == colon);
}

static void forget_admin(void *arg, const char *key, const char *value)
{
    (void)value;
    if (ir_properties_set(arg, key, "")) /* it needs no memory */
        return;
}

/* What the service begins with: nothing but a name for its messages, or what the process has. */
static struct ir_properties *new_properties(const struct box_reader *r, struct ib_str service)
{
    bool inherit = ir_properties_int_or(r->props, NULL, "IceBox.InheritProperties", 0) > 0;
    struct ir_properties *p = inherit ? ir_properties_copy(r->props) : ir_properties_new();
    const char *program = ir_properties_get(r->props, "Ice.ProgramName");
    char name[KEY_MAX];
    snprintf(name, sizeof name, "%s%s%s", program, *program ? "-" : "", service.p);
    if (p && inherit)
        ir_properties_each(r->props, "Ice.Admin.", forget_admin, p);
    if (p && ir_properties_set(p, "Ice.ProgramName", name) == 0)
        return p;
    ir_properties_free(p);
    return NULL;
}

/* --<service>.X[=Y]; false: it is something else. */
static bool is_option_of(struct ib_str service, const char *arg)
{
    return strncmp(arg, "--", 2) == 0 && strncmp(arg + 2, service.p, service.n) == 0 && arg[2 + service.n] == '.';
}

static int take_option(struct box_reader *r, struct ir_properties *p, const char *arg, const char *origin)
{
    struct ib_str line = ib_arena_printf(&r->b->arena, "%s%s", arg + 2, strchr(arg, '=') ? "" : "=1");
    int rc = line.p ? ir_properties_parse_line(p, line.p, origin) : IB_ENOMEM;
    return rc ? ib_err_set(r->err, rc, "%s: cannot take the option `%s'", origin, arg) : 0;
}

/* The words behind the entry: a command line of the service's own. */
static int take_arguments(struct box_reader *r, struct storm_box_service *s, struct ib_str *words, int n)
{
    char **argv = IB_ARENA_ARRAY(&r->b->arena, (size_t)n + 1, char *);
    char origin[KEY_MAX + 16];
    if (!argv)
        return out_of_memory(r->err);
    snprintf(origin, sizeof origin, "property %s", r->key);
    for (int i = 0; i < n; i++) {
        argv[i] = ib_arena_alloc(&r->b->arena, words[i].n + 1);
        if (!argv[i])
            return out_of_memory(r->err);
        memcpy(argv[i], words[i].p, words[i].n);
    }
    int rc = ir_properties_from_args(s->props, &n, argv, r->err);
    if (rc)
        return ib_err_wrap(r->err, "property `%s'", r->key);
    for (int i = 1; i < n && !rc; i++) {
        if (is_option_of(s->name, argv[i]))
            rc = take_option(r, s->props, argv[i], origin);
        else
            ir_properties_warn(s->props, "property `%s': `%s' is no option of the service, and left out", r->key,
                               argv[i]);
    }
    return rc;
}

static int read_service(struct box_reader *r, struct storm_box_service *s)
{
    struct ib_str *words;
    snprintf(r->key, sizeof r->key, PREFIX "%s", s->name.p);
    int n = ir_properties_words(r->props, r->key, &r->b->arena, &words);
    if (n < 0)
        return bad_quote(r->err, n, r->key);
    if (n == 0 || !is_icestorm(words[0].p))
        return ib_err_set(
            r->err, IB_ECONFIG,
            "property `%s' (%s): only IceStorm services run here (IceStormService:createIceStorm), `%s' needs "
            "icebox",
            r->key, ir_properties_origin(r->props, r->key), n ? words[0].p : "");
    s->props = new_properties(r, s->name);
    return s->props ? take_arguments(r, s, words, n) : out_of_memory(r->err);
}

/* What the command line of the process has for one of its services comes last. */
static int take_command_line(struct box_reader *r, int *argc, char **argv)
{
    int kept = *argc > 0 ? 1 : 0, rc = 0;
    for (int i = 1; i < *argc; i++) {
        size_t k = 0;
        while (k < r->b->n && !is_option_of(r->b->v[k].name, argv[i]))
            k++;
        if (k == r->b->n)
            argv[kept++] = argv[i];
        else if (!rc)
            rc = take_option(r, r->b->v[k].props, argv[i], "command line");
    }
    *argc = kept;
    return rc;
}

static int read_boxed(struct box_reader *r, int *argc, char **argv)
{
    r->b->boxed = true;
    r->b->bundle = ib_arena_strz(&r->b->arena, ir_properties_get(r->props, "IceBox.PrintServicesReady"));
    r->b->v = IB_ARENA_ARRAY(&r->b->arena, r->cap, struct storm_box_service);
    if (!r->b->v || !r->b->bundle.p)
        return out_of_memory(r->err);
    int rc = read_order(r);
    for (size_t i = 0; i < r->b->n && !rc; i++)
        rc = read_service(r, &r->b->v[i]);
    return rc ? rc : take_command_line(r, argc, argv);
}

int storm_box_read(struct storm_box *b, const struct ir_properties *props, int *argc, char **argv, struct ib_err *err)
{
    struct box_reader r = {.b = b, .props = props, .err = err};
    *b = (struct storm_box){0};
    ib_arena_init(&b->arena, 0);
    if (!ir_properties_has(props, "Moulin.Storm.Services"))
        ir_properties_each(props, PREFIX, count, &r.cap);
    return r.cap ? read_boxed(&r, argc, argv) : read_plain(&r);
}

void storm_box_fini(struct storm_box *b)
{
    for (size_t i = 0; i < b->n; i++)
        ir_properties_free(b->v[i].props);
    b->n = 0;
    ib_arena_fini(&b->arena);
}
