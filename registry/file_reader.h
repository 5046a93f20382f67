/* SPDX-License-Identifier: Apache-2.0 */
/* IceGrid::FileReader of the registry itself (icegrid-internal 15.1): "stdout" and "stderr". */
#ifndef REG_FILE_READER_H
#define REG_FILE_READER_H

#include "registry.h"
#include "slices.h"

/* Both answer rq. */
void reg_file_reader_offset(struct reg *reg, struct ir_request *rq,
                            const struct IceGrid_FileReader_getOffsetFromEnd_in *in);
void reg_file_reader_read(struct reg *reg, struct ir_request *rq, const struct IceGrid_FileReader_read_in *in);

#endif
