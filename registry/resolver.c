/* SPDX-License-Identifier: Apache-2.0 */
/* Substitution of variables: the scanner, the look-up of names, and the checks that go with each kind of string
   (icegrid-registry 10.1). Texts of faults are those an administrator of ZeroC's registry knows. */
#include "resolver.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/buf.h>

/* --- faults ------------------------------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 3, 0)))
set_fault(struct reg_fault *f, const char *context, const char *fmt, va_list args)
{
    if (f->code)
        return;
    char text[512];
    vsnprintf(text, sizeof(text), fmt, args);
    f->code = ib_err_set(f->err, IB_EINVAL, "%s%s", context, text);
}

void reg_fault_set(struct reg_fault *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_fault(f, "", fmt, args);
    va_end(args);
}

void reg_fault_nomem(struct reg_fault *f)
{
    if (!f->code)
        f->code = ib_err_set(f->err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
}

bool reg_fault_work(struct reg_fault *f)
{
    if (++f->work > REG_WORK_MAX)
        reg_fault_set(f, "invalid application: more than %d steps are needed to resolve it", REG_WORK_MAX);
    return !f->code;
}

void reg_resolver_fail(struct reg_resolver *r, const char *fmt, ...)
{
    char context[512] = "";
    va_list args;
    if (r->service.p)
        snprintf(context, sizeof(context), "service `%s' from server `%s':\n", r->service.p, ib_cstr(r->server));
    else if (r->server.p)
        snprintf(context, sizeof(context), "server `%s':\n", r->server.p);
    else if (r->node.p)
        snprintf(context, sizeof(context), "node `%s':\n", r->node.p);
    else
        snprintf(context, sizeof(context), "application `%s':\n", ib_cstr(r->application));
    va_start(args, fmt);
    set_fault(r->fault, context, fmt, args);
    va_end(args);
}

/* --- names -------------------------------------------------------------------------------------------------------- */

enum reserved {
    APPLICATION,
    NODE,
    SERVER,
    SERVICE,
    APPLICATION_DISTRIB,
    SERVER_DISTRIB,
    SERVER_DATA,
    SERVICE_DATA,
    NODE_OS,
    NODE_HOSTNAME,
    NODE_RELEASE,
    NODE_VERSION,
    NODE_MACHINE,
    NODE_DATA,
    NODE_DATADIR,
    SESSION_ID,
    RESERVED_MAX
};

/* value: made of other variables. later: known only when the server goes to a node. */
static const struct {
    const char *name, *value;
    bool later;
} reserved[RESERVED_MAX] = {
    [APPLICATION] = {"application", NULL, false},
    [NODE] = {"node", NULL, false},
    [SERVER] = {"server", NULL, false},
    [SERVICE] = {"service", NULL, false},
    [APPLICATION_DISTRIB] = {"application.distrib", "${node.data}/distrib/${application}", false},
    [SERVER_DISTRIB] = {"server.distrib", "${node.data}/servers/${server}/distrib", false},
    [SERVER_DATA] = {"server.data", "${node.data}/servers/${server}/data", false},
    [SERVICE_DATA] = {"service.data", "${node.data}/servers/${server}/data_${service}", false},
    [NODE_OS] = {"node.os", NULL, true},
    [NODE_HOSTNAME] = {"node.hostname", NULL, true},
    [NODE_RELEASE] = {"node.release", NULL, true},
    [NODE_VERSION] = {"node.version", NULL, true},
    [NODE_MACHINE] = {"node.machine", NULL, true},
    [NODE_DATA] = {"node.data", NULL, true},
    [NODE_DATADIR] = {"node.datadir", NULL, true},
    [SESSION_ID] = {"session.id", NULL, true},
};

static enum reserved find_reserved(struct ib_str name)
{
    for (unsigned i = 0; i < RESERVED_MAX; i++)
        if (ib_str_is(name, reserved[i].name))
            return (enum reserved)i;
    return RESERVED_MAX;
}

size_t reg_sorted_find(const struct iw_type *t, const void *dict, struct ib_str key)
{
    const struct iw_seq *d = dict;
    size_t low = 0, high = d->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct ib_str *k = (const void *)((const char *)d->v + middle * t->entry_size);
        int c = ib_str_cmp(*k, key);
        if (c == 0)
            return middle;
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}

const struct ib_str *reg_dict_find(const struct IceGrid_StringStringDict *d, struct ib_str key)
{
    size_t i = d ? reg_sorted_find(&IceGrid_StringStringDict_type, d, key) : SIZE_MAX;
    return i == SIZE_MAX ? NULL : &d->v[i].value;
}

void reg_check_variables(struct reg_resolver *r, const struct IceGrid_StringStringDict *variables)
{
    for (size_t i = 0; i < variables->n; i++) {
        if (!variables->v[i].key.n)
            reg_resolver_fail(r, "empty variable name");
        if (find_reserved(variables->v[i].key) != RESERVED_MAX)
            reg_resolver_fail(r, "invalid variable `%s': reserved variable name", ib_cstr(variables->v[i].key));
    }
}

/* --- the scanner -------------------------------------------------------------------------------------------------- */

/* The next "${" in s from at on: *dollars counts the '$' right before it. SIZE_MAX when there is none. */
static size_t find_variable(struct ib_str s, size_t at, size_t *dollars)
{
    size_t run = 0;
    for (size_t i = at; i + 1 < s.n; i++) {
        if (s.p[i] == '$' && s.p[i + 1] == '{') {
            *dollars = run;
            return i;
        }
        run = s.p[i] == '$' ? run + 1 : 0;
    }
    return SIZE_MAX;
}

/* What goes wrong inside one substitution; the caller knows the attribute. */
struct expansion {
    struct reg_resolver *r;
    struct ib_buf out;
    bool strict;
    char why[300]; /* empty while all is well */
};

static void expand(struct expansion *x, struct ib_str text, bool parameters, int depth);

static bool expand_reserved(struct expansion *x, struct ib_str name, int depth)
{
    const struct reg_resolver *r = x->r;
    const struct ib_str values[] = {
        [APPLICATION] = r->application, [NODE] = r->node, [SERVER] = r->server, [SERVICE] = r->service};
    enum reserved which = find_reserved(name);
    if (which == RESERVED_MAX)
        return false;
    if (reserved[which].value) {
        expand(x, ib_str(reserved[which].value), false, depth + 1);
    } else if (reserved[which].later) {
        if (which == SESSION_ID && !r->session)
            return false;
        if (x->strict)
            snprintf(x->why, sizeof(x->why), "use of the `%s' variable is now allowed here", ib_cstr(name));
        ib_buf_printf(&x->out, "${%s}", reserved[which].name);
    } else {
        if (!values[which].p)
            return false;
        expand(x, values[which], false, depth + 1); /* a name may hold a variable, too */
    }
    return true;
}

static void expand_name(struct expansion *x, struct ib_str name, bool parameters, int depth)
{
    const struct reg_resolver *r = x->r;
    if (!reg_fault_work(r->fault))
        return;
    if (depth > REG_VARIABLE_DEPTH) {
        snprintf(x->why, sizeof(x->why), "variables refer to one another in a circle or more than %d deep",
                 REG_VARIABLE_DEPTH);
        return;
    }
    bool is_reserved = find_reserved(name) != RESERVED_MAX;
    if (expand_reserved(x, name, depth))
        return;
    const struct ib_str *value = NULL;
    if (!is_reserved && parameters && (value = reg_dict_find(r->parameters, name))) {
        ib_buf_put(&x->out, value->p, value->n);
        return;
    }
    if (!is_reserved && r->node_desc)
        value = reg_dict_find(&r->node_desc->variables, name);
    if (!is_reserved && !value)
        value = reg_dict_find(&r->app->variables, name);
    if (!value)
        snprintf(x->why, sizeof(x->why), "%sundefined variable `%s'", x->strict ? "" : " ", ib_cstr(name));
    else
        expand(x, *value, false, depth + 1);
}

static void expand(struct expansion *x, struct ib_str text, bool parameters, int depth)
{
    size_t at = 0, dollars = 0, start;
    while (!x->why[0] && !x->r->fault->code && ib_buf_ok(&x->out) && x->out.n <= REG_TEXT_MAX &&
           (start = find_variable(text, at, &dollars)) != SIZE_MAX) {
        const char *brace = memchr(text.p + start, '}', text.n - start);
        if (dollars % 2) { /* escaped: left for the last resolution */
            ib_buf_put(&x->out, text.p + at, start + 2 - at);
            at = start + 2;
            continue;
        }
        if (!brace) {
            snprintf(x->why, sizeof(x->why), "%smalformed variable name `%.*s'", x->strict ? "" : " ",
                     (int)(text.n < 200 ? text.n : 200), text.p);
            return;
        }
        size_t end = (size_t)(brace - text.p);
        struct ib_str name = ib_arena_str(x->r->arena, (struct ib_str){text.p + start + 2, end - start - 2});
        if (!name.p) {
            x->out.failed = true;
            return;
        }
        /* Half of the '$' go here, and once more in the last resolution when the name stays: as in ZeroC's. */
        ib_buf_put(&x->out, text.p + at, start - dollars / 2 - at);
        expand_name(x, name, parameters, depth);
        at = end + 1;
    }
    ib_buf_put(&x->out, text.p + at, text.n - at);
}

static struct ib_str substitute(struct reg_resolver *r, const char *attribute, struct ib_str text, bool strict)
{
    static const struct ib_str nothing = {"", 0};
    size_t dollars;
    if (r->fault->code)
        return nothing;
    if (find_variable(text, 0, &dollars) == SIZE_MAX)
        return text.p ? text : nothing;
    struct expansion x = {.r = r, .strict = strict};
    ib_buf_init(&x.out);
    expand(&x, text, true, 0);
    struct ib_str result = {"", 0};
    if (x.why[0])
        reg_resolver_fail(r, "invalid value for attribute `%s':\ninvalid variable `%s':\n%s", attribute, ib_cstr(text),
                          x.why);
    else if (x.out.n > REG_TEXT_MAX)
        reg_resolver_fail(r, "invalid value for attribute `%s':\nlonger than %zu bytes", attribute, REG_TEXT_MAX);
    else if (!ib_buf_ok(&x.out))
        reg_fault_nomem(r->fault);
    else
        result = ib_arena_str(r->arena, (struct ib_str){(const char *)x.out.p, x.out.n});
    ib_buf_fini(&x.out);
    if (!result.p) {
        reg_fault_nomem(r->fault);
        return nothing;
    }
    return result;
}

/* --- kinds of strings --------------------------------------------------------------------------------------------- */

static void require(struct reg_resolver *r, const char *attribute, struct ib_str value)
{
    if (!value.n)
        reg_resolver_fail(r, "invalid value for attribute `%s':\nempty string", attribute);
}

struct ib_str reg_text(struct reg_resolver *r, const char *attribute, struct ib_str text)
{
    return substitute(r, attribute, text, false);
}

struct ib_str reg_text_required(struct reg_resolver *r, const char *attribute, struct ib_str text)
{
    struct ib_str value = substitute(r, attribute, text, false);
    require(r, attribute, value);
    return value;
}

struct ib_str reg_id(struct reg_resolver *r, const char *attribute, struct ib_str text)
{
    struct ib_str value = substitute(r, attribute, text, true);
    require(r, attribute, value);
    return value;
}

struct ib_str reg_id_optional(struct reg_resolver *r, const char *attribute, struct ib_str text)
{
    return substitute(r, attribute, text, true);
}

/* Written and read again, as a text that an administrator could have given: variables may bring escapes and a '/'. */
static struct iw_identity resolve_identity(struct reg_resolver *r, const char *attribute, const struct iw_identity *id)
{
    static const struct iw_identity none = {{"", 0}, {"", 0}};
    struct iw_identity out = none;
    struct ib_err err = {0};
    struct ib_str text = {"", 0};
    if (id->name.n || id->category.n)
        text = ir_identity_format(id, IR_UNICODE, r->arena);
    if (!text.p) {
        reg_fault_nomem(r->fault);
        return none;
    }
    text = reg_id(r, attribute, text);
    if (r->fault->code)
        return none;
    int rc = ir_identity_parse(text, r->arena, &out, &err);
    if (rc == IB_ENOMEM) {
        reg_fault_nomem(r->fault);
        return none;
    }
    if (rc) {
        reg_resolver_fail(r, "invalid object identity `%s': %s", ib_cstr(text), err.text);
        return none;
    }
    if (!out.name.n) {
        reg_resolver_fail(r, "invalid object identity `%s': name empty", ib_cstr(text));
        return none;
    }
    return out;
}

struct iw_identity reg_identity_text(struct reg_resolver *r, const char *attribute, const struct iw_identity *id)
{
    size_t dollars;
    if (id->name.n && !r->fault->code && find_variable(id->name, 0, &dollars) == SIZE_MAX &&
        find_variable(id->category, 0, &dollars) == SIZE_MAX)
        return (struct iw_identity){.name = id->name, .category = id->category.n ? id->category : IB_STR("")};
    return resolve_identity(r, attribute, id);
}

/* Without the blanks at the end; those at the start are skipped by strtol and strtof. */
static size_t trimmed(struct ib_str s)
{
    size_t n = s.n;
    while (n && strchr(" \t\r\n", s.p[n - 1]))
        n--;
    return n;
}

struct ib_str reg_int_text(struct reg_resolver *r, const char *attribute, struct ib_str text, int *value)
{
    struct ib_str s = reg_text(r, attribute, text);
    char *end = NULL;
    if (value)
        *value = 0;
    if (r->fault->code || !s.n)
        return s;
    errno = 0;
    long v = strtol(s.p, &end, 10);
    if (end == s.p || end < s.p + trimmed(s) || errno || v < INT32_MIN || v > INT32_MAX) {
        reg_resolver_fail(r, "invalid value `%s' for `%s':\nnot an integer", ib_cstr(text), attribute);
        return s;
    }
    if (value)
        *value = (int)v;
    s = ib_arena_printf(r->arena, "%ld", v);
    if (!s.p)
        reg_fault_nomem(r->fault);
    return s;
}

struct ib_str reg_float_text(struct reg_resolver *r, const char *attribute, struct ib_str text)
{
    struct ib_str s = reg_text(r, attribute, text);
    char *end = NULL;
    if (r->fault->code || !s.n)
        return s;
    float v = strtof(s.p, &end);
    bool decimal = strspn(s.p, " \t\r\n+-.0123456789eE") == s.n;
    if (!decimal || end == s.p || end < s.p + trimmed(s) || !isfinite(v))
        reg_resolver_fail(r, "invalid value `%s' for `%s':\nnot a float", ib_cstr(text), attribute);
    return s;
}

struct Ice_StringSeq reg_texts(struct reg_resolver *r, const char *attribute, const struct Ice_StringSeq *in,
                               bool required)
{
    struct Ice_StringSeq out = {0, IB_ARENA_ARRAY(r->arena, in->n, struct ib_str)};
    if (!out.v)
        reg_fault_nomem(r->fault);
    for (size_t i = 0; i < in->n && !r->fault->code; i++) {
        out.v[out.n++] = required ? reg_text_required(r, attribute, in->v[i]) : reg_text(r, attribute, in->v[i]);
    }
    return out;
}

static const char probe[] = "dummy ";

const struct reg_parsed_options *reg_proxy_options(struct reg_resolver *r, struct ib_str options)
{
    struct reg_parsed_options *o = r->options;
    if ((o->proxy || o->code) && ib_str_eq(o->text, options))
        return o;
    *o = (struct reg_parsed_options){.text = options};
    struct ib_str text = ib_arena_printf(r->scratch, "%s%s", probe, ib_cstr(options));
    o->code = text.p ? ir_proxy_parse(text, r->defaults, r->arena, &o->proxy, NULL, &o->err) : IB_ENOMEM;
    return o;
}

/* The parser is given an identity to put the options behind; what it says must not show it. */
void reg_check_proxy_options(struct reg_resolver *r, struct ib_str options)
{
    if (!options.n || r->fault->code)
        return;
    const struct reg_parsed_options *o = reg_proxy_options(r, options);
    if (o->code == IB_ENOMEM)
        reg_fault_nomem(r->fault);
    if (o->code == 0 || o->code == IB_ENOMEM)
        return;
    struct ib_err err = o->err;
    char *shown = strstr(err.text, probe);
    if (shown)
        memmove(shown, shown + sizeof(probe) - 1, strlen(shown + sizeof(probe) - 1) + 1);
    reg_resolver_fail(r, "invalid proxy options: %s", err.text);
}

/* --- the last resolution ------------------------------------------------------------------------------------------ */

static const struct ib_str *final_value(const struct reg_node_vars *vars, struct ib_str name)
{
    const struct ib_str *values[] = {
        [NODE_OS] = &vars->os,           [NODE_HOSTNAME] = &vars->hostname, [NODE_RELEASE] = &vars->release,
        [NODE_VERSION] = &vars->version, [NODE_MACHINE] = &vars->machine,   [NODE_DATA] = &vars->data,
        [NODE_DATADIR] = &vars->data,    [SESSION_ID] = &vars->session_id,
    };
    enum reserved which = find_reserved(name);
    if (which == RESERVED_MAX || !reserved[which].later || !values[which]->p)
        return NULL;
    return values[which];
}

struct ib_str reg_text_final(const struct reg_node_vars *vars, struct ib_arena *arena, struct ib_str text)
{
    size_t at = 0, dollars = 0, start;
    if (find_variable(text, 0, &dollars) == SIZE_MAX)
        return text.p ? text : ib_str("");
    struct ib_buf out;
    ib_buf_init(&out);
    out.limit = REG_TEXT_MAX;
    while ((start = find_variable(text, at, &dollars)) != SIZE_MAX) {
        const char *brace = memchr(text.p + start, '}', text.n - start);
        size_t end = brace ? (size_t)(brace - text.p) : start + 1;
        const struct ib_str *value = NULL;
        if (brace && dollars % 2 == 0)
            value = final_value(vars, (struct ib_str){text.p + start + 2, end - start - 2});
        /* escaped: half of the '$' and the text; a variable: half of the '$' and its value */
        if (dollars % 2) {
            ib_buf_put(&out, text.p + at, start - (dollars + 1) / 2 - at);
            ib_buf_put(&out, text.p + start, 2);
            at = start + 2;
        } else if (value) {
            ib_buf_put(&out, text.p + at, start - dollars / 2 - at);
            ib_buf_put(&out, value->p, value->n);
            at = end + 1;
        } else {
            ib_buf_put(&out, text.p + at, start + 2 - at);
            at = start + 2;
        }
    }
    ib_buf_put(&out, text.p + at, text.n - at);
    struct ib_str result = {NULL, 0};
    if (ib_buf_ok(&out))
        result = ib_arena_str(arena, (struct ib_str){(const char *)out.p, out.n});
    ib_buf_fini(&out);
    return result;
}

bool reg_text_mentions_session(struct ib_str text)
{
    size_t at = 0, dollars = 0, start;
    static const char name[] = "${session.id}";
    while ((start = find_variable(text, at, &dollars)) != SIZE_MAX) {
        if (dollars % 2 == 0 && text.n - start >= sizeof(name) - 1 &&
            memcmp(text.p + start, name, sizeof(name) - 1) == 0)
            return true;
        at = start + 2;
    }
    return false;
}
