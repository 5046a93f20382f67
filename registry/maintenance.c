/* SPDX-License-Identifier: Apache-2.0 */
/* moulin registry backup, restore, verify, export, import: what operators do with a database beside the registry. */
#include <moulin/registry/registry.h>

#include <stdio.h>

#include <moulin/store/commands.h>

#include "export.h"

static int describe(int rc, const struct reg_content *c, char *text)
{
    if (!rc)
        snprintf(text, STORE_TEXT,
                 "%zu applications (serial %lld), %zu adapters (serial %lld), %zu objects (serial %lld), %zu nodes",
                 c->n[REG_APPLICATIONS], (long long)c->facts.serial[REG_APPLICATIONS], c->n[REG_ADAPTERS],
                 (long long)c->facts.serial[REG_ADAPTERS], c->n[REG_OBJECTS], (long long)c->facts.serial[REG_OBJECTS],
                 c->n[REG_NODES]);
    return rc;
}

static int verify(const char *dir, char *text, struct ib_err *err)
{
    struct reg_content c;
    return describe(reg_content_verify(dir, &c, err), &c, text);
}

static int export(const char *dir, const char *file, char *text, struct ib_err *err)
{
    struct reg_content c;
    return describe(reg_content_export(dir, file, &c, err), &c, text);
}

static int import(const char *file, const char *dir, char *text, struct ib_err *err)
{
    struct reg_content c;
    return describe(reg_content_import(file, dir, &c, err), &c, text);
}

static int locate(int *argc, char **argv, char *dir, size_t cap, struct ib_err *err)
{
    struct ir_properties *props = ir_properties_new();
    int rc = props ? ir_properties_from_args(props, argc, argv, err) : ib_err_set(err, IB_ENOMEM, "out of memory");
    if (!rc)
        snprintf(dir, cap, "%s",
                 ir_properties_get_or(props, "IceGrid.Registry.LMDB.Path",
                                      ir_properties_get(props, "IceGrid.Registry.Data")));
    ir_properties_free(props);
    return rc;
}

bool reg_is_maintenance(const char *word)
{
    return store_is_command(word);
}

int reg_maintenance_main(int argc, char **argv)
{
    static const struct store_commands commands = {
        .program = "moulin registry",
        .original = "icegriddb",
        .usage = "  The registry's database is where the property IceGrid.Registry.LMDB.Path says, in the file or as\n"
                 "  --IceGrid.Registry.LMDB.Path=DIRECTORY.\n",
        .schema = &reg_schema,
        .locate = locate,
        .not_located = "property `IceGrid.Registry.LMDB.Path' is not set: give --Ice.Config=FILE, or the property",
        .verify = verify,
        .export = export,
        .import = import,
    };
    return store_commands_main(&commands, argc, argv);
}
