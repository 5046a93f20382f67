/* SPDX-License-Identifier: Apache-2.0 */
/* `moulin passwd`: prints a line for a password file. */
#ifndef MOULIN_AUTH_PASSWD_H
#define MOULIN_AUTH_PASSWD_H

#include <moulin/base/err.h>
#include <moulin/base/span.h>

/* The sub-command; argv[0] names it in messages. Returns the exit status. */
int auth_passwd_main(int argc, char **argv);

/* A fresh hash of the password in out. scheme: yescrypt, sha512, bcrypt, pbkdf2-sha256; cost 0 = the scheme's default.
 */
int auth_passwd_hash(struct ib_str password, const char *scheme, unsigned long cost, char *out, size_t cap,
                     struct ib_err *err) IB_MUST_CHECK;

/* One line without its end: from the terminal with the prompt and without echo, or, when standard input is no terminal,
   from standard input. out is wiped on failure. */
int auth_prompt(const char *prompt, bool *is_tty, char *out, size_t cap, struct ib_err *err) IB_MUST_CHECK;

#endif
