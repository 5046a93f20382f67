/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP part of WebSocket: what is said and what is demanded (ice-protocol 14.4). Bytes in, verdict out; no I/O. */
#ifndef ICE_NET_WS_HTTP_H
#define ICE_NET_WS_HTTP_H

#include <moulin/base/buf.h>
#include <moulin/base/err.h>

#define IC_WS_KEY_LEN 24 /* 16 bytes in base64 */
#define IC_WS_ACCEPT_LEN 28

/* Length of the head at the start of s including its empty line; 0 while it is incomplete. from: where the caller's
   last look ended. */
size_t ic_ws_head_length(struct ib_span s, size_t from);

void ic_ws_request(struct ib_buf *out, const char *host, int port, const char *resource, const char *key);
/* Checks a client's head; on success appends the response to out. */
int ic_ws_check_request(struct ib_span head, struct ib_buf *out, struct ib_err *err) IB_MUST_CHECK;
int ic_ws_check_response(struct ib_span head, const char *key, struct ib_err *err) IB_MUST_CHECK;
void ic_ws_new_key(char key[IC_WS_KEY_LEN + 1]);
void ic_ws_accept(const char *key, char accept[IC_WS_ACCEPT_LEN + 1]);

#endif
