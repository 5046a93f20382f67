/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of the site's own (icegrid-registry 4.10): where ZeroC's registry loads a plug-in, this one asks an object that
   a property names. Of replica groups: Moulin.Registry.GroupFilter.<filter>, and Moulin.Registry.DynamicGroupFilter for
   dynamic groups. Of queries by type: Moulin.Registry.TypeFilter.<type>. */
#ifndef REG_SITE_FILTER_H
#define REG_SITE_FILTER_H

#include "registry.h"

struct Ice_StringSeq;
struct Ice_ObjectProxySeq;
struct reg_filter;
struct reg_filtering;
extern const struct reg_part reg_site_filter_part;

enum reg_filter_kind { REG_FILTER_OF_GROUPS, REG_FILTER_OF_TYPES };

/* id: the filter's of a group, empty for dynamic ones; or the type. NULL: there is none, and nothing is filtered. Valid
   as long as the registry. */
struct reg_filter *reg_filter_find(struct reg *reg, enum reg_filter_kind kind, struct ib_str id);

/* What is left, borrowed; some may be invented or said twice. NULL: the filter could not be asked, which is logged; then
   nobody is to be used, for nobody knows what the filter keeps apart. */
typedef void (*reg_filtered_fn)(void *arg, const struct Ice_StringSeq *ids);
typedef void (*reg_filtered_type_fn)(void *arg, const struct Ice_ObjectProxySeq *proxies);
/* fn is called once, never before this returns, after a bounded time. rq: whose context and address the filter is told.
   NULL: memory, or too many wait. */
struct reg_filtering *reg_filter_group(struct reg_filter *f, struct ir_request *rq, struct ib_str group,
                                       const struct Ice_StringSeq *ids, reg_filtered_fn fn, void *arg) IB_MUST_CHECK;
struct reg_filtering *reg_filter_type(struct reg_filter *f, struct ir_request *rq, struct ib_str type,
                                      const struct Ice_ObjectProxySeq *proxies, reg_filtered_type_fn fn,
                                      void *arg) IB_MUST_CHECK;
/* What fn got, as indexes of ids in the filter's order, each once; what it invented is left out. The count. */
size_t reg_filtered(const struct Ice_StringSeq *ids, const struct Ice_StringSeq *left, size_t *order);
/* The same of proxies, which are told apart by their identities; SIZE_MAX: memory. */
size_t reg_filtered_proxies(const struct Ice_ObjectProxySeq *given, const struct Ice_ObjectProxySeq *left,
                            struct ib_arena *arena, size_t *order);
void reg_filtering_cancel(struct reg_filtering *f); /* fn is not called any more */
void reg_site_filters_end(struct reg *reg); /* the registry stops: everybody is told NULL */

#endif
