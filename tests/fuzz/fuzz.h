/* SPDX-License-Identifier: Apache-2.0 */
/* What every fuzz target offers, and what they share. */
#ifndef MOULIN_TESTS_FUZZ_H
#define MOULIN_TESTS_FUZZ_H

#include <moulin/wire/codec.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A message may take this much memory once decoded. */
#define FUZZ_MEMORY ((size_t)64 << 20)

#define FUZZ_CHECK(cond)                                                                                               \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            abort();                                                                                                   \
    } while (0)

/* The body put into an encapsulation of encoding 1.minor: mutations need not guess its size. */
static inline void fuzz_encaps(struct ib_buf *out, uint8_t minor, const uint8_t *body, size_t n)
{
    ib_buf_put_i32(out, (int32_t)n + 6);
    ib_buf_put_u8(out, 1);
    ib_buf_put_u8(out, minor);
    ib_buf_put(out, body, n);
    FUZZ_CHECK(ib_buf_ok(out));
}

/* Decodes; what is accepted must print, copy, and come back the same from every format. */
static inline void fuzz_params(const struct iw_type *t, struct ib_span in, const struct iw_registry *reg,
                               struct iw_limits limits)
{
    static const struct {
        struct iw_encoding enc;
        bool sliced;
    } formats[] = {{{1, 0}, false}, {{1, 1}, false}, {{1, 1}, true}};
    struct ib_arena a;
    ib_arena_init(&a, FUZZ_MEMORY);
    struct ib_buf out;
    ib_buf_init(&out);
    void *v = NULL, *again = NULL;
    if (iw_decode_params(t, in, reg, limits, &a, &v) == IB_OK) {
        iw_print(t, v, &out);
        void *copy = ib_arena_alloc(&a, t->size ? t->size : 1);
        /* Cyclic graphs may be deeper than the engine follows: then it says so. */
        int rc = iw_copy(t, v, &a, copy);
        FUZZ_CHECK(rc == IB_OK || rc == IB_EMEMLIMIT || rc == IB_EMARSHAL);
        FUZZ_CHECK(rc != IB_OK || iw_equal(t, v, copy));
        limits.class_depth *= 5;
        for (size_t i = 0; i < 3; i++) {
            ib_buf_clear(&out);
            if (iw_encode_params(t, v, formats[i].enc, formats[i].sliced, &out) != IB_OK)
                continue;
            rc = iw_decode_params(t, ib_buf_span(&out), reg, limits, &a, &again);
            FUZZ_CHECK(rc == IB_OK || rc == IB_EMEMLIMIT || rc == IB_EMARSHAL);
        }
    }
    ib_buf_fini(&out);
    ib_arena_fini(&a);
}

#endif
