/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts brought into one form. The spellings of IPv4 (127.1, 0x7f000001, 2130706433, 0177.0.0.1) are read by the C
   library's own function, since that is what the resolver reads them with when the connection is made. */
#include "host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const uint8_t loopback6[16] = {[15] = 1};

bool gw_address_is_ipv4(const struct gw_address *a)
{
    return memcmp(a->bytes, mapped, sizeof(mapped)) == 0;
}

bool gw_address_within(const struct gw_address *a, const struct gw_address *net, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a->bytes, net->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || ((a->bytes[whole] ^ net->bytes[whole]) >> (8 - rest)) == 0;
}

static void set_ipv4(struct gw_host *h, const void *bytes)
{
    static const uint8_t any[4], local[4] = {127, 0, 0, 1};
    memcpy(h->address.bytes, mapped, sizeof(mapped));
    memcpy(h->address.bytes + sizeof(mapped), memcmp(bytes, any, 4) == 0 ? local : bytes, 4);
}

static void set_ipv6(struct gw_host *h, const void *bytes)
{
    static const uint8_t any[16];
    memcpy(h->address.bytes, memcmp(bytes, any, 16) == 0 ? loopback6 : bytes, 16);
    if (gw_address_is_ipv4(&h->address)) {
        set_ipv4(h, h->address.bytes + sizeof(mapped));
    }
}

static void set_canonical(struct gw_host *h)
{
    h->is_address = true;
    if (gw_address_is_ipv4(&h->address)) {
        (void)inet_ntop(AF_INET, h->address.bytes + sizeof(mapped), h->canonical, sizeof(h->canonical));
    } else {
        (void)inet_ntop(AF_INET6, h->address.bytes, h->canonical, sizeof(h->canonical));
    }
}

/* The zone of fe80::1%eth0 says by which interface, not where to. */
static bool read_ipv6(const char *text, struct in6_addr *out)
{
    char address[INET6_ADDRSTRLEN];
    size_t n = strcspn(text, "%");
    if (n >= sizeof(address)) {
        return false;
    }
    memcpy(address, text, n);
    address[n] = '\0';
    return inet_pton(AF_INET6, address, out) == 1;
}

static bool copy_lower(struct ib_str host, char *out)
{
    if (host.n == 0 || host.n > GW_HOST_MAX) {
        return false;
    }
    for (size_t i = 0; i < host.n; i++) {
        unsigned char c = (unsigned char)host.p[i];
        if (c <= ' ' || c == 0x7f) {
            return false;
        }
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    size_t n = host.n - (host.n > 1 && out[host.n - 1] == '.');
    out[n] = '\0';
    return true;
}

bool gw_host_read(struct ib_str host, struct gw_host *out)
{
    struct in_addr v4;
    struct in6_addr v6;
    memset(out, 0, sizeof(*out));
    if (!copy_lower(host, out->text)) {
        return false;
    }
    if (inet_aton(out->text, &v4)) {
        set_ipv4(out, &v4);
        set_canonical(out);
    } else if (read_ipv6(out->text, &v6)) {
        set_ipv6(out, &v6);
        set_canonical(out);
    } else {
        memcpy(out->canonical, out->text, sizeof(out->canonical));
    }
    return true;
}

bool gw_host_from_sockaddr(const struct sockaddr *sa, struct gw_host *out)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    memset(out, 0, sizeof(*out));
    if (sa->sa_family == AF_INET) {
        memcpy(&v4, sa, sizeof(v4));
        set_ipv4(out, &v4.sin_addr);
    } else if (sa->sa_family == AF_INET6) {
        memcpy(&v6, sa, sizeof(v6));
        set_ipv6(out, &v6.sin6_addr);
    } else {
        return false;
    }
    set_canonical(out);
    memcpy(out->text, out->canonical, sizeof(out->text));
    return true;
}

bool gw_host_is_loopback(const struct gw_host *h)
{
    static const char name[] = "localhost";
    if (h->is_address) {
        return gw_address_is_ipv4(&h->address) ? h->address.bytes[12] == 127
                                               : memcmp(h->address.bytes, loopback6, sizeof(loopback6)) == 0;
    }
    size_t n = strlen(h->text), k = sizeof(name) - 1;
    return n >= k && strcmp(h->text + n - k, name) == 0 && (n == k || h->text[n - k - 1] == '.');
}
