# SPDX-License-Identifier: Apache-2.0
"""Files of registries read through an admin session: where they begin, how they are cut, how they grow and shrink, and
who may read them."""

import os

import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment, keep_alive
from lib.process import wait_until

ALL = 100000


def redirected(flavour):
    """A master whose output and errors go to files, and a slave that has one of them."""
    d = Deployment(flavour)
    properties = d.registry_properties()
    properties.update({"Ice.StdOut": d.path("Master.stdout"), "Ice.StdErr": d.path("Master.stderr")})
    d.start("Master", "registry", properties, None)
    slave = d.registry_properties("Replica1")
    slave["Ice.StdOut"] = d.path("Replica1.stdout")
    for name, settings in (("Master", None), ("Replica1", slave)):
        if settings:
            d.start(name, "registry", settings, None)
        wait_until(lambda n=name: "AdminSessionManager ready" in text_of(d, n + ".stdout"), "the start of " + name)
    session, admin = d.admin(d.communicator())
    wait_until(lambda: "Replica1" in admin.getAllRegistryNames(), "the slave's session")
    d.extras["session"] = session
    return d


def text_of(d, name):
    try:
        with open(d.path(name)) as f:
            return f.read()
    except FileNotFoundError:
        return ""


def write(d, data, mode="wb"):
    with open(d.path("Master.stderr"), mode) as f:
        f.write(data)


def opened(d, data, count=-1):
    write(d, data)
    return d.extras["session"].openRegistryStdErr("Master", count)


def openings(d, r):
    session = d.extras["session"]
    for name in ("Master", "Replica1", "Nobody"):
        for operation in ("openRegistryStdOut", "openRegistryStdErr"):
            for count in (-1, 0, 1, 3, 100):
                label = "%s %s %d" % (name, operation, count)
                it = r.call(label, getattr(session, operation), name, count)
                if isinstance(it, Ice.Exception) or operation.endswith("Err"):
                    continue
                r.call(label + ": read", it.read, ALL)
                r.call(label + ": again", it.read, ALL)
                r.call(label + ": destroy", it.destroy)
                r.kind(label + ": destroyed", it.read, ALL)


def pieces(d, r):
    for data in (b"one\ntwo\nthree\n", b"one\ntwo\nthr", b"aaaa\nbbbb\ncccc\n", b"aaaaaaaaaaaaa\nb", b"\n\n\n", b"\n", b"x", b"",
                 b"a\0b\n\r\n", b"0123456789" * 10 + b"\nshort\n"):
        for size in list(range(4, 33)) + [40, ALL]:
            it = opened(d, data)
            for n in range(4):
                r.call("%r by %d" % (data, size), it.read, size)
            it.destroy()
    it = opened(d, b"one\ntwo\n")
    for size in (0, -1, 5):
        r.call("too small: %d" % size, it.read, size)
    r.call("nothing was lost", it.read, ALL)


def tails(d, r):
    for data in (b"one\ntwo\nthree\n", b"one\ntwo\nthree", b"", b"\n\n\n", b"x" * 200000 + b"\ny\n"):
        for count in (-2, -1, 0, 1, 2, 3, 4, 2147483647):
            it = opened(d, data, count)
            end, lines = it.read(1 << 20)
            r.value("%d of %r" % (count, data[:20]), (end, [(len(x), x[:20]) for x in lines]))
            it.destroy()


def large(d, r):
    """More than a message may have is cut to that."""
    it = opened(d, b"x" * 3000000 + b"\n" + b"\n" * 300000 + b"y\n")
    for n in range(6):
        end, lines = it.read(1 << 30)
        r.value("piece %d" % n, (end, len(lines), [len(x) for x in lines[:3]]))


def changing(d, r):
    it = opened(d, b"one\ntwo\nthr")
    r.call("first", it.read, ALL)
    r.call("nothing new", it.read, ALL)
    write(d, b"ee\nfour\n", "ab")
    r.call("grown", it.read, ALL)
    write(d, b"x\n")
    r.call("shrunk", it.read, ALL)
    write(d, b"y\n", "ab")
    r.call("grown again", it.read, ALL)
    os.remove(d.path("Master.stderr"))
    r.call("removed", it.read, ALL)
    r.call("cannot be opened", d.extras["session"].openRegistryStdErr, "Master", -1)
    write(d, b"x\ny\nz\n")
    r.call("there again", it.read, ALL)
    it.destroy()


def owners(d, r):
    """Only the session that opened it reads, and only while it lives."""
    c = d.communicator()
    session, admin = d.admin(c)
    write(d, b"a\nb\n")
    it = session.openRegistryStdErr("Master", -1)
    r.value("iterator", it)
    r.call("its ids", it.ice_ids)
    stranger = d.communicator()
    foreign = IceGrid.FileIteratorPrx.uncheckedCast(stranger.stringToProxy(str(it)))
    r.kind("another connection", foreign.read, ALL)
    d.admin(stranger)
    r.kind("another session", foreign.read, ALL)
    r.kind("another session destroys", foreign.destroy)
    second = d.registry_proxy(c).createAdminSession("second", "x")
    r.call("the right one", it.read, ALL)
    session.destroy()
    r.kind("its session is gone", it.read, ALL)
    second.destroy()


def on_the_slave(d, r):
    session, admin = d.admin(d.communicator(), "Replica1")
    for name in ("Master", "Replica1", "Nobody"):
        r.call(name, lambda n=name: session.openRegistryStdOut(n, 1).read(ALL))
    r.call("its errors", session.openRegistryStdErr, "Replica1", -1)
    session.destroy()


def no_nodes(d, r):
    """What there is to say when no node is connected."""
    session, admin = d.admin(d.communicator())
    admin.addApplication(dd.pool("Pool", 1))
    for label, operation in (("server out", lambda n: session.openServerStdOut(n, -1)),
                             ("server err", lambda n: session.openServerStdErr(n, -1)),
                             ("server log", lambda n: session.openServerLog(n, "x.log", -1)),
                             ("node out", lambda n: session.openNodeStdOut(n, -1)),
                             ("node err", lambda n: session.openNodeStdErr(n, -1))):
        for name in ("Pool-0", "node1", "nobody"):
            r.call("%s %s" % (label, name), operation, name)
    admin.removeApplication("Pool")
    session.destroy()


def through_a_router(d, r):
    d.start_router(Glacier2__SessionManager="Demo/AdminSessionManager")
    c = d.communicator()
    router = d.router_proxy(c)
    session = IceGrid.AdminSessionPrx.uncheckedCast(router.createSession("root", "x").ice_router(router))
    keep_alive(router.ice_getConnection())
    write(d, b"a\nb\nc\n")
    it = r.call("open", session.openRegistryStdErr, "Master", 2)
    r.call("read", it.read, ALL)
    r.call("destroy", it.destroy)
    r.kind("destroyed", it.read, ALL)
    router.destroySession()


def slave_gone(d, r):
    """The slave stops: its file is not there any more, and whoever reads it is told."""
    session = d.extras["session"]
    it = session.openRegistryStdOut("Replica1", 1)
    d.daemons["Replica1"].stop()
    wait_until(lambda: "Replica1" not in session.getAdmin().getAllRegistryNames(), "the slave leaving")
    r.kind("reading on", it.read, ALL)
    r.call("opening", session.openRegistryStdOut, "Replica1", 1)


def plan():
    yield "files", redirected, [openings, pieces, tails, large, changing, owners, on_the_slave, no_nodes, through_a_router,
                                slave_gone]
