/* SPDX-License-Identifier: Apache-2.0 */
/* What the text parsers of this directory share: splitting words, escapes, strict numbers. */
#ifndef IR_TEXT_PRIV_H
#define IR_TEXT_PRIV_H

#include <moulin/base/arena.h>
#include <moulin/base/buf.h>
#include <moulin/rpc/proxy.h>

/* Words of text between the characters of delims; quotes group and are removed, empty words are dropped. *n words in
   the arena. IB_EINVAL: a quote is not closed. */
int ir_split(struct ib_str text, const char *delims, struct ib_arena *arena, struct ib_str **words,
             size_t *n) IB_MUST_CHECK;
/* A decimal number that is the whole of s (leading space and a sign are accepted, as Ice does). */
bool ir_parse_int(struct ib_str s, int32_t *out);
/* "M.m" with 1..255 . 0..255; *why is a text with the value in it. */
int ir_parse_version(struct ib_str s, struct iw_encoding *out, struct ib_err *why) IB_MUST_CHECK;

/* ice-protocol 15.1. special: characters that get a backslash as well. */
void ir_escape(struct ib_str s, const char *special, enum ir_string_mode mode, struct ib_buf *out);
int ir_unescape(struct ib_str s, const char *special, struct ib_buf *out, struct ib_err *why) IB_MUST_CHECK;
/* Copies what the buffer holds into the arena; p == NULL when either ran out of memory. */
struct ib_str ir_keep(struct ib_arena *arena, struct ib_buf *b);

/* One endpoint without its ':'. IR_UNKNOWN_PROTOCOL: not ours, skip it. */
#define IR_UNKNOWN_PROTOCOL 1
int ir_endpoint_parse(struct ib_str text, bool server, const struct ir_proxy_defaults *d, struct ib_arena *arena,
                      struct iw_endpoint *out, struct ib_err *err) IB_MUST_CHECK;
/* End of the endpoint that starts at "at" in text: the next ':' outside double quotes, or text.n. */
size_t ir_endpoint_end(struct ib_str text, size_t at);

/* Says whether key, under a reserved prefix, is a property somebody knows. *meant gets the right spelling when only
   the case differs (in out). */
enum ir_name_verdict { IR_NAME_FREE, IR_NAME_KNOWN, IR_NAME_UNKNOWN };
enum ir_name_verdict ir_property_name_check(const char *key, char *meant, size_t cap);
/* Length of the reserved prefix (without its dot) that key starts with, or 0. */
size_t ir_reserved_prefix(const char *key);

/* The files of a comma-separated list, in order; names are trimmed. */
struct ir_properties;
int ir_properties_load_list(struct ir_properties *p, const char *list, struct ib_err *err) IB_MUST_CHECK;

#endif
