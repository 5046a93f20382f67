/* SPDX-License-Identifier: Apache-2.0 */
/* The generated tables against the facts in tests/data/types: every line of the files is compared with a descriptor,
   and every descriptor has its line. */
#include "test.h"
#include "vectors.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include <moulin/rpc/request.h>
#include <moulin/wire/codec.h>
#include <slice/Ice/Endpoint.h>
#include <slice/registry.h>

#define FIELDS 10

struct line {
    char *f[FIELDS];
    size_t n;
    const char *text;
};

/* The thunks of all interfaces are linked in; one of them is tried with an empty servant. */
static enum ir_status failed_with;

void ir_request_fail(struct ir_request *rq, enum ir_status status, const char *text)
{
    (void)rq;
    (void)text;
    failed_with = status;
}

static const struct iw_type *find_type(const char *id)
{
    for (size_t i = 0; slice_types[i]; i++)
        if (strcmp(slice_types[i]->id, id) == 0)
            return slice_types[i];
    fail_msg("no type %s", id);
    return NULL;
}

static const struct iw_class *find_class(const char *id)
{
    for (size_t i = 0; i < slice_registry.n; i++)
        if (strcmp(slice_registry.classes[i]->id, id) == 0)
            return slice_registry.classes[i];
    fail_msg("no class %s", id);
    return NULL;
}

static const struct iw_iface *find_iface(const char *id)
{
    for (size_t i = 0; slice_ifaces[i]; i++)
        if (strcmp(slice_ifaces[i]->id, id) == 0)
            return slice_ifaces[i];
    fail_msg("no interface %s", id);
    return NULL;
}

/* How the tables write a type. */
static const char *type_name(const struct iw_type *t, char *out, size_t cap)
{
    if (t->kind == IW_PROXY && t->proxy_id)
        snprintf(out, cap, "proxy<%s>", t->proxy_id);
    else if (t->kind == IW_PROXY)
        snprintf(out, cap, "proxy");
    else if (t->kind == IW_CLASS)
        snprintf(out, cap, "%s", t->cls ? t->cls->id : "value");
    else
        snprintf(out, cap, "%s", t->id);
    return out;
}

static void assert_type(const struct line *l, const struct iw_type *t, const char *want)
{
    char name[200];
    if (strcmp(type_name(t, name, sizeof(name)), want) != 0)
        fail_msg("%s: type is %s", l->text, name);
}

static bool has_flag(const struct line *l, const char *flag)
{
    for (size_t i = 2; i < l->n; i++)
        if (strcmp(l->f[i], flag) == 0)
            return true;
    return false;
}

static long number_after(const struct line *l, const char *key)
{
    for (size_t i = 2; i < l->n; i++)
        if (strncmp(l->f[i], key, strlen(key)) == 0)
            return strtol(l->f[i] + strlen(key), NULL, 10);
    fail_msg("%s: no %s", l->text, key);
    return 0;
}

#define ASSERT_LINE(l, cond)                                                                                           \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("%s: not %s", (l)->text, #cond);                                                                  \
    } while (0)

/* --- one check for each kind of line --------------------------------------------------------------------------------
 */

static void check_const(const struct line *l)
{
    static const struct {
        const char *id;
        int value;
    } consts[] = {
        {"::Ice::TCPEndpointType", Ice_TCPEndpointType},   {"::Ice::SSLEndpointType", Ice_SSLEndpointType},
        {"::Ice::UDPEndpointType", Ice_UDPEndpointType},   {"::Ice::WSEndpointType", Ice_WSEndpointType},
        {"::Ice::WSSEndpointType", Ice_WSSEndpointType},   {"::Ice::BTEndpointType", Ice_BTEndpointType},
        {"::Ice::BTSEndpointType", Ice_BTSEndpointType},   {"::Ice::iAPEndpointType", Ice_iAPEndpointType},
        {"::Ice::iAPSEndpointType", Ice_iAPSEndpointType},
    };
    for (size_t i = 0; i < sizeof(consts) / sizeof(consts[0]); i++) {
        if (strcmp(consts[i].id, l->f[1]) == 0) {
            ASSERT_LINE(l, consts[i].value == strtol(l->f[3], NULL, 10));
            return;
        }
    }
    fail_msg("%s: no such constant", l->text);
}

static void check_enum(const struct line *l)
{
    const struct iw_type *t = find_type(l->f[1]);
    ASSERT_LINE(l, t->kind == IW_ENUM && t->size == sizeof(int32_t) && t->min_wire == 1);
    ASSERT_LINE(l, t->enum_max == number_after(l, "max="));
}

static void check_enumerator(const struct line *l)
{
    const struct iw_type *t = find_type(l->f[1]);
    long value = strtol(l->f[2], NULL, 10);
    ASSERT_LINE(l, t->enum_names && value >= 0 && value <= t->enum_max);
    ASSERT_LINE(l, strcmp(t->enum_names[value], l->f[3]) == 0);
}

static void check_struct(const struct line *l)
{
    const struct iw_type *t = find_type(l->f[1]);
    ASSERT_LINE(l, t->kind == IW_STRUCT && t->min_wire == number_after(l, "min="));
    ASSERT_LINE(l, t->fixed == has_flag(l, "fixed"));
    ASSERT_LINE(l, t->has_class == has_flag(l, "cls"));
}

static void check_class(const struct line *l)
{
    const struct iw_class *c = find_class(l->f[1]);
    ASSERT_LINE(l, c->is_exception == (strcmp(l->f[0], "exc") == 0));
    ASSERT_LINE(l, strcmp(c->base ? c->base->id : "-", l->f[2] + strlen("base=")) == 0);
    ASSERT_LINE(l, c->compact_id == -1);
    if (c->is_exception)
        ASSERT_LINE(l, c->has_class == has_flag(l, "cls"));
    ASSERT_LINE(l, iw_registry_find(&slice_registry, ib_str(l->f[1])) == c);
}

static void check_field(const struct line *l)
{
    const struct iw_field *fields;
    size_t n;
    bool in_type = false;
    for (size_t i = 0; slice_types[i] && !in_type; i++)
        in_type = slice_types[i]->kind == IW_STRUCT && strcmp(slice_types[i]->id, l->f[1]) == 0;
    if (in_type) {
        fields = find_type(l->f[1])->fields;
        n = find_type(l->f[1])->n_fields;
    } else {
        fields = find_class(l->f[1])->fields;
        n = find_class(l->f[1])->n_fields;
    }
    size_t index = (size_t)strtoul(l->f[2], NULL, 10);
    ASSERT_LINE(l, index >= 1 && index <= n);
    const struct iw_field *f = &fields[index - 1];
    ASSERT_LINE(l, strcmp(f->name, l->f[3]) == 0);
    assert_type(l, f->type, l->f[4]);
    ASSERT_LINE(l, f->tag == (strcmp(l->f[5], "req") == 0 ? -1 : number_after(l, "opt=")));
}

static void check_seq(const struct line *l)
{
    const struct iw_type *t = find_type(l->f[1]);
    ASSERT_LINE(l, t->kind == IW_SEQ && t->size == sizeof(struct iw_seq));
    assert_type(l, t->elem, l->f[2]);
    ASSERT_LINE(l, t->elem->min_wire == number_after(l, "elem_min="));
    ASSERT_LINE(l, t->elem->fixed == has_flag(l, "fixed"));
    ASSERT_LINE(l, t->has_class == has_flag(l, "cls"));
}

static void check_dict(const struct line *l)
{
    const struct iw_type *t = find_type(l->f[1]);
    ASSERT_LINE(l, t->kind == IW_DICT && t->size == sizeof(struct iw_seq));
    assert_type(l, t->key, l->f[2]);
    assert_type(l, t->elem, l->f[3]);
    ASSERT_LINE(l, t->key->min_wire + t->elem->min_wire == number_after(l, "elem_min="));
    ASSERT_LINE(l, t->has_class == has_flag(l, "cls"));
    ASSERT_LINE(l, t->entry_size >= t->key->size + t->elem->size && t->value_offset >= t->key->size);
}

static void check_iface(const struct line *l)
{
    const struct iw_iface *i = find_iface(l->f[1]);
    ASSERT_LINE(l, iw_iface_is_a(i, ib_str(l->f[1])) && iw_iface_is_a(i, IB_STR("::Ice::Object")));
    char bases[400];
    snprintf(bases, sizeof(bases), "%s", l->f[2] + strlen("bases="));
    char *save = NULL;
    for (char *b = strtok_r(bases, ",", &save); b && strcmp(b, "-") != 0; b = strtok_r(NULL, ",", &save)) {
        const struct iw_iface *base = find_iface(b);
        for (size_t j = 0; j < base->n_ids; j++)
            ASSERT_LINE(l, iw_iface_is_a(i, ib_str(base->ids[j])));
        for (size_t j = 0; j < base->n_ops; j++) {
            const struct iw_op *op = iw_iface_find(i, ib_str(base->ops[j]->name));
            ASSERT_LINE(l, op && op->in == base->ops[j]->in && op->out == base->ops[j]->out);
            ASSERT_LINE(l, op->mode == base->ops[j]->mode && op->call != base->ops[j]->call);
        }
    }
}

/* "in=name:type,name?tag:type": required ones in order, then optionals. Proxy types hold no comma. */
static void check_parameters(const struct line *l, const char *text, const struct iw_type *t, const char *ret)
{
    char copy[600];
    snprintf(copy, sizeof(copy), "%s", strchr(text, '=') + 1);
    size_t required = 0, seen = 0, optionals = 0;
    for (size_t i = 0; i < t->n_fields; i++)
        required += t->fields[i].tag < 0;
    char *save = NULL;
    for (char *p = strtok_r(copy, ",", &save); p && strcmp(p, "-") != 0; p = strtok_r(NULL, ",", &save)) {
        char *type = strchr(p, ':');
        *type++ = '\0';
        char *tag = strchr(p, '?');
        if (tag)
            *tag++ = '\0';
        size_t at = tag ? required + optionals++ : seen++;
        ASSERT_LINE(l, at < t->n_fields);
        ASSERT_LINE(l, strcmp(t->fields[at].name, p) == 0);
        ASSERT_LINE(l, t->fields[at].tag == (tag ? strtol(tag, NULL, 10) : -1));
        assert_type(l, t->fields[at].type, type);
    }
    if (strcmp(ret, "void") != 0) {
        ASSERT_LINE(l, seen < t->n_fields && strcmp(t->fields[seen].name, "ret") == 0);
        assert_type(l, t->fields[seen++].type, ret);
    }
    ASSERT_LINE(l, seen == required && seen + optionals == t->n_fields);
}

static void check_op(const struct line *l)
{
    const struct iw_op *op = iw_iface_find(find_iface(l->f[1]), ib_str(l->f[2]));
    ASSERT_LINE(l, op != NULL);
    ASSERT_LINE(l, op->mode == strtol(l->f[3], NULL, 10));
    check_parameters(l, l->f[4], op->in, "void");
    check_parameters(l, l->f[5], op->out, l->f[6] + strlen("ret="));
    const char *flags = l->n > 8 ? l->f[8] : "-";
    ASSERT_LINE(l, op->sliced == (strstr(flags, "format:sliced") != NULL));
    ASSERT_LINE(l, op->in->has_class == (strstr(flags, "incls") != NULL));
    ASSERT_LINE(l, op->out->has_class == (strstr(flags, "outcls") != NULL));
    char throws[600] = "throws=";
    for (size_t i = 0; op->throws[i]; i++) {
        strncat(throws, i ? "," : "", sizeof(throws) - strlen(throws) - 1);
        strncat(throws, op->throws[i]->id, sizeof(throws) - strlen(throws) - 1);
    }
    ASSERT_LINE(l, strcmp(op->throws[0] ? throws : "throws=-", l->f[7]) == 0);
}

static const struct {
    const char *kind;
    void (*check)(const struct line *l);
} kinds[] = {
    {"const", check_const}, {"enum", check_enum},   {"ev", check_enumerator}, {"struct", check_struct},
    {"class", check_class}, {"exc", check_class},   {"f", check_field},       {"seq", check_seq},
    {"dict", check_dict},   {"iface", check_iface}, {"op", check_op},
};

/* --- the files
 * -------------------------------------------------------------------------------------------------------- */

struct counts {
    size_t lines, types, classes, ifaces, ops, fields;
};

static void count(struct counts *c, const char *kind)
{
    c->lines++;
    c->types += strcmp(kind, "enum") == 0 || strcmp(kind, "struct") == 0 || strcmp(kind, "seq") == 0 ||
                strcmp(kind, "dict") == 0 || strcmp(kind, "class") == 0;
    c->classes += strcmp(kind, "class") == 0 || strcmp(kind, "exc") == 0;
    c->ifaces += strcmp(kind, "iface") == 0;
    c->ops += strcmp(kind, "op") == 0;
    c->fields += strcmp(kind, "f") == 0;
}

static void check_file(const char *path, struct counts *c)
{
    size_t n;
    char *text = vec_file(path, &n), *save = NULL;
    for (char *s = strtok_r(text, "\n", &save); s; s = strtok_r(NULL, "\n", &save)) {
        if (*s == '#')
            continue;
        char *whole = strdup(s), *rest = s;
        assert_non_null(whole);
        struct line l = {.text = whole};
        while (rest && l.n < FIELDS)
            l.f[l.n++] = strsep(&rest, "|");
        size_t k = 0;
        while (k < sizeof(kinds) / sizeof(kinds[0]) && strcmp(kinds[k].kind, l.f[0]) != 0)
            k++;
        assert_true(k < sizeof(kinds) / sizeof(kinds[0]));
        kinds[k].check(&l);
        count(c, l.f[0]);
        free(whole);
    }
    free(text);
}

static void every_line_has_its_table(void **state)
{
    (void)state;
    struct counts c = {0};
    check_file("tests/data/types/public.txt", &c);
    check_file("tests/data/types/internal.txt", &c);
    check_file("tests/data/types/own.txt", &c);
    check_file("tests/data/types/storm.txt", &c);
    assert_true(c.lines > 700);
    size_t types = 0, ifaces = 0, ops = 0, fields = 0;
    for (; slice_types[types]; types++)
        if (slice_types[types]->kind == IW_STRUCT)
            fields += slice_types[types]->n_fields;
    for (size_t i = 0; i < slice_registry.n; i++)
        fields += slice_registry.classes[i]->n_fields;
    /* own operations: those whose entry is not repeated from a base */
    for (; slice_ifaces[ifaces]; ifaces++)
        for (size_t i = 0; i < slice_ifaces[ifaces]->n_ops; i++) {
            const struct iw_op *op = slice_ifaces[ifaces]->ops[i];
            bool inherited = false;
            for (size_t b = 0; slice_ifaces[b]; b++)
                inherited =
                    inherited || (b != ifaces && iw_iface_is_a(slice_ifaces[ifaces], ib_str(slice_ifaces[b]->id)) &&
                                  iw_iface_find(slice_ifaces[b], ib_str(op->name)));
            ops += !inherited;
        }
    assert_int_equal(types, c.types);
    assert_int_equal(slice_registry.n, c.classes);
    assert_int_equal(ifaces, c.ifaces);
    assert_int_equal(fields, c.fields);
    /* IceGrid::AdminSession and Session give keepAlive anew, but no base has it: every operation counts once */
    assert_int_equal(ops, c.ops);
}

static void everything_is_sorted(void **state)
{
    (void)state;
    for (size_t i = 1; i < slice_registry.n; i++)
        assert_true(strcmp(slice_registry.classes[i - 1]->id, slice_registry.classes[i]->id) < 0);
    for (size_t i = 0; slice_ifaces[i]; i++) {
        const struct iw_iface *f = slice_ifaces[i];
        for (size_t j = 1; j < f->n_ids; j++)
            assert_true(strcmp(f->ids[j - 1], f->ids[j]) < 0);
        for (size_t j = 1; j < f->n_ops; j++)
            assert_true(strcmp(f->ops[j - 1]->name, f->ops[j]->name) < 0);
    }
}

static void a_missing_handler_is_no_operation(void **state)
{
    (void)state;
    static const void *const empty_servant[512];
    size_t n = 0;
    for (size_t i = 0; slice_ifaces[i]; i++) {
        for (size_t j = 0; j < slice_ifaces[i]->n_ops; j++) {
            failed_with = IR_OK;
            slice_ifaces[i]->ops[j]->call(empty_servant, NULL, NULL, NULL);
            assert_int_equal(failed_with, IR_OPERATION_NOT_EXIST);
            n++;
        }
    }
    assert_true(n > 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_has_its_table),
        cmocka_unit_test(everything_is_sorted),
        cmocka_unit_test(a_missing_handler_is_no_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
