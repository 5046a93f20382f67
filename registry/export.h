/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a database outside of it: counted, and as the file that ZeroC's icegriddb writes and reads. */
#ifndef REG_EXPORT_H
#define REG_EXPORT_H

#include "store.h"

struct reg_content {
    size_t n[REG_TABLE_MAX]; /* records of each table */
    struct reg_store_facts facts;
};

/* Decodes every record; the registry may be running. */
int reg_content_verify(const char *dir, struct reg_content *out, struct ib_err *err) IB_MUST_CHECK;
/* Writes the file; it appears as a whole or not at all. */
int reg_content_export(const char *dir, const char *file, struct reg_content *out, struct ib_err *err) IB_MUST_CHECK;
/* Into a directory without a database, with the file's serials. IB_EINVAL: not such a file, or of another version. */
int reg_content_import(const char *file, const char *dir, struct reg_content *out, struct ib_err *err) IB_MUST_CHECK;

#endif
