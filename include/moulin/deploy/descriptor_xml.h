/* SPDX-License-Identifier: Apache-2.0 */
/* Deployment descriptors written in XML, as icegrid-registry 10.7 has them, read into an ApplicationDescriptor. */
#ifndef MOULIN_DEPLOY_DESCRIPTOR_XML_H
#define MOULIN_DEPLOY_DESCRIPTOR_XML_H

#include <moulin/base/arena.h>

struct IceGrid_ApplicationDescriptor;
struct IceGrid_StringStringDict;

struct xml_element;

/* The elements that made a descriptor, in their order; they live in the arena it lives in. */
struct dep_places {
    size_t n;
    struct xml_element **v;
};

struct dep_xml_options {
    const struct ib_str *targets; /* selected with their names, or "application.node.target" */
    size_t n_targets;
    const struct IceGrid_StringStringDict *overrides; /* variables that win over those of the file */
    struct dep_places *places; /* zeroed, to be filled; NULL: not wanted */
};

/* Does this file want the registry's default templates? Then pass them as base, otherwise NULL. */
int dep_xml_wants_defaults(const char *path, bool *wants, struct ib_err *err) IB_MUST_CHECK;
/* *out starts as a copy of base. All in the arena. Errors name file, line and column. */
int dep_xml_read(const char *path, const struct dep_xml_options *o, const struct IceGrid_ApplicationDescriptor *base,
                 struct ib_arena *arena, struct IceGrid_ApplicationDescriptor *out, struct ib_err *err) IB_MUST_CHECK;
/* "file:line" of what a registry's refusal speaks about; p is NULL when that is not found. */
struct ib_str dep_xml_place(const struct dep_places *places, const char *reason, struct ib_arena *arena);

#endif
