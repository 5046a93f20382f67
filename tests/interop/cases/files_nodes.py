# SPDX-License-Identifier: Apache-2.0
"""Files of servers and nodes read through an admin session of the master or of a slave: which there are, where reading begins,
how they are cut, and what is said of those that cannot be read. Both registries are of the same make, or the slave is ZeroC's."""

import os

import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.process import wait_until

from .files import ALL, text_of

SERVER_FILES = ("openServerStdOut", "openServerStdErr")


def service(d, name, log):
    return IceGrid.ServiceInstanceDescriptor(descriptor=IceGrid.ServiceDescriptor(
        name=name, entry="nothing:create", logs=[log]), propertySet=IceGrid.PropertySetDescriptor())


def grid(flavour, slave=None):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__NodeSessionTimeout="10")
    d.start_registry("Slave", flavour=slave, IceGrid__Registry__NodeSessionTimeout="10")
    d.start_node("node1", ("Master", "Slave"), ready=False, Ice__StdOut=d.path("node1.stdout"), Ice__StdErr=d.path("node1.stderr"))
    d.start_node("node2", ("Master", "Slave"), IceGrid__Node__Output=d.path("output"))
    d.extras["session"], d.extras["admin"] = d.admin(d.communicator())
    d.extras["slave"], admin = d.admin(d.communicator(), "Slave")
    for a in (d.extras["admin"], admin):
        d.await_node(a, "node1")
        d.await_node(a, "node2")
    os.makedirs(d.path("output"), exist_ok=True)
    logged = dd.process("Logged", properties=[("Ice.StdOut", d.path("${server}.stdout"))],
                        logs=[d.path("${server}.log"), d.path("absent.log"), "relative.log"], pwd=d.path(""))
    box = IceGrid.IceBoxDescriptor(
        id="Box", exe="/usr/bin/icebox", activation="manual", applicationDistrib=True, logs=[d.path("box.log")],
        user=logged.user, services=[service(d, "One", d.path("${service}.log"))])
    d.extras["admin"].addApplication(dd.application("App", {
        "node1": dd.node(logged, dd.process("Silent"), box),
        "node2": dd.node(dd.process("Redirected"), dd.process("Chosen", properties=[("Ice.StdErr", d.path("Chosen.err"))])),
        "node3": dd.node(dd.process("Away", logs=["/tmp/away.log"]))}))
    return d


def write(d, name, data, mode="wb"):
    with open(d.path(name), mode) as f:
        f.write(data)


def whole(r, label, operation, *arguments):
    it = r.call(label, operation, *arguments)
    if not isinstance(it, Ice.Exception):
        r.call(label + ": read", it.read, ALL)
        it.destroy()


def sessions(d):
    return ("master", d.extras["session"]), ("slave", d.extras["slave"])


def servers(d, r):
    write(d, "Logged.log", b"one\ntwo\nthree\n")
    write(d, "Logged.stdout", b"out\n")
    write(d, "relative.log", b"relative\n")
    write(d, "box.log", b"box\n")
    write(d, "One.log", b"one\n")
    write(d, "Other.log", b"not declared\n")
    for who, session in sessions(d):
        for id in ("Logged", "Silent", "Box", "Away", "nobody", ""):
            for operation in SERVER_FILES:
                whole(r, "%s %s %s" % (who, operation, id), getattr(session, operation), id, -1)
        for id, names in (("Logged", ("Logged.log", "absent.log", "relative.log", "Other.log", "One.log", "Logged.stdout")),
                          ("Box", ("box.log", "One.log", "Other.log")), ("Away", ("One.log",)), ("nobody", ("One.log",))):
            for name in names:
                whole(r, "%s %s %s" % (who, id, name), session.openServerLog, id, d.path(name), -1)
        for name in ("relative.log", "./relative.log", "", "stdout", "#", "../relative.log"):
            whole(r, "%s relative %r" % (who, name), session.openServerLog, "Logged", name, -1)
        for count in (-2, -1, 0, 1, 2, 3, 4, 2147483647):
            whole(r, "%s %d lines" % (who, count), session.openServerLog, "Logged", d.path("Logged.log"), count)


def pieces(d, r):
    session = d.extras["session"]
    for data in (b"one\ntwo\nthree\n", b"one\ntwo\nthr", b"\n\n", b"", b"0123456789" * 10 + b"\nshort\n"):
        write(d, "Logged.log", data)
        for size in list(range(4, 20)) + [40, ALL]:
            it = session.openServerLog("Logged", d.path("Logged.log"), -1)
            for n in range(4):
                r.call("%r by %d" % (data, size), it.read, size)
            it.destroy()
    write(d, "Logged.log", b"one\ntwo\nthree\n")
    it = session.openServerLog("Logged", d.path("Logged.log"), 0)
    r.call("nothing new", it.read, ALL)
    write(d, "Logged.log", b"four\n", "ab")
    r.call("grown", it.read, ALL)
    write(d, "Logged.log", b"x\n")
    r.call("shrunk", it.read, ALL)
    os.remove(d.path("Logged.log"))
    r.call("removed", it.read, ALL)
    it.destroy()
    r.kind("destroyed", it.read, ALL)


def outputs(d, r):
    """What a node redirects, and what the server's own properties choose."""
    admin, session = d.extras["admin"], d.extras["session"]
    for id in ("Redirected", "Chosen"):
        for operation in SERVER_FILES:
            whole(r, "before the start: %s %s" % (operation, id), getattr(session, operation), id, -1)
    for id in ("Redirected", "Chosen"):
        admin.startServer(id)
        process = Ice.ProcessPrx.uncheckedCast(admin.getServerAdmin(id), "Process")
        process.writeMessage("to the output", 1)
        process.writeMessage("to the errors", 2)
        for operation in SERVER_FILES:
            whole(r, "%s %s" % (operation, id), getattr(session, operation), id, -1)
        admin.stopServer(id)


def nodes(d, r):
    wait_until(lambda: "ready" in text_of(d, "node1.stdout"), "the ready line of node1")
    for who, session in sessions(d):
        for name in ("node1", "node2", "node3", "nobody", ""):
            for operation in ("openNodeStdOut", "openNodeStdErr"):
                whole(r, "%s %s %s" % (who, operation, name), getattr(session, operation), name, -1)
        whole(r, who + " last line", session.openNodeStdOut, "node1", 1)
        whole(r, who + " the end", session.openNodeStdOut, "node1", 0)


def owners(d, r):
    """Only the session that opened it reads, and only while it lives."""
    write(d, "Logged.log", b"a\n")
    c, stranger = d.communicator(), d.communicator()
    session, _ = d.admin(c)
    it = session.openServerLog("Logged", d.path("Logged.log"), -1)
    d.admin(stranger)
    foreign = IceGrid.FileIteratorPrx.uncheckedCast(stranger.stringToProxy(str(it)))
    r.kind("another session", foreign.read, ALL)
    r.call("the right one", it.read, ALL)
    session.destroy()
    r.kind("its session is gone", it.read, ALL)


def node_goes(d, r):
    session, admin = d.extras["session"], d.extras["admin"]
    write(d, "Logged.log", b"a\nb\n")
    log = session.openServerLog("Logged", d.path("Logged.log"), -1)
    out = session.openNodeStdOut("node1", -1)
    d.daemons["node1"].stop()
    wait_until(lambda: not admin.pingNode("node1"), "the end of node1")
    r.kind("reading on", log.read, ALL)
    r.kind("reading on", out.read, ALL)
    r.call("opening its server's log", session.openServerLog, "Logged", d.path("Logged.log"), -1)
    r.call("its server's output", session.openServerStdOut, "Logged", -1)
    r.call("opening its output", session.openNodeStdOut, "node1", -1)
    d.start_node("node1", ("Master", "Slave"))
    d.await_node(admin, "node1")
    whole(r, "it is back", session.openServerLog, "Logged", d.path("Logged.log"), -1)
    r.call("reading on", log.read, ALL)
    r.call("without output", session.openNodeStdOut, "node1", -1)


def plan():
    cases = [servers, pieces, outputs, nodes, owners, node_goes]
    yield "files", grid, cases
    yield "slave of ZeroC's", lambda flavour: grid(flavour, "zeroc"), cases
