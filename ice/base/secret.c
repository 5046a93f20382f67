/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets in memory: wiped before they are freed, compared without telling where they differ. */
#include <moulin/base/secret.h>

#include <stdlib.h>

struct ib_secret {
    size_t n;
    char p[];
};

void ib_wipe(void *p, size_t n)
{
    if (n)
        explicit_bzero(p, n);
}

struct ib_secret *ib_secret_new(struct ib_str s)
{
    if (s.n > SIZE_MAX - sizeof(struct ib_secret) - 1)
        return NULL;
    struct ib_secret *x = malloc(sizeof(*x) + s.n + 1);
    if (!x)
        return NULL;
    x->n = s.n;
    if (s.n)
        memcpy(x->p, s.p, s.n);
    x->p[s.n] = '\0';
    return x;
}

void ib_secret_free(struct ib_secret *s)
{
    if (!s)
        return;
    ib_wipe(s->p, s->n);
    free(s);
}

struct ib_str ib_secret_str(const struct ib_secret *s)
{
    return (struct ib_str){s->p, s->n};
}

bool ib_equal_ct(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t diff = 0;
    for (size_t i = 0; i < n; i++)
        diff = (uint8_t)(diff | (x[i] ^ y[i]));
    return diff == 0;
}
