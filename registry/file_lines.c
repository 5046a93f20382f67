/* SPDX-License-Identifier: Apache-2.0 */
/* Text files, from the end and piece by piece. Regular files only: whatever else could make a reader wait. */
#include "file_lines.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_BACK ((int64_t)8 << 20)
#define CHUNK 65536

static int open_file(const char *path, int64_t *size, struct ib_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        *size = st.st_size;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    ib_err_set(err, IB_EFILE, "failed to open file `%s'", path);
    return -1;
}

static int unreadable(const char *path, struct ib_err *err)
{
    return ib_err_set(err, IB_EFILE, "failed to read file `%s'", path);
}

/* Backwards from the end: the line after the (lines + 1)-th newline, not counting one that ends the file. */
static int look_back(int fd, const char *path, int64_t size, int lines, int64_t *offset, struct ib_err *err)
{
    int64_t end = size, stop = size > LOOK_BACK ? size - LOOK_BACK : 0;
    char buffer[CHUNK];
    while (end > stop) {
        int64_t start = end - stop > CHUNK ? end - CHUNK : stop;
        ssize_t n = pread(fd, buffer, (size_t)(end - start), start);
        if (n != end - start)
            return unreadable(path, err);
        for (const char *at; n > 0 && (at = memrchr(buffer, '\n', (size_t)n)) != NULL; n = at - buffer) {
            if (start + (at - buffer) != size - 1 && --lines == 0) {
                *offset = start + (at - buffer) + 1;
                return 0;
            }
        }
        end = start;
    }
    *offset = stop;
    return 0;
}

int reg_file_offset(const char *path, int lines, int64_t *offset, struct ib_err *err)
{
    int64_t size;
    int fd = open_file(path, &size, err), rc = 0;
    if (fd < 0)
        return err->code;
    *offset = lines < 0 ? 0 : size;
    if (lines > 0)
        rc = look_back(fd, path, size, lines, offset, err);
    close(fd);
    return rc;
}

/* Cuts text into lines until they cost more than size; returns how much of it they are. */
static size_t cut(struct ib_str text, bool whole, size_t size, struct reg_file_piece *out)
{
    size_t used = 0, cost = 0;
    for (;;) {
        const char *newline = memchr(text.p + used, '\n', text.n - used);
        size_t n = newline ? (size_t)(newline - text.p) - used : text.n - used;
        size_t room = size > cost + REG_FILE_LINE_COST ? size - cost - REG_FILE_LINE_COST : 0;
        struct ib_str *line = &out->lines[out->n++];
        *line = (struct ib_str){text.p + used, n};
        if (cost + n + REG_FILE_LINE_COST > size) {
            line->n = n < room ? n : room;
            return used + line->n;
        }
        cost += n + REG_FILE_LINE_COST;
        used += n;
        if (!newline) {
            out->end = whole;
            return used;
        }
        used++;
    }
}

/* How many cut() makes at most. */
static size_t count_lines(struct ib_str text, size_t size)
{
    size_t n = 1, max = size / REG_FILE_LINE_COST + 2;
    for (size_t i = 0; i < text.n && n < max; i++)
        n += text.p[i] == '\n';
    return n;
}

static int read_text(int fd, const char *path, int64_t pos, struct ib_arena *arena, size_t n, struct ib_str *text,
                     struct ib_err *err)
{
    char *p = ib_arena_alloc(arena, n);
    if (!p)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    ssize_t got = pread(fd, p, n, pos);
    if (got < 0)
        return unreadable(path, err);
    *text = (struct ib_str){p, (size_t)got};
    return 0;
}

int reg_file_read(const char *path, int64_t pos, size_t size, struct ib_arena *arena, struct reg_file_piece *out,
                  struct ib_err *err)
{
    int64_t end;
    int fd = open_file(path, &end, err);
    *out = (struct reg_file_piece){.next = end, .end = true};
    if (fd < 0)
        return err->code;
    if (pos < 0 || pos >= end) {
        close(fd);
        return 0;
    }
    size_t n = (uint64_t)(end - pos) < size ? (size_t)(end - pos) : size;
    struct ib_str text = {NULL, 0};
    int rc = read_text(fd, path, pos, arena, n, &text, err);
    close(fd);
    if (rc)
        return rc;
    out->lines = IB_ARENA_ARRAY(arena, count_lines(text, size), struct ib_str);
    if (!out->lines)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    out->end = false;
    out->next = pos + (int64_t)cut(text, pos + (int64_t)text.n >= end, size, out);
    return 0;
}
