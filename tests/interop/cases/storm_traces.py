# SPDX-License-Identifier: Apache-2.0
"""What a storm service's traces say at levels 0, 1 and 2, step by step. Reasons of failures are each flavour's own words;
so is how a subscriber's settings are written (the original leaves them out)."""

import re

import Ice

from lib import topics
from lib.deployment import Deployment
from lib.process import wait_until

CATEGORIES = ("TopicManager", "Topic", "Subscriber")


def traced(flavour, level, **more):
    d = Deployment(flavour)
    d.extras["level"] = level
    d.extras["traces"] = dict({"Trace__" + c: str(level) for c in CATEGORIES}, **more)
    topics.start(d, **d.extras["traces"])
    return d


class Log:
    def __init__(self, d, r):
        self.d = d
        self.r = r
        self.old = 0

    def fresh(self):
        lines = self.d.daemons["storm"].stderr().splitlines()
        return [re.sub(r"^-- \S+ \S+ storm(-IceStorm)?: ", "", line) for line in lines if line.startswith("-- ")]

    def step(self, label, until=None):
        if until:
            wait_until(lambda: any(until in e for e in self.fresh()[self.old:]), "`%s' in the log" % until)
        entries = self.fresh()
        self.r.value(label, [self.masked(e) for e in entries[self.old:]])
        self.old = len(entries)

    def masked(self, line):
        """Without what the original leaves out: settings, who changes its state, who is subscribed (level 1)."""
        line = re.sub(r"QoS: .*? subscriptions", "QoS: subscriptions", self.r.text(line))
        line = re.sub(r"errored out: .*", "errored out: ...", line)
        line = re.sub(r"^Subscriber: \S* ?(endpoints: .* transition)", r"Subscriber: \1", line)
        if "endpoints:" not in line:
            line = re.sub(r"(database\. id: .* subscribers: ).+", r"\1...", line)
        return line


def attempt(operation, *arguments):
    try:
        operation(*arguments)
    except Ice.Exception:
        pass


def changes(d, r):
    log, m, c = Log(d, r), topics.manager(d), d.communicator()
    a, b = m.create("a"), m.create("b \u00e4")
    log.step("created")
    attempt(m.create, "a")
    attempt(m.retrieve, "none")
    log.step("refused")
    a.subscribeAndGetPublisher({}, c.stringToProxy("cat/one -o:tcp -h 127.0.0.1 -p 9:udp -h 127.0.0.1 -p 9"))
    log.step("first")
    a.subscribeAndGetPublisher({"retryCount": "2", "x": "y"}, c.stringToProxy("two -f f@Adapter"))
    a.subscribeAndGetPublisher({"reliability": "ordered"}, c.stringToProxy("well"))
    log.step("more")
    attempt(a.subscribeAndGetPublisher, {}, c.stringToProxy("two:tcp -h 127.0.0.1 -p 10"))
    log.step("again")
    attempt(a.subscribeAndGetPublisher, {"reliability": "x"}, c.stringToProxy("bad:tcp -h 127.0.0.1 -p 10"))
    attempt(a.subscribeAndGetPublisher, {}, None)
    log.step("refused")
    a.link(b, 3)
    log.step("linked")
    attempt(a.link, b, 4)
    attempt(b.unlink, a)
    log.step("links refused")
    a.unsubscribe(c.stringToProxy("cat/one"))
    a.unsubscribe(c.stringToProxy("nobody"))
    log.step("unsubscribed")
    a.getPublisher(), a.getSubscribers(), a.getLinkInfoSeq(), m.retrieveAll()
    log.step("looked")


def restart(d, r):
    d.daemons["storm"].stop()
    topics.start(d, **d.extras["traces"])
    log, m, c = Log(d, r), topics.manager(d), d.communicator()
    log.step("loaded")
    a = m.retrieve("a")
    a.unlink(m.retrieve("b \u00e4"))
    log.step("unlinked")
    a.destroy()
    log.step("destroyed")
    attempt(a.destroy)
    log.step("gone")


def failing(d, r):
    """Offline for no time, then beyond what it may."""
    log, m, c = Log(d, r), topics.manager(d), d.communicator()
    topic = m.create("failing")
    topic.subscribeAndGetPublisher({"retryCount": "1"}, c.stringToProxy("dead:tcp -h 127.0.0.1 -p 9"))
    log.step("subscribed")
    publisher = topic.getPublisher()
    topics.emit(publisher, "e")
    # The original warns before it traces, ours after.
    wait_until(lambda: re.search("subscriber offline|left alone", d.daemons["storm"].stderr()), "the warning")
    log.step("offline", "to: offline" if d.extras["level"] == 2 else None)

    def gone():
        topics.emit(publisher, "e")
        return not topic.getSubscribers()
    wait_until(gone, "its removal")
    log.step("reaped")


def plan():
    for level in (0, 1, 2):
        yield "level %d" % level, lambda f, n=level: traced(f, n), [changes, restart]
        yield "failures %d" % level, lambda f, n=level: traced(f, n, Discard__Interval="0"), [failing]
