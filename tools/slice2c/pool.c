/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that lives as long as the program, and the one way an error is told. */
#include "slice2c.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct pool_block {
    struct pool_block *next;
    max_align_t data[];
};

void *pool_alloc(struct pool *p, size_t n)
{
    struct pool_block *b = calloc(1, sizeof(*b) + n);
    if (!b) {
        fputs("slice2c: out of memory\n", stderr);
        exit(1);
    }
    b->next = p->blocks;
    p->blocks = b;
    return b->data;
}

char *pool_copy(struct pool *p, const char *s, size_t n)
{
    char *copy = pool_alloc(p, n + 1);
    memcpy(copy, s, n);
    return copy;
}

char *pool_printf(struct pool *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        fputs("slice2c: cannot format a name\n", stderr);
        exit(1);
    }
    char *s = pool_alloc(p, (size_t)n + 1);
    va_start(args, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, args);
    va_end(args);
    return s;
}

void *pool_grow(struct pool *p, void *v, size_t n, size_t size)
{
    if (n && (n & (n - 1)) != 0)
        return v;
    if (n > SIZE_MAX / 4 / size) {
        fputs("slice2c: out of memory\n", stderr);
        exit(1);
    }
    void *bigger = pool_alloc(p, (n ? 2 * n : 1) * size);
    if (n)
        memcpy(bigger, v, n * size);
    return bigger;
}

void pool_free(struct pool *p)
{
    while (p->blocks) {
        struct pool_block *next = p->blocks->next;
        free(p->blocks);
        p->blocks = next;
    }
}

_Noreturn void fail(struct pos pos, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (pos.line)
        fprintf(stderr, "%s:%d: ", pos.file, pos.line);
    else
        fprintf(stderr, "%s: ", pos.file);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}
