# SPDX-License-Identifier: Apache-2.0
"""The wall clock jumps. Row 28 of icegrid-internal 20."""

import os
import struct
import time

import IceGrid

from lib import descriptors as dd
from lib.deployment import MOULIN
from lib.peers import Slave
from lib.process import wait_until

from . import check
from .replicas import AT_ONCE, TIMEOUT, Writer, alike, registries

LIBRARY = os.path.join(os.path.dirname(os.path.abspath(MOULIN)), "..", "tests", "fault", "libclock_jump.so")
DAY = 86400
NAMES = ("Master", "Replica1")


class Clock:
    """Of the daemons that are started with its prefix."""

    def __init__(self, d):
        check(os.access(LIBRARY, os.R_OK), "no library " + LIBRARY)
        self.path = d.path("clock")
        self.set(0)
        self.prefix = ("env", "LD_PRELOAD=" + LIBRARY, "CLOCK_JUMP=" + self.path, "ASAN_OPTIONS=%s" % ":".join(
            filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"))))

    def set(self, seconds):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as f:
            f.write(struct.pack("=q", seconds))
        self.seconds = seconds


def is_told(d, clock):
    """A line of the master's log has the time of its clock: so it did jump."""
    stranger = Slave(d, "Stranger")
    before = len(d.daemons["Master"].stderr())
    try:
        stranger.register("Master")
        check(False, "a slave called Master is taken")
    except IceGrid.PermissionDeniedException:
        pass
    stranger.close()
    seen = d.daemons["Master"].stderr()[before:]
    days = [time.strftime("%m/%d/%y", time.localtime(time.time() + clock.seconds + s)) for s in (-60, 0)]
    check(any(day in seen for day in days), "the clock did not jump by %d s:\n%s" % (clock.seconds, seen))


def jumps(d):
    """Forwards and back by days, for longer than a session lives without a sign of life: sessions of slaves, nodes and
    administrators go on, changes are taken at once, nothing is synchronized anew."""
    clock = Clock(d)
    for name in NAMES:
        d.start_registry(name, prefix=clock.prefix, IceGrid__Registry__NodeSessionTimeout=str(TIMEOUT),
                         IceGrid__Registry__SessionTimeout=str(TIMEOUT), IceGrid__Registry__Trace__Node="1",
                         IceGrid__Registry__Trace__Replica="1")
    d.start_node(registries=NAMES)
    w = Writer(d)
    d.await_node(w.admin)
    w.admin.addApplication(dd.application("App", {"node1": dd.node(dd.process("Server"))}))
    w.admin.startServer("Server")
    pid = w.admin.getServerPid("Server")
    wait_until(lambda: all("node `node1' up" in d.daemons[r].stderr() for r in NAMES), "the node at both")
    for days in (3, -40, 0):
        clock.set(days * DAY)
        is_told(d, clock)
        end, longest = time.monotonic() + TIMEOUT + 2, 0
        while time.monotonic() < end:  # the condition is that nothing happens for so long
            longest = max(longest, w.write())
            w.session.keepAlive()
        check(longest < AT_ONCE, "a write took %.1f s" % longest)
        alike(d, *NAMES)
        check(registries(d) == ["Registry", "Registry-Replica1"], "registries: %s" % registries(d))
        check(w.admin.pingNode("node1") and w.admin.getServerPid("Server") == pid, "the node was lost")
        for name in NAMES:
            for word in ("down", "lost session", "sign of life", "synchronize", "expired"):
                check(word not in d.daemons[name].stderr(), "%s:\n%s" % (name, d.daemons[name].stderr()))


CASES = [jumps]
