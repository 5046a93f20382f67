/* SPDX-License-Identifier: Apache-2.0 */
/* Headers and compression against everything captured from real peers. */
#include "test.h"
#include "vectors.h"

#include "frame.h"

#include <stdio.h>
#include <stdlib.h>

/* Every message of a file parses, its header builds again to the same bytes, compressed bodies survive both ways. */
static int check_file(const char *file, int *compressed)
{
    json_t *all = vec_load(file), *v;
    size_t i;
    int count = 0;
    json_array_foreach(all, i, v)
    {
        if (!vec_text(v, "hex") || strcmp(vec_text(v, "type"), "eof") == 0) {
            continue;
        }
        struct ib_span s = vec_bytes(v);
        struct ic_header h;
        struct ib_err err;
        assert_true(s.n >= IC_HEADER_SIZE);
        if (ic_header_parse(s.p, 1 << 20, &h, &err) < 0) {
            fail_msg("%s: %s", vec_text(v, "name"), err.text);
        }
        assert_int_equal(h.size, s.n);
        uint8_t again[IC_HEADER_SIZE];
        ic_header_build(again, h.type, h.compression, h.size);
        assert_memory_equal(again, s.p, IC_HEADER_SIZE);
        if (h.compression == IC_COMPRESS_DONE) {
            struct ib_block *plain, *packed;
            size_t n;
            struct ib_span body = {s.p + IC_HEADER_SIZE, s.n - IC_HEADER_SIZE};
            assert_int_equal(ic_decompress(body, 1 << 20, &plain, &err), 0);
            struct ib_span head = {plain->p, 10}, rest = {plain->p + 10, plain->n - 10};
            assert_int_equal(ic_compress(head, rest, 1, &packed, &n), 0);
            vec_assert_same(vec_text(v, "name"), (struct ib_span){packed->p, n}, body);
            ib_block_unref(plain);
            ib_block_unref(packed);
            ++*compressed;
        }
        vec_free(s);
        count++;
    }
    json_decref(all);
    return count;
}

static void captured_messages(void **state)
{
    (void)state;
    int compressed = 0;
    int messages = check_file("messages.json", &compressed);
    int services = check_file("services.json", &compressed);
    int datagrams = check_file("udp.json", &compressed);
    print_message("vectors: %d messages, %d of services, %d datagrams; %d of them compressed\n", messages, services,
                  datagrams, compressed);
    assert_true(messages >= 100 && services >= 100 && datagrams == 2 && compressed >= 1);
}

static void bad_headers(void **state)
{
    (void)state;
    const struct {
        const char *hex;
        int code;
    } cases[] = {
        {"4963655801000100000027000000", IB_EMAGIC},
        {"4963655002000100000027000000", IB_EPROTOCOL},
        {"4963655001010100000027000000", IB_EPROTOCOL},
        {"4963655001000101000027000000", IB_EENCODING},
        {"4963655001000200000027000000", IB_EENCODING},
        {"496365500100010000000d000000", IB_EMSGSIZE},
        {"49636550010001000000ffffffff", IB_EMSGSIZE},
        {"4963655001000100000001040000", IB_EMEMLIMIT},
        {"49636550010001000000ffffff7f", IB_EMEMLIMIT},
        {"496365500100010005000e000000", IB_EMSGTYPE},
        {"4963655001000100000000040000", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ib_span s = vec_hex(cases[i].hex);
        struct ic_header h;
        struct ib_err err;
        assert_int_equal(ic_header_parse(s.p, 1024, &h, &err), cases[i].code);
        vec_free(s);
    }
}

static void compression_levels(void **state)
{
    (void)state;
    size_t n = 500000;
    uint8_t *text = malloc(n);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++) {
        text[i] = (uint8_t)(i % 97 ^ i / 1000);
    }
    for (int level = 1; level <= 9; level += 4) {
        struct ib_block *packed, *plain;
        size_t packed_n;
        struct ib_err err;
        assert_int_equal(ic_compress((struct ib_span){0}, (struct ib_span){text, n}, level, &packed, &packed_n), 0);
        assert_int_equal(packed->p[7], '0' + level);
        struct ib_span body = {packed->p, packed_n};
        assert_int_equal(ic_decompress(body, (int32_t)n + IC_HEADER_SIZE, &plain, &err), 0);
        assert_int_equal(plain->n, n);
        assert_memory_equal(plain->p, text, n);
        ib_block_unref(plain);
        assert_int_equal(ic_decompress(body, (int32_t)n + IC_HEADER_SIZE - 1, &plain, &err), IB_EMEMLIMIT);
        ib_block_unref(packed);
    }
    free(text);
}

/* A body may claim any size: what comes out must be exactly that, cut or changed bytes are an error. */
static void bad_compression(void **state)
{
    (void)state;
    static uint8_t zeros[200000];
    struct ib_block *packed, *plain;
    size_t n;
    struct ib_err err;
    assert_int_equal(ic_compress((struct ib_span){0}, (struct ib_span){zeros, sizeof zeros}, 9, &packed, &n), 0);
    assert_true(n < 200); /* a bomb */
    const int32_t claims[] = {sizeof zeros + IC_HEADER_SIZE + 1, sizeof zeros + IC_HEADER_SIZE - 1, 15, 65550, 65549};
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        ic_put_i32(packed->p, claims[i]);
        assert_int_equal(ic_decompress((struct ib_span){packed->p, n}, 1 << 20, &plain, &err), IB_ECOMPRESS);
    }
    ic_put_i32(packed->p, IC_HEADER_SIZE);
    assert_int_equal(ic_decompress((struct ib_span){packed->p, n}, 1 << 20, &plain, &err), IB_EMSGSIZE);
    ic_put_i32(packed->p, -1);
    assert_int_equal(ic_decompress((struct ib_span){packed->p, n}, 1 << 20, &plain, &err), IB_EMSGSIZE);
    ic_put_i32(packed->p, (int32_t)sizeof zeros + IC_HEADER_SIZE);
    for (size_t cut = 0; cut < n; cut++) {
        assert_true(ic_decompress((struct ib_span){packed->p, cut}, 1 << 20, &plain, &err) < 0);
    }
    for (size_t i = 4; i < n; i++) {
        packed->p[i] ^= 0x10;
        if (ic_decompress((struct ib_span){packed->p, n}, 1 << 20, &plain, &err) == 0) {
            assert_int_equal(plain->n, sizeof zeros);
            ib_block_unref(plain);
        }
        packed->p[i] ^= 0x10;
    }
    ib_block_unref(packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captured_messages),
        cmocka_unit_test(bad_headers),
        cmocka_unit_test(compression_levels),
        cmocka_unit_test(bad_compression),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
