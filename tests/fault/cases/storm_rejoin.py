# SPDX-License-Identifier: Apache-2.0
"""A replica that comes back to ten thousand subscriptions; a subscriber that is found dead while there is no coordinator.
Rows F23 and F26 of icestorm 15.2."""

import threading
import time

import IceStorm

from lib import topics
from lib.process import wait_until

from . import check
from .storm_replicas import with_group

TOPICS, SUBSCRIBERS, WINDOW = 1000, 10, 500
STALLED = 5  # seconds that a client may wait meanwhile; on an idle machine less than one


def all_of(begun):
    """The results of these calls, a window of them under way at a time."""
    results = []
    pending = []
    for begin in begun:
        pending.append(begin())
        if len(pending) == WINDOW:
            results += [f.result() for f in pending]
            pending = []
    return results + [f.result() for f in pending]


def subscribers(g, topic, i):
    return sorted(s.name for s in topic.ice_endpoints(g.manager(i).ice_getEndpoints()).getSubscribers())


def large_content(g):
    g.start_all()
    m = g.manager(3, timeout=60000)
    c = g.extras["client"]
    made = all_of([lambda n=n: m.createAsync("t%d" % n) for n in range(TOPICS)])
    all_of([lambda t=t, n=n: t.ice_endpoints(m.ice_getEndpoints()).subscribeAndGetPublisherAsync(
        {}, c.stringToProxy("s%d:tcp -h 127.0.0.1 -p 9" % n)) for t in made for n in range(SUBSCRIBERS)])
    g.daemon(1).kill()
    g.manager(2, timeout=30000).create("meanwhile")
    made[7].ice_endpoints(m.ice_getEndpoints()).unsubscribe(c.stringToProxy("s3:tcp -h 127.0.0.1 -p 9"))
    longest, ending = [0.0], threading.Event()

    def write():
        n = 0
        while not ending.is_set():
            began = time.monotonic()
            m.create("w%d" % n)
            longest[0] = max(longest[0], time.monotonic() - began)
            n += 1
    writer = threading.Thread(target=write)
    writer.start()
    g.launch(1)
    try:
        g.await_group(1, 2, 3)
    finally:
        ending.set()
        writer.join()
    check(longest[0] < STALLED, "a client waited %.1f s" % longest[0])
    names = g.names(3)
    check(len(names) > TOPICS and "meanwhile" in names, "%d topics" % len(names))
    g.await_names(names)
    everyone = sorted("s%d" % n for n in range(SUBSCRIBERS))
    for n in (0, 7, TOPICS - 1):
        wanted = [s for s in everyone if n != 7 or s != "s3"]
        check(subscribers(g, made[n], 1) == wanted, "t%d at 1: %s" % (n, subscribers(g, made[n], 1)))


def found_dead_without_coordinator(g):
    """Nobody can be told of it then; it is removed everywhere once there is a coordinator again."""
    g.start_all()
    topic = g.manager(1).create("dead")
    c = g.extras["client"]
    topic.subscribeAndGetPublisher({}, c.stringToProxy("nobody:tcp -h 127.0.0.1 -p 1"))
    publisher = topic.ice_endpoints(g.manager(1).ice_getEndpoints()).getNonReplicatedPublisher().ice_oneway()
    g.daemon(3).kill()
    g.daemon(2).kill()
    topics.emit(publisher, "event")
    g.launch(2)
    g.launch(3)
    g.await_group(1, 2, 3)

    def gone():
        topics.emit(publisher, "event")
        return not any(subscribers(g, topic, i) for i in g.ids)
    wait_until(gone, "the subscriber is removed everywhere")
    try:
        topic.ice_endpoints(g.manager(2).ice_getEndpoints()).unsubscribe(c.stringToProxy("nobody:tcp -h 127.0.0.1 -p 1"))
    except IceStorm.NoSuchTopic:
        check(False, "the topic is gone, too")


CASES = [with_group(case) for case in (large_content, found_dead_without_coordinator)]
