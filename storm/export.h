/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a service's database outside of it: counted, and as the file of ZeroC's icestormdb. */
#ifndef STORM_EXPORT_H
#define STORM_EXPORT_H

#include <stddef.h>

#include <moulin/base/err.h>
#include <slice/IceStorm/Internal.h>

struct storm_content {
    size_t n_topics, n_subscribers, n_links;
    struct IceStormElection_LogUpdate stamp;
};

/* Decodes every record; the service may be running. */
int storm_content_verify(const char *dir, struct storm_content *out, struct ib_err *err) IB_MUST_CHECK;
/* Writes the file; it appears as a whole or not at all. */
int storm_content_export(const char *dir, const char *file, struct storm_content *out, struct ib_err *err) IB_MUST_CHECK;
/* Into a directory without a database, with the file's stamp. IB_EINVAL: not such a file, or of another version. */
int storm_content_import(const char *file, const char *dir, struct storm_content *out, struct ib_err *err) IB_MUST_CHECK;

#endif
