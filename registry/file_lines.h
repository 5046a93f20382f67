/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a text file of this machine piece by piece, as IceGrid::FileReader does (icegrid-internal 15.1). */
#ifndef REG_FILE_LINES_H
#define REG_FILE_LINES_H

#include <moulin/base/arena.h>
#include <moulin/base/err.h>

/* Where the last `lines` lines begin; 0: the end; negative: the beginning. At most the last 8 MiB are looked through.
 */
int reg_file_offset(const char *path, int lines, int64_t *offset, struct ib_err *err) IB_MUST_CHECK;

struct reg_file_piece {
    struct ib_str *lines; /* in the arena; the last is unfinished, to be joined with the first of the next piece */
    size_t n;
    int64_t next;
    bool end; /* there was nothing more */
};
/* From pos, `size` bytes at most, each line counted with 5 more. A file that has become shorter is at its end. */
int reg_file_read(const char *path, int64_t pos, size_t size, struct ib_arena *arena, struct reg_file_piece *out,
                  struct ib_err *err) IB_MUST_CHECK;

#define REG_FILE_LINE_COST 5 /* a line's length on the wire, at most */

#endif
