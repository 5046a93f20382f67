#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Three replicas of an IceStorm service with many topics, ZeroC's and ours, the same election timeouts for both. One replica is killed
and comes back; then the coordinator is killed, and comes back. Medians of seconds:
  back     from the start of the process until a topic made meanwhile is found at it
  stalled  the longest create at the coordinator while it comes back
  killed   from the coordinator's end until a topic is created through another replica
usage: MOULIN=build/release/moulin/moulin rejoin.py [TOPICS [ROUNDS [TIMEOUT]]]"""

import os
import statistics
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "interop"))

from lib.bindings import Ice  # noqa: E402
from lib.storm_group import Group  # noqa: E402

import IceStorm  # noqa: E402

TOPICS = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
TIMEOUT = sys.argv[3] if len(sys.argv) > 3 else "2"
WINDOW = 200
POLL = 0.005


def populate(manager):
    pending = []
    for n in range(TOPICS):
        pending.append(manager.createAsync("t%d" % n))
        if len(pending) == WINDOW:
            pending.pop(0).result()
    for future in pending:
        future.result()


def until(done):
    began = time.monotonic()
    while not done():
        time.sleep(POLL)
    return time.monotonic() - began


def answers(call, *arguments):
    try:
        call(*arguments)
        return True
    except (Ice.LocalException, IceStorm.NoSuchTopic):
        return False


class Writer(threading.Thread):
    """Creates topics one after the other and remembers the longest time one took."""

    def __init__(self, manager, prefix):
        super().__init__()
        self.manager, self.prefix, self.longest, self.ending = manager, prefix, 0.0, False

    def run(self):
        n = 0
        while not self.ending:
            began = time.monotonic()
            self.manager.create("%s-%d" % (self.prefix, n))
            self.longest = max(self.longest, time.monotonic() - began)
            n += 1

    def stop(self):
        self.ending = True
        self.join()
        return self.longest


def returns(g, n):
    g.daemon(1).kill()
    name = "meanwhile-%d" % n
    g.manager(2).create(name)
    writer = Writer(g.manager(3), "w%d" % n)
    writer.start()
    began = time.monotonic()
    g.launch(1)
    manager = g.manager(1, timeout=2000)
    until(lambda: answers(manager.retrieve, name))
    back = time.monotonic() - began
    g.await_group(1, 2, 3)
    return back, writer.stop()


def loses_coordinator(g, n):
    g.daemon(3).kill()
    manager = g.manager(1, timeout=60000)
    took = until(lambda: answers(manager.create, "killed-%d" % n))
    g.launch(3)
    g.await_group(1, 2, 3)
    return took


def measure(flavour):
    settings = {"Election__%sTimeout" % which: TIMEOUT for which in ("Master", "Election", "Response")}
    with Group(flavour, **settings) as g:
        g.start_all()
        populate(g.manager(3))
        pairs = [returns(g, n) for n in range(ROUNDS)]
        killed = [loses_coordinator(g, n) for n in range(ROUNDS)]
    return [statistics.median(column) for column in (*zip(*pairs), killed)]


def main():
    print("%d topics, timeouts of %s s, %d rounds" % (TOPICS, TIMEOUT, ROUNDS))
    rows = [measure(flavour) for flavour in ("zeroc", "moulin")]
    for what, theirs, ours in zip(("back", "stalled", "killed"), *rows):
        print("%-8s zeroc %7.3f s   moulin %7.3f s   ratio %.2f" % (what, theirs, ours, ours / theirs))


if __name__ == "__main__":
    main()
