/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's memory: malloc's, but for the buffers of one record. SSL_MODE_RELEASE_BUFFERS gives those back whenever
   they are empty, that is, takes and frees one for each message each way; a few of every thread are kept for the next.
 */
#include "tls_priv.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

#ifdef MOULIN_SANITIZED
#define WANTED 0 /* sanitizers watch each piece only when malloc gives it */
#else
#define WANTED 1
#endif
#define RECORD_MIN 16384 /* what a record holds */
#define RECORD_SIZE 17408 /* with everything OpenSSL adds for either direction */
#define SPARES_MAX 4

struct spare {
    struct spare *next;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_exit;
static _Thread_local struct spare *spares;
static _Thread_local unsigned n_spares;

static void drop_spares(void *arg)
{
    (void)arg;
    while (spares) {
        struct spare *s = spares;
        spares = s->next;
        free(s);
    }
    n_spares = 0;
}

static void *take(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    if (n < RECORD_MIN || n > RECORD_SIZE) {
        return n ? malloc(n) : NULL;
    }
    struct spare *s = spares;
    if (!s) {
        return malloc(RECORD_SIZE);
    }
    spares = s->next;
    n_spares--;
    return s;
}

static void *resize(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return realloc(p, n);
}

static void give(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    size_t n = p ? malloc_usable_size(p) : 0;
    if (n < RECORD_SIZE || n >= RECORD_SIZE + RECORD_MIN || n_spares == SPARES_MAX) {
        free(p);
        return;
    }
    if (n_spares == 0) {
        pthread_setspecific(at_exit, &spares);
    }
    struct spare *s = p;
    s->next = spares;
    spares = s;
    n_spares++;
}

static void install(void)
{
    if (pthread_key_create(&at_exit, drop_spares) == 0) {
        CRYPTO_set_mem_functions(take, resize,
                                 give); /* refused when OpenSSL is in use already: then all is as it was */
    }
}

void ic_tls_memory(void)
{
    if (WANTED) {
        pthread_once(&once, install);
    }
}
