/* SPDX-License-Identifier: Apache-2.0 */
/* moulin storm backup, restore, verify, export, import: what operators do with a service's database beside it. */
#include <moulin/storm/storm.h>

#include <stdio.h>
#include <string.h>

#include <moulin/store/commands.h>

#include "box.h"
#include "change.h"
#include "export.h"
#include "storm.h"

static int describe(int rc, const struct storm_content *c, char *text)
{
    if (!rc)
        snprintf(text, STORE_TEXT, "%zu topics, %zu subscribers, %zu links (llu: %lld/%lld)", c->n_topics,
                 c->n_subscribers, c->n_links, (long long)c->stamp.generation, (long long)c->stamp.iteration);
    return rc;
}

static int verify(const char *dir, char *text, struct ib_err *err)
{
    struct storm_content c;
    return describe(storm_content_verify(dir, &c, err), &c, text);
}

static int export(const char *dir, const char *file, char *text, struct ib_err *err)
{
    struct storm_content c;
    return describe(storm_content_export(dir, file, &c, err), &c, text);
}

static int import(const char *file, const char *dir, char *text, struct ib_err *err)
{
    struct storm_content c;
    return describe(storm_content_import(file, dir, &c, err), &c, text);
}

/* Takes --service=NAME out of argv; NULL: it is not there. */
static const char *take_service(int *argc, char **argv)
{
    static const char option[] = "--service=";
    for (int i = 1; i < *argc; i++)
        if (strncmp(argv[i], option, sizeof option - 1) == 0) {
            const char *name = argv[i] + sizeof option - 1;
            memmove(argv + i, argv + i + 1, (size_t)(*argc - i) * sizeof *argv);
            --*argc;
            return name;
        }
    return NULL;
}

/* The database of the one service, or of the one that was named. */
static int choose(const struct storm_box *box, const struct ir_properties *props, const char *service, char *dir,
                  size_t cap, struct ib_err *err)
{
    char key[300];
    size_t i = 0;
    if (!service && box->n > 1)
        return ib_err_set(err, IB_EINVAL, "there are several services: say which one with --service=NAME");
    while (service && i < box->n && !ib_str_is(box->v[i].name, service))
        i++;
    if (i == box->n && box->boxed)
        return ib_err_set(err, IB_EINVAL, "there is no `IceBox.Service.%s'", service);
    const char *name = service ? service : box->v[0].name.p;
    const struct ir_properties *own = i < box->n && box->v[i].props ? box->v[i].props : props;
    snprintf(key, sizeof key, "%s.LMDB.Path", name);
    snprintf(dir, cap, "%s", ir_properties_get_or(own, key, name));
    return 0;
}

static int find_database(const struct ir_properties *props, const char *service, int *argc, char **argv, char *dir,
                         size_t cap, struct ib_err *err)
{
    struct storm_box box;
    int rc = storm_box_read(&box, props, argc, argv, err);
    if (!rc)
        rc = choose(&box, props, service, dir, cap, err);
    storm_box_fini(&box);
    return rc;
}

static int locate(int *argc, char **argv, char *dir, size_t cap, struct ib_err *err)
{
    struct ir_properties *props = ir_properties_new();
    int rc = props ? ir_properties_from_args(props, argc, argv, err) : ib_err_set(err, IB_ENOMEM, "out of memory");
    if (!rc)
        rc = find_database(props, take_service(argc, argv), argc, argv, dir, cap, err);
    ir_properties_free(props);
    return rc;
}

bool storm_is_maintenance(const char *word)
{
    return store_is_command(word);
}

int storm_maintenance_main(int argc, char **argv)
{
    static const struct store_commands commands = {
        .program = "moulin storm",
        .original = "icestormdb",
        .usage = "  The database is where the property IceStorm.LMDB.Path says, in the file or as\n"
                 "  --IceStorm.LMDB.Path=DIRECTORY; --service=NAME is for a service of another name.\n",
        .schema = &storm_schema,
        .locate = locate,
        .not_located = "property `IceStorm.LMDB.Path' is empty",
        .verify = verify,
        .export = export,
        .import = import,
    };
    return store_commands_main(&commands, argc, argv);
}
