# SPDX-License-Identifier: Apache-2.0
"""Groups of topics' replicas: kill -9, SIGSTOP, cold starts, lost and full databases, strangers, replicas of ZeroC's. A
change that was answered is in every group that comes later."""

import os
import random
import subprocess
import threading

import Ice
import IceStorm

from lib.deployment import command
from lib.process import Failure, wait_until
from lib.storm_group import Group

from . import check

IN_DOUBT = (Ice.UnknownException, Ice.UnknownLocalException)


def with_group(case, ids=(1, 2, 3)):
    def run(d):
        group = Group(d.flavour, ids)
        try:
            case(group)
        except Exception as e:
            raise Failure("%s\n%s" % (e, group.logs())) from e
        finally:
            group.close()
    run.__name__ = case.__name__
    return run


def coordinator_killed(g):
    g.start_all()
    g.manager(1).create("before")
    g.daemon(3).kill()
    g.manager(1, timeout=20000).create("after")
    check(g.await_group(1, 2) == 2, "2 leads")
    g.launch(3)
    check(g.await_group(1, 2, 3) == 3, "3 leads again")
    g.await_names(["before", "after"])


def killed_during_updates(g):
    """The coordinator is killed while a client writes through a slave: whatever was answered is there."""
    g.start_all()
    done, doubt = [], []
    m = g.manager(1, timeout=30000)
    stop = threading.Event()

    def write():
        for n in range(100000):
            if stop.is_set():
                return
            try:
                m.create("t%d" % n)
                done.append("t%d" % n)
            except IceStorm.TopicExists:
                done.append("t%d" % n)  # begun again after a coordinator was lost
            except IN_DOUBT:
                doubt.append("t%d" % n)
    writer = threading.Thread(target=write)
    writer.start()
    for victim in (3, 2):
        before = len(done)
        wait_until(lambda: len(done) > before + 20, "updates")
        g.daemon(victim).kill()
        after = len(done)
        wait_until(lambda: len(done) > after + 20, "updates without %d" % victim)
        g.launch(victim)
        g.await_group(1, 2, 3)
    stop.set()
    writer.join()
    names = set(g.names(1))
    check(set(done) <= names, "lost: %s" % sorted(set(done) - names))
    check(names <= set(done) | set(doubt), "never asked for: %s" % sorted(names - set(done) - set(doubt)))
    g.await_names(names)


class HeldAfterWrite:
    """strace holds the replica's thread that has just written to the database for the nth time."""

    def __init__(self, g, i, n):
        self.out = g.path("strace%d" % n)
        with open(self.out, "w") as out:
            self.tracer = subprocess.Popen(["strace", "-f", "-e", "trace=pwrite64", "-e", "inject=pwrite64:delay_exit=60s:when=%d" % n,
                                            "-p", str(g.daemon(i).pid)], stderr=out)
        wait_until(lambda: self.says("attached"), "strace")

    def says(self, what):
        with open(self.out) as f:
            said = f.read()
        if self.tracer.poll() is not None:
            raise Failure(said)
        return what in said

    def holds(self):
        return self.says("(DELAYED)")

    def end(self):
        self.tracer.terminate()
        self.tracer.wait()


def killed_before_replication(g):
    """The coordinator is killed after each write of a commit; after the last one its disk alone has the update. Whatever the next
    group has of it stays so when the old coordinator is back."""
    g.start_all()
    committed, n, acknowledged = 0, 0, False
    while not acknowledged and n < 10:
        n += 1
        name = "doubtful%d" % n
        holder = HeldAfterWrite(g, 3, n)
        try:
            creation = g.manager(3, timeout=20000).createAsync(name)
            wait_until(lambda: creation.done() or holder.holds(), name)
            acknowledged = creation.done() and not creation.exception()
            if not acknowledged:
                g.daemon(3).kill()
                committed += name.encode() in g.stored(3)
        finally:
            holder.end()
        if not acknowledged:
            g.await_group(1, 2)
            names = g.names(2)
            check(name not in names, "%s came from nowhere" % name)
            g.launch(3)
            g.await_group(1, 2, 3)
            g.await_names(names)
    check(committed > 0 and acknowledged, "%d of %d were committed and not told" % (committed, n))
    check(name in g.names(1), "%s was acknowledged" % name)


def coordinator_frozen(g):
    g.start_all()
    g.manager(1).create("before")
    g.daemon(3).freeze()
    g.manager(1, timeout=20000).create("meanwhile")
    check(g.await_group(1, 2) == 2, "2 leads")
    g.daemon(3).thaw()
    try:
        g.manager(3, timeout=30000).create("stale")
        stale = ["stale"]
    except IN_DOUBT:
        stale = []
    g.await_group(1, 2, 3)
    names = set(g.names(2))
    check({"before", "meanwhile"} | set(stale) <= names, "what was answered is there: %s" % sorted(names))
    g.await_names(names)


def slave_frozen(g):
    g.start_all()
    g.daemon(1).freeze()
    g.manager(3, timeout=15000).create("without it")
    g.manager(3, timeout=1000).create("at once")
    g.daemon(1).thaw()
    g.await_group(1, 2, 3)
    g.await_names(["without it", "at once"])


def both_slaves_killed(g):
    """The coordinator alone takes nothing; one that returns is enough."""
    g.start_all()
    g.daemon(1).kill()
    g.daemon(2).kill()
    wait_until(lambda: g.view((3,))[3]["state"] == "inactive", "3 is inactive")
    try:
        g.manager(3, timeout=1500).create("nobody")
        check(False, "acknowledged without a majority")
    except Ice.InvocationTimeoutException:
        pass
    g.launch(1)
    check(g.await_group(1, 3) == 3, "3 leads")
    g.manager(1, timeout=20000).create("two")
    g.launch(2)
    g.await_group(1, 2, 3)
    names = set(g.names(3))
    check("two" in names and names <= {"two", "nobody"}, "only the dropped request may be there: %s" % names)


def everything_restarted(g):
    """What a majority had acknowledged is there after a cold start, though the third has the older database."""
    g.start_all()
    g.manager(3).create("old")
    g.daemon(3).kill()
    g.manager(1, timeout=20000).create("A")
    g.manager(1, timeout=20000).retrieve("old").ice_endpoints(g.manager(1).ice_getEndpoints()).destroy()
    g.daemon(1).kill()
    g.daemon(2).kill()
    g.start_all()
    g.await_names(["A"])


def majority_starts_cold(g):
    """Two that have been in a group are enough; two that have not are not."""
    g.launch(1)
    g.launch(2)
    try:
        g.manager(2, timeout=6000).create("too early")
        check(False, "a majority of empty databases proves nothing")
    except Ice.InvocationTimeoutException:
        pass
    check(set(s["state"] for s in g.view((1, 2)).values()) != {"normal"}, "not active")
    g.launch(3)
    g.await_group(1, 2, 3)
    g.manager(3).create("A")
    for i in g.ids:
        g.daemon(i).kill()
    g.launch(1)
    g.launch(3)
    g.await_group(1, 3)
    check("A" in g.names(1), "A is there")


def forced_majority(g):
    """The operator vouches for empty databases."""
    for i in (1, 2):
        g.launch(i, properties={"Moulin.Storm.ForceMajority": "1"})
    check(g.await_group(1, 2) == 2, "2 leads")


def database_lost(g):
    g.start_all()
    g.manager(1).create("A")
    g.daemon(3).kill()
    g.launch(3, path=g.path("another"))
    g.await_group(1, 2, 3)
    g.await_names(["A"])


# A command that runs a daemon whose files may not grow beyond 200 KiB: a disk that is full (MapSize would grow).
NO_ROOM = ("sh", "-c", "trap '' XFSZ; ulimit -f 400; exec \"$@\"", "sh")


def full_disk(g):
    """A slave whose disk is full is left out and says so; the others go on undisturbed, and it is back when there is room."""
    g.launch(1, prefix=NO_ROOM)
    g.launch(2)
    g.launch(3)
    g.await_group(1, 2, 3)
    topic = g.manager(3, timeout=30000).create("big")
    c = g.extras["client"]
    direct = topic.ice_endpoints(g.manager(3).ice_getEndpoints()).ice_invocationTimeout(30000)
    for n in range(10):
        direct.subscribeAndGetPublisher({"key": "x" * 60000}, c.stringToProxy("s%d:tcp -h 127.0.0.1 -p 9" % n))
    wait_until(lambda: g.view()[1]["state"] != "normal", "1 is left out")
    check("cannot write the database" in g.daemon(1).stderr(), g.daemon(1).stderr())
    g.await_group(2, 3)
    name = g.view((2, 3))[3]["group name"]
    for n in range(20):
        g.manager(2, timeout=10000).create("t%d" % n)
    check(g.view((2, 3))[3]["group name"] == name, "the group of the others stays")
    check(len(direct.getSubscribers()) == 10, "all are there")
    g.daemon(1).kill()
    g.launch(1)
    g.await_group(1, 2, 3)
    g.await_names(["big"] + ["t%d" % n for n in range(20)])


def outages(g):
    """Single and double outages at random under updates."""
    chance = random.Random(20)
    g.start_all()
    done, doubt, up, n = set(), set(), set(g.ids), 0
    for _ in range(12):
        if len(up) == 3 or (len(up) == 2 and chance.random() < 0.3):
            victim = chance.choice(sorted(up))
            g.daemon(victim).kill()
            up.discard(victim)
        else:
            back = chance.choice(sorted(set(g.ids) - up))
            g.launch(back)
            up.add(back)
        for _ in range(3):
            n += 1
            name = "t%d" % n
            try:
                g.manager(*sorted(up), timeout=8000 if len(up) > 1 else 300).create(name)
                done.add(name)
            except (IN_DOUBT + (Ice.LocalException, IceStorm.TopicExists)):
                doubt.add(name)
    for i in set(g.ids) - up:
        g.launch(i)
    g.await_group(1, 2, 3)
    names = set(g.names(1))
    check(done <= names, "lost: %s" % sorted(done - names))
    check(names <= done | doubt, "unknown: %s" % sorted(names))
    check(len(done) > 10, "enough was acknowledged: %d" % len(done))
    g.await_names(names)


NOBODY = b"\x06\x00\x00\x00\x01\x01"


def strangers(g):
    """Messages from nobody, for groups that are none, with anything in them: the group does not care."""
    g.start_all()
    c = g.communicator()
    before = g.view()
    out = Ice.OperationMode.Normal
    for i in g.ids:
        node = c.stringToProxy("IceStorm/node%d:%s" % (i, g.of(i, "Node"))).ice_oneway()
        twoway = node.ice_twoway()
        for j in (-1, 7, i, 2147483647):
            for group in ("", "x", "3:", "9" * 5000, before[3]["group name"]):
                text = group.encode()
                size = bytes([len(text)]) if len(text) < 255 else b"\xff" + len(text).to_bytes(4, "little")
                body = j.to_bytes(4, "little", signed=True) + size + text
                for operation, rest in (("invitation", b""), ("ready", b"\x00\x00" + b"\xff" * 4 + b"\xff" * 8),
                                        ("accept", b"\x01" + b"\xff" * 4 + b"\x00\x00" + b"\x7f" * 16 + b"\x7f" * 4)):
                    params = body + rest
                    encaps = (len(params) + 6).to_bytes(4, "little") + b"\x01\x01" + params
                    try:
                        twoway.ice_invoke(operation, out, encaps)
                    except Ice.LocalException:
                        pass
        try:
            twoway.ice_invoke("invitation", out, NOBODY)
        except Ice.LocalException:
            pass
    g.manager(1, timeout=20000).create("A")
    after = g.view()
    check({i: v["group name"] for i, v in after.items()} == {i: v["group name"] for i, v in before.items()},
          "the same group: %s, %s" % (before, after))


def mixed(g):
    """One replica of ZeroC's among ours, in every place."""
    for theirs in g.ids:
        for i in g.ids:
            g.launch(i, flavour="zeroc" if i == theirs else None, path=g.path("mixed%d-%d" % (theirs, i)))
        g.await_group(1, 2, 3)
        g.manager(1, timeout=30000).create("A%d" % theirs)
        victim = 3
        g.daemon(victim).kill()
        g.manager(1, timeout=30000).create("B%d" % theirs)
        g.await_group(1, 2)
        g.launch(victim, flavour="zeroc" if victim == theirs else None, path=g.path("mixed%d-%d" % (theirs, victim)))
        g.await_group(1, 2, 3)
        g.await_names(["A%d" % theirs, "B%d" % theirs])
        for i in g.ids:
            g.daemon(i).kill()


def other_ids(g):
    g.start_all()
    g.manager(g.ids[0]).create("A")
    g.daemon(g.ids[-1]).kill()
    rest = g.ids[:-1]
    g.manager(rest[0], timeout=20000).create("B")
    g.await_group(*rest)
    g.await_names(["A", "B"], *rest)


def four(g):
    """Of four, three are needed."""
    g.start_all()
    g.daemon(4).kill()
    g.manager(1, timeout=20000).create("three")
    g.await_group(1, 2, 3)
    g.daemon(3).kill()
    wait_until(lambda: all(v["state"] != "normal" for v in g.view((1, 2)).values()), "two of four are inactive")
    g.launch(3)
    g.await_group(1, 2, 3)
    check("three" in g.names(1), "it is there")


def exported(g):
    """The stamp of a replica's export is the group's, not its promise; the original's tool reads the file."""
    g.start_all()
    g.manager(1).create("A")
    g.daemon(2).kill()
    run = subprocess.run(command(g.flavour, "storm")[:1] + ["storm", "export", g.path("out"), "--Ice.Config=" + g.path("storm2.cfg")],
                         capture_output=True, text=True, timeout=60)
    check(run.returncode == 0, run.stderr)
    os.makedirs(g.path("theirs"))
    run = subprocess.run(["icestormdb", "--import", g.path("out"), "--dbpath", g.path("theirs"), "--debug"],
                         capture_output=True, text=True, timeout=60)
    check(run.returncode == 0, run.stdout + run.stderr)
    import_dir = g.path("again")
    os.makedirs(import_dir)
    run = subprocess.run(command(g.flavour, "storm")[:1] + ["storm", "import", g.path("out"), "--Ice.Config=" + g.path("storm2.cfg"),
                                                           "--IceStorm.LMDB.Path=" + import_dir],
                         capture_output=True, text=True, timeout=60)
    check(run.returncode == 0, run.stderr)
    g.launch(2, path=import_dir)
    g.await_group(1, 2, 3)
    g.await_names(["A"])


CASES = [with_group(case) for case in (
    coordinator_killed, killed_during_updates, killed_before_replication, coordinator_frozen, slave_frozen, both_slaves_killed, everything_restarted,
    majority_starts_cold, forced_majority, database_lost, full_disk, outages, strangers, exported, mixed)]
CASES += [with_group(other_ids, (0, 1, 2)), with_group(four, (1, 2, 3, 4))]
