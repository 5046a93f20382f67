/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP upgrade of WebSocket connections, both sides (ice-protocol 14.4). A head that does not please is never
   answered: the socket is closed, as real peers do. */
#include "ws_http.h"

#include <moulin/base/clock.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#define PROTOCOL "ice.zeroc.com"
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

size_t ic_ws_head_length(struct ib_span s, size_t from)
{
    /* The end is an empty line; lines end with LF, with or without CR. */
    size_t i = from > 3 ? from - 3 : 0;
    for (; i < s.n; i++) {
        if (s.p[i] != '\n') {
            continue;
        }
        if (i + 1 < s.n && s.p[i + 1] == '\n') {
            return i + 2;
        }
        if (i + 2 < s.n && s.p[i + 1] == '\r' && s.p[i + 2] == '\n') {
            return i + 3;
        }
    }
    return 0;
}

void ic_ws_new_key(char key[IC_WS_KEY_LEN + 1])
{
    unsigned char raw[16];
    ib_random(raw, sizeof raw);
    EVP_EncodeBlock((unsigned char *)key, raw, sizeof raw);
}

void ic_ws_accept(const char *key, char accept[IC_WS_ACCEPT_LEN + 1])
{
    char text[IC_WS_KEY_LEN + sizeof GUID];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    memcpy(text, key, IC_WS_KEY_LEN);
    memcpy(text + IC_WS_KEY_LEN, GUID, sizeof GUID);
    memset(digest, 0, sizeof digest);
    EVP_Digest(text, IC_WS_KEY_LEN + sizeof GUID - 1, digest, &n, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)accept, digest, 20);
}

void ic_ws_request(struct ib_buf *out, const char *host, int port, const char *resource, const char *key)
{
    bool v6 = strchr(host, ':') != NULL;
    ib_buf_printf(out,
                  "GET %s HTTP/1.1\r\nHost: %s%s%s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Protocol: " PROTOCOL "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
                  resource, v6 ? "[" : "", host, v6 ? "]" : "", port, key);
}

/* --- reading --- */

struct header {
    struct ib_str name, value;
};

/* The headers that matter; p is NULL when absent. */
struct head {
    struct ib_str start; /* first line */
    struct ib_str upgrade, connection, version, key, accept, protocol;
};

static struct ib_str trim(struct ib_str s)
{
    while (s.n && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

static bool same(struct ib_str a, const char *b)
{
    return a.n == strlen(b) && strncasecmp(ib_cstr(a), b, a.n) == 0;
}

static bool contains(struct ib_str s, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= s.n; i++) {
        if (strncasecmp(s.p + i, word, n) == 0) {
            return true;
        }
    }
    return false;
}

/* Cuts one line off *rest, without its end. */
static struct ib_str cut_line(struct ib_str *rest)
{
    const char *lf = memchr(rest->p, '\n', rest->n);
    size_t n = lf ? (size_t)(lf - rest->p) : rest->n;
    struct ib_str line = {rest->p, n};
    size_t skip = lf ? n + 1 : n;
    rest->p += skip;
    rest->n -= skip;
    if (line.n && line.p[line.n - 1] == '\r') {
        line.n--;
    }
    return line;
}

/* One header with its folded continuation lines; the value may then hold line ends, which no check below accepts
   where they matter. False at the empty line. */
static bool cut_header(struct ib_str *rest, struct header *h, bool *malformed)
{
    if (!rest->n) {
        return false;
    }
    struct ib_str line = cut_line(rest);
    if (!line.n) {
        return false;
    }
    while (rest->n && (*rest->p == ' ' || *rest->p == '\t')) {
        struct ib_str more = cut_line(rest);
        line.n = (size_t)(more.p + more.n - line.p);
    }
    const char *colon = memchr(line.p, ':', line.n);
    if (!colon || colon == line.p) {
        *malformed = true;
        return false;
    }
    h->name = trim((struct ib_str){line.p, (size_t)(colon - line.p)});
    h->value = trim((struct ib_str){colon + 1, line.n - (size_t)(colon - line.p) - 1});
    while (h->value.n && (*h->value.p == '\r' || *h->value.p == '\n' || *h->value.p == ' ' || *h->value.p == '\t')) {
        h->value.p++; /* a value that begins on the folded line */
        h->value.n--;
    }
    return true;
}

static bool parse_head(struct ib_span bytes, struct head *head)
{
    struct ib_str rest = {(const char *)bytes.p, bytes.n};
    memset(head, 0, sizeof *head);
    if (memchr(bytes.p, '\0', bytes.n)) {
        return false;
    }
    head->start = cut_line(&rest);
    const struct {
        const char *name;
        struct ib_str *value;
    } known[] = {
        {"Upgrade", &head->upgrade},
        {"Connection", &head->connection},
        {"Sec-WebSocket-Version", &head->version},
        {"Sec-WebSocket-Key", &head->key},
        {"Sec-WebSocket-Accept", &head->accept},
        {"Sec-WebSocket-Protocol", &head->protocol},
    };
    struct header h;
    bool malformed = false;
    while (cut_header(&rest, &h, &malformed)) {
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            if (same(h.name, known[i].name)) {
                *known[i].value = h.value;
            }
        }
    }
    return !malformed;
}

static int bad(struct ib_err *err, const char *what)
{
    return ib_err_set(err, IB_EWEBSOCKET, "WebSocket handshake: %s", what);
}

/* Method SP target SP HTTP/1.1; method and target may be anything. */
static bool request_line_ok(struct ib_str s)
{
    const char *a = memchr(s.p, ' ', s.n);
    if (!a || a == s.p) {
        return false;
    }
    const char *last = memrchr(s.p, ' ', s.n);
    return last > a && same((struct ib_str){last + 1, (size_t)(s.p + s.n - last) - 1}, "HTTP/1.1");
}

static bool protocols_ok(struct ib_str list)
{
    while (list.n) {
        const char *comma = memchr(list.p, ',', list.n);
        size_t n = comma ? (size_t)(comma - list.p) : list.n;
        if (!same(trim((struct ib_str){list.p, n}), PROTOCOL)) {
            return false;
        }
        size_t skip = comma ? n + 1 : n;
        list.p += skip;
        list.n -= skip;
    }
    return true;
}

static bool key_ok(struct ib_str key)
{
    unsigned char raw[IC_WS_KEY_LEN];
    /* 16 bytes end with "==" and are 22 digits long; EVP_DecodeBlock counts the padding as zeros. */
    return key.n == IC_WS_KEY_LEN && key.p[22] == '=' && key.p[23] == '=' && key.p[21] != '=' &&
           EVP_DecodeBlock(raw, (const unsigned char *)key.p, IC_WS_KEY_LEN) == 18;
}

int ic_ws_check_request(struct ib_span bytes, struct ib_buf *out, struct ib_err *err)
{
    struct head h;
    if (!parse_head(bytes, &h)) {
        return bad(err, "malformed head");
    }
    if (!request_line_ok(h.start)) {
        return bad(err, "not an HTTP/1.1 request");
    }
    if (!same(h.upgrade, "websocket") || !contains(h.connection, "upgrade")) {
        return bad(err, "not an upgrade to WebSocket");
    }
    if (!same(h.version, "13")) {
        return bad(err, "not version 13");
    }
    if (h.protocol.p && !protocols_ok(h.protocol)) {
        return bad(err, "a subprotocol other than " PROTOCOL);
    }
    if (!key_ok(h.key)) {
        return bad(err, "malformed key");
    }
    char key[IC_WS_KEY_LEN + 1], accept[IC_WS_ACCEPT_LEN + 1];
    memcpy(key, h.key.p, IC_WS_KEY_LEN);
    key[IC_WS_KEY_LEN] = '\0';
    ic_ws_accept(key, accept);
    ib_buf_printf(out,
                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%s"
                  "Sec-WebSocket-Accept: %s\r\n\r\n",
                  h.protocol.p ? "Sec-WebSocket-Protocol: " PROTOCOL "\r\n" : "", accept);
    return ib_buf_ok(out) ? 0 : ib_err_set(err, IB_ENOMEM, "out of memory");
}

int ic_ws_check_response(struct ib_span bytes, const char *key, struct ib_err *err)
{
    struct head h;
    if (!parse_head(bytes, &h)) {
        return bad(err, "malformed answer");
    }
    if (h.start.n < 12 || strncmp(h.start.p, "HTTP/1.1 101", 12) != 0 || (h.start.n > 12 && h.start.p[12] != ' ')) {
        return bad(err, "the server does not switch protocols");
    }
    if (!same(h.upgrade, "websocket") || !contains(h.connection, "upgrade")) {
        return bad(err, "the server's answer is no upgrade to WebSocket");
    }
    if (h.protocol.p && !same(h.protocol, PROTOCOL)) {
        return bad(err, "the server speaks another subprotocol");
    }
    char accept[IC_WS_ACCEPT_LEN + 1];
    ic_ws_accept(key, accept);
    if (!ib_str_is(h.accept, accept)) {
        return bad(err, "the server's accept value is wrong");
    }
    return 0;
}
