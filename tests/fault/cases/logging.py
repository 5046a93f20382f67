# SPDX-License-Identifier: Apache-2.0
"""The system's log does not listen, or listens and does not read: nobody waits for it."""

import socket

from lib.syslog import start_with_own_dev

from . import check


def answers(d):
    """Requests that each leave lines in the log."""
    for _ in range(50):
        c = d.communicator()
        d.locator_proxy(c).ice_ping()
        d.drop(c)


def nobody_reads(d):
    """A few dozen messages fill the socket; what does not fit is lost. (ZeroC's registry stops at the eleventh.)"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(d.path("syslog"))
        daemon = start_with_own_dev(d)
        answers(d)
        check(daemon.stop() == 0, "an orderly end")
        log.setblocking(False)
        check(b"registry[" in log.recv(65536), "the first lines are there")


def nobody_listens(d):
    """Then stderr has the lines, in its own form; a log that comes later gets the others."""
    daemon = start_with_own_dev(d)
    check("Network: listening for tcp" in daemon.stderr(), daemon.stderr())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(d.path("syslog"))
        log.settimeout(30)
        answers(d)
        check(b"Network: accepted" in log.recv(65536), "it is found again")
    check(daemon.stop() == 0, "an orderly end")
    check("stopping to accept" in daemon.stderr(), "stderr again when it is gone")


CASES = [nobody_reads, nobody_listens]
