/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a person for a secret: from the terminal without echo, or from standard input in scripts. */
#include <moulin/auth/passwd.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <moulin/base/secret.h>

/* Byte by byte: what follows the line belongs to whoever reads next. */
static int read_line(int fd, char *out, size_t cap, struct ib_err *err)
{
    size_t n = 0;
    for (;;) {
        char c;
        ssize_t k = read(fd, &c, 1);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k < 0) {
            return ib_err_set(err, IB_EIO, "cannot read the password: %s", strerror(errno));
        }
        if (k == 0 && n == 0) {
            return ib_err_set(err, IB_EIO, "cannot read the password: the input has ended");
        }
        if (k == 0 || c == '\n') {
            out[n] = '\0';
            return 0;
        }
        if (n + 1 >= cap || c == '\0') {
            return ib_err_set(err, IB_EINVAL, "the password is too long (at most %zu bytes) or holds a NUL", cap - 1);
        }
        out[n++] = c;
    }
}

static void print(int fd, const char *text)
{
    ssize_t n = write(fd, text, strlen(text));
    (void)n; /* a prompt that cannot be shown does not stop the reading */
}

/* Signals that would end us wait until the echo is back. */
static int ask(int tty, const char *prompt, char *out, size_t cap, struct ib_err *err)
{
    struct termios before;
    sigset_t block, old;
    if (tcgetattr(tty, &before) != 0) {
        return ib_err_set(err, IB_EIO, "cannot use the terminal: %s", strerror(errno));
    }
    struct termios quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    quiet.c_lflag |= ECHONL | ICANON;
    (void)sigemptyset(&block);
    (void)sigaddset(&block, SIGTERM);
    (void)sigaddset(&block, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &block, &old);
    print(tty, prompt);
    int rc = tcsetattr(tty, TCSAFLUSH, &quiet) == 0
                 ? read_line(tty, out, cap, err)
                 : ib_err_set(err, IB_EIO, "cannot switch the terminal's echo off: %s", strerror(errno));
    (void)tcsetattr(tty, TCSAFLUSH, &before);
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    return rc;
}

int auth_prompt(const char *prompt, bool *is_tty, char *out, size_t cap, struct ib_err *err)
{
    *is_tty = isatty(STDIN_FILENO) == 1;
    int rc;
    if (*is_tty) {
        int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        rc = ask(tty < 0 ? STDIN_FILENO : tty, prompt, out, cap, err);
        if (tty >= 0) {
            (void)close(tty);
        }
    } else {
        rc = read_line(STDIN_FILENO, out, cap, err);
    }
    if (rc != 0) {
        ib_wipe(out, cap);
    }
    return rc;
}
