/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY protocol: parsing the header, and reading it from an accepted socket before anything else is. */
#include "proxy_protocol.h"
#include "conn_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define V2_FIXED 16
enum { V2_LOCAL = 0x20, V2_PROXY = 0x21 }; /* version and command */
enum { V2_UNSPEC = 0x00, V2_TCP4 = 0x11, V2_TCP6 = 0x21, V2_UNIX_STREAM = 0x31 };

static const uint8_t signature[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};
static const char word[] = "PROXY ";

static int malformed(struct ib_err *err, const char *what)
{
    return ib_err_set(err, IB_EBALANCER, "malformed PROXY header: %s", what);
}

/* --- version 1 ---------------------------------------------------------------------------------------------------- */

/* The next word of the line, which ends at one blank or at the end. */
static bool next_word(char **at, char **out)
{
    if (!*at || !**at) {
        return false;
    }
    *out = *at;
    *at = strchr(*at, ' ');
    if (*at) {
        *(*at)++ = '\0';
    }
    return **out != '\0';
}

static bool read_port(const char *text, uint16_t *port)
{
    size_t n = strlen(text);
    if (n < 1 || n > 5 || strspn(text, "0123456789") != n || (n > 1 && *text == '0')) {
        return false;
    }
    unsigned v = 0;
    for (; *text; text++) {
        v = v * 10 + (unsigned)(*text - '0');
    }
    *port = (uint16_t)v;
    return v <= UINT16_MAX;
}

/* IPv4 in IPv6 is shown as what it is, as with sockets. */
static void keep_ip6(struct ic_addr *a, const uint8_t ip[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool v4 = memcmp(ip, mapped, sizeof mapped) == 0;
    a->family = v4 ? AF_INET : AF_INET6;
    memcpy(a->ip, ip + (v4 ? 12 : 0), v4 ? 4 : 16);
}

static bool read_ip(const char *text, int family, struct ic_addr *a)
{
    uint8_t ip[16];
    if (inet_pton(family, text, ip) != 1) {
        return false;
    }
    if (family == AF_INET6) {
        keep_ip6(a, ip);
    } else {
        a->family = AF_INET;
        memcpy(a->ip, ip, 4);
    }
    return true;
}

/* line: what stands between "PROXY " and CR LF. */
static int parse_v1(char *line, struct ic_proxy_ends *ends, struct ib_err *err)
{
    char *kind, *words[4];
    if (!next_word(&line, &kind)) {
        return malformed(err, "no protocol");
    }
    if (strcmp(kind, "UNKNOWN") == 0) { /* whatever follows says nothing */
        return 0;
    }
    int family = strcmp(kind, "TCP4") == 0 ? AF_INET : strcmp(kind, "TCP6") == 0 ? AF_INET6 : 0;
    if (!family) {
        return malformed(err, "the protocol is not TCP4, TCP6 or UNKNOWN");
    }
    for (int i = 0; i < 4; i++) {
        if (!next_word(&line, &words[i])) {
            return malformed(err, "two addresses and two ports, with one blank between, are expected");
        }
    }
    if (line) {
        return malformed(err, "something follows the ports");
    }
    if (!read_ip(words[0], family, &ends->source) || !read_ip(words[1], family, &ends->destination)) {
        return malformed(err, "an address is none");
    }
    if (!read_port(words[2], &ends->source.port) || !read_port(words[3], &ends->destination.port)) {
        return malformed(err, "a port is none");
    }
    ends->told = true;
    return 0;
}

static int line_complete(const struct ic_proxy_header *h, struct ic_proxy_ends *ends, struct ib_err *err)
{
    char line[IC_PROXY_V1_MAX + 1];
    size_t first = sizeof word - 1, n = h->have - first;
    if (n < 2 || h->buf[h->have - 2] != '\r') {
        return malformed(err, "the line does not end with CR LF");
    }
    n -= 2;
    memcpy(line, h->buf + first, n);
    line[n] = '\0';
    if (memchr(line, '\0', n) || memchr(line, '\r', n)) {
        return malformed(err, "the line has control characters");
    }
    return parse_v1(line, ends, err);
}

/* --- version 2 ---------------------------------------------------------------------------------------------------- */

static uint16_t u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static size_t addresses_size(uint8_t family)
{
    switch (family) {
    case V2_TCP4:
        return 12;
    case V2_TCP6:
        return 36;
    case V2_UNIX_STREAM:
        return 216;
    default:
        return 0;
    }
}

/* The fixed part is there. */
static int check_v2(const struct ic_proxy_header *h, struct ib_err *err)
{
    uint8_t command = h->buf[12], family = h->buf[13];
    size_t n = u16(h->buf + 14);
    if (command != V2_LOCAL && command != V2_PROXY) {
        return malformed(err, command >> 4 == 2 ? "the command is not LOCAL or PROXY" : "the version is not 2");
    }
    if (n > IC_PROXY_V2_MAX - V2_FIXED) {
        return malformed(err, "it is longer than 536 bytes");
    }
    if (command == V2_LOCAL) {
        return 0;
    }
    if (family != V2_UNSPEC && !addresses_size(family)) {
        return malformed(err, "the transport is not TCP over IPv4, IPv6 or unix");
    }
    return n >= addresses_size(family) ? 0 : malformed(err, "it is too short for its addresses");
}

static void take_v2(const struct ic_proxy_header *h, struct ic_proxy_ends *ends)
{
    const uint8_t *p = h->buf + V2_FIXED;
    if (h->buf[12] != V2_PROXY) {
        return;
    }
    if (h->buf[13] == V2_TCP4) {
        ends->source.family = ends->destination.family = AF_INET;
        memcpy(ends->source.ip, p, 4);
        memcpy(ends->destination.ip, p + 4, 4);
        p += 8;
    } else if (h->buf[13] == V2_TCP6) {
        keep_ip6(&ends->source, p);
        keep_ip6(&ends->destination, p + 16);
        p += 32;
    } else {
        return; /* the path of a unix socket is no address of a client */
    }
    ends->source.port = u16(p);
    ends->destination.port = u16(p + 2);
    ends->told = true;
}

/* --- both --------------------------------------------------------------------------------------------------------- */

static bool begins(const struct ic_proxy_header *h, const void *with, size_t n)
{
    return memcmp(h->buf, with, h->have < n ? h->have : n) == 0;
}

static int feed_byte(struct ic_proxy_header *h, uint8_t byte, struct ic_proxy_ends *ends, struct ib_err *err)
{
    if (h->have < sizeof h->buf) {
        h->buf[h->have] = byte;
    }
    h->have++;
    if (begins(h, signature, sizeof signature)) {
        int rc = h->have == V2_FIXED ? check_v2(h, err) : 0;
        if (rc != 0 || h->have < V2_FIXED || h->have < V2_FIXED + u16(h->buf + 14)) {
            return rc ? rc : IC_TP_READABLE;
        }
        take_v2(h, ends);
        return 0;
    }
    if (!begins(h, word, sizeof word - 1)) {
        return malformed(err, "the connection does not begin with one");
    }
    if (byte == '\n') {
        return line_complete(h, ends, err);
    }
    return h->have < IC_PROXY_V1_MAX ? IC_TP_READABLE : malformed(err, "the line is longer than 107 bytes");
}

int ic_proxy_header_feed(struct ic_proxy_header *h, const uint8_t *p, size_t n, size_t *used,
                         struct ic_proxy_ends *ends, struct ib_err *err)
{
    *ends = (struct ic_proxy_ends){0};
    for (*used = 0; *used < n;) {
        int rc = feed_byte(h, p[(*used)++], ends, err);
        if (rc != IC_TP_READABLE) {
            return rc;
        }
    }
    return IC_TP_READABLE;
}

/* Looks first and then takes what is the header's: the rest is the transport's, byte for byte. */
int ic_proxy_read(struct ic_conn *c, struct ib_err *err)
{
    uint8_t seen[IC_PROXY_V2_MAX];
    struct ic_proxy_ends ends;
    size_t used;
    ssize_t got = recv(c->tp->fd, seen, sizeof seen, MSG_PEEK);
    if (got < 0) {
        return errno == EAGAIN || errno == EINTR ? IC_TP_READABLE
                                                 : ib_err_set(err, ic_tcp_error(errno, false), "%s", strerror(errno));
    }
    if (got == 0) { /* a balancer's look whether the port is open sends nothing at all */
        return c->proxy->have ? malformed(err, "the connection ended within it")
                              : ib_err_set(err, IB_ELOST, "%s", ib_err_text(IB_ELOST));
    }
    int rc = ic_proxy_header_feed(c->proxy, seen, (size_t)got, &used, &ends, err);
    if (rc != 0 && rc != IC_TP_READABLE) {
        return rc;
    }
    if (recv(c->tp->fd, seen, used, 0) != (ssize_t)used) {
        return ib_err_set(err, IB_ESOCKET, "cannot read what was seen: %s", strerror(errno));
    }
    if (rc == 0 && ends.told) {
        c->remote = ends.source;
        c->local = ends.destination;
        c->proxied = true;
    }
    return rc;
}
