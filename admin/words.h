/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: splitting them into words, and reading them from stdin while the loop goes on (heartbeats). */
#ifndef MOULIN_ADMIN_WORDS_H
#define MOULIN_ADMIN_WORDS_H

#include <moulin/base/arena.h>
#include <moulin/net/loop.h>

/* Splits at white space; "…" with backslash escapes and '…' group. Returns the number of words (at most max, more is
   IB_ELIMIT), or IB_EINVAL for an unbalanced quote. Words are NUL-terminated copies in the arena. */
int adm_words(const char *line, struct ib_arena *arena, struct ib_str *words, int max,
              struct ib_err *err) IB_MUST_CHECK;

struct adm_line_reader {
    struct ic_loop *loop;
    char buf[4096];
    size_t n, at;
    bool eof;
};
void adm_line_reader_init(struct adm_line_reader *r, struct ic_loop *loop);
/* Next line of stdin without its newline, NULL at the end; borrows until the next call. The loop runs while it waits.
 */
char *adm_line_reader_next(struct adm_line_reader *r);
void adm_line_reader_fini(struct adm_line_reader *r);

#endif
