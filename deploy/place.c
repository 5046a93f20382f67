/* SPDX-License-Identifier: Apache-2.0 */
/* From a registry's refusal back to the line of the file: the refusal names the element, and often the text. */
#include "xml_reader.h"

/* What a reason says, the elements it can be, and the attribute with the name. The first that is found counts. */
static const struct {
    const char *says, *elements[2], *attribute;
} hints[] = {
    {"unknown server template `", {"server-instance"}, "template"},
    {"unknown service template `", {"service-instance"}, "template"},
    {"when instantiating `", {"server-instance", "service-instance"}, "template"},
    {"invalid server template `", {"server-template", "service-template"}, "id"},
    {"couldn't find replica group `", {"adapter"}, "replica-group"},
    {"duplicate replica group `", {"replica-group"}, "id"},
    {"invalid endpoints for adapter `", {"adapter"}, "name"},
    {"invalid variable `", {"variable", "parameter"}, "name"},
    {"adapter `", {"adapter", "replica-group"}, "id"},
    {"object `", {"object", "allocatable"}, "identity"},
    {"service `", {"service"}, "name"},
    {"server `", {"server", "icebox"}, "id"},
    {"node `", {"node"}, "name"},
    {"application `", {"application"}, "name"},
};

static const char *attribute_of(const struct xml_element *e, const char *name)
{
    for (size_t i = 0; i < e->n_attributes; i++)
        if (strcmp(e->attributes[i].name, name) == 0)
            return e->attributes[i].value;
    return NULL;
}

/* The end of the variable that starts at p; NULL: none does. */
static const char *variable_end(const char *p)
{
    const char *brace = p[0] == '$' && p[1] == '{' ? strchr(p, '}') : NULL;
    return brace ? brace + 1 : NULL;
}

/* Is text what pattern gives, whatever its variables are? "a-${x}" gives "a-1". Only the last variable that was passed
   is ever made longer: more is not needed to match, and it keeps the work small. */
static bool gives(const char *pattern, struct ib_str text)
{
    const char *after = NULL; /* the last variable */
    size_t at = 0, taken = 0; /* in text; where that variable's value ends */
    while (at < text.n || *pattern) {
        const char *end = variable_end(pattern);
        if (end) {
            after = pattern = end;
            taken = at;
        } else if (at < text.n && *pattern == text.p[at]) {
            pattern++;
            at++;
        } else if (after && taken < text.n) {
            pattern = after;
            at = ++taken;
        } else {
            return false;
        }
    }
    return true;
}

static bool names(const struct xml_element *e, const char *const elements[2], const char *attribute, struct ib_str name)
{
    const char *value = attribute_of(e, attribute);
    for (int i = 0; i < 2; i++)
        if (elements[i] && value && strcmp(e->name, elements[i]) == 0 && gives(value, name))
            return true;
    return false;
}

static bool holds(const struct xml_element *e, struct ib_str text)
{
    bool found = e->text.n && ib_str_eq(e->text, text);
    for (size_t i = 0; i < e->n_attributes && !found; i++)
        found = ib_str_is(text, e->attributes[i].value);
    return found;
}

static bool is_below(const struct xml_element *e, const struct xml_element *above)
{
    while (e && e != above)
        e = e->parent;
    return e != NULL;
}

/* The first element with that very text, in e or below it; e NULL: anywhere. */
static const struct xml_element *holder(const struct dep_places *places, const struct xml_element *e,
                                        struct ib_str text)
{
    for (size_t i = 0; i < places->n; i++)
        if ((!e || is_below(places->v[i], e)) && holds(places->v[i], text))
            return places->v[i];
    return NULL;
}

/* What stands between `…' after the words; p NULL when they are not there. */
static struct ib_str quoted(const char *reason, const char *says)
{
    const char *at = strstr(reason, says), *end = at ? strchr(at + strlen(says), '\'') : NULL;
    return end ? (struct ib_str){at + strlen(says), (size_t)(end - at) - strlen(says)} : (struct ib_str){0};
}

struct ib_str dep_xml_place(const struct dep_places *places, const char *reason, struct ib_arena *arena)
{
    const struct xml_element *best = NULL;
    for (size_t h = 0; h < sizeof hints / sizeof *hints && !best; h++) {
        struct ib_str name = quoted(reason, hints[h].says);
        for (size_t i = 0; name.p && i < places->n && !best; i++)
            if (names(places->v[i], hints[h].elements, hints[h].attribute, name))
                best = places->v[i];
    }
    struct ib_str text = quoted(reason, "invalid variable `");
    const struct xml_element *exact = text.n ? holder(places, best, text) : NULL;
    best = exact ? exact : best;
    return best ? ib_arena_printf(arena, "%s:%d", best->file, best->line) : (struct ib_str){0};
}
