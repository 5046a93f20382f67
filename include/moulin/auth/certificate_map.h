/* SPDX-License-Identifier: Apache-2.0 */
/* Which user a certificate stands for. A file of lines

     subject "CN=alice,O=Test Org,C=US" alice       the whole distinguished name, as RFC 2253 writes it
     cn alice alice                                 the only common name of the subject
     san email:alice@example.org alice              a subject alternative name: email, dns, uri or upn

   Words stand between blanks; in quotes ("…" or '…') blanks count and backslashes stay. Blank lines and lines that
   begin with '#' are skipped, anything else is an error with line and column. Comparisons are exact (dns: whatever the
   case); the first line that fits counts. */
#ifndef MOULIN_AUTH_CERTIFICATE_MAP_H
#define MOULIN_AUTH_CERTIFICATE_MAP_H

#include <moulin/base/err.h>
#include <moulin/base/span.h>

struct auth_certificate_map;

struct auth_certificate_map *auth_certificate_map_load(const char *path, struct ib_err *err); /* NULL with err */
/* The same from memory; name stands for the path in messages. */
struct auth_certificate_map *auth_certificate_map_parse(const char *name, struct ib_str text, struct ib_err *err);
void auth_certificate_map_free(struct auth_certificate_map *m); /* NULL is fine */
size_t auth_certificate_map_count(const struct auth_certificate_map *m);

/* The user of a certificate (PEM) that the transport has verified; subject is its distinguished name. Borrowed from the
   map; empty: it has none. */
struct ib_str auth_certificate_map_user(const struct auth_certificate_map *m, struct ib_str subject, struct ib_str pem);

#endif
