/* SPDX-License-Identifier: Apache-2.0 */
/* Words and lines of the command-line roles. */
#include "words.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Copies one word to out (which has room for all of the line) and returns what follows it; NULL for an open quote. */
static const char *take_word(const char *p, char *out, size_t *n)
{
    char quote = 0;
    *n = 0;
    for (; *p && (quote || !is_space(*p)); p++) {
        if (quote && *p == quote)
            quote = 0;
        else if (!quote && (*p == '"' || *p == '\''))
            quote = *p;
        else if (quote == '"' && *p == '\\' && (p[1] == '"' || p[1] == '\\'))
            out[(*n)++] = *++p;
        else
            out[(*n)++] = *p;
    }
    out[*n] = 0;
    return quote ? NULL : p;
}

int adm_words(const char *line, struct ib_arena *arena, struct ib_str *words, int max, struct ib_err *err)
{
    int count = 0;
    for (const char *p = line;;) {
        while (is_space(*p))
            p++;
        if (!*p)
            return count;
        if (count == max)
            return ib_err_set(err, IB_ELIMIT, "too many words: put quotes around what has blanks");
        char *copy = ib_arena_alloc(arena, strlen(p) + 1);
        size_t n;
        if (!copy)
            return ib_err_set(err, IB_ENOMEM, "out of memory");
        p = take_word(p, copy, &n);
        if (!p)
            return ib_err_set(err, IB_EINVAL, "a quote is not closed");
        words[count++] = (struct ib_str){copy, n};
    }
}

void adm_line_reader_init(struct adm_line_reader *r, struct ic_loop *loop)
{
    *r = (struct adm_line_reader){.loop = loop};
}

void adm_line_reader_fini(struct adm_line_reader *r)
{
    *r = (struct adm_line_reader){0};
}

/* The loop owns its own set of descriptors, so stdin is looked at between its rounds. */
static void wait_for_input(struct adm_line_reader *r)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    while (poll(&in, 1, 0) == 0)
        ic_loop_run_once(r->loop, 50);
}

char *adm_line_reader_next(struct adm_line_reader *r)
{
    for (;;) {
        char *newline = memchr(r->buf + r->at, '\n', r->n - r->at);
        if (newline || (r->eof && r->at < r->n)) {
            char *line = r->buf + r->at;
            r->at = newline ? (size_t)(newline - r->buf) + 1 : r->n;
            *(newline ? newline : r->buf + r->n) = 0;
            return line;
        }
        if (r->eof)
            return NULL;
        memmove(r->buf, r->buf + r->at, r->n - r->at);
        r->n -= r->at;
        r->at = 0;
        if (r->n == sizeof r->buf - 1)
            return NULL; /* a line nobody types: give up rather than guess */
        wait_for_input(r);
        ssize_t got = read(STDIN_FILENO, r->buf + r->n, sizeof r->buf - 1 - r->n);
        if (got > 0)
            r->n += (size_t)got;
        else if (got == 0 || errno != EINTR)
            r->eof = true;
    }
}
