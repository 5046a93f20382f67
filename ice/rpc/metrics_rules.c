/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of a metrics map: GroupBy, Accept.*, Reject.*, RetainDetached, as the real run-time reads them.
   An attribute an object does not have keeps it out of a GroupBy, and neither accepts nor rejects it. */
#include "metrics.h"

#include <moulin/base/log.h>
#include <moulin/rpc/properties.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- GroupBy ------------------------------------------------------------------------------------------------------ */

static bool names_attribute(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.';
}

/* Words of letters, digits and dots are attributes; what is between them, and after the last of several, is kept. It
   begins with an attribute: before a separator stands the one without a name, which nothing has. */
static int group_parse(struct ir_metrics_rules *r, const char *text, struct ib_err *err, const char *key)
{
    if (*text && !names_attribute(*text))
        r->group[r->n_group++] = (struct ir_metrics_part){.text = strdup(""), .attribute = true};
    while (*text) {
        bool attribute = names_attribute(*text);
        size_t n = 0;
        while (text[n] && names_attribute(text[n]) == attribute)
            n++;
        if (r->n_group == IR_METRICS_PARTS)
            return ib_err_set(err, IB_ELIMIT, "more than %d attributes and separators in `%s'", IR_METRICS_PARTS, key);
        char *copy = strndup(text, n);
        r->group[r->n_group++] = (struct ir_metrics_part){.text = copy, .attribute = attribute};
        text += n;
    }
    if (r->n_group == 2) /* what follows the only attribute separates nothing */
        free(r->group[--r->n_group].text);
    for (size_t i = 0; i < r->n_group; i++) {
        if (!r->group[i].text)
            return ib_err_set(err, IB_ENOMEM, "out of memory");
    }
    return 0;
}

static bool resolve(const struct ir_metrics_kind *kind, const void *object, const char *attribute, struct ib_buf *out)
{
    return strcmp(attribute, "none") == 0 || kind->resolve(object, attribute, out);
}

/* At most max bytes of what was appended after from, and no half of a character. */
static void cut(struct ib_buf *b, size_t from, size_t max)
{
    if (b->n - from <= max)
        return;
    size_t n = from + max;
    while (n > from && (b->p[n] & 0xc0) == 0x80)
        n--;
    b->n = n;
}

static bool group_apply(const struct ir_metrics_rules *r, const struct ir_metrics_kind *kind, const void *object,
                        struct ib_buf *id)
{
    for (size_t i = 0; i < r->n_group; i++) {
        if (!r->group[i].attribute)
            ib_buf_puts(id, r->group[i].text);
        else if (!resolve(kind, object, r->group[i].text, id))
            return false;
    }
    cut(id, 0, IR_METRICS_ID_MAX);
    return ib_buf_ok(id);
}

/* --- Accept and Reject -------------------------------------------------------------------------------------------- */

struct reading {
    struct ir_metrics_rules *rules;
    size_t n_prefix; /* of the property names */
    bool reject;
    struct ib_err *err;
};

static void read_pattern(void *arg, const char *key, const char *value)
{
    struct reading *x = arg;
    const char *attribute = key + x->n_prefix;
    size_t n = strlen(attribute) + 1;
    if (x->err->code)
        return;
    struct ir_metrics_pattern *p = calloc(1, sizeof(*p) + n);
    if (!p) {
        ib_err_set(x->err, IB_ENOMEM, "out of memory");
        return;
    }
    memcpy(p->attribute, attribute, n);
    p->reject = x->reject;
    if (strlen(value) > IR_METRICS_PATTERN_MAX || regcomp(&p->re, value, REG_EXTENDED | REG_NOSUB) != 0) {
        free(p);
        ib_err_set(x->err, IB_ECONFIG, "invalid regular expression `%.200s' for `%s'", value, key);
        return;
    }
    ib_list_append(&x->rules->patterns, &p->node);
}

static void read_patterns(struct ir_metrics_rules *r, const struct ir_properties *p, const char *prefix, bool reject,
                          struct ib_err *err)
{
    char full[300];
    snprintf(full, sizeof(full), "%s%s.", prefix, reject ? "Reject" : "Accept");
    struct reading x = {.rules = r, .n_prefix = strlen(full), .reject = reject, .err = err};
    ir_properties_each(p, full, read_pattern, &x);
}

static bool patterns_pass(const struct ir_metrics_rules *r, const struct ir_metrics_kind *kind, const void *object)
{
    bool pass = true;
    struct ib_buf value;
    ib_buf_init(&value);
    IB_LIST_FOREACH(node, &r->patterns)
    {
        const struct ir_metrics_pattern *p = IB_CONTAINER(node, struct ir_metrics_pattern, node);
        ib_buf_clear(&value);
        if (!pass || !resolve(kind, object, p->attribute, &value))
            continue;
        cut(&value, 0, IR_METRICS_ID_MAX);
        pass = (regexec(&p->re, ib_buf_cstr(&value), 0, NULL, 0) == 0) != p->reject;
    }
    ib_buf_fini(&value);
    return pass;
}

bool ir_metrics_rules_apply(const struct ir_metrics_rules *r, const struct ir_metrics_kind *kind, const void *object,
                            struct ib_buf *id)
{
    return patterns_pass(r, kind, object) && group_apply(r, kind, object, id);
}

/* --- reading and freeing ------------------------------------------------------------------------------------------ */

static void count_one(void *arg, const char *key, const char *value)
{
    (void)key;
    (void)value;
    ++*(size_t *)arg;
}

static bool any(const struct ir_properties *p, const char *prefix)
{
    size_t n = 0;
    ir_properties_each(p, prefix, count_one, &n);
    return n > 0;
}

static int rules_read(struct ir_metrics_rules *r, const struct ir_properties *p, struct ib_log *log, const char *prefix,
                      struct ib_err *err)
{
    char key[300];
    snprintf(key, sizeof(key), "%sRetainDetached", prefix);
    int retain = ir_properties_int_or(p, log, key, IR_METRICS_RETAIN);
    r->retain = retain > 0 ? (size_t)retain : IR_METRICS_RETAIN_MAX;
    snprintf(key, sizeof(key), "%sGroupBy", prefix);
    int rc = group_parse(r, ir_properties_get_or(p, key, "id"), err, key);
    if (rc)
        return rc;
    read_patterns(r, p, prefix, false, err);
    if (!err->code)
        read_patterns(r, p, prefix, true, err);
    return err->code;
}

/* Without any "Map." below it, a map's rules are those of the maps within, too. */
static int rules_read_sub(struct ir_metrics_rules *r, const struct ir_properties *p, const char *prefix,
                          const struct ir_metrics_source *const *sub, struct ib_err *err)
{
    static const struct ir_metrics_source *const none[IR_METRICS_SUBMAPS];
    char all[300], one[400];
    snprintf(all, sizeof(all), "%sMap.", prefix);
    bool chosen = any(p, all);
    for (size_t i = 0; sub && i < IR_METRICS_SUBMAPS && sub[i]; i++) {
        snprintf(one, sizeof(one), "%s%s.", all, sub[i]->kind->map);
        if (chosen && !any(p, one))
            continue;
        r->sub[i] = ir_metrics_rules_new(p, NULL, chosen ? one : prefix, none, err);
        if (!r->sub[i])
            return err->code;
    }
    return 0;
}

struct ir_metrics_rules *ir_metrics_rules_new(const struct ir_properties *p, struct ib_log *log, const char *prefix,
                                              const struct ir_metrics_source *const *sub, struct ib_err *err)
{
    struct ir_metrics_rules *r = calloc(1, sizeof(*r));
    if (!r) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    ib_list_init(&r->patterns);
    int rc = rules_read(r, p, log, prefix, err);
    rc = rc ? rc : rules_read_sub(r, p, prefix, sub, err);
    if (rc) {
        ir_metrics_rules_free(r);
        return NULL;
    }
    return r;
}

void ir_metrics_rules_free(struct ir_metrics_rules *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_group; i++)
        free(r->group[i].text);
    while (!ib_list_empty(&r->patterns)) {
        struct ir_metrics_pattern *p = IB_CONTAINER(r->patterns.next, struct ir_metrics_pattern, node);
        ib_list_remove(&p->node);
        regfree(&p->re);
        free(p);
    }
    for (size_t i = 0; i < IR_METRICS_SUBMAPS; i++)
        ir_metrics_rules_free(r->sub[i]);
    free(r);
}
