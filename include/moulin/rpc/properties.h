/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration properties: files, command line and typed access, with Ice's grammar and precedence (ice-protocol 20). */
#ifndef MOULIN_RPC_PROPERTIES_H
#define MOULIN_RPC_PROPERTIES_H

#include <moulin/base/arena.h>

struct ir_properties;

struct ir_properties *ir_properties_new(void);
struct ir_properties *ir_properties_copy(const struct ir_properties *p);
void ir_properties_free(struct ir_properties *p);

const char *ir_properties_get(const struct ir_properties *p, const char *key); /* "" when unset; borrows until changed */
const char *ir_properties_get_or(const struct ir_properties *p, const char *key, const char *otherwise);
bool ir_properties_has(const struct ir_properties *p, const char *key);
/* A non-numeric value is a fault of the configuration: IB_ECONFIG, err names property, value and place. */
int ir_properties_int(const struct ir_properties *p, const char *key, int otherwise, int *out, struct ib_err *err) IB_MUST_CHECK;
/* As Ice does: a warning on the log given (may be NULL) and the default. */
struct ib_log;
int ir_properties_int_or(const struct ir_properties *p, struct ib_log *log, const char *key, int otherwise);
/* Splits at comma and white space, honouring quotes. Returns the count; *list in the arena. IB_ECONFIG: unbalanced quote. */
int ir_properties_list(const struct ir_properties *p, const char *key, struct ib_arena *arena, struct ib_str **list) IB_MUST_CHECK;
/* The same, as a command line: at white space only. */
int ir_properties_words(const struct ir_properties *p, const char *key, struct ib_arena *arena, struct ib_str **list) IB_MUST_CHECK;

int ir_properties_set(struct ir_properties *p, const char *key, const char *value) IB_MUST_CHECK; /* "" removes */
/* "FILE:LINE" or "command line" that set it; "" when the program did. For error texts. */
const char *ir_properties_origin(const struct ir_properties *p, const char *key);
/* Calls fn for every key that starts with prefix, in key order. */
void ir_properties_each(const struct ir_properties *p, const char *prefix,
                        void (*fn)(void *arg, const char *key, const char *value), void *arg);

/* false: the name has a reserved prefix (Ice, Glacier2, Moulin, …) but nobody reads it; meant gets the name that is nearest, or "". */
bool ir_property_is_known(const char *key, char *meant, size_t cap);

/* Unknown names and lines that say nothing are remembered, because there is no logger yet when files are read. Hands each
   text to fn and forgets it: the runtime logs them when it is made. */
void ir_properties_take_warnings(struct ir_properties *p, void (*fn)(void *arg, const char *text), void *arg);
void ir_properties_warn(struct ir_properties *p, const char *fmt, ...) IB_PRINTF(2, 3);

int ir_properties_load(struct ir_properties *p, const char *path, struct ib_err *err) IB_MUST_CHECK;
/* One line of file syntax; origin is remembered. IB_ECONFIG: no '=' or empty key (Ice ignores it with a warning). */
int ir_properties_parse_line(struct ir_properties *p, const char *line, const char *origin) IB_MUST_CHECK;
/* Takes --Prefix.Name[=value] of the reserved prefixes (and Moulin.) out of argv, loads Ice.Config / ICE_CONFIG first, and
   lets the command line win. argv[0] becomes Ice.ProgramName unless set. */
int ir_properties_from_args(struct ir_properties *p, int *argc, char **argv, struct ib_err *err) IB_MUST_CHECK;

/* Reading the configuration files again, while the program runs. names: what may change, NULL at the end; "Prefix.*" stands
   for all below. Of these the result has what the files of Ice.Config say now, except where the command line, the program
   or an administrator had set one: that stays. Everything else is as in p; where the files say otherwise by now the result
   has a warning. NULL with err: a file cannot be read. */
struct ir_properties *ir_properties_reread(const struct ir_properties *p, const char *const *names, struct ib_err *err);
/* Makes p's properties of these names those of from; strings of p with other names stay where they are. from is left for
   ir_properties_free only. IB_ENOMEM: nothing has changed. */
int ir_properties_adopt(struct ir_properties *p, struct ir_properties *from, const char *const *names) IB_MUST_CHECK;

#endif
