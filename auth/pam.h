/* SPDX-License-Identifier: Apache-2.0 */
/* One login through PAM. Blocks for as long as its modules like: only the helper calls it. */
#ifndef AUTH_PAM_H
#define AUTH_PAM_H

#include "helper_wire.h"

/* The strings of q end with a NUL after this. Fills verdict and text: YES; NO with what the modules told the user;
   BROKEN with what is wrong when they could not tell. */
void auth_pam_check(struct helper_pam *q, const char *password, struct helper_answer *a);

#endif
