# SPDX-License-Identifier: Apache-2.0
"""What a storm service has after kill -9 and after the end of a transient one, what is left of a topic that is destroyed
while it is used, and when batches leave."""

import time

from lib import topics
from lib.process import wait_until


def subscribed(d, topic, name, mode="", **qos):
    subscribers = d.extras.setdefault("subscribers", topics.Subscribers(d))
    inbox, prx = subscribers.add(name, mode)
    return inbox, prx, topic.subscribeAndGetPublisher(qos, prx)


def killed(d, r):
    """kill -9 the moment the last answer is there: topics, subscribers, links and settings are back, delivery goes on."""
    m = topics.manager(d)
    a, b = m.create("a"), m.create("b")
    kept, _, _ = subscribed(d, a, "kept", reliability="ordered", retryCount="2")
    batch, _, _ = subscribed(d, a, "batch", "-O")
    far, prx, _ = subscribed(d, b, "far")
    a.link(b, 5)
    d.daemons["storm"].kill()
    topics.start(d, **d.extras["more"])
    r.call("topics", m.retrieveAll)
    r.call("subscribers", a.getSubscribers)
    r.call("links", a.getLinkInfoSeq)
    r.call("again", b.subscribeAndGetPublisher, {}, prx)
    publisher = a.getPublisher()
    for n, cost in enumerate(("0", "5", "6")):
        topics.emit(publisher, "e%d" % n, context={"cost": cost})
    r.value("kept", [e[0] for e in kept.await_count(3)])
    r.value("batch", [e[0] for e in batch.await_count(3)])
    r.value("far", sorted(e[0] for e in far.await_count(2)))


def transient_restart(d, r):
    """Nothing is there after the end of a transient service."""
    m = topics.manager(d)
    subscribed(d, m.create("a"), "s")
    d.daemons["storm"].stop()
    topics.start(d, **d.extras["more"])
    r.call("topics", m.retrieveAll)
    r.call("the topic", m.retrieve, "a")
    r.call("its like", m.create, "a")


def in_use(d, r):
    """A topic is destroyed under its subscribers and publishers: none of its objects is left, the subscribers get nothing
    more, and a topic of the same name is another one."""
    m = topics.manager(d)
    topic, other = m.create("used"), m.create("other")
    inbox, prx, own = subscribed(d, topic, "s1")
    topic.link(other, 0)
    publisher = topic.getPublisher()
    topics.emit(publisher, "before")
    inbox.await_count(1)
    topic.destroy()
    for label, operation in (("topic", topic.getName), ("subscribers", topic.getSubscribers), ("publisher", publisher.ice_ping),
                             ("own publisher", own.ice_ping), ("event", lambda: topics.emit(publisher, "lost")),
                             ("unsubscribe", lambda: topic.unsubscribe(prx)), ("destroy", topic.destroy)):
        r.call(label, operation)
    topic = m.create("used")
    r.call("subscribers of the next", topic.getSubscribers)
    r.call("links of the next", topic.getLinkInfoSeq)
    fresh, _, _ = subscribed(d, topic, "s2")
    topics.emit(publisher, "after")
    r.value("next", [e[0] for e in fresh.await_count(1)])
    r.value("before", inbox.operations())


def batch_timing(d, r):
    """Nothing leaves before Flush.Timeout is over, counted from the first event; then all does."""
    topic = topics.manager(d).create("batches")
    times = []
    inbox, prx = topics.Subscribers(d).add("s", "-O", lambda *_: times.append(time.monotonic()) or True)
    topic.subscribeAndGetPublisher({}, prx)
    for round in range(2):
        begin = time.monotonic()
        for n in range(30):
            topics.emit(topic.getPublisher(), "e%d" % n)
        inbox.await_count(30 * (round + 1))
        wait_until(lambda: len(times) == 30 * (round + 1), "the times of all")
        arrived = times[30 * round:]
        r.value("not before", arrived[0] - begin >= 0.98)
        r.value("together", arrived[-1] - arrived[0] < 0.9)
    r.value("events", [e[0] for e in inbox.events])


def service(**more):
    def make(flavour):
        d = topics.service(**more)(flavour)
        d.extras["more"] = more
        return d
    return make


def plan():
    yield "killed", service(Flush__Timeout="50"), [killed]
    yield "kept", service(), [in_use, batch_timing]
    yield "transient", service(Transient="1"), [transient_restart, batch_timing]
