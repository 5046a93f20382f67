/* SPDX-License-Identifier: Apache-2.0 */
/* libevent's memory: malloc's, but for the smallest pieces. It takes one for each descriptor number it meets and keeps
   it for ever; among what connections hold, each would keep a page from the system when they have left. Here they lie
   side by side in a range of their own, of which only what is used takes memory. */
#include "loop_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef MOULIN_SANITIZED
#define WANTED 0 /* sanitizers watch each piece only when malloc gives it */
#else
#define WANTED 1
#endif
#define PIECE 32
#define PIECES ((size_t)1 << 19) /* of address space; when they are used up malloc takes over */

struct piece {
    struct piece *next;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below: loops of several threads meet here */
static char *range; /* PIECES of PIECE bytes */
static size_t touched;
static struct piece *spare;

static bool is_piece(const void *p)
{
    return (const char *)p >= range && (const char *)p < range + PIECES * PIECE;
}

static void *take(size_t n)
{
    void *p = NULL;
    if (n > PIECE) {
        return malloc(n);
    }
    pthread_mutex_lock(&lock);
    if (spare) {
        p = spare;
        spare = spare->next;
    } else if (touched < PIECES) {
        p = range + PIECE * touched++;
    }
    pthread_mutex_unlock(&lock);
    return p ? p : malloc(n);
}

static void give(void *p)
{
    if (!is_piece(p)) {
        free(p);
        return;
    }
    struct piece *s = p;
    pthread_mutex_lock(&lock);
    s->next = spare;
    spare = s;
    pthread_mutex_unlock(&lock);
}

static void *resize(void *p, size_t n)
{
    if (!is_piece(p)) {
        return realloc(p, n);
    }
    if (n <= PIECE) {
        return p;
    }
    void *larger = malloc(n);
    if (larger) {
        memcpy(larger, p, PIECE);
        give(p);
    }
    return larger;
}

static void install(void)
{
    void *p = mmap(NULL, PIECES * PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p != MAP_FAILED) {
        range = p;
        event_set_mem_functions(take, resize, give);
    }
}

void ic_loop_memory(void)
{
    if (WANTED) {
        pthread_once(&once, install);
    }
}
