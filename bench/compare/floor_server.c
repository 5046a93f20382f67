// SPDX-License-Identifier: Apache-2.0
// floor_server PORT PEM: an echo object behind TLS and nothing else, for the load generator only: it trusts its client.
// What answering a twoway request over TLS costs at the least: one recv, one record
// opened, one record sealed, one send, and no other work. No program that ends its
// clients' TLS can need less; a gateway also has a server to talk to.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX = 1 << 17 };

typedef struct Peer {
    int fd;
    SSL *ssl;
    int ready;
    size_t have;
    unsigned char in[MAX];
} Peer;

static const unsigned char VALIDATE[14] = {'I', 'c', 'e', 'P', 1, 0, 1, 0, 3, 0, 14, 0, 0, 0};

static size_t size_at(const unsigned char *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

static void put(unsigned char *p, size_t n)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(n >> 8 * i);
}

// The encapsulation of the request is the last thing in it, and comes back as it is.
static void answer(Peer *peer, const unsigned char *frame, size_t size)
{
    static unsigned char out[MAX];
    if (frame[8] != 0 || size < 18 || !size_at(frame + 14)) return;
    const unsigned char *p = frame + 18;
    p += 1 + p[0];      // name
    p += 1 + p[0];      // category
    p += p[0] ? 2 : 1;  // facet
    size_t op = p[0];
    const unsigned char *name = p + 1;
    p += 1 + op + 2;  // operation, mode, context
    size_t body = (size_t)(frame + size - p);
    memcpy(out, VALIDATE, 8);
    out[8] = 2;
    out[9] = 0;
    memcpy(out + 14, frame + 14, 4);
    out[18] = 0;
    if (op == 7 && !memcmp(name, "ice_isA", 7)) {
        static const unsigned char YES[7] = {7, 0, 0, 0, 1, 1, 1};
        memcpy(out + 19, YES, 7);
        put(out + 19, 7);
        out[25] = 1;
        body = 7;
    } else {
        memcpy(out + 19, p, body);
    }
    put(out + 10, 19 + body);
    SSL_write(peer->ssl, out, (int)(19 + body));
}

static int readable(Peer *peer)
{
    if (!peer->ready) {
        int got = SSL_accept(peer->ssl);
        if (got != 1) return SSL_get_error(peer->ssl, got) == SSL_ERROR_WANT_READ;
        peer->ready = 1;
        SSL_write(peer->ssl, VALIDATE, sizeof VALIDATE);
        return 1;
    }
    int got = SSL_read(peer->ssl, peer->in + peer->have, (int)(MAX - peer->have));
    if (got <= 0) return SSL_get_error(peer->ssl, got) == SSL_ERROR_WANT_READ;
    peer->have += (size_t)got;
    while (peer->have >= 14 && size_at(peer->in + 10) <= peer->have) {
        size_t size = size_at(peer->in + 10);
        if (peer->in[8] == 4) return 0;  // CloseConnection
        answer(peer, peer->in, size);
        memmove(peer->in, peer->in + size, peer->have -= size);
    }
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate_chain_file(ctx, argv[2]);
    SSL_CTX_use_PrivateKey_file(ctx, argv[2], SSL_FILETYPE_PEM);
    SSL_CTX_set_read_ahead(ctx, 1);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((unsigned short)atoi(argv[1])),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int door = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(door, (struct sockaddr *)&at, sizeof at) || listen(door, 511)) return 1;
    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    epoll_ctl(ep, EPOLL_CTL_ADD, door, &ev);
    for (;;) {
        struct epoll_event now[64];
        int n = epoll_wait(ep, now, 64, -1);
        for (int i = 0; i < n; i++) {
            Peer *peer = now[i].data.ptr;
            if (!peer) {
                peer = calloc(1, sizeof *peer);
                peer->fd = accept4(door, NULL, NULL, SOCK_NONBLOCK);
                setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                peer->ssl = SSL_new(ctx);
                SSL_set_fd(peer->ssl, peer->fd);
                ev.data.ptr = peer;
                epoll_ctl(ep, EPOLL_CTL_ADD, peer->fd, &ev);
            } else if (!readable(peer)) {
                SSL_free(peer->ssl);
                close(peer->fd);
                free(peer);
            }
        }
    }
}
