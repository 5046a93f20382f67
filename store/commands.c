/* SPDX-License-Identifier: Apache-2.0 */
#include <moulin/store/commands.h>

#include <stdio.h>
#include <string.h>

#define PATH_CAP 4096

struct job {
    const struct store_commands *c;
    char db[PATH_CAP]; /* the role's directory */
    const char *operand;
    bool replace;
    struct ib_err err;
};

static void print_content(const char *what, const char *text)
{
    printf("%s: %s\n", what, text);
}

static int verify(struct job *j)
{
    const char *dir = j->operand ? j->operand : j->db;
    char text[STORE_TEXT];
    int rc = j->c->verify(dir, text, &j->err);
    if (!rc)
        print_content(dir, text);
    return rc;
}

static int backup(struct job *j)
{
    int rc = store_backup(j->c->schema, j->db, j->operand, &j->err);
    return rc ? rc : verify(j);
}

static int restore(struct job *j)
{
    char text[STORE_TEXT];
    int rc = j->c->verify(j->operand, text, &j->err);
    if (!rc)
        rc = store_restore(j->c->schema, j->operand, j->db, j->replace, &j->err);
    if (!rc)
        print_content(j->db, text);
    return rc;
}

static int export(struct job *j)
{
    char text[STORE_TEXT];
    int rc = j->c->export(j->db, j->operand, text, &j->err);
    if (!rc)
        print_content(j->operand, text);
    return rc;
}

static int import(struct job *j)
{
    char text[STORE_TEXT];
    int rc = j->c->import(j->operand, j->db, text, &j->err);
    if (!rc)
        print_content(j->db, text);
    return rc;
}

static const struct command {
    const char *name, *operand, *summary; /* summary: %s is ZeroC's program */
    int (*run)(struct job *j);
    bool optional; /* the operand, and then the database */
} commands[] = {
    {"backup", "DIRECTORY", "a consistent copy of the database, also while it is in use", backup, false},
    {"restore", "DIRECTORY", "puts a copy back while nobody uses the database", restore, false},
    {"verify", "[DIRECTORY]", "reads every record of the database, or of a copy", verify, true},
    {"export", "FILE", "writes a file that ZeroC's %s --import reads", export, false},
    {"import", "FILE", "makes a database of what ZeroC's %s --export wrote", import, false},
};
#define COMMANDS (sizeof commands / sizeof *commands)

static const struct command *find(const char *word)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(word, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

bool store_is_command(const char *word)
{
    return find(word);
}

static void print_usage(const struct store_commands *c, FILE *f)
{
    fprintf(f, "Usage: %s COMMAND --Ice.Config=FILE\n\n", c->program);
    for (size_t i = 0; i < COMMANDS; i++) {
        const char *cut = strstr(commands[i].summary, "%s");
        size_t n = cut ? (size_t)(cut - commands[i].summary) : strlen(commands[i].summary);
        fprintf(f, "  %-8s %-12s %.*s%s%s\n", commands[i].name, commands[i].operand, (int)n, commands[i].summary,
                cut ? c->original : "", cut ? cut + 2 : "");
    }
    fprintf(f, "\n%s  restore --replace keeps the old one as data.mdb.before.\n", c->usage);
}

static int complain(const struct store_commands *c, const char *text)
{
    fprintf(stderr, "%s: %s\n", c->program, text);
    return 1;
}

/* 0: go on; 1: refused, said. */
static int take_words(struct job *j, const struct command *command, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--replace") == 0 && command->run == restore) {
            j->replace = true;
        } else if (argv[i][0] == '-' || j->operand) {
            print_usage(j->c, stderr);
            return 1;
        } else {
            j->operand = argv[i];
        }
    }
    if (j->operand || command->optional)
        return 0;
    print_usage(j->c, stderr);
    return 1;
}

int store_commands_main(const struct store_commands *c, int argc, char **argv)
{
    const struct command *command = find(argv[0]);
    struct job j = {.c = c};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_usage(c, stdout);
            return 0;
        }
    }
    if (c->locate(&argc, argv, j.db, sizeof j.db, &j.err))
        return complain(c, j.err.text);
    if (take_words(&j, command, argc, argv))
        return 1;
    if (!*j.db && !(command->optional && j.operand))
        return complain(c, c->not_located);
    return command->run(&j) ? complain(c, j.err.text) : 0;
}
