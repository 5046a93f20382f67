# SPDX-License-Identifier: Apache-2.0
"""Who uses a registry's sessions badly: no certificate, clients that vanish in the middle of anything, observers and
verifiers that never answer, too many sessions, datagrams of any bytes; and a brokered session that lives while its
router keeps it. ZeroC's daemons fail some of these, which is why they are not compared."""

import os
import random
import socket
import struct
import threading
import time

import Glacier2
import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import keep_alive
from lib.process import free_port, wait_until

from . import check
from .hostile import attacks, request


def refused(operation, *arguments):
    """The reason; the exception is one of the two that refuse sessions."""
    try:
        operation(*arguments)
    except (IceGrid.PermissionDeniedException, Glacier2.CannotCreateSessionException) as e:
        return e.reason
    raise AssertionError("%s was not refused" % operation)


def no_certificate(d):
    """Nobody is accepted as the user with the empty name: not directly, not through a router."""
    d.start_registry()
    registry = d.registry_proxy(d.communicator("alice", IceSSL__CertFile="", IceSSL__KeyFile=""))
    if d.flavour == "moulin":
        check("DN" in refused(registry.createAdminSessionFromSecureConnection), "the reason")
    check("DN" in refused(registry.createSessionFromSecureConnection), "the reason")
    c = d.communicator()
    for name, adapter in (("SSLSessionManager", "SessionManager"), ("AdminSSLSessionManager", "AdminSessionManager")):
        manager = Glacier2.SSLSessionManagerPrx.uncheckedCast(
            c.stringToProxy("Demo/%s:%s" % (name, d.endpoint("Master." + adapter))))
        if d.flavour == "moulin":
            refused(manager.create, Glacier2.SSLInfo("1.2.3.4", 1, "5.6.7.8", 2, "C", []), None)


no_certificate.transport = ("ssl",)


def brokered(d):
    """The router says nothing but ice_ping; its session outlives twice its timeout, and ends with the client."""
    if d.flavour != "moulin":
        return  # ZeroC's reaps it
    d.start_registry()
    session, admin = d.admin(d.communicator())
    admin.addApplication(dd.pool("Pool", 1))
    d.start_router(Glacier2__SessionManager="Demo/SessionManager", Glacier2__SessionTimeout="10")
    c = d.communicator()
    router = d.router_proxy(c)
    mine = IceGrid.SessionPrx.uncheckedCast(router.createSession("alice", "x").ice_router(router))
    keep_alive(router.ice_getConnection(), 10)
    mine.allocateObjectById(dd.identity("res0"))
    registry = d.registry_proxy(d.communicator())
    other = registry.createSession("other", "x")
    keep_alive(registry.ice_getConnection(), 10)
    other.setAllocationTimeout(0)
    tick, start = threading.Event(), time.monotonic()
    while time.monotonic() - start < 22:
        router.refreshSession()
        other.keepAlive()
        try:
            other.allocateObjectById(dd.identity("res0"))
            check(False, "the brokered session was reaped after %.1f s" % (time.monotonic() - start))
        except IceGrid.AllocationTimeoutException:
            pass
        tick.wait(1)
    other.setAllocationTimeout(20000)
    d.drop(c)
    other.allocateObjectById(dd.identity("res0"))


class Slow(Glacier2.PermissionsVerifier):
    def __init__(self):
        self.go = threading.Event()
        self.asked = threading.Semaphore(0)

    def checkPermissions(self, user, password, current):
        self.asked.release()
        if user.startswith("slow"):
            self.go.wait(60)
        return True, ""


def vanishing(d):
    """Clients close their connection while a request of theirs is anywhere on its way: every session of theirs ends."""
    c = d.communicator(Ice__ThreadPool__Server__Size="20")
    adapter = c.createObjectAdapterWithEndpoints("Verifier", d.endpoint("verifier"))
    verifier = Slow()
    adapter.add(verifier, Ice.stringToIdentity("verifier"))
    adapter.activate()
    d.start_registry(IceGrid__Registry__PermissionsVerifier="verifier:" + d.endpoint("verifier"),
                     IceGrid__Registry__Trace__Session="1")
    keeper, admin = d.admin(d.communicator(), user="keeper")
    admin.addApplication(dd.pool("Pool", 1))
    owner = d.registry_proxy(d.communicator()).createSession("owner", "x")
    owner.allocateObjectById(dd.identity("res0"))

    def client(user):
        communicator = d.communicator()
        return communicator, d.registry_proxy(communicator)
    for n in range(10):
        communicator, registry = client("slow")
        registry.createSessionAsync("slow%d" % n, "x")
        verifier.asked.acquire(timeout=20)
        d.drop(communicator)
    verifier.go.set()
    for n in range(10):
        communicator, registry = client("quick")
        session = registry.createSession("quick%d" % n, "x")
        session.allocateObjectByIdAsync(dd.identity("res0"))
        session.allocateObjectByTypeAsync("::Test::Resource")
        d.drop(communicator)
        communicator, registry = client("admin")
        session, other = d.admin(communicator, user="admin%d" % n)
        session.setObserversByIdentityAsync(*[Ice.Identity("nobody", "w")] * 5)
        session.getAdminCallbackTemplateAsync()
        other.addApplicationAsync(dd.application("App%d" % n, {}))
        session.startUpdateAsync()
        session.openRegistryStdErrAsync("Master", -1)
        d.drop(communicator)
    owner.releaseObject(dd.identity("res0"))

    def all_gone():
        text = d.daemons["Master"].stderr()
        return text.count(" created") == text.count(" destroyed") + 2  # keeper and owner
    wait_until(all_gone, "the end of every lost session")
    keeper.startUpdate()
    owner.allocateObjectById(dd.identity("res0"))
    check(len(admin.getAllApplicationNames()) >= 1, "the registry is well")
    check(d.daemons["Master"].stop() == 0, "the exit status")


def silent_observers(d):
    """Observers behind a socket that never answers: nobody waits for them, and a session's end does not, either."""
    d.start_registry()
    session, admin = d.admin(d.communicator())
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        text = "deaf:tcp -h 127.0.0.1 -p %d" % deaf.getsockname()[1]
        watchers = []
        for n in range(5):
            watcher, _ = d.admin(d.communicator(), user="w%d" % n)
            prx = watcher.ice_getCommunicator().stringToProxy(text)
            watcher.setObservers(IceGrid.RegistryObserverPrx.uncheckedCast(prx), IceGrid.NodeObserverPrx.uncheckedCast(prx),
                                 IceGrid.ApplicationObserverPrx.uncheckedCast(prx),
                                 IceGrid.AdapterObserverPrx.uncheckedCast(prx), IceGrid.ObjectObserverPrx.uncheckedCast(prx))
            watchers.append(watcher)
        start = time.monotonic()
        for n in range(1500):  # more than may wait for one observer
            admin.addObjectWithType(session.ice_getCommunicator().stringToProxy("o @ A"), "::T")
            admin.removeObject(dd.identity("o"))
            if n % 100 == 0:
                check(time.monotonic() - start < 120, "changes wait for deaf observers")
        for watcher in watchers[:3]:
            watcher.destroy()
        for watcher in watchers[3:]:
            d.drop(watcher.ice_getCommunicator())
        check(admin.getAllRegistryNames() == ["Master"], "the registry is well")
    check(d.daemons["Master"].stop() == 0, "the exit status")


def brief(*names):
    return dd.application("Brief", {"node1": dd.node(dd.server("Brief", [dd.adapter("A", "Brief.A", allocatables=[
        dd.obj(n, "::Test::Brief") for n in names])]))})


def allocatables_that_go(d):
    """One of two objects of a type goes while both are allocated and somebody waits for either; then all go and return.
    ZeroC's fails the first update, and gives an object that returned to a second owner."""
    if d.flavour != "moulin":
        return
    d.start_registry()
    session, admin = d.admin(d.communicator())
    admin.addApplication(brief("one", "two"))
    owner, waiter = (d.registry_proxy(d.communicator()).createSession(n, "x") for n in ("owner", "waiter"))
    owner.allocateObjectById(dd.identity("one"))
    owner.allocateObjectById(dd.identity("two"))
    by_type = waiter.allocateObjectByTypeAsync("::Test::Brief")
    by_id = waiter.allocateObjectByIdAsync(dd.identity("two"))
    waiter.keepAlive()
    admin.syncApplication(brief("one"))
    wait_until(by_id.done, "the end of waiting for what is gone")
    try:
        by_id.result()
        check(False, "an object that is gone was allocated")
    except IceGrid.ObjectNotRegisteredException:
        pass
    waiter.keepAlive()
    check(not by_type.done(), "the other object of the type is still there")
    owner.releaseObject(dd.identity("one"))
    wait_until(by_type.done, "the allocation by type")
    check(by_type.result().ice_getIdentity().name == "one", "the object of the type")
    admin.removeApplication("Brief")
    admin.addApplication(brief("one"))
    owner.setAllocationTimeout(0)
    try:
        owner.allocateObjectById(dd.identity("one"))
        check(False, "two sessions have one object")
    except IceGrid.AllocationTimeoutException:
        pass
    waiter.destroy()
    owner.allocateObjectById(dd.identity("one"))


def many_sessions(d):
    """A connection's sessions are bounded; the refusal says so, and the other connections are served."""
    if d.flavour != "moulin":
        return
    d.start_registry()
    registry = d.registry_proxy(d.communicator())
    sessions = []
    try:
        for _ in range(2000):
            sessions.append(registry.createSession("greedy", "x"))
    except IceGrid.PermissionDeniedException as e:
        check("too many sessions" in e.reason, e.reason)
    check(500 < len(sessions) < 2000, "%d sessions" % len(sessions))
    d.registry_proxy(d.communicator()).createSession("modest", "x").destroy()
    sessions.pop().destroy()
    registry.createSession("greedy", "x").destroy()


def datagrams(d):
    """Any bytes to the discovery port: no answer, and the next lookup has one."""
    port = free_port()
    d.start_registry(IceGrid__Registry__Discovery__Enabled="1",
                     IceGrid__Registry__Discovery__Endpoints="udp -h 127.0.0.1 -p %d" % port)
    seed = random.randrange(1 << 30)
    print("      seed %d" % seed)
    chance = random.Random(seed)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine:
        mine.bind(("127.0.0.1", 0))
        mine.settimeout(1)
        own = mine.getsockname()[1]
        endpoint = b"\x09127.0.0.1" + struct.pack("<i", own) + b"\0"
        reply = b"\1r\0\0\3\0\1\0\1\1\1\3\0" + struct.pack("<i", 6 + len(endpoint)) + b"\1\1" + endpoint
        body = b"\4Demo" + reply
        encapsulation = struct.pack("<i", 6 + len(body)) + b"\1\1" + body
        lookup = bytearray(request(b"Lookup", b"findLocator", encapsulation, 0))
        good = bytes(lookup).replace(b"\6Lookup\0\0\x0bfindLocator\0", b"\6Lookup\x13IceLocatorDiscovery\0\x0bfindLocator\2")
        good = good[:10] + struct.pack("<i", len(good)) + good[14:]

        def answered():  # asked again and again: datagrams get lost where a queue is full
            mine.sendto(good, ("127.0.0.1", port))
            try:
                return b"foundLocator" in mine.recv(65536)
            except TimeoutError:
                return False
        wait_until(answered, "the answer to a good lookup")
        for name, data in attacks(chance):
            mine.sendto(data[:60000], ("127.0.0.1", port))
        for _ in range(3000):
            broken = bytearray(good)
            for _ in range(chance.randrange(1, 4)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            mine.sendto(bytes(broken[:chance.randrange(1, len(broken) + 1)]), ("127.0.0.1", port))
        for size in (0, 1, 13, 14, 1000, 65000):
            mine.sendto(os.urandom(size), ("127.0.0.1", port))
        check(d.daemons["Master"].alive(), "the registry died: %s" % d.daemons["Master"].stderr())
        mine.setblocking(False)
        try:
            while mine.recv(65536):
                pass
        except BlockingIOError:
            pass
        mine.settimeout(1)
        wait_until(answered, "the answer to a good lookup afterwards")
    check(d.daemons["Master"].stop() == 0, "the exit status")


CASES = [no_certificate, brokered, vanishing, silent_observers, allocatables_that_go, many_sessions,
         datagrams]
