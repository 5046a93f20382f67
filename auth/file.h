/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a file of users as a whole. */
#ifndef AUTH_FILE_H
#define AUTH_FILE_H

#include <moulin/base/err.h>
#include <stddef.h>

/* what ("password file") stands before the path in messages. *n bytes with a NUL behind them, to be freed; NULL with
   err: no regular file of at most 16 MiB, or it cannot be read. */
char *auth_file_read(const char *path, const char *what, size_t *n, struct ib_err *err);

#endif
