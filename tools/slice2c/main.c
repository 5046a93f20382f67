/* SPDX-License-Identifier: Apache-2.0 */
/* slice2c -I DIR=PREFIX [-I …] -o OUT [--registry PREFIX] FILE…: Slice files (relative to an -I directory) to C in
 * OUT/PREFIX. */
#include "slice2c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char usage[] =
    "usage: slice2c -I DIR=PREFIX [-I DIR=PREFIX]... -o OUT [--registry PREFIX] FILE...\n"
    "  FILE is relative to one of the directories; <PREFIX/FILE.h> is how C includes the result.\n"
    "  --registry also writes OUT/PREFIX/registry.h, registry.c and ifaces.c over all FILEs.\n";

struct options {
    const char *out, *registry;
    const char **files;
    size_t n_files;
};

/* One output: text is made in memory first, so that a failing run leaves no half-written file behind. */
struct output {
    struct model *m;
    const char *path;
    char *text;
    size_t n;
    FILE *f;
};

static void output_open(struct output *o, const char *dir, const char *name)
{
    o->path = pool_printf(&o->m->pool, "%s/%s", dir, name);
    o->text = NULL;
    o->f = open_memstream(&o->text, &o->n);
    if (!o->f)
        fail((struct pos){o->path, 0}, "cannot be written: %s", strerror(errno));
}

static void make_parents(struct pool *pool, const char *path)
{
    char *dir = pool_copy(pool, path, strlen(path));
    for (char *p = strchr(dir + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        if (mkdir(dir, 0777) != 0 && errno != EEXIST)
            fail((struct pos){dir, 0}, "cannot be made: %s", strerror(errno));
        *p = '/';
    }
}

static void output_close(struct output *o)
{
    bool bad = ferror(o->f) != 0;
    bad = fclose(o->f) != 0 || bad;
    if (bad)
        fail((struct pos){o->path, 0}, "cannot be written: out of memory");
    make_parents(&o->m->pool, o->path);
    FILE *f = fopen(o->path, "wb");
    if (!f)
        fail((struct pos){o->path, 0}, "cannot be written: %s", strerror(errno));
    bad = fwrite(o->text, 1, o->n, f) != o->n;
    bad = fclose(f) != 0 || bad;
    free(o->text);
    if (bad) {
        remove(o->path);
        fail((struct pos){o->path, 0}, "cannot be written: %s", strerror(errno));
    }
}

static void write_unit(struct model *m, const struct unit *u, const char *out)
{
    struct output o = {.m = m};
    output_open(&o, out, pool_printf(&m->pool, "%s.h", u->include));
    emit_types(o.f, u);
    output_close(&o);
    output_open(&o, out, pool_printf(&m->pool, "%s.c", u->include));
    emit_tables(o.f, m, u);
    output_close(&o);
    output_open(&o, out, pool_printf(&m->pool, "%s_rpc.h", u->include));
    emit_rpc_header(o.f, u);
    output_close(&o);
    output_open(&o, out, pool_printf(&m->pool, "%s_rpc.c", u->include));
    emit_rpc_tables(o.f, m, u);
    output_close(&o);
}

static void write_registry(struct model *m, const char *prefix, const char *out)
{
    struct output o = {.m = m};
    const char *dir = pool_printf(&m->pool, "%s/%s", out, prefix);
    output_open(&o, dir, "registry.h");
    emit_registry_header(o.f, prefix);
    output_close(&o);
    output_open(&o, dir, "registry.c");
    emit_registry(o.f, m, prefix);
    output_close(&o);
    output_open(&o, dir, "ifaces.c");
    emit_ifaces(o.f, m, prefix);
    output_close(&o);
}

static void add_dir(struct model *m, const char *arg)
{
    const char *eq = strrchr(arg, '=');
    if (!eq || eq == arg || !eq[1])
        fail((struct pos){"slice2c", 0}, "expected -I DIR=PREFIX, found -I %s", arg);
    struct include_dir d = {.dir = pool_copy(&m->pool, arg, (size_t)(eq - arg)), .prefix = eq + 1};
    POOL_PUSH(&m->pool, m->dirs, m->n_dirs, d);
}

static void parse_args(struct model *m, int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0) {
            fputs(usage, stdout);
            exit(0);
        }
        if (arg[0] != '-') {
            POOL_PUSH(&m->pool, o->files, o->n_files, arg);
            continue;
        }
        if (i + 1 == argc)
            fail((struct pos){"slice2c", 0}, "expected a value after %s", arg);
        const char *value = argv[++i];
        if (strcmp(arg, "-I") == 0)
            add_dir(m, value);
        else if (strcmp(arg, "-o") == 0)
            o->out = value;
        else if (strcmp(arg, "--registry") == 0)
            o->registry = value;
        else
            fail((struct pos){"slice2c", 0}, "unknown option %s", arg);
    }
    if (!o->out || !o->n_files || !m->n_dirs) {
        fputs(usage, stderr);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    struct model m = {0};
    struct options o = {0};
    parse_args(&m, argc, argv, &o);
    for (size_t i = 0; i < o.n_files; i++)
        parser_file(&m, o.files[i], (struct pos){"slice2c", 0}, 0)->wanted = true;
    model_check(&m);
    for (size_t i = 0; i < m.n_units; i++)
        if (m.units[i]->wanted)
            write_unit(&m, m.units[i], o.out);
    if (o.registry)
        write_registry(&m, o.registry, o.out);
    pool_free(&m.pool);
    return 0;
}
