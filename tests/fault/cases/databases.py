# SPDX-License-Identifier: Apache-2.0
"""Databases beside the registry: copies of one that is written to, the way back, ZeroC's export files in both directions."""

import os
import shutil
import subprocess
import threading

from lib.deployment import MOULIN
from lib.process import Daemon, wait_until

from . import check
from .durability import application, content, registry_of
from .replicas import Writer, added


def tool(d, command, *words, status=0, replica="Master"):
    done = subprocess.run([MOULIN, "registry", command, *words,
                           "--IceGrid.Registry.LMDB.Path=" + d.path("db-" + replica)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check(done.returncode == status, "%s: status %d\n%s%s" % (command, done.returncode, done.stdout, done.stderr))
    return done.stdout + done.stderr


def filled(d, flavour=None):
    d.start_registry(flavour=flavour)
    w = Writer(d)
    w.admin.addApplication(application(9))
    w.admin.addApplication(application(8))
    for _ in range(20):
        w.write("kept")
    registry_of(d, w.c).setReplicatedAdapterDirectProxy("Dyn.1", "Group",
                                                        w.c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9001"))
    return w


def whole(d):
    """What the registry tells about itself, and the applications word by word."""
    c = d.communicator()
    session, admin = d.admin(c)
    infos = [admin.getApplicationInfo(n) for n in admin.getAllApplicationNames()]
    text = (content(d), [(i.uuid, i.createTime, i.revision, str(i.descriptor)) for i in infos])
    d.drop(c)
    return text


def hot_backup(d):
    """Copies of a registry while four writers are at work: each is a moment of it, nothing acknowledged before is missing,
    nothing is half there; the writers do not notice."""
    w = filled(d)
    over, acknowledged = threading.Event(), []

    def write(number):
        c = d.communicator()
        _, admin = d.admin(c)
        n = 0
        while not over.is_set():
            name = "w%d-%d" % (number, n)
            admin.addObjectWithType(c.stringToProxy(name + " @ A"), "::Added")
            acknowledged.append(name)
            n += 1
    writers = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(4)]
    for t in writers:
        t.start()
    copies = []
    for n in range(15):
        before = set(acknowledged)
        tool(d, "backup", d.path("copy%d" % n))
        copies.append((before, set(acknowledged)))
    over.set()
    for t in writers:
        t.join(30)
    check(w.write() < 5 and len(copies[-1][0]) > len(copies[0][0]), "the writers stood still")
    tool(d, "verify", d.path("copy4"))
    d.daemons["Master"].stop()
    for n, (before, after) in list(enumerate(copies))[::4]:
        tool(d, "restore", d.path("copy%d" % n), "--replace")
        d.start_registry()
        there = {name for name in added(d, "Master") if name[0] == "w"}
        check(before <= there, "copy %d lacks %s" % (n, sorted(before - there)))
        check(len(there) <= len(after) + 8, "copy %d has what was written after it" % n)
        check(len(content(d)[0]) == 2, "applications: %s" % (content(d)[0],))
        d.daemons["Master"].stop()


def refusals(d):
    """A running registry's database is not replaced, nor one that is there; what is no copy is refused; nothing changes."""
    filled(d)
    before = whole(d)
    tool(d, "backup", d.path("copy"))
    check("not empty" in tool(d, "backup", d.path("copy"), status=1), "a second copy in the same place")
    check("in use" in tool(d, "restore", d.path("copy"), "--replace", status=1), "restored under a running registry")
    d.daemons["Master"].stop()
    check("already" in tool(d, "restore", d.path("copy"), status=1), "replaced unasked")
    check("no database" in tool(d, "restore", d.path("nothing"), "--replace", status=1), "restored from nothing")
    with open(d.path("copy", "data.mdb"), "r+b") as f:
        f.seek(8192)
        f.write(b"\xa5" * 8192)
    check("damaged" in tool(d, "verify", d.path("copy"), status=1), "a damaged copy is called good")
    check("damaged" in tool(d, "restore", d.path("copy"), "--replace", status=1), "a damaged copy was restored")
    check("not an export" in tool(d, "import", d.path("Master.cfg"), status=1, replica="new"), "imported a property file")
    tool(d, "export", d.path("export"))
    with open(d.path("export"), "rb") as f:
        data = f.read()
    for cut in (0, 7, 11, 12, 40, len(data) // 2, len(data) - 1):
        with open(d.path("cut"), "wb") as f:
            f.write(data[:cut])
        tool(d, "import", d.path("cut"), status=1, replica="new")
    with open(d.path("cut"), "wb") as f:
        f.write(data[:8] + (30500).to_bytes(4, "little") + data[12:])
    check("30500" in tool(d, "import", d.path("cut"), status=1, replica="new"), "imported another version's file")
    check("already" in tool(d, "import", d.path("export"), status=1), "imported over a database")
    d.start_registry()
    check(whole(d) == before, "something changed")


def from_theirs(d):
    """What ZeroC's icegriddb --export writes of ZeroC's database: the same content in ours, which exports it as the same
    bytes."""
    filled(d, "zeroc")
    before = whole(d)
    d.daemons["Master"].stop()
    subprocess.run(["icegriddb", "--export", d.path("theirs"), "--dbpath", d.path("db-Master")], check=True,
                   stdout=subprocess.DEVNULL)
    os.rename(d.path("db-Master"), d.path("db-old"))
    tool(d, "import", d.path("theirs"))
    tool(d, "export", d.path("ours"))
    with open(d.path("theirs"), "rb") as a, open(d.path("ours"), "rb") as b:
        check(a.read() == b.read(), "the export of the import differs")
    d.start_registry()
    check(whole(d) == before, "%s\ninstead of\n%s" % (whole(d), before))


def with_a_node(d):
    """The proxy of a node that ZeroC's registry remembers is taken over, too."""
    w = filled(d, "zeroc")
    os.makedirs(d.path("node"))
    node = Daemon("node", ["icegridnode", "--nowarn", "--Ice.Default.Locator=" + d.locator(), "--IceGrid.Node.Name=node1",
                           "--IceGrid.Node.Data=" + d.path("node"), "--IceGrid.Node.Endpoints=tcp -h 127.0.0.1",
                           "--IceGrid.Node.AllowRunningServersAsRoot=1"], d.directory)
    d.daemons["node"] = node
    wait_until(lambda: "node1" in w.admin.getAllNodeNames() and w.admin.pingNode("node1"), "the node")
    node.kill()
    d.daemons["Master"].kill()
    subprocess.run(["icegriddb", "--export", d.path("theirs"), "--dbpath", d.path("db-Master")], check=True,
                   stdout=subprocess.DEVNULL)
    check("1 nodes" in tool(d, "import", d.path("theirs"), replica="new"), "the node is missing")
    tool(d, "export", d.path("ours"), replica="new")
    with open(d.path("theirs"), "rb") as a, open(d.path("ours"), "rb") as b:
        check(a.read() == b.read(), "the export of the import differs")


def by_name(d, replica="Master"):
    """Objects and applications, without a look at ZeroC's index of types, which its own import leaves empty."""
    c = d.communicator()
    _, admin = d.admin(c, replica)
    text = (sorted((str(i.proxy), i.type) for i in admin.getAllObjectInfos("kept*")),
            [(i.uuid, i.createTime, i.revision, str(i.descriptor)) for i in map(
                admin.getApplicationInfo, admin.getAllApplicationNames())], admin.getAllAdapterIds())
    d.drop(c)
    return text


def to_theirs(d):
    """Our export of a database, imported by icegriddb: ZeroC's registry serves the same, and a slave of ours with the old
    serials follows it."""
    filled(d)
    d.start_registry("Replica1")
    before = by_name(d)
    check(len(before[0]) == 20 and len(before[1]) == 2, "%s" % (before,))
    d.daemons["Replica1"].stop()
    tool(d, "export", d.path("ours"))
    d.daemons["Master"].stop()
    shutil.rmtree(d.path("db-Master"))
    os.mkdir(d.path("db-Master"))
    subprocess.run(["icegriddb", "--import", d.path("ours"), "--dbpath", d.path("db-Master")], check=True,
                   stdout=subprocess.DEVNULL)
    d.start_registry(flavour="zeroc")
    check(by_name(d) == before, "%s\ninstead of\n%s" % (by_name(d), before))
    d.start_registry("Replica1")
    w = Writer(d)
    w.write("kept-after")
    check(by_name(d, "Replica1") == by_name(d), "the slave does not follow")


def their_directory(d):
    """Our registry pointed at ZeroC's database leaves it alone and says what to do."""
    filled(d, "zeroc")
    d.daemons["Master"].stop()
    daemon = d.start_registry(ready=None)
    check(daemon.await_exit() == 1, "exit status %s" % daemon.process.returncode)
    check("icegriddb --export" in daemon.stderr(), "it says: " + daemon.stderr())
    d.start_registry(flavour="zeroc")
    check(len(added(d, "Master")) == 20, "ZeroC's data are gone")


CASES = [hot_backup, refusals, from_theirs, with_a_node, to_theirs, their_directory]
