# SPDX-License-Identifier: Apache-2.0
"""What administrators see of nodes that do not answer, tell nonsense or tell too much: readers of their files get an answer in
time, observers hear the truth, and nobody else is troubled."""

import threading
import time

from lib.bindings import Ice, IceGrid
from lib.internal import FakeNode
from lib.process import wait_until
from lib.watcher import Watcher

from . import check
from .nodes import fails, quick, start

State = IceGrid.ServerState


class SlowReader(FakeNode):
    """Answers what is asked of its files with what `answers` gives, by operation; None: never."""

    answers = {}
    futures = []

    def answer(self, operation):
        answer = self.answers.get(operation)
        if answer is None:
            answer = Ice.Future()
            self.futures.append(answer)
        self.calls.append((operation, None))
        return answer

    def end(self):
        """A communicator with open requests does not end."""
        while self.futures:
            self.futures.pop().set_exception(IceGrid.FileNotAvailableException("too late"))

    def getOffsetFromEnd(self, name, lines, current):
        return self.answer("getOffsetFromEnd")

    def read(self, name, pos, size, current):
        return self.answer("read")


def silent_reader(d):
    """Opening and reading end with the node's session at the latest; the session that reads can end at any time; too many files
    are refused at once."""
    start(d)
    node = SlowReader(d, "node")
    try:
        ask_silent_reader(d, node)
    finally:
        node.end()


def ask_silent_reader(d, node):
    node.register()
    session, admin = d.admin(d.communicator())
    opening = [session.begin_openNodeStdOut("node", -1) for _ in range(100)]
    wait_until(lambda: len(node.calls) == 100, "the questions")
    e = fails(lambda: quick(lambda: session.openNodeStdOut("node", -1)), IceGrid.FileNotAvailableException)
    check("too many open files" in e.reason, e.reason)
    quick(admin.getAllNodeNames)
    other, _ = d.admin(d.communicator())
    lost = other.begin_openNodeStdErr("node", -1)
    wait_until(lambda: len(node.calls) == 101, "one question more")
    quick(other.destroy)
    fails(lambda: quick(lambda: other.end_openNodeStdErr(lost)), Ice.ObjectNotExistException, Ice.ConnectionLostException)
    begin = time.monotonic()
    for o in opening:
        e = fails(lambda: session.end_openNodeStdOut(o), IceGrid.NodeUnreachableException)
        check(e.name == "node" and e.reason.endswith("the node is not active"), str(e))
    check(time.monotonic() - begin < 25, "it took %.0f s" % (time.monotonic() - begin))
    node.register()
    node.answers = {"getOffsetFromEnd": 0}
    it = session.openNodeStdOut("node", -1)
    reading = it.begin_read(1000)
    wait_until(lambda: ("read", None) in node.calls, "the question")
    check("earlier request" in fails(lambda: quick(lambda: it.read(1000)), IceGrid.FileNotAvailableException).reason, "?")
    quick(it.destroy)
    fails(lambda: quick(lambda: it.end_read(reading)), Ice.ObjectNotExistException)


def lying_reader(d):
    """Positions and lines from nowhere are passed on or refused, and hurt nobody."""
    start(d)
    node = SlowReader(d, "node")
    node.register()
    session, admin = d.admin(d.communicator())
    for offset in (-1, -2 ** 63, 2 ** 63 - 1):
        node.answers = {"getOffsetFromEnd": offset, "read": (True, -5, ["x" * 1000, ""])}
        it = session.openNodeStdOut("node", -1)
        for _ in range(2):
            check(quick(lambda: it.read(100)) == (True, ["x" * 1000, ""]), "what it said")
        it.destroy()
    quick(admin.getAllNodeNames)


def flood(d):
    """More news than an observer that hangs takes: others hear everything in order, and it is told anew what there is."""
    start(d)
    node = FakeNode(d, "node")
    node.register()
    node.up()
    release = threading.Event()
    stuck, other = Watcher(d, fail=lambda operation: release.wait(60)), Watcher(d, user="other")
    for w in (stuck, other):
        w.watch("node")
        check(len(w.events.take("node", 1)) == 1, "no nodeInit")
    count = 1500
    for n in range(count):
        node.observer.updateServer("node", IceGrid.ServerDynamicInfo("S%d" % n, State.Active, n + 1, True))
    heard = other.events.take("node", count, 60)
    check([e[1][1].pid for e in heard] == list(range(1, count + 1)), "%d were heard" % len(heard))
    check(stuck.events.idle() == {}, "it was called while it hung")
    release.set()
    known, at_most = {}, 1002

    def told():
        calls = stuck.events.take("node", 1)
        check(known or calls[0][0] == "nodeInit", "no list, but " + calls[0][0])
        for operation, arguments, _, _, _ in calls:
            known.update({s.id: s for s in arguments[0][0].servers} if operation == "nodeInit" else {arguments[1].id: arguments[1]})
            heard.append(operation)
        return len(known) == count
    del heard[:]
    wait_until(told, lambda: "%d servers, of which %d are known" % (count, len(known)))
    check(len(heard) < at_most, "%d calls had waited" % len(heard))
    node.observer.updateServer("node", IceGrid.ServerDynamicInfo("last", State.Active, 1, True))
    check([e[1][1].id for e in stuck.events.take("node", 1)] == ["last"], "it is not called any more")


def false_reports(d):
    """A node speaks for itself alone, and only after nodeUp; nodeInit and nodeDown are not its to say."""
    start(d)
    node, second = FakeNode(d, "node"), FakeNode(d, "second")
    node.register()
    w = Watcher(d)
    w.watch("node")
    check(w.events.take("node", 1)[0][1] == ([],), "a node that has not told is told of")
    info = IceGrid.ServerDynamicInfo("S", State.Active, 7, True)
    node.observer.updateServer("node", info)
    second.register()
    second.up()
    check(w.events.take("node", 1)[0][0] == "nodeUp", "news before nodeUp")
    node.observer.updateServer("second", info)
    node.observer.updateAdapter("second", IceGrid.AdapterDynamicInfo("A", node.prx))
    node.up("second")
    node.observer.nodeDown("second")
    node.observer.nodeInit([])
    second.observer.updateServer("second", info)
    (operation, arguments, _, _, _), = w.events.take("node", 1)
    check(operation == "updateServer" and arguments == ("second", info), "%s %s" % (operation, arguments))
    second.session.destroy()
    check(w.events.take("node", 1)[0][:2] == ("nodeDown", ("second",)), "no nodeDown")
    node.session.destroy()
    w.session.keepAlive()
    check(w.events.idle() == {}, "nodeDown of a node that was never up")


CASES = [silent_reader, lying_reader, flood, false_reports]
