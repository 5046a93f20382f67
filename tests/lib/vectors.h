/* SPDX-License-Identifier: Apache-2.0 */
/* Test data: JSON arrays of tests/data/vectors, hex, whole files. Everything here ends the test when it fails. */
#ifndef MOULIN_TESTS_VECTORS_H
#define MOULIN_TESTS_VECTORS_H

#include <moulin/base/span.h>

#include <jansson.h>

/* The array in tests/data/vectors/<name>; json_decref it. Walk it with json_array_foreach. */
json_t *vec_load(const char *name);

/* Member key of a vector: the string, or NULL when there is none. Borrows from v. */
const char *vec_text(const json_t *v, const char *key);
/* The same with its length, for strings with NULs inside; p is NULL when there is none. */
struct ib_str vec_str(const json_t *v, const char *key);
bool vec_true(const json_t *v, const char *key); /* key is there and true */

/* Bytes of hex digits (blanks allowed between them); free(p). p is never NULL. */
struct ib_span vec_hex(const char *hex);
/* The bytes of member "hex". */
struct ib_span vec_bytes(const json_t *v);
void vec_free(struct ib_span s);

/* Lower-case hex of s; free() it. */
char *vec_to_hex(struct ib_span s);
/* Fails with both in hex and the vector's name when they differ. */
void vec_assert_same(const char *name, struct ib_span got, struct ib_span want);

/* A file below the source directory ("tests/data/…"), NUL-terminated; free() it. */
char *vec_file(const char *path, size_t *n);

#endif
