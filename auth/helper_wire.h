/* SPDX-License-Identifier: Apache-2.0 */
/* What passes between a loop and its auth helpers: one datagram (SOCK_SEQPACKET) per question and per answer. Both ends
   are the same executable, so the structs are the format. The first datagram of a child is its hello: an answer with id
   0 whose text says what its sandbox lacks. */
#ifndef AUTH_HELPER_WIRE_H
#define AUTH_HELPER_WIRE_H

#include <stdint.h>

#include <moulin/auth/helper.h>

#include "hash.h"

#define HELPER_FD 3

#define HELPER_SERVICE_MAX 63
#define HELPER_DIRECTORY_MAX 255
#define HELPER_USER_MAX 255
#define HELPER_HOST_MAX 63
#define HELPER_TEXT_MAX 255

struct helper_pam {
    char service[HELPER_SERVICE_MAX + 1];
    char directory[HELPER_DIRECTORY_MAX + 1]; /* "": the system's */
    char user[HELPER_USER_MAX + 1];
    char host[HELPER_HOST_MAX + 1];
};

struct helper_question {
    uint64_t id;
    uint16_t password_n;
    union {
        char hash[AUTH_HASH_MAX + 1];
        struct helper_pam pam;
    };
    char password[AUTH_PASSWORD_MAX + 1];
};

enum helper_verdict {
    HELPER_NO,
    HELPER_YES,
    HELPER_BROKEN /* it cannot tell: text says why */
};

struct helper_answer {
    uint64_t id;
    uint8_t verdict;
    char text[HELPER_TEXT_MAX + 1];
};

#endif
