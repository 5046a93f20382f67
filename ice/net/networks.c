/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of addresses and CIDR blocks. */
#include <moulin/net/networks.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NETWORKS_MAX 1000
#define SEPARATORS ", \t\r\n"

struct network {
    int family;
    unsigned bits; /* of the prefix */
    uint8_t ip[16];
};

struct ic_networks {
    atomic_uint refs;
    size_t n;
    struct network v[];
};

/* The family of a numeric address and its bytes; 0: it is none. */
static int read_address(const char *text, uint8_t ip[16])
{
    struct in6_addr a;
    if (inet_pton(AF_INET, text, ip) == 1) {
        return AF_INET;
    }
    if (inet_pton(AF_INET6, text, &a) != 1) {
        return 0;
    }
    if (IN6_IS_ADDR_V4MAPPED(&a)) {
        memcpy(ip, a.s6_addr + 12, 4);
        return AF_INET;
    }
    memcpy(ip, a.s6_addr, 16);
    return AF_INET6;
}

static bool starts_with(const uint8_t *ip, const uint8_t *prefix, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(ip, prefix, whole) == 0 && (!rest || (ip[whole] ^ prefix[whole]) >> (8 - rest) == 0);
}

static bool read_bits(const char *text, unsigned max, unsigned *bits)
{
    size_t n = strlen(text);
    if (n < 1 || n > 3 || strspn(text, "0123456789") != n || (n > 1 && *text == '0')) {
        return false;
    }
    *bits = (unsigned)strtoul(text, NULL, 10);
    return *bits <= max;
}

/* Bits behind the prefix are a mistake: nobody can tell which of the two was meant. */
static bool has_host_bits(const struct network *w, unsigned max)
{
    for (unsigned i = w->bits; i < max; i++) {
        if (w->ip[i / 8] & (0x80u >> i % 8)) {
            return true;
        }
    }
    return false;
}

static int read_network(const char *text, struct network *w, struct ib_err *err)
{
    char address[INET6_ADDRSTRLEN];
    size_t n = strcspn(text, "/");
    if (n < sizeof address) {
        memcpy(address, text, n);
        address[n] = '\0';
        w->family = read_address(address, w->ip);
    }
    if (!w->family) {
        return ib_err_set(err, IB_ECONFIG,
                          "`%s' is no IP address or CIDR block: write e.g. 192.0.2.7, 10.0.0.0/8 or "
                          "fd00::/8",
                          text);
    }
    unsigned max = w->family == AF_INET ? 32 : 128;
    w->bits = max;
    if (text[n] && (!read_bits(text + n + 1, max, &w->bits) || (w->family == AF_INET && memchr(text, ':', n)))) {
        return ib_err_set(err, IB_ECONFIG, "`%s' has no usable prefix length: write a number from 0 to %u after the /",
                          text, max);
    }
    if (has_host_bits(w, max)) {
        return ib_err_set(err, IB_ECONFIG, "`%s' has bits set behind its prefix: write the network's own address",
                          text);
    }
    return 0;
}

struct ic_networks *ic_networks_parse(const char *text, struct ib_err *err)
{
    struct ic_networks *s = calloc(1, sizeof *s + (strlen(text) / 2 + 1) * sizeof *s->v);
    char *copy = strdup(text), *save = NULL;
    int rc = s && copy ? 0 : ib_err_set(err, IB_ENOMEM, "out of memory");
    for (char *item = rc ? NULL : strtok_r(copy, SEPARATORS, &save); item && rc == 0;
         item = strtok_r(NULL, SEPARATORS, &save)) {
        rc = s->n == NETWORKS_MAX ? ib_err_set(err, IB_ECONFIG, "more than %d networks", NETWORKS_MAX)
                                  : read_network(item, &s->v[s->n], err);
        s->n++;
    }
    if (rc == 0 && s->n == 0) {
        rc = ib_err_set(err, IB_ECONFIG, "there is no address in `%s'", text);
    }
    free(copy);
    if (rc != 0) {
        free(s);
        return NULL;
    }
    atomic_init(&s->refs, 1);
    return s;
}

struct ic_networks *ic_networks_ref(struct ic_networks *n)
{
    atomic_fetch_add(&n->refs, 1);
    return n;
}

void ic_networks_unref(struct ic_networks *n)
{
    if (n && atomic_fetch_sub(&n->refs, 1) == 1) {
        free(n);
    }
}

size_t ic_networks_count(const struct ic_networks *n)
{
    return n->n;
}

bool ic_networks_contain(const struct ic_networks *n, const char *address)
{
    uint8_t ip[16];
    int family = read_address(address, ip);
    for (size_t i = 0; family && i < n->n; i++) {
        if (n->v[i].family == family && starts_with(ip, n->v[i].ip, n->v[i].bits)) {
            return true;
        }
    }
    return false;
}
