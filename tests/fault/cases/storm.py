# SPDX-License-Identifier: Apache-2.0
"""Topics: kill -9 loses nothing that was acknowledged; subscribers that hang, die or never come delay nobody and take no
more memory than they may; publishers and links that send nonsense; a start that must not succeed."""

import os
import random
import socket
import struct
import threading

from lib import topics
from lib.bindings import Ice
from lib.process import Failure, wait_until

from . import check

ROUNDS = 12
# A sanitizer keeps what is freed: that would be counted.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
EMPTY = topics.NOTHING


def content(d):
    m = topics.manager(d, communicator=d.communicator())
    return {name: (sorted(i.name for i in t.getSubscribers()), [(l.name, l.cost) for l in t.getLinkInfoSeq()])
            for name, t in m.retrieveAll().items()}


def after_each_reply(d):
    """One change, kill -9 the moment its reply is there, restart, look; for every kind of change."""
    wanted = {}
    for n in range(ROUNDS):
        topics.start(d)
        check(content(d) == wanted, "round %d: %s instead of %s" % (n, content(d), wanted))
        c = d.communicator()
        m = topics.manager(d, communicator=c)
        kind = n % 6
        if kind == 0:
            m.create("t%d" % n)
            m.create("other%d" % n)
            wanted["t%d" % n] = wanted["other%d" % n] = ([], [])
        elif kind == 1:
            m.retrieve("t%d" % (n - 1)).subscribeAndGetPublisher({}, c.stringToProxy("s%d:tcp -h 127.0.0.1 -p 9" % n))
            wanted["t%d" % (n - 1)] = (["s%d" % n], [])
        elif kind == 2:
            m.retrieve("t%d" % (n - 2)).link(m.retrieve("other%d" % (n - 2)), n)
            subscribers = sorted(["s%d" % (n - 1), "topic.other%d" % (n - 2)])
            wanted["t%d" % (n - 2)] = (subscribers, [("other%d" % (n - 2), n)])
        elif kind == 3:
            m.retrieve("t%d" % (n - 3)).unsubscribe(c.stringToProxy("s%d" % (n - 2)))
            wanted["t%d" % (n - 3)] = (["topic.other%d" % (n - 3)], wanted["t%d" % (n - 3)][1])
        elif kind == 4:
            m.retrieve("t%d" % (n - 4)).unlink(m.retrieve("other%d" % (n - 4)))
            wanted["t%d" % (n - 4)] = ([], [])
        else:
            m.retrieve("other%d" % (n - 5)).destroy()
            del wanted["other%d" % (n - 5)]
        d.daemons["storm"].kill()
        d.drop(c)
    topics.start(d)
    check(content(d) == wanted, "in the end: %s instead of %s" % (content(d), wanted))


def in_full_swing(d):
    """kill -9 while four clients create: what was acknowledged is there, and at most what was under way besides."""
    acknowledged, started = set(), set()
    lock = threading.Lock()
    for n in range(4):
        storm = topics.start(d)
        check(acknowledged <= set(content(d)) <= started, "%s were acknowledged, %s are there"
              % (sorted(acknowledged), sorted(content(d))))

        def work(worker, n=n):
            m = topics.manager(d, communicator=d.communicator())
            for k in range(10000):
                name = "t%d-%d-%d" % (n, worker, k)
                with lock:
                    started.add(name)
                try:
                    m.create(name)
                except Ice.LocalException:
                    return
                with lock:
                    acknowledged.add(name)
        threads = [threading.Thread(target=work, args=(w,), daemon=True) for w in range(4)]
        for t in threads:
            t.start()
        before = len(acknowledged)
        wait_until(lambda: len(acknowledged) > before + random.randrange(40, 120), "some topics")
        storm.kill()
        for t in threads:
            t.join()
    topics.start(d)
    found = set(content(d))
    check(acknowledged <= found <= started, "%d acknowledged, %d found" % (len(acknowledged), len(found)))


class Mute:
    """A server that accepts connections, says that it is one, and reads nothing."""

    def __init__(self, d):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.connections = []
        d.on_close.append(self.socket.close)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            c.sendall(b"IceP\1\0\1\0\3\0" + struct.pack("<i", 14))
            self.connections.append(c)


def memory(process):
    with open("/proc/%d/statm" % process.pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def mute_subscribers(d):
    """Subscribers of every kind that read nothing: others get their events at once, and what waits is bounded."""
    limit = 1 << 20
    storm = topics.start(d, settings={"Moulin.Storm.Queue.MaxBytes": str(limit)}, Send__QueueSizeMaxPolicy="DropEvents")
    m = topics.manager(d)
    topic = m.create("t")
    publisher = topic.getPublisher()
    mute = Mute(d)
    c = d.extras["client"]
    for name, option, qos in (("two", "", {}), ("ordered", "", {"reliability": "ordered"}), ("one", "-o", {}), ("batch", "-O", {})):
        topic.subscribeAndGetPublisher(qos, c.stringToProxy("%s %s:tcp -h 127.0.0.1 -p %d" % (name, option, mute.port)))
    topic.link(m.create("u"), 0)
    quick, prx = topics.Subscribers(d).add("quick")
    topic.subscribeAndGetPublisher({"reliability": "ordered"}, prx)
    before = memory(storm)
    big = struct.pack("<i", 20000) + b"\1\1" + bytes(19994)
    for n in range(2000):
        topics.emit(publisher, "e%d" % n, big)
        if n % 20 == 19:
            quick.await_count(n + 1)
    check([e[0] for e in quick.events] == ["e%d" % n for n in range(2000)], "the quick one has all in order")
    grown = memory(storm) - before
    check(grown < 120 << 20, "grew by %d MB with 40 MB published and 5 queues of 1 MB" % (grown >> 20))
    check(len(topic.getSubscribers()) == 6, "nobody was removed: %s" % topic.getSubscribers())


def held_oneways(d):
    """Oneway and batch subscribers that read nothing for a while, with more on its way than a connection takes: afterwards
    they have all of it, in order."""
    topics.start(d, Flush__Timeout="20")
    topic = topics.manager(d).create("t")
    gate = threading.Event()
    d.on_close.append(gate.set)
    inboxes = []
    for name, option in (("one", "-o"), ("batch", "-O")):
        inbox, prx = topics.Subscribers(d).add(name, option, lambda operation, current: operation == "e0" or gate.wait(60))
        topic.subscribeAndGetPublisher({}, prx)
        inboxes.append(inbox)
    publisher = topic.getPublisher()
    topics.emit(publisher, "e0")
    for inbox in inboxes:
        inbox.await_count(1)
    big = struct.pack("<i", 20000) + b"\1\1" + bytes(19994)
    for n in range(1, 1000):
        topics.emit(publisher, "e%d" % n, big)
    for inbox in inboxes:
        check(len(inbox.events) < 100, "%d events came although nothing was read" % len(inbox.events))
    gate.set()
    for inbox in inboxes:
        check([e[0] for e in inbox.await_count(1000)] == ["e%d" % n for n in range(1000)], "all in order")
        check(all(e[3] == big for e in inbox.events[1:]), "all whole")


def removed_when_full(d):
    """The default policy: a full queue ends the subscription, for good."""
    topics.start(d, settings={"Moulin.Storm.Queue.MaxBytes": "100000"})
    topic = topics.manager(d).create("t")
    mute = Mute(d)
    topic.subscribeAndGetPublisher({"retryCount": "-1"},
                                   d.extras["client"].stringToProxy("s:tcp -h 127.0.0.1 -p %d" % mute.port))
    for n in range(20):
        topics.emit(topic.getPublisher(), "e", struct.pack("<i", 10000) + b"\1\1" + bytes(9994))
    wait_until(lambda: not topic.getSubscribers(), "the removal")
    d.daemons["storm"].kill()
    topics.start(d, settings={"Moulin.Storm.Queue.MaxBytes": "100000"})
    check(topic.getSubscribers() == [], "removed on disk, too")


def subscriber_dies(d):
    """A subscriber's process goes away and comes back: with retries it is served again, without it may subscribe anew."""
    topics.start(d, Discard__Interval="0")
    topic = topics.manager(d).create("t")
    publisher = topic.getPublisher()
    first = topics.Subscribers(d)
    inbox, prx = first.add("patient")
    port = first.adapter.getEndpoints()[0].getInfo().port
    topic.subscribeAndGetPublisher({"retryCount": "-1", "reliability": "ordered"}, prx)
    _, other = first.add("impatient")
    topic.subscribeAndGetPublisher({"reliability": "ordered"}, other)
    topics.emit(publisher, "one")
    inbox.await_count(1)
    d.drop(first.communicator)
    topics.emit(publisher, "lost")
    wait_until(lambda: len(topic.getSubscribers()) == 1, "the impatient one's removal")
    second = topics.Subscribers(d, endpoints="tcp -h 127.0.0.1 -p %d" % port)
    inbox, prx = second.add("patient")

    def served():
        topics.emit(publisher, "again")
        return inbox.operations()
    wait_until(served, "events for the one that came back")
    _, other = second.add("impatient")
    topic.subscribeAndGetPublisher({}, other)


def nonsense(d):
    """Malformed events by every road are refused, or dropped, and the service goes on."""
    topics.start(d)
    m = topics.manager(d)
    topic = m.create("t")
    inbox, prx = topics.Subscribers(d).add("s")
    topic.subscribeAndGetPublisher({}, prx)
    c = d.extras["client"]
    link = c.stringToProxy("IceStorm/t.link:tcp -h 127.0.0.1 -p %d" % d.port("IceStormPublish"))

    def text(s):
        return bytes([len(s)]) + s

    def forward(*data):
        body = bytes([len(data)]) + b"".join(text(b"op") + b"\0" + text(e) + b"\0" for e in data)
        return topics.emit(link, "forward", struct.pack("<i", len(body) + 6) + b"\1\1" + body)
    forward(b"", b"\1", b"\xff\xff\xff\x7f\1\1", b"\5\0\0\0\1\1", b"\6\0\0\0\1\1\0", b"\6\0\0\0\1\1")
    for body in (b"\xff\xff\xff\xff\x7f", b"\1", b"\1\2op\3\6" + EMPTY + b"\0", b"\1\2op\0\6" + EMPTY + b"\xff\xff\xff\xff\x7f"):
        try:
            topics.emit(link, "forward", struct.pack("<i", len(body) + 6) + b"\1\1" + body)
            raise Failure("accepted %r" % body)
        except Ice.UnknownException:
            pass
    check(inbox.await_count(1)[0][0] == "op", "the good one came")
    random.seed(6)
    operations = ["subscribeAndGetPublisher", "unsubscribe", "link", "unlink", "reap", "getSubscribers", "destroy2"]
    for _ in range(500):
        body = bytes(random.randrange(256) for _ in range(random.randrange(60)))
        try:
            topic.ice_invoke(random.choice(operations), random.choice((Ice.OperationMode.Normal, Ice.OperationMode.Idempotent)),
                             struct.pack("<i", len(body) + 6) + b"\1\1" + body)
        except Ice.LocalException:
            pass
    check(m.retrieve("t").getName() == "t", "it goes on")


def no_room(d):
    """No more can be written: a topic is refused with a word, and is not half there; reading and publishing go on."""
    limited = ("sh", "-c", "trap '' XFSZ; ulimit -f 200; exec \"$@\"", "sh")
    storm = topics.start(d, prefix=limited)
    m = topics.manager(d)
    first = m.create("first")
    inbox, prx = topics.Subscribers(d).add("s")
    first.subscribeAndGetPublisher({}, prx)
    made = {"first"}

    def full():
        name = "t%d" % len(made) + "x" * 400
        try:
            m.create(name)
        except Ice.UnknownException:
            return True
        made.add(name)
        return False
    wait_until(full, "the end of the room")
    check("cannot write the database" in storm.stderr(), storm.stderr())
    check(set(m.retrieveAll()) == made, "nothing half made")
    check(full(), "still full")
    topics.emit(first.getPublisher(), "still")
    inbox.await_count(1)
    storm.kill()
    topics.start(d)
    check(set(m.retrieveAll()) == made, "what was acknowledged is there")
    check(not full(), "there is room again")


def must_not_start(d):
    """Words that say what to do."""
    def refused(words, **more):
        storm = d.start("refused%d" % len(d.daemons), "storm", dict(topics.properties(d), **more), None)
        check(storm.await_exit() == 1, "status 1")
        check(words in storm.stderr(), "%r in %s" % (words, storm.stderr()))
    refused("Replication requires at least 3 Nodes", **{"IceStorm.NodeId": "1"})
    refused("is not a directory", **{"IceStorm.LMDB.Path": d.path("nowhere")})
    refused("`IceStorm.Publish.Endpoints' is not set", **{"IceStorm.Publish.Endpoints": ""})
    refused("Flush.Timeout", **{"IceStorm.Flush.Timeout": "soon"})
    topics.start(d)
    refused("in use by another process", **{"IceStorm.TopicManager.Endpoints": "tcp -h 127.0.0.1",
                                            "IceStorm.Publish.Endpoints": "tcp -h 127.0.0.1"})
    d.daemons["storm"].stop()
    with open(os.path.join(d.path("db-IceStorm"), "data.mdb"), "r+b") as f:
        f.seek(0)
        f.write(b"\xff" * 9000)
    refused("is damaged")


def batch_at_the_end(d):
    """A batch that waits for its time when the service is told to end is sent; failures then cost no subscription."""
    storm = topics.start(d, Flush__Timeout="600000")
    topic = topics.manager(d).create("t")
    inbox, prx = topics.Subscribers(d).add("s", "-O")
    topic.subscribeAndGetPublisher({}, prx)
    mute = Mute(d)
    topic.subscribeAndGetPublisher({}, d.extras["client"].stringToProxy("m:tcp -h 127.0.0.1 -p %d" % mute.port))
    for n in range(30):
        topics.emit(topic.getPublisher(), "e%d" % n)
    wait_until(lambda: mute.connections, "the mute one's connection")
    check(inbox.operations() == [], "nothing before its time")
    check(storm.stop() == 0, "an orderly end")
    check([e[0] for e in inbox.await_count(30)] == ["e%d" % n for n in range(30)], "all of the batch, in order")
    topics.start(d)
    check(len(topic.getSubscribers()) == 2, "both are still subscribed")


def plain_names(d):
    """What is set below IceStorm holds for services of other names, whose own settings win; strange ones are told."""
    storm = topics.start(d, ("First", "Second"), settings={
        "IceStorm.Transient": "1", "IceStorm.InstanceName": "All", "Second.InstanceName": "Own", "Second.Colour": "blue",
        "First.LMDB.Path": "/nowhere", "IceStorm.Trace.TopicManager": "1"})
    topics.manager(d, "First", "All").create("t")
    topics.manager(d, "Second", "Own").create("u")
    text = storm.stderr()
    check("unknown properties for IceStorm service 'Second':\n       Second.Colour" in text, text)
    check("'First'" not in text, text)
    check('TopicManager: creating new topic "t". id: All/topic.t subscribers: ' in text, text)


CASES = [held_oneways, plain_names, batch_at_the_end, after_each_reply, in_full_swing, mute_subscribers, removed_when_full, subscriber_dies, nonsense, no_room, must_not_start]
