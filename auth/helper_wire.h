/* SPDX-License-Identifier: Apache-2.0 */
/* What passes between a loop and its auth helper: one datagram (SOCK_SEQPACKET) per question and per answer. Both ends
   are the same executable, so the structs are the format. */
#ifndef AUTH_HELPER_WIRE_H
#define AUTH_HELPER_WIRE_H

#include <stdint.h>

#include "hash.h"

#define HELPER_FD 3

struct helper_question {
    uint64_t id;
    uint16_t password_n;
    char hash[AUTH_HASH_MAX + 1];
    char password[AUTH_PASSWORD_MAX + 1];
};

struct helper_answer {
    uint64_t id;
    uint8_t match;
};

#endif
