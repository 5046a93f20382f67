/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the descriptor reader: walking a tree with includes and targets resolved, attributes, and growing sequences.
   The first fault sticks; everything after it does nothing. */
#ifndef MOULIN_DEPLOY_XML_READER_H
#define MOULIN_DEPLOY_XML_READER_H

#include <moulin/deploy/descriptor_xml.h>
#include "xml_tree.h"

#include <moulin/rpc/proxy.h>
#include <moulin/wire/codec.h>
#include <slice/IceGrid/Descriptor.h>

#define XML_PATH_MAX 4 /* application, node, server, service */

struct xml_reader {
    struct ib_arena *arena;
    struct ib_err *err;
    int code;
    const struct IceGrid_StringStringDict *overrides;
    const struct ib_str *targets;
    size_t n_targets;
    const char *path[XML_PATH_MAX]; /* names of the enclosing application, node, server, service */
    size_t n_path;
    int includes; /* depth */
    struct dep_places *places; /* NULL: not wanted */
};

/* What an element may hold: its name and who reads it. parent is the descriptor under construction. */
struct xml_handler {
    const char *name; /* NULL ends the table */
    void (*read)(struct xml_reader *r, struct xml_element *e, void *parent);
};

/* Reads the children, in document order; unknown ones and unknown attributes of e are faults. */
void xml_children(struct xml_reader *r, struct xml_element *e, const struct xml_handler *handlers, void *parent);
void xml_fault(struct xml_reader *r, const struct xml_element *e, const char *fmt, ...) IB_PRINTF(3, 4);

struct ib_str xml_required(struct xml_reader *r, struct xml_element *e, const char *name);
struct ib_str xml_optional(struct xml_reader *r, struct xml_element *e, const char *name, const char *otherwise);
bool xml_has(const struct xml_element *e, const char *name);
bool xml_bool(struct xml_reader *r, struct xml_element *e, const char *name, bool otherwise);
struct ib_str xml_text(struct xml_reader *r, struct xml_element *e); /* checks that there are no children */
/* Every attribute not asked for yet, as name and value. */
void xml_rest(struct xml_reader *r, struct xml_element *e, struct IceGrid_StringStringDict *out);

/* Room for one more element at the end of a { n, v } sequence; NULL after a fault. */
void *xml_append(struct xml_reader *r, size_t *n, void *v, size_t size);
#define XML_APPEND(r, seq) xml_append((r), &(seq)->n, &(seq)->v, sizeof *(seq)->v)
void xml_add_string(struct xml_reader *r, struct Ice_StringSeq *seq, struct ib_str s);
void xml_add_property(struct xml_reader *r, struct IceGrid_PropertyDescriptorSeq *seq, struct ib_str name,
                      struct ib_str value);
void xml_set_string(struct xml_reader *r, struct IceGrid_StringStringDict *dict, struct ib_str key,
                    struct ib_str value);

/* --- the pieces: xml_server.c --- */
extern const struct xml_handler xml_server_template_handlers[], xml_service_template_handlers[];
void xml_read_server(struct xml_reader *r, struct xml_element *e, void *node);
void xml_read_icebox(struct xml_reader *r, struct xml_element *e, void *node);
void xml_read_server_instance(struct xml_reader *r, struct xml_element *e, void *node);
void xml_read_named_properties(struct xml_reader *r, struct xml_element *e,
                               struct IceGrid_PropertySetDescriptorDict *sets);
void xml_read_object(struct xml_reader *r, struct xml_element *e, struct IceGrid_ObjectDescriptorSeq *objects,
                     struct IceGrid_PropertyDescriptorSeq *properties);
void xml_read_distrib(struct xml_reader *r, struct xml_element *e, struct IceGrid_DistributionDescriptor *distrib);
void xml_read_description(struct xml_reader *r, struct xml_element *e, void *str);

#endif
