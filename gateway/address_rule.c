/* SPDX-License-Identifier: Apache-2.0 */
/* Compiling and matching one address rule. The words of the errors are Glacier2's where it has any. */
#include "address_rule.h"

#include <string.h>

#define RULE_MAX 1024
#define NUMBER_MAX 999999999u /* no number of a host or a port has ten digits */
#define PORT_MAX 65535u

struct parser {
    const char *p, *end; /* what is left */
    struct ib_str rule;
    struct ib_arena *arena;
    struct ib_err *err;
};

static int fail(struct parser *s, const char *what)
{
    return ib_err_set(s->err, IB_ECONFIG, "%s, at character %zu of `%.*s'", what, (size_t)(s->p - s->rule.p) + 1,
                      (int)s->rule.n, s->rule.p);
}

static int no_memory(struct parser *s)
{
    return ib_err_set(s->err, IB_ENOMEM, "out of memory");
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads all the digits at p; too many of them are a number nobody has written in a rule. */
static unsigned digits(const char **p, const char *end)
{
    unsigned v = 0;
    for (; *p < end && is_digit(**p); ++*p) {
        v = v > NUMBER_MAX / 10 ? NUMBER_MAX + 1 : v * 10 + (unsigned)(**p - '0');
    }
    return v;
}

static bool looks_like_ipv6(const struct parser *s)
{
    const char *colon = memchr(s->rule.p, ':', s->rule.n);
    size_t before = colon ? (size_t)(colon - s->rule.p) + 1 : s->rule.n;
    return colon && colon[-(colon > s->rule.p)] != ']' && memchr(colon + 1, ':', s->rule.n - before);
}

static int number(struct parser *s, unsigned highest, unsigned *out)
{
    if (s->p < s->end && *s->p == '*') {
        return fail(s, "wildcards not permitted in groups");
    }
    if (s->p == s->end || !is_digit(*s->p)) {
        return fail(s, looks_like_ipv6(s) ? "expected number (an IPv6 address is written in brackets, [::1])"
                                          : "expected number");
    }
    *out = digits(&s->p, s->end);
    return *out > highest ? fail(s, "the number is too large") : 0;
}

static int range(struct parser *s, unsigned highest, struct gw_range *out)
{
    int rc = number(s, highest, &out->low);
    out->high = out->low;
    if (rc == 0 && s->p < s->end && *s->p == '-') {
        s->p++;
        if (s->p == s->end || *s->p == ']' || *s->p == ',') {
            return fail(s, "Unterminated range");
        }
        rc = number(s, highest, &out->high);
        if (rc == 0 && out->high < out->low) {
            return fail(s, "a range that ends before it begins matches nothing");
        }
    }
    return rc;
}

/* Up to the closing bracket, which is consumed, or to the end of the rule. */
static int group(struct parser *s, bool bracketed, unsigned highest, struct gw_group *out)
{
    size_t most = (size_t)(s->end - s->p) / 2 + 1;
    out->n = 0;
    out->v = IB_ARENA_ARRAY(s->arena, most, struct gw_range);
    if (!out->v) {
        return no_memory(s);
    }
    if (bracketed && s->p == s->end) {
        return fail(s, "unclosed group");
    }
    if (bracketed && *s->p == ']') {
        return fail(s, "empty group");
    }
    for (;;) {
        int rc = range(s, highest, &out->v[out->n]);
        if (rc != 0) {
            return rc;
        }
        out->n++;
        if (s->p == s->end) {
            return bracketed ? fail(s, "unclosed group") : 0;
        }
        if (*s->p == ']') {
            s->p++;
            return bracketed ? 0 : fail(s, "group close without group start");
        }
        if (*s->p != ',') {
            return fail(s, "expected comma separator");
        }
        s->p++;
    }
}

/* After the colon. */
static int ports(struct parser *s, struct gw_group *out)
{
    if (s->end - s->p == 1 && *s->p == '*') {
        s->p++;
        return 0;
    }
    bool bracketed = s->p < s->end && *s->p == '[';
    s->p += bracketed;
    int rc = group(s, bracketed, PORT_MAX, out);
    return rc == 0 && s->p < s->end ? fail(s, "nothing may follow the ports") : rc;
}

/* --- addresses ---------------------------------------------------------------------------------------------------- */

static void exact(struct gw_address_rule *r, const struct gw_host *h)
{
    r->kind = GW_RULE_NETWORK;
    r->network = h->address;
    r->bits = 128;
}

/* 0.0.0.0 and :: are this machine as hosts, but not as networks. */
static int prefix(struct parser *s, struct ib_str text, const struct gw_host *h, struct gw_address_rule *r)
{
    unsigned bits;
    size_t fixed = gw_address_is_ipv4(&h->address) ? 12 : 0; /* bytes */
    int rc = number(s, fixed ? 32 : 128, &bits);
    if (rc != 0) {
        return rc;
    }
    exact(r, h);
    r->bits = bits + (unsigned)fixed * 8;
    if (strspn(text.p, "0.:") >= text.n) {
        memset(r->network.bytes + fixed, 0, sizeof(r->network.bytes) - fixed);
    }
    return 0;
}

/* A name without wildcards is matched exactly; an address by its value, in whatever spelling. */
static int whole_address(struct parser *s, struct ib_str text, bool must_be_address, struct gw_address_rule *r)
{
    struct gw_host h;
    if (!gw_host_read(text, &h) || (must_be_address && !h.is_address)) {
        return fail(s, "expected an IPv4 or IPv6 address");
    }
    if (s->p < s->end && *s->p == '/') {
        s->p++;
        return prefix(s, text, &h, r);
    }
    if (h.is_address) {
        exact(r, &h);
        return 0;
    }
    r->kind = GW_RULE_PATTERN;
    r->pieces = IB_ARENA_NEW(s->arena, struct gw_piece);
    r->n_pieces = 1;
    if (!r->pieces) {
        return no_memory(s);
    }
    r->pieces[0] = (struct gw_piece){.kind = GW_TEXT, .text = ib_arena_strz(s->arena, h.text)};
    return r->pieces[0].text.p ? 0 : no_memory(s);
}

static int text_piece(struct parser *s, struct gw_piece *out)
{
    size_t n = 0;
    while (s->p + n < s->end && !memchr("*[]:/", s->p[n], 5)) {
        n++;
    }
    char *text = ib_arena_alloc(s->arena, n + 1);
    if (!text) {
        return no_memory(s);
    }
    for (size_t i = 0; i < n; i++) {
        text[i] = (char)(s->p[i] >= 'A' && s->p[i] <= 'Z' ? s->p[i] + ('a' - 'A') : s->p[i]);
    }
    text[n] = '\0';
    s->p += n;
    *out = (struct gw_piece){.kind = GW_TEXT, .text = {text, n}};
    return 0;
}

static int piece(struct parser *s, const struct gw_piece *before, struct gw_piece *out)
{
    bool after_number = before && before->kind == GW_NUMBER;
    if (*s->p == '*') {
        s->p++;
        *out = (struct gw_piece){.kind = GW_ANY};
        return 0;
    }
    if (after_number && (*s->p == '[' || is_digit(*s->p))) {
        return fail(s, "digits after a group can never match, since a group takes all digits there are");
    }
    if (*s->p == '[') {
        s->p++;
        *out = (struct gw_piece){.kind = GW_NUMBER};
        return group(s, true, NUMBER_MAX, &out->numbers);
    }
    if (*s->p == ']') {
        return fail(s, "group close without group start");
    }
    if (*s->p == '/') {
        return fail(s, "only an IPv4 or IPv6 address may be followed by `/' and the length of a prefix");
    }
    return text_piece(s, out);
}

static int pattern(struct parser *s, struct gw_address_rule *r)
{
    size_t most = (size_t)(s->end - s->p) + 1;
    r->kind = GW_RULE_PATTERN;
    r->pieces = IB_ARENA_ARRAY(s->arena, most, struct gw_piece);
    int rc = r->pieces ? 0 : no_memory(s);
    while (rc == 0 && s->p < s->end && *s->p != ':') {
        rc = piece(s, r->n_pieces ? &r->pieces[r->n_pieces - 1] : NULL, &r->pieces[r->n_pieces]);
        r->n_pieces++;
    }
    if (rc == 0 && r->n_pieces == 0) {
        return fail(s, "expected address information before ':'");
    }
    if (rc == 0) { /* hosts are judged without the dot at their end */
        struct gw_piece *last = &r->pieces[r->n_pieces - 1];
        last->text.n -= last->kind == GW_TEXT && last->text.n > 1 && last->text.p[last->text.n - 1] == '.';
    }
    return rc;
}

/* [::1], which is no group, since a group has no colon. */
static bool bracketed_ipv6(const struct parser *s, struct ib_str *out)
{
    const char *close = s->p < s->end && *s->p == '[' ? memchr(s->p, ']', (size_t)(s->end - s->p)) : NULL;
    *out = close ? (struct ib_str){s->p + 1, (size_t)(close - s->p) - 1} : IB_STR("");
    return close && memchr(out->p, ':', out->n);
}

static int address(struct parser *s, struct gw_address_rule *r)
{
    struct ib_str text;
    if (bracketed_ipv6(s, &text)) {
        s->p = text.p + text.n + 1;
        return whole_address(s, text, true, r);
    }
    const char *slash = memchr(s->p, '/', (size_t)(s->end - s->p));
    size_t n = slash ? (size_t)(slash - s->p) : 0;
    while (!slash && s->p + n < s->end && s->p[n] != ':') {
        n++;
    }
    text = (struct ib_str){s->p, n};
    if (n > 0 && !memchr(text.p, '*', n) && !memchr(text.p, '[', n) && !memchr(text.p, ']', n)) {
        s->p += n;
        return whole_address(s, text, slash != NULL, r);
    }
    return pattern(s, r);
}

int gw_address_rule_parse(struct ib_str text, struct ib_arena *arena, struct gw_address_rule *out, struct ib_err *err)
{
    struct parser s = {.p = text.p, .end = text.p + text.n, .rule = text, .arena = arena, .err = err};
    memset(out, 0, sizeof(*out));
    out->source = text;
    if (text.n > RULE_MAX) {
        s.rule.n = 40;
        return fail(&s, "the rule is too long");
    }
    size_t quote = 0;
    while (quote < text.n && text.p[quote] != '"' && text.p[quote] != '\'') {
        quote++;
    }
    if (quote < text.n) {
        s.p += quote;
        return fail(&s, "rules are written without quotes");
    }
    bool nameless = text.n && text.p[0] == ':' && !memchr(text.p, '/', text.n);
    int rc = nameless ? 0 : address(&s, out);
    if (rc == 0 && s.p < s.end && *s.p == ':') {
        s.p++;
        rc = ports(&s, &out->ports);
    }
    if (rc == 0 && nameless) {
        s.p = text.p;
        return fail(&s, "expected address information before ':'");
    }
    return rc == 0 && s.p < s.end ? fail(&s, "nothing may follow an address but `:' and ports") : rc;
}

/* --- matching ----------------------------------------------------------------------------------------------------- */

static bool in_group(const struct gw_group *g, unsigned v)
{
    for (size_t i = 0; i < g->n; i++) {
        if (v >= g->v[i].low && v <= g->v[i].high) {
            return true;
        }
    }
    return false;
}

/* Pieces from `from' up to the next "*" or the end, at p: where they end, or NULL. A number takes all the digits there
   are; after a "*" it also has to begin where the digits begin. */
static const char *match_run(const struct gw_address_rule *r, size_t from, size_t to, const char *host, const char *p,
                             const char *end)
{
    if (from > 0 && r->pieces[from].kind == GW_NUMBER && p > host && is_digit(p[-1])) {
        return NULL;
    }
    for (size_t i = from; i < to; i++) {
        const struct gw_piece *piece = &r->pieces[i];
        if (piece->kind == GW_TEXT) {
            if ((size_t)(end - p) < piece->text.n || memcmp(p, piece->text.p, piece->text.n) != 0) {
                return NULL;
            }
            p += piece->text.n;
        } else if (p == end || !is_digit(*p) || !in_group(&piece->numbers, digits(&p, end))) {
            return NULL;
        }
    }
    return p;
}

/* Runs of pieces between stars, each taken at the first place where it matches: a later place never leaves more to the
   runs that follow, because the end of a run only moves with its beginning. The last run has to end with the host. */
static bool match_pattern(const struct gw_address_rule *r, const char *host)
{
    const char *p = host, *end = host + strlen(host);
    for (size_t i = 0; i < r->n_pieces;) {
        bool floating = r->pieces[i].kind == GW_ANY;
        while (i < r->n_pieces && r->pieces[i].kind == GW_ANY) {
            i++;
        }
        size_t to = i;
        while (to < r->n_pieces && r->pieces[to].kind != GW_ANY) {
            to++;
        }
        if (to == i) {
            return true; /* a star at the end */
        }
        const char *after = NULL;
        for (; p <= end; p++) {
            after = match_run(r, i, to, host, p, end);
            if (after && (to < r->n_pieces || after == end)) {
                break;
            }
            after = NULL;
            if (!floating) {
                return false;
            }
        }
        if (!after) {
            return false;
        }
        p = after;
        i = to;
    }
    return p == end;
}

bool gw_address_rule_matches(const struct gw_address_rule *r, const struct gw_host *host, int port, enum gw_match how)
{
    if (r->ports.n && (port < 0 || !in_group(&r->ports, (unsigned)port))) {
        return false;
    }
    if (r->kind == GW_RULE_NETWORK) {
        return host->is_address && gw_address_is_ipv4(&host->address) == gw_address_is_ipv4(&r->network) &&
               gw_address_within(&host->address, &r->network, r->bits);
    }
    bool canonical = match_pattern(r, host->canonical);
    if (how == GW_MATCH_ANY_SPELLING) {
        return canonical || match_pattern(r, host->text);
    }
    return canonical && match_pattern(r, host->text);
}
