/* SPDX-License-Identifier: Apache-2.0 */
/* Text to tokens: names, keywords, numbers, strings, punctuation and the two preprocessor lines we know. */
#include "slice2c.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const keywords[] = {
    "bool",    "byte",   "class", "const",      "dictionary",  "double",     "enum",     "exception",
    "extends", "false",  "float", "idempotent", "int",         "interface",  "local",    "long",
    "module",  "Object", "out",   "optional",   "LocalObject", "short",      "sequence", "string",
    "struct",  "throws", "true",  "Value",      "void",        "implements",
};

static bool is_keyword(const char *s)
{
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
        if (strcmp(s, keywords[i]) == 0)
            return true;
    return false;
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static void skip_block_comment(struct lexer *lx)
{
    struct pos start = lx->pos;
    for (lx->p += 2; lx->end - lx->p >= 2; lx->p++) {
        if (lx->p[0] == '*' && lx->p[1] == '/') {
            lx->p += 2;
            return;
        }
        if (*lx->p == '\n')
            lx->pos.line++;
    }
    fail(start, "expected the end of a comment, found end of file");
}

static void skip_blanks(struct lexer *lx)
{
    while (lx->p < lx->end) {
        if (*lx->p == '\n') {
            lx->pos.line++;
            lx->line_start = true;
            lx->p++;
        } else if (*lx->p == ' ' || *lx->p == '\t' || *lx->p == '\r') {
            lx->p++;
        } else if (lx->end - lx->p >= 2 && lx->p[0] == '/' && lx->p[1] == '/') {
            while (lx->p < lx->end && *lx->p != '\n')
                lx->p++;
        } else if (lx->end - lx->p >= 2 && lx->p[0] == '/' && lx->p[1] == '*') {
            skip_block_comment(lx);
        } else {
            return;
        }
    }
}

/* Digits may hold a fraction and an exponent; then the text goes to C as it is. */
static struct token number(struct lexer *lx)
{
    struct token t = {.kind = T_INT, .pos = lx->pos};
    const char *start = lx->p;
    bool hex = false;
    if (*lx->p == '-' || *lx->p == '+')
        lx->p++;
    if (lx->end - lx->p > 2 && lx->p[0] == '0' && (lx->p[1] == 'x' || lx->p[1] == 'X'))
        hex = true;
    while (lx->p < lx->end) {
        char c = *lx->p;
        bool exponent_sign = !hex && (c == '-' || c == '+') && (lx->p[-1] == 'e' || lx->p[-1] == 'E');
        if (!isalnum((unsigned char)c) && c != '.' && !exponent_sign)
            break;
        if (!hex && (c == '.' || c == 'e' || c == 'E'))
            t.kind = T_FLOAT;
        lx->p++;
    }
    t.text = pool_copy(lx->pool, start, (size_t)(lx->p - start));
    char *rest = NULL;
    errno = 0;
    if (t.kind == T_INT)
        t.number = strtoll(t.text, &rest, 0);
    else
        (void)strtod(t.text, &rest);
    if (*rest || rest == t.text)
        fail(t.pos, "expected a number, found '%s'", t.text);
    if (errno == ERANGE)
        fail(t.pos, "number %s is out of range", t.text);
    return t;
}

static struct token string(struct lexer *lx)
{
    struct token t = {.kind = T_STRING, .pos = lx->pos};
    char *text = pool_alloc(lx->pool, (size_t)(lx->end - lx->p) + 1);
    size_t n = 0;
    for (lx->p++; lx->p < lx->end && *lx->p != '"' && *lx->p != '\n'; lx->p++) {
        char c = *lx->p;
        if (c == '\0')
            fail(t.pos, "a string holds a NUL byte");
        if (c == '\\') {
            if (++lx->p == lx->end)
                break;
            switch (*lx->p) {
            case 'n':
                c = '\n';
                break;
            case 't':
                c = '\t';
                break;
            case '"':
            case '\\':
                c = *lx->p;
                break;
            default:
                fail(t.pos, "expected \\n, \\t, \\\" or \\\\ in a string, found '\\%c'",
                     isprint((unsigned char)*lx->p) ? *lx->p : '?');
            }
        }
        text[n++] = c;
    }
    if (lx->p == lx->end || *lx->p != '"')
        fail(t.pos, "expected the end of a string, found end of %s", lx->p == lx->end ? "file" : "line");
    lx->p++;
    t.text = text;
    return t;
}

/* #include "path" or <path> gives a token; #pragma once needs none, since a file is read once anyway. */
static bool directive(struct lexer *lx, struct token *t)
{
    const char *start = lx->p;
    const char *eol = memchr(start, '\n', (size_t)(lx->end - start));
    if (!eol)
        eol = lx->end;
    char *line = pool_copy(lx->pool, start + 1, (size_t)(eol - start) - 1);
    lx->p = eol;
    char *save = NULL;
    const char *word = strtok_r(line, " \t\r", &save);
    const char *arg = word ? strtok_r(NULL, " \t\r", &save) : NULL;
    if (word && strcmp(word, "pragma") == 0 && arg && strcmp(arg, "once") == 0)
        return false;
    if (!word || strcmp(word, "include") != 0)
        fail(lx->pos, "expected #include or #pragma once, found '#%s'", word ? word : "");
    size_t n = arg ? strlen(arg) : 0;
    if (n < 3 || !((arg[0] == '"' && arg[n - 1] == '"') || (arg[0] == '<' && arg[n - 1] == '>')))
        fail(lx->pos, "expected #include <file>, found '#include %s'", arg ? arg : "");
    *t = (struct token){.kind = T_INCLUDE, .pos = lx->pos, .text = pool_copy(lx->pool, arg + 1, n - 2)};
    return true;
}

static struct token name(struct lexer *lx)
{
    struct token t = {.kind = T_IDENT, .pos = lx->pos};
    bool escaped = *lx->p == '\\';
    if (escaped)
        lx->p++;
    const char *start = lx->p;
    while (lx->p < lx->end && is_name(*lx->p))
        lx->p++;
    t.text = pool_copy(lx->pool, start, (size_t)(lx->p - start));
    if (!isalpha((unsigned char)*t.text))
        fail(t.pos, "expected a name after '\\'");
    if (strlen(t.text) > 200)
        fail(t.pos, "a name is longer than 200 characters");
    if (strchr(t.text, '_'))
        fail(t.pos, "'%s' has an underscore: names in Slice have none", t.text);
    if (!escaped && is_keyword(t.text))
        t.kind = T_KEYWORD;
    return t;
}

struct token lexer_next(struct lexer *lx)
{
    for (;;) {
        skip_blanks(lx);
        bool line_start = lx->line_start;
        lx->line_start = false;
        if (lx->p == lx->end)
            return (struct token){.kind = T_EOF, .text = "", .pos = lx->pos};
        char c = *lx->p;
        if (c == '#' && line_start) {
            struct token t;
            if (directive(lx, &t))
                return t;
            continue;
        }
        if (isalpha((unsigned char)c) || c == '\\')
            return name(lx);
        if (isdigit((unsigned char)c) ||
            ((c == '-' || c == '+') && lx->end - lx->p > 1 && isdigit((unsigned char)lx->p[1])))
            return number(lx);
        if (c == '"')
            return string(lx);
        if (c && strchr("{}()[];,=*:<>", c)) {
            size_t n = lx->end - lx->p > 1 && c == ':' && lx->p[1] == ':' ? 2 : 1;
            struct token t = {.kind = T_PUNCT, .pos = lx->pos, .text = pool_copy(lx->pool, lx->p, n)};
            lx->p += n;
            return t;
        }
        if (isprint((unsigned char)c))
            fail(lx->pos, "unexpected character '%c'", c);
        fail(lx->pos, "unexpected byte 0x%02x", (unsigned)(unsigned char)c);
    }
}

const char *token_describe(struct pool *pool, const struct token *t)
{
    switch (t->kind) {
    case T_IDENT:
        return pool_printf(pool, "identifier '%s'", t->text);
    case T_KEYWORD:
        return pool_printf(pool, "keyword '%s'", t->text);
    case T_INT:
    case T_FLOAT:
        return pool_printf(pool, "number %s", t->text);
    case T_STRING:
        return pool_printf(pool, "string \"%.60s\"", t->text);
    case T_PUNCT:
        return pool_printf(pool, "'%s'", t->text);
    case T_INCLUDE:
        return "#include";
    case T_EOF:
        break;
    }
    return "end of file";
}
