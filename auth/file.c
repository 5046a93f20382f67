/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a file of users as a whole, and nothing that is not one: no device, no pipe that blocks. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moulin/base/secret.h>

#define FILE_MAX_BYTES ((size_t)16 << 20)

static int read_all(int fd, char *p, size_t n)
{
    while (n) {
        ssize_t k = read(fd, p, n);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            return -1;
        }
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

static char *read_open(int fd, const char *path, const char *what, size_t *n, struct ib_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size > FILE_MAX_BYTES) {
        (void)ib_err_set(err, IB_EFILE, "cannot read %s `%s': not a regular file of at most 16 MiB", what, path);
        return NULL;
    }
    *n = (size_t)st.st_size;
    char *text = calloc(1, *n + 1);
    if (!text) {
        (void)ib_err_set(err, IB_ENOMEM, "cannot read %s `%s': out of memory", what, path);
    } else if (read_all(fd, text, *n) != 0) {
        (void)ib_err_set(err, IB_EFILE, "cannot read %s `%s': it changed while being read", what, path);
        ib_wipe(text, *n);
        free(text);
        text = NULL;
    }
    return text;
}

char *auth_file_read(const char *path, const char *what, size_t *n, struct ib_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        (void)ib_err_set(err, IB_EFILE, "cannot read %s `%s': %s", what, path, strerror(errno));
        return NULL;
    }
    char *text = read_open(fd, path, what, n, err);
    (void)close(fd);
    return text;
}
