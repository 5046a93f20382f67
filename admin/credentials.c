/* SPDX-License-Identifier: Apache-2.0 */
/* Name and password of whoever runs a command-line role: options, a file, or the terminal. */
#include "peer.h"

#include <moulin/auth/passwd.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define PASSWORD_MAX 1024

static int ask_user(struct ib_arena *arena, struct ib_str *user, struct ib_err *err)
{
    char line[256];
    fputs("user id: ", stderr);
    if (!fgets(line, sizeof line, stdin))
        return ib_err_set(err, IB_EIO, "no user id given: use --user");
    line[strcspn(line, "\r\n")] = 0;
    *user = ib_arena_strz(arena, line);
    return user->p ? 0 : ib_err_set(err, IB_ENOMEM, "out of memory");
}

/* Byte by byte, so that what follows the first line of a pipe stays there for the commands. */
static int read_first_line(int fd, const char *path, char *line, struct ib_err *err)
{
    size_t n = 0;
    char c = 0;
    ssize_t got;
    while ((got = read(fd, &c, 1)) != 0 && c != '\n') {
        if (got < 0 && errno != EINTR)
            return ib_err_set(err, IB_EIO, "cannot read the password from `%s': %s", path, strerror(errno));
        if (got < 0)
            continue;
        if (n == PASSWORD_MAX - 1)
            return ib_err_set(err, IB_ELIMIT, "the first line of `%s' is longer than a password may be", path);
        line[n++] = c;
    }
    if (n > 0 && line[n - 1] == '\r')
        n--;
    line[n] = 0;
    return 0;
}

static int from_file(const char *path, char *line, struct ib_err *err)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ib_err_set(err, IB_EFILE, "cannot open password file `%s': %s", path, strerror(errno));
    int code = read_first_line(fd, path, line, err);
    if (!standard)
        close(fd);
    return code;
}

int adm_credentials(const struct adm_login *login, struct ib_arena *arena, struct ib_str *user,
                    struct ib_secret **password, struct ib_err *err)
{
    char line[PASSWORD_MAX] = "";
    bool is_tty;
    *password = NULL;
    *user = ib_str(login->user);
    if (login->certificate)
        return 0;
    int code = login->user ? 0 : ask_user(arena, user, err);
    if (code == 0)
        code = login->password_file ? from_file(login->password_file, line, err)
                                    : auth_prompt("password: ", &is_tty, line, sizeof line, err);
    if (code == 0 && !(*password = ib_secret_new(ib_str(line))))
        code = ib_err_set(err, IB_ENOMEM, "out of memory");
    ib_wipe(line, sizeof line);
    return code;
}
