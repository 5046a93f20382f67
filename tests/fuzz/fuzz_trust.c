/* SPDX-License-Identifier: Apache-2.0 */
/* IceSSL.TrustOnly. Input: the value, a NUL, the subject of a certificate. */
#include "fuzz.h"

#include <moulin/net/tls.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 2);
    FUZZ_CHECK(text);
    if (size) {
        memcpy(text, data, size);
    }
    text[size] = text[size + 1] = '\0';
    const char *subject = text + strlen(text) + 1;
    bool accept, reject;
    int rc = ic_tls_trust_match(text, subject, &accept, &reject);
    FUZZ_CHECK(rc == IB_OK || rc == IB_ECONFIG);
    free(text);
    return 0;
}
