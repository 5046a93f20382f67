/* SPDX-License-Identifier: Apache-2.0 */
/* The FileReader half of IN/InternalRegistry: this process's standard output and error, where they go to files. No
   other file can be named from outside. */
#include "file_reader.h"

#include "file_lines.h"

#include <moulin/rpc/properties.h>

#define FILE_SIZE_MAX ((size_t)64 << 20) /* when Ice.MessageSizeMax sets no bound */
#define MESSAGE_MARGIN 256

static void unavailable(struct ir_request *rq, const char *reason)
{
    IceGrid_FileNotAvailableException_throw(rq, &(struct IceGrid_FileNotAvailableException){.reason = ib_str(reason)});
}

/* NULL: rq has been answered. */
static const char *path_of(struct reg *reg, struct ir_request *rq, struct ib_str file)
{
    bool out = ib_str_is(file, "stdout"), err = ib_str_is(file, "stderr");
    const char *path = "";
    if (out || err)
        path = ir_properties_get(ir_runtime_properties(reg->rt), out ? "Ice.StdOut" : "Ice.StdErr");
    if (*path)
        return path;
    unavailable(rq, out   ? "Ice.StdOut configuration property is not set"
                    : err ? "Ice.StdErr configuration property is not set"
                          : "unknown file");
    return NULL;
}

void reg_file_reader_offset(struct reg *reg, struct ir_request *rq,
                            const struct IceGrid_FileReader_getOffsetFromEnd_in *in)
{
    const char *path = path_of(reg, rq, in->filename);
    struct IceGrid_FileReader_getOffsetFromEnd_out out;
    struct ib_err err = {0};
    if (!path)
        return;
    if (reg_file_offset(path, in->lines, &out.ret, &err))
        unavailable(rq, err.text);
    else
        IceGrid_FileReader_getOffsetFromEnd_reply(rq, &out);
}

static size_t size_max(const struct reg *reg)
{
    int kb = ir_properties_int_or(ir_runtime_properties(reg->rt), NULL, "Ice.MessageSizeMax", 1024);
    size_t max = kb > 0 ? (size_t)kb * 1024 - MESSAGE_MARGIN : FILE_SIZE_MAX;
    return max < FILE_SIZE_MAX ? max : FILE_SIZE_MAX;
}

void reg_file_reader_read(struct reg *reg, struct ir_request *rq, const struct IceGrid_FileReader_read_in *in)
{
    const char *path = path_of(reg, rq, in->filename);
    size_t max = size_max(reg), size = in->size > 0 && (size_t)in->size < max ? (size_t)in->size : max;
    struct reg_file_piece piece;
    struct ib_arena arena;
    struct ib_err err = {0};
    if (!path)
        return;
    if (in->size <= REG_FILE_LINE_COST) {
        unavailable(rq, "maximum bytes per read request is too low");
        return;
    }
    ib_arena_init(&arena, 0); /* many short lines take more than a request may have */
    if (reg_file_read(path, in->pos, size, &arena, &piece, &err))
        unavailable(rq, err.text);
    else
        IceGrid_FileReader_read_reply(rq, &(struct IceGrid_FileReader_read_out){
                                              .newPos = piece.next, .lines = {piece.n, piece.lines}, .ret = piece.end});
    ib_arena_fini(&arena);
}
