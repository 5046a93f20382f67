/* SPDX-License-Identifier: Apache-2.0 */
/* Password files (Glacier2.CryptPasswords, IceGrid.Registry.CryptPasswords): one "user hash" a line, blank lines and
   lines that begin with '#' skipped. Strict: whatever else is there is an error with file, line and column. */
#ifndef MOULIN_AUTH_PASSWORD_FILE_H
#define MOULIN_AUTH_PASSWORD_FILE_H

#include <moulin/base/err.h>
#include <moulin/base/span.h>

struct ib_log;
struct auth_password_file;

/* Warns (log may be NULL) about hashes too weak to trust. NULL with err set when the file cannot be used. */
struct auth_password_file *auth_password_file_load(const char *path, struct ib_log *log, struct ib_err *err);
/* The same from memory; name stands for the path in messages. */
struct auth_password_file *auth_password_file_parse(const char *name, struct ib_str text, struct ib_log *log,
                                                    struct ib_err *err);
void auth_password_file_free(struct auth_password_file *f); /* with the last reference; NULL is fine */
/* One more: it never changes, so that several loops may share it. */
struct auth_password_file *auth_password_file_ref(struct auth_password_file *f);
size_t auth_password_file_count(const struct auth_password_file *f);

/* The hash to check a password against: the user's, or for an unknown user somebody else's, so that both take the same
   time; *known tells which. Never NULL. */
const char *auth_password_file_hash(const struct auth_password_file *f, struct ib_str user, bool *known);

#endif
