/* SPDX-License-Identifier: Apache-2.0 */
/* TLS contexts from the IceSSL.* properties (ice-protocol 14.3). One context serves many connections and is shared by
   reference; a reload makes a new one. */
#ifndef MOULIN_NET_TLS_H
#define MOULIN_NET_TLS_H

#include <moulin/base/err.h>
#include <stdbool.h>

struct ic_tls;

/* Strings as in the properties; NULL or "" = not set. Borrowed during ic_tls_new only. */
struct ic_tls_config {
    const char *default_dir, *cert_file, *key_file, *password, *cas, *protocols, *ciphers, *crl_files;
    const char *trust_only, *trust_only_client, *trust_only_server; /* ';'-separated distinguished names */
    int verify_peer; /* 0, 1, 2 */
    int verify_depth_max; /* 3; 0 = unlimited */
    int check_cert_name; /* 0, 1, 2 */
    int revocation_check; /* 0, 1, 2 */
    int security_level; /* -1 = OpenSSL's */
    bool use_platform_cas;
};

struct ic_tls *ic_tls_new(const struct ic_tls_config *cfg, struct ib_err *err);
struct ic_tls *ic_tls_ref(struct ic_tls *tls);
void ic_tls_unref(struct ic_tls *tls);

/* Does the distinguished name (RFC 2253) satisfy a TrustOnly value? *reject: a '!' entry matches. *accept: another entry
   matches, or the value has none but '!' entries. A peer may pass when accepted and not rejected. Exposed for its tests
   and for auth. Returns IB_ECONFIG when the value is malformed; an unreadable subject is rejected. */
int ic_tls_trust_match(const char *trust_only, const char *subject, bool *accept, bool *reject) IB_MUST_CHECK;

#endif
