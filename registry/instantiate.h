/* SPDX-License-Identifier: Apache-2.0 */
/* From what a node of a definition lists to servers: templates filled in, property sets expanded, variables resolved,
   every value checked (icegrid-registry 10.2-10.5). */
#ifndef REG_INSTANTIATE_H
#define REG_INSTANTIATE_H

#include "resolver.h"

/* --- property_sets.c ------------------------------------------------------------------------------------------------
 */

/* Properties in the making; a set may be appended in any scope. */
struct reg_properties {
    struct IceGrid_PropertyDescriptorSeq seq;
    size_t cap;
};

/* References first, depth first, then own properties. r knows the named sets. */
void reg_properties_append(struct reg_properties *p, struct reg_resolver *r,
                           const struct IceGrid_PropertySetDescriptor *set);
/* Named sets of an application or node are substituted and checked where they stand, used or not: first all their
   texts, later (when r knows the result) where their references lead. NULL after a fault. */
const struct IceGrid_PropertySetDescriptorDict *
reg_substitute_property_sets(struct reg_resolver *r, const struct IceGrid_PropertySetDescriptorDict *sets);
void reg_check_references(struct reg_resolver *r, const struct IceGrid_PropertySetDescriptorDict *sets);
/* The last one of that name; "" when there is none. */
struct ib_str reg_property(const struct IceGrid_PropertyDescriptorSeq *p, const char *name);

/* --- instantiate.c --------------------------------------------------------------------------------------------------
 */

/* Id and descriptor of one server; the scope is its node's. desc is NULL after a fault. Deployed adapters' objects have
   their effective proxy options. */
struct reg_instance {
    struct ib_str id;
    struct IceGrid_ServerDescriptor *desc;
};

struct reg_instance reg_instantiate_server(struct reg_resolver *node, const struct IceGrid_ServerDescriptor *def);
struct reg_instance reg_instantiate_template(struct reg_resolver *node,
                                             const struct IceGrid_ServerInstanceDescriptor *inst);
/* Only the id, for those who compare definitions. */
struct ib_str reg_server_instance_id(struct reg_resolver *node, const struct IceGrid_ServerInstanceDescriptor *inst);
struct ib_str reg_server_def_id(struct reg_resolver *node, const struct IceGrid_ServerDescriptor *def);

enum reg_objects_of { REG_OBJECTS_OF_GROUP, REG_OBJECTS_OF_ADAPTER, REG_ALLOCATABLES };
struct IceGrid_ObjectDescriptorSeq reg_instantiate_objects(struct reg_resolver *r,
                                                           const struct IceGrid_ObjectDescriptorSeq *in,
                                                           enum reg_objects_of what, struct ib_str default_options);
struct IceGrid_DistributionDescriptor reg_instantiate_distrib(struct reg_resolver *r,
                                                              const struct IceGrid_DistributionDescriptor *in);
const struct IceGrid_TemplateDescriptor *reg_template(const struct IceGrid_TemplateDescriptorDict *d, struct ib_str id);
/* NULL unless the server is an IceBox. */
const struct IceGrid_IceBoxDescriptor *reg_icebox(const struct IceGrid_ServerDescriptor *s);

#endif
