#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""PROGRAM ARGUMENTS...: becomes that program, which is killed when the process that started it ends: what a node of a test
runs does not outlive the test. Somebody else watches both, since the program cannot, and holds nothing open that the node
waits for."""

import os
import select
import signal
import sys


def watch(parent, program):
    os.setsid()
    for fd in range(os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 65536 else 65536):
        if fd not in (parent, program):
            try:
                os.close(fd)
            except OSError:
                pass
    poll = select.poll()
    poll.register(parent, select.POLLIN)
    poll.register(program, select.POLLIN)
    if program not in (fd for fd, _ in poll.poll()):
        signal.pidfd_send_signal(program, signal.SIGKILL)


def main():
    parent, program = os.pidfd_open(os.getppid()), os.pidfd_open(os.getpid())
    if os.fork() == 0:
        if os.fork() == 0:
            watch(parent, program)
        os._exit(0)
    os.wait()
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
