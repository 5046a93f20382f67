/* SPDX-License-Identifier: Apache-2.0 */
/* Password hashes as password files hold them: everything libxcrypt knows, and PBKDF2 in passlib's form
   (glacier2-router 11.2). Checking blocks for as long as the hash was made to take: only the helper calls it. */
#ifndef AUTH_HASH_H
#define AUTH_HASH_H

#include <moulin/base/span.h>

enum auth_hash_grade {
    AUTH_HASH_UNKNOWN, /* no hash at all, or damaged */
    AUTH_HASH_WEAK, /* DES or a bare MD4: works, deserves a warning */
    AUTH_HASH_GOOD
};

#define AUTH_HASH_MAX 383 /* longest stored hash: libxcrypt's CRYPT_OUTPUT_SIZE - 1 */
#define AUTH_PASSWORD_MAX 511 /* longest password any hash here can be of */

enum auth_hash_grade auth_hash_grade(const char *stored);
/* False for a wrong password, and for a password or a hash that no scheme accepts. */
bool auth_hash_check(struct ib_str password, const char *stored);

#endif
