/* SPDX-License-Identifier: Apache-2.0 */
/* Deployment descriptors written in XML, as icegrid-registry 10.7 has them, read into an ApplicationDescriptor. */
#ifndef MOULIN_ADMIN_DESCRIPTOR_XML_H
#define MOULIN_ADMIN_DESCRIPTOR_XML_H

#include <moulin/base/arena.h>

struct IceGrid_ApplicationDescriptor;
struct IceGrid_StringStringDict;

struct adm_xml_options {
    const struct ib_str *targets; /* selected with their names, or "application.node.target" */
    size_t n_targets;
    const struct IceGrid_StringStringDict *overrides; /* variables that win over those of the file */
};

/* Does this file want the registry's default templates? Then pass them as base, otherwise NULL. */
int adm_xml_wants_defaults(const char *path, bool *wants, struct ib_err *err) IB_MUST_CHECK;
/* *out starts as a copy of base. All in the arena. Errors name file, line and column. */
int adm_xml_read(const char *path, const struct adm_xml_options *o, const struct IceGrid_ApplicationDescriptor *base,
                 struct ib_arena *arena, struct IceGrid_ApplicationDescriptor *out, struct ib_err *err) IB_MUST_CHECK;

#endif
