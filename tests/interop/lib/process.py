# SPDX-License-Identifier: Apache-2.0
"""Processes of a test: started with a log file, awaited by conditions, stopped by pid, never left behind.

A daemon dies with the test that started it (PR_SET_PDEATHSIG), however the test ends. The kernel looks at the thread
that started it, so there is one for all of them: the daemons of a case outlive the case's own thread.
"""

import concurrent.futures
import ctypes
import os
import random
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
PATIENCE = 30.0  # seconds any single condition may take; sanitizer builds on two busy cores are slow
_libc = ctypes.CDLL(None)
_given_ports = set()
_starter = concurrent.futures.ThreadPoolExecutor(1, "starter")


class Failure(Exception):
    """A test could not be carried out; the text says what was awaited and what was seen."""


def wait_until(condition, what, timeout=PATIENCE):
    """Poll condition() until it is true and return its value; Failure names `what` when the time is over."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("not seen within %.0f s: %s" % (timeout, what() if callable(what) else what))
        time.sleep(0.01)


def free_port():
    """A port nobody listens on. Below the ephemeral range, so that no outgoing connection takes it in between."""
    while True:
        port = random.randrange(15000, 32000)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Daemon:
    """One child process; its stdout and stderr go to separate files in `directory`."""

    def __init__(self, name, argv, directory, env=None, cwd=None):
        self.name = name
        self.argv = argv
        self.out = os.path.join(directory, name + ".out")
        self.err = os.path.join(directory, name + ".err")
        with open(self.out, "ab") as out, open(self.err, "ab") as err:
            self.start = (os.path.getsize(self.out), os.path.getsize(self.err))
            self.process = _starter.submit(
                subprocess.Popen, argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd,
                env=dict(os.environ, **(env or {})), preexec_fn=die_with_parent).result()

    @property
    def pid(self):
        return self.process.pid

    def stdout(self):
        return _tail(self.out, self.start[0])

    def stderr(self):
        return _tail(self.err, self.start[1])

    def alive(self):
        return self.process.poll() is None

    def await_line(self, line, timeout=PATIENCE):
        """Wait for a line of stdout; a process that ends instead is a failure with its last words."""
        def seen():
            if line in self.stdout().splitlines():
                return True
            if not self.alive():
                raise Failure("%s ended with status %s before printing '%s':\n%s%s"
                              % (self.name, self.process.returncode, line, self.stdout(), self.stderr()))
            return False
        wait_until(seen, lambda: "'%s' from %s; it printed:\n%s%s" % (line, self.name, self.stdout(), self.stderr()),
                   timeout)

    def await_exit(self, timeout=PATIENCE):
        wait_until(lambda: not self.alive(), "end of %s" % self.name, timeout)
        return self.process.returncode

    def signal(self, number):
        if self.alive():
            os.kill(self.pid, number)

    def kill(self):
        """kill -9 and reap."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout=PATIENCE):
        """An orderly end; the exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("%s did not end within %.0f s after SIGTERM" % (self.name, timeout))

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)


def _tail(path, start):
    with open(path, "rb") as f:
        f.seek(start)
        return f.read().decode("utf-8", "replace")
