/* SPDX-License-Identifier: Apache-2.0 */
/* What operators do with a role's database beside the role: backup, restore, verify, export, import. */
#ifndef MOULIN_STORE_COMMANDS_H
#define MOULIN_STORE_COMMANDS_H

#include "store.h"

#define STORE_TEXT 500 /* bytes a summary of a database takes at most */

struct store_commands {
    const char *program; /* "moulin registry" */
    const char *original; /* the program of ZeroC's that reads and writes the same files: "icegriddb" */
    const char *usage; /* where the database is said to be; options; lines */
    const struct store_schema *schema;
    /* Takes the words that say where the database is out of argv. dir: empty when nothing says it. */
    int (*locate)(int *argc, char **argv, char *dir, size_t cap, struct ib_err *err);
    const char *not_located; /* what to do then */
    /* Each tells what the database has in it: text, STORE_TEXT bytes. The role may be running. */
    int (*verify)(const char *dir, char *text, struct ib_err *err); /* decodes every record */
    int (*export)(const char *dir, const char *file, char *text, struct ib_err *err);
    int (*import)(const char *file, const char *dir, char *text, struct ib_err *err); /* dir has no database */
};

bool store_is_command(const char *word);
/* argv[0] is the word; the exit status. */
int store_commands_main(const struct store_commands *c, int argc, char **argv);

#endif
