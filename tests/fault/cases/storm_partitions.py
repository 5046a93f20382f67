# SPDX-License-Identifier: Apache-2.0
"""Topics' replicas in network namespaces, cut off from each other, all ways or one way; replicas that come and go. Rows F14
to F17 of icestorm 15.2: what was answered stays, one majority at the most is active, and healed it is one group."""

import threading
import time

import Ice
import IceStorm

from lib.network import NOWHERE, Network, _ip
from lib.process import Failure, wait_until
from lib.storm_group import Group

from . import check

IN_DOUBT = (Ice.UnknownException, Ice.UnknownLocalException)
SETTLED = 30  # seconds: 6 with these timeouts, and a busy machine
HOLE, HOLE_TABLE = "10.99.0.250", "99"


class Spaces(Group):
    """Replicas named "1", "2", "3" in namespaces; the clients reach all of them."""

    def __init__(self, network):
        self.network = network
        super().__init__(network.flavour, host=lambda i: network.hosts[str(i)])

    def launch(self, i, **more):
        return super().launch(i, prefix=self.network.command(str(i)), **more)

    def cut(self, *pairs):
        for a, b in pairs:
            self.network.cut(str(a), str(b))
            self.network.cut(str(b), str(a))

    def heal(self, *pairs):
        for a, b in pairs:
            self.network.heal(str(a), str(b))
            self.network.heal(str(b), str(a))

    def deafen(self, a, b):
        """What a sends to the node of b is lost; b's own connections to a are as they were."""
        space = self.network._space(str(a))
        _ip("-n", space, "neigh", "replace", HOLE, "lladdr", NOWHERE, "dev", "eth0", "nud", "permanent")
        _ip("-n", space, "route", "add", self.host(b), "via", HOLE, "dev", "eth0", "table", HOLE_TABLE)
        _ip("-n", space, "rule", "add", "to", self.host(b), "ipproto", "tcp", "dport", str(self.port("Node%d" % b)),
            "lookup", HOLE_TABLE)

    def hear(self, a, b):
        _ip("-n", self.network._space(str(a)), "rule", "del", "lookup", HOLE_TABLE)

    def state(self, i):
        return self.view((i,)).get(i, {}).get("state")

    def refuses(self, i, name):
        """An update at a replica without a majority is not answered with success."""
        try:
            self.manager(i, timeout=2500).create(name)
        except (Ice.InvocationTimeoutException,) + IN_DOUBT:
            return
        raise Failure("%d acknowledged %s without a majority" % (i, name))


def in_spaces(case):
    def run(d):
        network = Network(d.flavour, "1", "2", "3")
        try:
            with Spaces(network) as g:
                try:
                    g.start_all()
                    case(g)
                except Exception as e:
                    raise Failure("%s\n%s" % (e, g.logs())) from e
        finally:
            network.close()
    run.__name__ = case.__name__
    return run


class Writer(threading.Thread):
    """Creates topics through these replicas until it is stopped; keeps what was answered, and how long it took."""

    def __init__(self, g, *ids):
        super().__init__(daemon=True)
        self.manager = g.manager(*ids, timeout=20000)
        self.done, self.doubt, self.slow = [], [], 0.0
        self.began = time.monotonic()
        self.ending = threading.Event()
        self.start()

    def run(self):
        n = 0
        while not self.ending.wait(0.02):
            n += 1
            name, began = "t%d" % n, time.monotonic()
            try:
                self.manager.create(name)
                self.done.append(name)
            except IceStorm.TopicExists:
                self.done.append(name)  # begun again when a coordinator was lost
            except IN_DOUBT + (Ice.InvocationTimeoutException, Ice.ConnectionLostException):
                self.doubt.append(name)
            took = time.monotonic() - began
            self.slow += took if took > 0.5 else 0.0
        self.took = time.monotonic() - self.began

    def more(self, n=20):
        before = len(self.done)
        wait_until(lambda: len(self.done) >= before + n, "%d updates" % n)

    def stop(self):
        self.ending.set()
        self.join()
        return self

    def verify(self, g):
        names = set(g.names(1))
        check(set(self.done) <= names, "lost: %s" % sorted(set(self.done) - names))
        g.await_names(names)


def cut_off(g, alone, rest, leader):
    g.manager(1).create("before")
    pairs = [(alone, other) for other in rest]
    g.cut(*pairs)
    began = time.monotonic()
    g.manager(rest[0], timeout=SETTLED * 1000).create("majority")
    check(g.await_group(*rest, timeout=SETTLED) == leader, "%d leads" % leader)
    took = time.monotonic() - began
    check(took < SETTLED, "the majority settled after %.1f s" % took)
    wait_until(lambda: g.state(alone) == "inactive", "%d notices that it is alone" % alone, SETTLED)
    g.refuses(alone, "minority")
    g.heal(*pairs)
    check(g.await_group(1, 2, 3) == 3, "3 leads")
    names = set(g.names(3))
    check({"before", "majority"} <= names <= {"before", "majority", "minority"}, "%s" % sorted(names))
    g.await_names(names)


def coordinator_cut_off(g):
    """F14: it is alone and knows it, though nobody writes; the others go on."""
    cut_off(g, 3, (1, 2), 2)


def slave_cut_off(g):
    cut_off(g, 1, (2, 3), 3)


def stale_coordinator(g):
    """An update at the coordinator the moment it is cut off: answered with success only if it stays."""
    answered = []
    for n in range(3):
        g.cut((3, 1), (3, 2))
        for name in ("x%d" % n, "y%d" % n):
            try:
                g.manager(3, timeout=700).create(name)
                answered.append(name)
            except (Ice.InvocationTimeoutException,) + IN_DOUBT:
                pass
        g.manager(1, timeout=SETTLED * 1000).create("m%d" % n)
        answered.append("m%d" % n)
        g.heal((3, 1), (3, 2))
        g.await_group(1, 2, 3)
        names = set(g.names(1))
        check(set(answered) <= names, "lost: %s" % sorted(set(answered) - names))
        g.await_names(names)


def all_apart(g):
    """F15."""
    pairs = ((1, 2), (1, 3), (2, 3))
    g.manager(1).create("before")
    g.cut(*pairs)
    for i in g.ids:
        wait_until(lambda: g.state(i) == "inactive", "%d is inactive" % i, SETTLED)
        g.refuses(i, "alone%d" % i)
    g.heal(*pairs)
    g.await_group(1, 2, 3)
    names = set(g.names(1))
    check("before" in names and names <= {"before", "alone1", "alone2", "alone3"}, "%s" % sorted(names))
    g.await_names(names)


def generation(g, i):
    """Of its group: the number that the group's name begins with."""
    return int(g.view((i,))[i]["group name"].split(":")[1].replace("-", "")[:12], 16)


def one_way(g, a, b, rest):
    """F16: b reaches a, a does not reach b. A majority works on; the odd one is looked for ever less often."""
    g.deafen(a, b)
    g.manager(*rest, timeout=SETTLED * 1000).create("first")
    g.await_group(*rest, timeout=SETTLED)
    began = generation(g, rest[0])
    w = Writer(g, *rest)
    wait_until(lambda: time.monotonic() - w.began > 25, "25 checks", 60)
    w.stop()
    made = generation(g, rest[0]) - began
    check(made <= 5, "the group was made anew %d times" % made)
    check(w.slow < 0.2 * w.took and not w.doubt, "slow for %.1f of %.1f s, %s in doubt" % (w.slow, w.took, w.doubt))
    g.hear(a, b)
    g.await_group(1, 2, 3)
    w.verify(g)


def coordinator_not_heard(g):
    one_way(g, 3, 1, (2, 3))


def slave_not_heard(g):
    one_way(g, 1, 3, (2, 3))


def stalled_beside_odd_one(g):
    """F16 and a member that stands still: the odd one, which looks for a group too, does not call it away from the one that it
    has come back to."""
    g.deafen(1, 3)
    g.manager(2, 3, timeout=SETTLED * 1000).create("first")
    writers = []
    for _ in range(4):
        g.await_group(2, 3, timeout=SETTLED)
        g.daemon(2).freeze()
        wait_until(lambda: g.state(3) == "inactive", "3 notices that it is alone", SETTLED)
        noticed = time.monotonic()
        wait_until(lambda: time.monotonic() - noticed > 3, "3 looks less often")
        g.daemon(2).thaw()
        g.await_group(2, 3, timeout=SETTLED)
        w = Writer(g, 2, 3)
        wait_until(lambda: time.monotonic() - w.began > 4, "the odd one's turn", 60)
        w.stop()
        writers.append(w)
        check(g.state(3) == "normal" and w.took < 10 and not w.doubt, "slow for %.1f of %.1f s" % (w.slow, w.took))
    g.hear(1, 3)
    g.await_group(1, 2, 3)
    for w in writers:
        w.verify(g)


def flapping(g, victim, through):
    """F17: one that is killed and started again and again does not keep the others from work."""
    w = Writer(g, *through)
    for _ in range(6):
        w.more()
        g.daemon(victim).kill()
        w.more()
        killed = time.monotonic()
        wait_until(lambda: time.monotonic() - killed > 1.5, "a while")
        g.launch(victim)
    w.stop()
    check(w.slow <= 0.2 * w.took, "no answers for %.1f of %.1f s" % (w.slow, w.took))
    g.await_group(1, 2, 3)
    w.verify(g)


def flapping_slave(g):
    flapping(g, 1, (2, 3))


def flapping_coordinator(g):
    flapping(g, 3, (1, 2))


CASES = [in_spaces(case) for case in (coordinator_cut_off, slave_cut_off, stale_coordinator, all_apart, coordinator_not_heard,
                                      slave_not_heard, stalled_beside_odd_one, flapping_slave, flapping_coordinator)]
