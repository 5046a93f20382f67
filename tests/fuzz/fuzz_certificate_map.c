/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate maps: files that are accepted or refused with the place of the fault. */
#include "fuzz.h"

#include <moulin/auth/certificate_map.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ib_err err = {0};
    char *text = malloc(size + 1); /* reading past it is seen */
    FUZZ_CHECK(text);
    if (size) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    struct auth_certificate_map *m = auth_certificate_map_parse("map", (struct ib_str){text, size}, &err);
    free(text);
    FUZZ_CHECK(m ? auth_certificate_map_count(m) <= size : err.code == IB_ECONFIG && err.text[0]);
    if (m) {
        FUZZ_CHECK(auth_certificate_map_user(m, IB_STR("CN=alice"), IB_STR("no certificate")).n == 0);
    }
    auth_certificate_map_free(m);
    return 0;
}
