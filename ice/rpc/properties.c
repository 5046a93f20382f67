/* SPDX-License-Identifier: Apache-2.0 */
/* The property set: an array sorted by key, the line grammar of configuration files, typed access
   (ice-protocol 20.1, 20.4). Warnings met while reading wait here until somebody with a logger takes them. */
#include <moulin/base/buf.h>
#include <moulin/base/log.h>
#include <moulin/rpc/properties.h>

#include "text_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* An administrator may set properties from afar (PropertiesAdmin): the set must not grow without end. */
#define MAX_PROPERTIES 20000
#define MAX_WARNINGS 200
#define MAX_LINE (1u << 20)

struct entry {
    char *key, *value, *origin; /* owns */
};

struct ir_properties {
    struct entry *v; /* sorted by key */
    size_t n, cap;
    char *warnings[MAX_WARNINGS]; /* owns */
    size_t n_warnings;
};

struct ir_properties *ir_properties_new(void)
{
    return calloc(1, sizeof(struct ir_properties));
}

static void entry_fini(struct entry *e)
{
    free(e->key);
    free(e->value);
    free(e->origin);
}

void ir_properties_free(struct ir_properties *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->n; i++)
        entry_fini(&p->v[i]);
    for (size_t i = 0; i < p->n_warnings; i++)
        free(p->warnings[i]);
    free(p->v);
    free(p);
}

/* Index of the first key that is not below key. */
static size_t lower_bound(const struct ir_properties *p, const char *key)
{
    size_t lo = 0, hi = p->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (strcmp(p->v[mid].key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct entry *find(const struct ir_properties *p, const char *key)
{
    size_t i = lower_bound(p, key);

    return i < p->n && strcmp(p->v[i].key, key) == 0 ? &p->v[i] : NULL;
}

void ir_properties_warn(struct ir_properties *p, const char *fmt, ...)
{
    struct ib_err text = {0, ""};
    va_list ap;

    if (p->n_warnings == MAX_WARNINGS)
        return;
    va_start(ap, fmt);
    vsnprintf(text.text, sizeof(text.text), fmt, ap);
    va_end(ap);
    p->warnings[p->n_warnings] = strdup(text.text);
    if (p->warnings[p->n_warnings] != NULL)
        p->n_warnings++;
}

void ir_properties_take_warnings(struct ir_properties *p, void (*fn)(void *arg, const char *text), void *arg)
{
    for (size_t i = 0; i < p->n_warnings; i++) {
        fn(arg, p->warnings[i]);
        free(p->warnings[i]);
    }
    p->n_warnings = 0;
}

static void remove_at(struct ir_properties *p, size_t i)
{
    entry_fini(&p->v[i]);
    memmove(&p->v[i], &p->v[i + 1], (p->n - i - 1) * sizeof(*p->v));
    p->n--;
}

static int insert_at(struct ir_properties *p, size_t i, struct entry e)
{
    if (p->n >= MAX_PROPERTIES)
        return IB_ELIMIT;
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        struct entry *v = realloc(p->v, cap * sizeof(*v));

        if (v == NULL)
            return IB_ENOMEM;
        p->v = v;
        p->cap = cap;
    }
    memmove(&p->v[i + 1], &p->v[i], (p->n - i) * sizeof(*p->v));
    p->v[i] = e;
    p->n++;
    return 0;
}

static void check_name(struct ir_properties *p, const char *key)
{
    char meant[256];

    if (ir_property_name_check(key, meant, sizeof(meant)) != IR_NAME_UNKNOWN)
        return;
    if (meant[0] != 0)
        ir_properties_warn(p, "unknown property: `%s'; did you mean `%s'", key, meant);
    else
        ir_properties_warn(p, "unknown property: `%s'", key);
}

static int set(struct ir_properties *p, const char *key, const char *value, const char *origin)
{
    size_t i = lower_bound(p, key);
    bool there = i < p->n && strcmp(p->v[i].key, key) == 0;
    struct entry e;
    int rc = 0;

    if (*key == 0)
        return IB_EINVAL;
    if (*value == 0) {
        if (there)
            remove_at(p, i);
        return 0;
    }
    e = (struct entry){strdup(key), strdup(value), strdup(origin)};
    if (e.key == NULL || e.value == NULL || e.origin == NULL)
        rc = IB_ENOMEM;
    else if (there) {
        struct entry old = p->v[i];

        p->v[i] = e;
        e = old;
        entry_fini(&e);
        return 0;
    } else {
        rc = insert_at(p, i, e);
    }
    if (rc != 0)
        entry_fini(&e);
    else
        check_name(p, key);
    return rc;
}

int ir_properties_set(struct ir_properties *p, const char *key, const char *value)
{
    return set(p, key, value, "");
}

struct ir_properties *ir_properties_copy(const struct ir_properties *p)
{
    struct ir_properties *c = ir_properties_new();

    for (size_t i = 0; c != NULL && i < p->n; i++) {
        const struct entry *from = &p->v[i];
        struct entry e = {strdup(from->key), strdup(from->value), strdup(from->origin)};

        if (e.key == NULL || e.value == NULL || e.origin == NULL || insert_at(c, i, e) != 0) {
            entry_fini(&e);
            ir_properties_free(c);
            return NULL;
        }
    }
    return c;
}

/* --- access ---------------------------------------------------------------------------------------------------- */

const char *ir_properties_get(const struct ir_properties *p, const char *key)
{
    return ir_properties_get_or(p, key, "");
}

const char *ir_properties_get_or(const struct ir_properties *p, const char *key, const char *otherwise)
{
    const struct entry *e = find(p, key);

    return e ? e->value : otherwise;
}

bool ir_properties_has(const struct ir_properties *p, const char *key)
{
    return find(p, key) != NULL;
}

const char *ir_properties_origin(const struct ir_properties *p, const char *key)
{
    const struct entry *e = find(p, key);

    return e ? e->origin : "";
}

int ir_properties_int(const struct ir_properties *p, const char *key, int otherwise, int *out, struct ib_err *err)
{
    const struct entry *e = find(p, key);
    int32_t v = otherwise;

    if (e != NULL && !ir_parse_int(ib_str(e->value), &v))
        return ib_err_set(err, IB_ECONFIG, "%s%sproperty %s is `%s': it must be a whole number of 32 bits", e->origin,
                          e->origin[0] ? ": " : "", key, e->value);
    *out = v;
    return 0;
}

int ir_properties_int_or(const struct ir_properties *p, struct ib_log *log, const char *key, int otherwise)
{
    const struct entry *e = find(p, key);
    int32_t v = otherwise;

    if (e != NULL && !ir_parse_int(ib_str(e->value), &v)) {
        if (log != NULL)
            ib_log_warning(log, "numeric property %s set to non-numeric value, defaulting to %d", key, otherwise);
        return otherwise;
    }
    return v;
}

static int split(const struct ir_properties *p, const char *key, const char *delims, struct ib_arena *arena,
                 struct ib_str **list)
{
    size_t n = 0;
    int rc;

    *list = NULL;
    rc = ir_split(ib_str(ir_properties_get(p, key)), delims, arena, list, &n);
    if (rc == IB_EINVAL)
        return IB_ECONFIG;
    return rc != 0 ? rc : (int)n;
}

int ir_properties_list(const struct ir_properties *p, const char *key, struct ib_arena *arena, struct ib_str **list)
{
    return split(p, key, ", \t\r\n", arena, list);
}

int ir_properties_words(const struct ir_properties *p, const char *key, struct ib_arena *arena, struct ib_str **list)
{
    return split(p, key, " \t\r\n", arena, list);
}

void ir_properties_each(const struct ir_properties *p, const char *prefix,
                        void (*fn)(void *arg, const char *key, const char *value), void *arg)
{
    size_t len = strlen(prefix);

    for (size_t i = lower_bound(p, prefix); i < p->n && strncmp(p->v[i].key, prefix, len) == 0; i++)
        fn(arg, p->v[i].key, p->v[i].value);
}

/* --- reading again ----------------------------------------------------------------------------------------------- */

static bool is_named(const char *key, const char *const *names)
{
    for (; *names != NULL; names++) {
        size_t n = strlen(*names);

        if ((*names)[n - 1] == '*' ? strncmp(key, *names, n - 1) == 0 : strcmp(key, *names) == 0)
            return true;
    }
    return false;
}

/* Entries of files have "FILE:LINE"; what outranks them does not. */
static bool is_from_file(const struct entry *e)
{
    return e->origin[0] != 0 && strcmp(e->origin, "command line") != 0;
}

static void remove_named(struct ir_properties *p, const char *const *names, bool of_files_only)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->n; i++) {
        if (is_named(p->v[i].key, names) && (!of_files_only || is_from_file(&p->v[i])))
            entry_fini(&p->v[i]);
        else
            p->v[kept++] = p->v[i];
    }
    p->n = kept;
}

static int merge(struct ir_properties *to, const struct ir_properties *files, const char *const *names)
{
    int rc = 0;

    for (size_t i = 0; i < files->n && rc == 0; i++) {
        const struct entry *e = &files->v[i];

        if (is_named(e->key, names) && find(to, e->key) == NULL)
            rc = set(to, e->key, e->value, e->origin);
    }
    return rc;
}

/* What the files say otherwise now though nobody reads it again: somebody may think it is in force. */
static void warn_fixed(struct ir_properties *fresh, const struct ir_properties *files, const char *const *names)
{
    for (size_t i = 0; i < files->n; i++) {
        const struct entry *now = &files->v[i], *old = find(fresh, now->key);

        if (!is_named(now->key, names) && (old == NULL || (is_from_file(old) && strcmp(old->value, now->value) != 0)))
            ir_properties_warn(fresh, "%s: `%s' has changed: restart to put it in force", now->origin, now->key);
    }
    for (size_t i = 0; i < fresh->n; i++) {
        const struct entry *old = &fresh->v[i];

        if (!is_named(old->key, names) && is_from_file(old) && find(files, old->key) == NULL)
            ir_properties_warn(fresh, "`%s' is not in the configuration any more: restart to undo it", old->key);
    }
}

struct ir_properties *ir_properties_reread(const struct ir_properties *p, const char *const *names, struct ib_err *err)
{
    struct ir_properties *fresh = ir_properties_copy(p), *files = ir_properties_new();
    int rc = fresh != NULL && files != NULL ? ir_properties_load_list(files, ir_properties_get(p, "Ice.Config"), err)
                                            : ib_err_set(err, IB_ENOMEM, "out of memory");

    if (rc == 0) {
        warn_fixed(fresh, files, names);
        remove_named(fresh, names, true);
        rc = merge(fresh, files, names);
        if (rc != 0)
            ib_err_set(err, rc, "reading the configuration again: %s", ib_err_text(rc));
    }
    ir_properties_free(files);
    if (rc != 0) {
        ir_properties_free(fresh);
        return NULL;
    }
    return fresh;
}

static int reserve(struct ir_properties *p, size_t more)
{
    struct entry *v;

    if (p->n + more <= p->cap)
        return 0;
    v = realloc(p->v, (p->n + more) * sizeof(*v));
    if (v == NULL)
        return IB_ENOMEM;
    p->v = v;
    p->cap = p->n + more;
    return 0;
}

int ir_properties_adopt(struct ir_properties *p, struct ir_properties *from, const char *const *names)
{
    int rc = reserve(p, from->n);
    size_t kept = 0;

    if (rc != 0)
        return rc;
    remove_named(p, names, false);
    for (size_t i = 0; i < from->n; i++) {
        struct entry e = from->v[i];

        if (is_named(e.key, names))
            (void)insert_at(p, lower_bound(p, e.key), e); /* there is room, and from is no larger than a set may be */
        else
            from->v[kept++] = e;
    }
    from->n = kept;
    return 0;
}

/* --- the line grammar ------------------------------------------------------------------------------------------ */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void flush(struct ib_buf *to, struct ib_buf *pending)
{
    ib_buf_put(to, pending->p, pending->n);
    ib_buf_clear(pending);
}

/* Reads the key up to '='; returns what follows it, or NULL when the line has none. *text is set when the line holds
   anything but blanks and a comment. */
static const char *read_key(const char *s, struct ib_buf *key, struct ib_buf *space, bool *text)
{
    for (; *s != 0 && *s != '#'; s++) {
        bool escaped = *s == '\\' && s[1] != 0 && strchr("\\#= ", s[1]) != NULL;

        if (escaped)
            s++;
        if (is_blank(*s)) {
            if (key->n != 0)
                ib_buf_put_u8(space, (uint8_t)*s);
            *text = *text || escaped;
            continue;
        }
        *text = true;
        if (*s == '=' && !escaped)
            return s + 1;
        flush(key, space);
        ib_buf_put_u8(key, (uint8_t)*s);
    }
    return NULL;
}

/* The rule with two buffers of ice-protocol 20.1: space holds W, kept holds E. */
static void read_value(const char *s, struct ib_buf *value, struct ib_buf *space, struct ib_buf *kept)
{
    for (; *s != 0 && *s != '#'; s++) {
        bool escaped = *s == '\\' && s[1] != 0 && strchr("\\#= ", s[1]) != NULL;

        if (escaped)
            s++;
        if (is_blank(*s)) {
            if (escaped)
                ib_buf_put_u8(kept, (uint8_t)*s);
            if (escaped || value->n != 0)
                ib_buf_put_u8(space, (uint8_t)*s);
            continue;
        }
        flush(value, value->n == 0 ? kept : space);
        ib_buf_clear(kept);
        ib_buf_clear(space);
        ib_buf_put_u8(value, (uint8_t)*s);
    }
    flush(value, kept);
}

int ir_properties_parse_line(struct ir_properties *p, const char *line, const char *origin)
{
    struct ib_buf key, value, space, kept;
    const char *rest;
    bool text = false;
    int rc = 0;

    ib_buf_init(&key);
    ib_buf_init(&value);
    ib_buf_init(&space);
    ib_buf_init(&kept);
    rest = read_key(line, &key, &space, &text);
    if (rest != NULL) {
        ib_buf_clear(&space);
        read_value(rest, &value, &space, &kept);
    }
    if (!ib_buf_ok(&key) || !ib_buf_ok(&value) || !ib_buf_ok(&space) || !ib_buf_ok(&kept)) {
        rc = IB_ENOMEM;
    } else if (text && (rest == NULL || key.n == 0)) {
        ir_properties_warn(p, "invalid config file entry: \"%s\"", line);
        rc = IB_ECONFIG;
    } else if (text) {
        rc = set(p, ib_buf_cstr(&key), ib_buf_cstr(&value), origin);
    }
    ib_buf_fini(&key);
    ib_buf_fini(&value);
    ib_buf_fini(&space);
    ib_buf_fini(&kept);
    return rc;
}

static int load_lines(struct ir_properties *p, FILE *f, const char *path, struct ib_err *err)
{
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t n;
    int rc = 0;

    while (rc == 0 && (n = getline(&line, &cap, f)) >= 0) {
        char origin[600];
        const char *s = line;

        number++;
        if ((size_t)n > MAX_LINE || strlen(line) != (size_t)n) {
            rc =
                ib_err_set(err, IB_ECONFIG, "%s:%zu: this line is not text; is it a configuration file?", path, number);
            break;
        }
        if (n > 0 && line[n - 1] == '\n')
            line[n - 1] = 0;
        if (number == 1 && strncmp(s, "\xef\xbb\xbf", 3) == 0)
            s += 3;
        snprintf(origin, sizeof(origin), "%s:%zu", path, number);
        rc = ir_properties_parse_line(p, s, origin);
        if (rc == IB_ECONFIG)
            rc = 0; /* Ice ignores it; the warning waits in the set */
        if (rc != 0)
            ib_err_set(err, rc, "%s:%zu: %s", path, number, ib_err_text(rc));
    }
    if (rc == 0 && ferror(f))
        rc = ib_err_set(err, IB_EFILE, "cannot read configuration file %s: %s", path, strerror(errno));
    free(line);
    return rc;
}

int ir_properties_load(struct ir_properties *p, const char *path, struct ib_err *err)
{
    FILE *f = fopen(path, "re");
    int rc;

    if (f == NULL)
        return ib_err_set(err, IB_EFILE, "cannot open configuration file %s: %s; check --Ice.Config and ICE_CONFIG",
                          path, strerror(errno));
    rc = load_lines(p, f, path, err);
    fclose(f);
    return rc;
}
