/* SPDX-License-Identifier: Apache-2.0 */
/* TLS and WebSocket arrive with the next commits; until then their endpoints are refused. */
#include "transport.h"

struct ic_tls *ic_tls_new(const struct ic_tls_config *cfg, struct ib_err *err)
{
    (void)cfg;
    ib_err_set(err, IB_EUNSUPPORTED, "TLS is not built in");
    return NULL;
}

struct ic_tls *ic_tls_ref(struct ic_tls *tls)
{
    return tls;
}

void ic_tls_unref(struct ic_tls *tls)
{
    (void)tls;
}

struct ic_tp *ic_tls_tp_new(int fd, bool outgoing, struct ic_tls *ctx, const char *host, struct ic_loop *loop,
                            struct ib_err *err)
{
    (void)fd, (void)outgoing, (void)ctx, (void)host, (void)loop;
    ib_err_set(err, IB_EUNSUPPORTED, "TLS is not built in");
    return NULL;
}

const char *ic_tls_cipher(const struct ic_tp *tp)
{
    (void)tp;
    return "";
}

const struct x509_st *ic_tls_peer_cert(const struct ic_tp *tp, size_t i)
{
    (void)tp, (void)i;
    return NULL;
}

struct ic_tp *ic_ws_new(struct ic_tp *lower, const char *host, int port, const char *resource, size_t head_max)
{
    (void)lower, (void)host, (void)port, (void)resource, (void)head_max;
    return NULL;
}

struct ic_tp *ic_ws_lower(struct ic_tp *ws)
{
    return ws;
}

int ic_ws_control(struct ic_tp *ws, uint8_t payload[IC_WS_CONTROL_MAX], size_t *n)
{
    (void)ws, (void)payload, (void)n;
    return 0;
}

size_t ic_ws_prefix(uint8_t p[IC_WS_PREFIX_MAX], int opcode, uint64_t n, const uint8_t *mask)
{
    (void)p, (void)opcode, (void)n, (void)mask;
    return 0;
}

void ic_ws_mask(uint8_t *p, size_t n, const uint8_t mask[4], uint64_t offset)
{
    (void)p, (void)n, (void)mask, (void)offset;
}
