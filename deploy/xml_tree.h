/* SPDX-License-Identifier: Apache-2.0 */
/* An XML file as a tree in an arena, with the places for error texts. Size, depth and the number of elements are
 * bounded. */
#ifndef MOULIN_DEPLOY_XML_TREE_H
#define MOULIN_DEPLOY_XML_TREE_H

#include <moulin/base/arena.h>

struct xml_attribute {
    const char *name, *value;
    bool used; /* asked for by the reader: what is not is unknown */
};

struct xml_element {
    const char *file; /* as given to xml_load */
    int line, column;
    const char *name;
    size_t n_attributes;
    struct xml_attribute *attributes;
    struct ib_str text; /* of the element itself, not of its children */
    struct xml_element *parent, *first, *last, *next; /* children in order */
};

/* The root element. IB_EFILE, IB_EMARSHAL (not well-formed), IB_ELIMIT; err names file, line and column. */
int xml_load(const char *path, struct ib_arena *arena, struct xml_element **root, struct ib_err *err) IB_MUST_CHECK;

#endif
