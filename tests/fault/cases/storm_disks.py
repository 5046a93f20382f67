# SPDX-License-Identifier: Apache-2.0
"""Replicas of topics whose disk takes nothing more while they run, and takes something again. Rows F18 and F19 of icestorm
15.2."""

import resource

import Ice

from lib import topics
from lib.process import wait_until

from . import check
from .overlap import NO_SIGNAL, limit_files
from .storm_replicas import IN_DOUBT, with_group


def start(g):
    for i in g.ids:
        g.launch(i, prefix=NO_SIGNAL)
    check(g.await_group(1, 2, 3) == 3, "3 leads")


def fill(g, i):
    limit_files(g, "storm%d" % i, 1)


def make_room(g, i):
    limit_files(g, "storm%d" % i, resource.RLIM_INFINITY)


def full_slave(g):
    """It is left out, and looked for; the others go on. With room again it has everything."""
    start(g)
    m = g.manager(3, timeout=30000)
    m.create("before")
    fill(g, 1)
    for n in range(10):
        m.create("t%d" % n)
    wait_until(lambda: g.view((3,))[3]["group"] == "2", lambda: "1 is left out: %s" % g.view())
    check("t9" in g.names(2) and g.view((1,))[1]["state"] != "normal", "1 is not active: %s" % g.view())
    make_room(g, 1)
    g.await_group(1, 2, 3)
    g.await_names(["before"] + ["t%d" % n for n in range(10)])


def full_coordinator(g):
    """Updates fail, or another leads; what was answered stays, events go on, and with room again all are one."""
    start(g)
    inbox, prx = topics.Subscribers(g).add("inbox")
    topic = g.manager(3).create("before")
    topic.subscribeAndGetPublisher({}, prx)
    publisher = topic.ice_endpoints(g.manager(2).ice_getEndpoints()).getNonReplicatedPublisher()
    fill(g, 3)
    done, failed = {"before"}, set()
    for n in range(5):
        try:
            g.manager(3, timeout=5000).create("t%d" % n)
            done.add("t%d" % n)
        except IN_DOUBT + (Ice.InvocationTimeoutException,):
            failed.add("t%d" % n)
    check(failed, "a disk that takes nothing took everything")
    topics.emit(publisher, "event")
    wait_until(lambda: "event" in inbox.operations(), "the event")
    make_room(g, 3)
    g.await_group(1, 2, 3)
    g.manager(1, timeout=30000).create("room again")
    names = set(g.names(3))
    check(done | {"room again"} <= names <= done | failed | {"room again"}, "answered %s, there are %s" % (done, names))
    g.await_names(names)


CASES = [with_group(case) for case in (full_slave, full_coordinator)]
