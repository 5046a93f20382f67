/* SPDX-License-Identifier: Apache-2.0 */
/* IceSSL.TrustOnly: distinguished names against subjects. */
#include "test.h"

#include <moulin/net/tls.h>

static const struct {
    const char *value, *subject;
    bool accept, reject;
} cases[] = {
    {"CN=a", "CN=a,O=b", true, false},
    {"O=b,CN=a", "CN=a,O=b", true, false},
    {"cn=a", "CN=a", true, false},
    {"CN=A", "CN=a", false, false},
    {"CN=a,OU=x", "CN=a,O=b", false, false},
    {"CN=x;CN=a", "CN=a", true, false},
    {"!CN=a", "CN=a", true, true},
    {"!CN=b", "CN=a", true, false},
    {"!CN=b;CN=c", "CN=a", false, false},
    {"CN=a;!O=b", "CN=a,O=b", true, true},
    {" CN = a ; ", "CN=a", true, false},
    {"CN=\"a, b\"", "CN=a\\, b", true, false},
    {"CN=a\\,b", "CN=a\\,b", true, false},
    {"CN=a\\;b", "CN=a\\;b", true, false},
    {"CN=a\\;b", "CN=a", false, false},
    {"CN=\\61bc", "CN=abc", true, false},
    {"CN=a", "CN=ab", false, false},
    {"CN=ab", "CN=a", false, false},
    {"CN=a", "O=CN\\=a", false, false},
    {"CN=a", "O=x\\,CN=a", false, false}, /* an escaped comma is no separator: nobody smuggles a name in */
    {"OU=2", "CN=a+OU=2,O=b", true, false},
    {"CN=", "CN=", true, false},
    {"CN=a", "", false, false},
    {"", "CN=a", true, false},
};

static void verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool accept = false, reject = false;
        assert_int_equal(ic_tls_trust_match(cases[i].value, cases[i].subject, &accept, &reject), 0);
        if (accept != cases[i].accept || reject != cases[i].reject) {
            fail_msg("`%s' against `%s': accept %d reject %d", cases[i].value, cases[i].subject, accept, reject);
        }
    }
}

static void malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {"CN", "=a", "CN=\"a", "CN=a\\", "!", "CN=a;!", "CN=a,x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bool accept, reject;
        if (ic_tls_trust_match(bad[i], "CN=a", &accept, &reject) != IB_ECONFIG) {
            fail_msg("`%s' was taken", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(verdicts), cmocka_unit_test(malformed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
