# SPDX-License-Identifier: Apache-2.0
"""Publishing: every kind of subscriber and what it gets, order, contexts, failures and retries, queues, links."""

import threading

from lib import topics
from lib.bindings import Ice
from lib.process import wait_until

emit = topics.emit
MODES = (("twoway", ""), ("oneway", "-o"), ("batch", "-O"))


def fresh(d, name):
    topic = topics.manager(d).create(name)
    return topic, topic.getPublisher()



def event(n):
    """An encapsulation of one int."""
    return b"\x0a\0\0\0\1\1" + n.to_bytes(4, "little")


def everything_is_an_event(d, r):
    topic, publisher = fresh(d, "blobs")
    inbox, prx = topics.Subscribers(d).add("s")
    topic.subscribeAndGetPublisher({}, prx)
    r.call("own operation", emit, publisher, "tick", event(1), Ice.OperationMode.Idempotent, {"a": "b", "": "c"})
    r.call("ping", publisher.ice_ping)
    r.call("isA", lambda: emit(publisher, "ice_isA", topics.NOTHING, Ice.OperationMode.Nonmutating))
    r.call("empty name", emit, publisher, "")
    r.call("encoding 1.0", emit, publisher.ice_encodingVersion(Ice.Encoding_1_0), "old", b"\x06\0\0\0\1\0")
    r.call("facet", publisher.ice_facet("x").ice_ping)
    emit(publisher.ice_oneway(), "oneway", event(2))
    r.value("events", sorted(inbox.await_count(6)))


def kinds(d, r):
    """Each kind of proxy gets all events; ordered, oneway and batch subscribers in their order."""
    topic, publisher = fresh(d, "kinds")
    subscribers = topics.Subscribers(d)
    inboxes = {}
    for name, mode in MODES:
        inboxes[name], prx = subscribers.add(name, mode)
        topic.subscribeAndGetPublisher({}, prx)
    inboxes["ordered"], prx = subscribers.add("ordered")
    topic.subscribeAndGetPublisher({"reliability": "ordered"}, prx)
    for n in range(200):
        emit(publisher, "e%d" % n, event(n), context={"n": str(n)})
    for name in sorted(inboxes):
        events = inboxes[name].await_count(200)
        r.value(name + " twoway", sorted(set(e[4] for e in events)))
        r.value(name + " all", sorted(e[0] for e in events) == sorted("e%d" % n for n in range(200)))
        if name != "twoway":
            r.value(name + " in order", [e[0] for e in events] == ["e%d" % n for n in range(200)])
        r.value(name + " unchanged", all(e[3] == event(int(e[2]["n"])) and e[0] == "e" + e[2]["n"] for e in events))


def datagrams(d, r):
    topic, publisher = fresh(d, "datagrams")
    subscribers = topics.Subscribers(d, endpoints="udp -h 127.0.0.1")
    for name, mode in (("single", "-d"), ("batch", "-D")):
        inbox, prx = subscribers.add(name, mode)
        topic.subscribeAndGetPublisher({}, prx)
        d.extras[name] = inbox
    for n in range(5):
        emit(publisher, "e%d" % n, event(n))
    for name in ("single", "batch"):
        r.value(name, [e[:4] for e in sorted(d.extras[name].await_count(5))])


def one_subscriber(d, r):
    """What is published to a subscriber's own publisher goes to it alone."""
    topic, _ = fresh(d, "single")
    subscribers = topics.Subscribers(d)
    first, prx = subscribers.add("first")
    own = topic.subscribeAndGetPublisher({}, prx)
    second, prx = subscribers.add("second")
    other = topic.subscribeAndGetPublisher({}, prx)
    r.value("proxy", own)
    r.call("publish", emit, own, "mine", event(1), context={"x": "y"})
    r.call("ping", own.ice_ping)
    emit(other, "other")
    r.value("first", sorted(first.await_count(2)))
    r.value("second", second.await_count(1))
    topic.unsubscribe(prx)
    r.call("gone", other.ice_ping)


def fail(name):
    def raiser(operation, current):
        if name == "user":
            return False
        if name == "unknown":
            raise RuntimeError("x")
        if name == "not there":
            raise Ice.ObjectNotExistException()
        if name == "no operation":
            raise Ice.OperationNotExistException()
        return True
    return raiser


def failures(d, r):
    """Which failures end a subscription: seen when the next event has been published."""
    topic, publisher = fresh(d, "failures")
    subscribers = topics.Subscribers(d)
    inboxes = {}
    for name in ("none", "user", "unknown", "not there", "no operation"):
        inboxes[name], prx = subscribers.add(name, on_event=fail(name))
        topic.subscribeAndGetPublisher({"reliability": "ordered"}, prx)
    topic.subscribeAndGetPublisher({}, d.extras["client"].stringToProxy("refused:tcp -h 127.0.0.1 -p 1"))
    topic.subscribeAndGetPublisher({}, d.extras["client"].stringToProxy("wk"))

    def left():
        emit(publisher, "again")
        return len(topic.getSubscribers()) == 2
    emit(publisher, "first")
    wait_until(left, "the failed ones are gone")
    r.call("left", topic.getSubscribers)
    r.call("subscribe again", topic.subscribeAndGetPublisher, {}, d.extras["client"].stringToProxy("wk"))


def retries(d, r):
    """retryCount failures are forgiven, with a pause after each; a hard one is not."""
    topic, publisher = fresh(d, "retries")
    subscribers = topics.Subscribers(d)
    seen, state = [], {"fail": 2}

    def twice(operation, current):
        seen.append(operation)
        if state["fail"]:
            state["fail"] -= 1
            raise RuntimeError("x")
        return True
    _, prx = subscribers.add("twice", on_event=twice)
    topic.subscribeAndGetPublisher({"retryCount": "2", "reliability": "ordered"}, prx)
    topic.subscribeAndGetPublisher({"retryCount": "1"}, d.extras["client"].stringToProxy("refused:tcp -h 127.0.0.1 -p 1"))
    _, prx = subscribers.add("hard", on_event=fail("not there"))
    topic.subscribeAndGetPublisher({"retryCount": "-1"}, prx)
    _, prx = subscribers.add("always", on_event=fail("unknown"))
    topic.subscribeAndGetPublisher({"retryCount": "-1"}, prx)

    def tried():
        emit(publisher, "try")
        return len(seen) >= 4 and len(topic.getSubscribers()) == 2
    wait_until(tried, "the fourth try, and two subscribers left")
    r.call("left", topic.getSubscribers)
    r.value("tried", sorted(set(seen)))


def slow_one(d, r):
    """A subscriber that does not answer keeps nobody from the events, and gets them in order."""
    topic, publisher = fresh(d, "slow")
    gate = threading.Event()
    d.on_close.append(gate.set)
    slow, prx = topics.Subscribers(d).add("slow", on_event=lambda operation, current: gate.wait(60))
    topic.subscribeAndGetPublisher({"reliability": "ordered"}, prx)
    quick, prx = topics.Subscribers(d).add("quick")
    topic.subscribeAndGetPublisher({"reliability": "ordered"}, prx)
    for n in range(50):
        emit(publisher, "e%d" % n)
    r.value("quick", [e[0] for e in quick.await_count(50)])
    r.value("slow", slow.operations())
    gate.set()
    r.value("slow later", [e[0] for e in slow.await_count(50)])


def crowd(d):
    """A topic with a subscriber that holds the first of 40 events; it, the subscriber, and what lets it go on."""
    topic, publisher = fresh(d, "crowded")
    gate = threading.Event()
    d.on_close.append(gate.set)
    slow, prx = topics.Subscribers(d).add("slow", on_event=lambda operation, current: gate.wait(60))
    topic.subscribeAndGetPublisher({"reliability": "ordered"}, prx)
    emit(publisher, "e0")
    slow.await_count(1)
    for n in range(1, 40):
        emit(publisher, "e%d" % n)
    return topic, slow, gate


def crowded_out(d, r):
    """Send.QueueSizeMax: what waits for a slow subscriber beyond it costs the oldest events."""
    topic, slow, gate = crowd(d)
    r.call("subscribers", topic.getSubscribers)
    gate.set()
    r.value("delivered", [e[0] for e in slow.await_count(11)])


def removed(d, r):
    """The same costs the subscription."""
    topic, slow, gate = crowd(d)
    wait_until(lambda: not topic.getSubscribers(), "the removal of the slow one")
    gate.set()
    r.value("delivered", slow.operations())


def federation(d, r):
    """Over a link go events that do not cost more than it; what came over one goes over none."""
    m = topics.manager(d)
    a, b, c, free = m.create("fa"), m.create("fb"), m.create("fc"), m.create("free")
    subscribers = topics.Subscribers(d)
    inboxes = {}
    for topic in (a, b, c, free):
        inboxes[topic.getName()], prx = subscribers.add(topic.getName())
        topic.subscribeAndGetPublisher({"reliability": "ordered"}, prx)
    a.link(b, 5)
    a.link(free, 0)
    b.link(c, 0)
    b.link(a, 0)
    publisher = a.getPublisher()
    for n, cost in enumerate((None, "", "0", "5", "6", "abc", "-3", "7x", "99999999999", " 6")):
        emit(publisher, "e%d" % n, event(n), Ice.OperationMode.Idempotent, {} if cost is None else {"cost": cost, "k": "v"})
    emit(publisher, "last", context={"cost": "1"})
    for name in ("fa", "fb", "free"):
        wait_until(lambda name=name: "last" in inboxes[name].operations(), "the last event at " + name)
        r.value(name, inboxes[name].events)
    emit(b.getPublisher(), "own")
    r.value("one hop", inboxes["fc"].await_count(1))
    wait_until(lambda: "own" in inboxes["fa"].operations(), "an event the other way")
    a.unlink(b)
    emit(publisher, "after")
    wait_until(lambda: "after" in inboxes["free"].operations(), "the event after")
    r.value("unlinked", "after" in inboxes["fb"].operations())


def plan():
    setup = topics.service(Discard__Interval="1", Flush__Timeout="100")
    yield "kept", setup, [everything_is_an_event, kinds, datagrams, one_subscriber, failures, retries, slow_one, federation]
    yield "transient", topics.service(Transient="1", Flush__Timeout="100"), [everything_is_an_event, kinds, federation]
    for policy, case in (("DropEvents", crowded_out), ("RemoveSubscriber", removed), ("Other", removed)):
        yield policy, topics.service(Send__QueueSizeMax="10", Send__QueueSizeMaxPolicy=policy), [case]
