# SPDX-License-Identifier: Apache-2.0
"""Sessions at their edges: what verifiers are told and where they are found, certificates handed to session managers,
who may use a session, how long it lives by heartbeats, by keepAlive and by nothing, a registry whose life begins with
another's database."""

import os
import threading
import time

import Glacier2
import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment, keep_alive
from lib.process import wait_until


class VerifierI(Glacier2.PermissionsVerifier):
    """Says yes, and keeps what it was told; may be held."""

    def __init__(self):
        self.lock = threading.Condition()
        self.asked = []
        self.open = threading.Event()
        self.open.set()

    def checkPermissions(self, user, password, current):
        with self.lock:
            self.asked.append((user, password, {k: v for k, v in current.ctx.items() if not k.startswith("_con.")},
                               str(current.mode)))
            self.lock.notify_all()
        self.open.wait(30)
        return user != "mallory", "no such user" if user == "mallory" else "ignored"

    def take(self, count):
        with self.lock:
            self.lock.wait_for(lambda: len(self.asked) >= count, 20)
            asked, self.asked = self.asked, []
        return asked


class SSLVerifierI(Glacier2.SSLPermissionsVerifier):
    def __init__(self):
        self.infos = []

    def authorize(self, info, current):
        self.infos.append((info, dict(current.ctx)))
        return True, ""


def verified(flavour):
    """The clients' verifier is an indirect proxy that the registry itself resolves; the administrators' a well-known one."""
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__PermissionsVerifier="verifier @ Verifiers",
                     IceGrid__Registry__AdminPermissionsVerifier="Demo/NullPermissionsVerifier")
    c = d.communicator(Ice__Default__Locator=d.locator(), Verifiers__Endpoints="tcp -h 127.0.0.1",
                       Verifiers__AdapterId="Verifiers", Verifiers__ThreadPool__Size="4")
    adapter = c.createObjectAdapter("Verifiers")
    d.extras["verifier"] = VerifierI()
    adapter.add(d.extras["verifier"], Ice.stringToIdentity("verifier"))
    adapter.activate()
    return d


def contexts(d, r):
    registry, verifier = d.registry_proxy(d.communicator()), d.extras["verifier"]
    for user, context in (("alice", None), ("alice", {"a": "1", "b": ""}), ("mallory", {"a": "1"})):
        r.call(user, lambda: registry.createSession(user, "secret", context) is not None)
        r.value("the verifier was told", verifier.take(1))


def client_leaves(d, r):
    """While its verifier thinks: no session is left, and what it would have had is free."""
    verifier = d.extras["verifier"]
    session, admin = d.admin(d.communicator())
    admin.addApplication(dd.pool("Pool", 1))
    verifier.open.clear()
    c = d.communicator()
    future = d.registry_proxy(c).createSessionAsync("gone", "secret")
    verifier.take(1)
    d.drop(c)
    wait_until(future.done, "the end of the request of a client that left")
    verifier.open.set()
    other = d.registry_proxy(d.communicator()).createSession("other", "secret")
    other.setAllocationTimeout(0)
    r.call("free", other.allocateObjectById, dd.identity("res0"))
    other.destroy()
    admin.removeApplication("Pool")
    session.destroy()


def many_at_once(d, r):
    """Logins wait for a slow verifier; nobody else does."""
    verifier = d.extras["verifier"]
    verifier.open.clear()
    registry = d.registry_proxy(d.communicator())
    futures = [registry.createSessionAsync("u%d" % n, "x") for n in range(3)]
    verifier.take(1)
    other = d.communicator()
    r.call("an administrator", lambda: d.admin(other)[1].getAllApplicationNames())
    r.call("a query", d.query(other).findAllObjectsByType, "::Nothing")
    r.value("still waiting", [f.done() for f in futures])
    verifier.open.set()
    for future in futures:
        wait_until(future.done, "a login")
    sessions = [f.result() for f in futures]
    r.value("three sessions", len({s.ice_getIdentity().name for s in sessions}))
    for s in sessions:
        s.destroy()


# ---- certificates

def secured(flavour):
    d = Deployment(flavour, "ssl")
    c = d.communicator("server", IceSSL__CertFile="server.pem")
    adapter = c.createObjectAdapterWithEndpoints("Verifier", d.endpoint("verifier"))
    d.extras["verifier"] = SSLVerifierI()
    adapter.add(d.extras["verifier"], Ice.stringToIdentity("verifier"))
    adapter.activate()
    where = "verifier:" + d.endpoint("verifier")
    d.start_registry(IceGrid__Registry__SSLPermissionsVerifier=where, IceGrid__Registry__AdminSSLPermissionsVerifier=where)
    return d


def ssl_info(d, r):
    for who in ("alice", "bob"):
        registry = d.registry_proxy(d.communicator(who))
        for label, operation in (("client", registry.createSessionFromSecureConnection),
                                 ("admin", registry.createAdminSessionFromSecureConnection)):
            r.call("%s as %s" % (who, label), operation, {"colour": "red"})
            info, context = d.extras["verifier"].infos.pop()
            with open(d.path("certs", who + ".pem")) as f:
                same = [x.replace("\n", "") for x in info.certs[:1]] == [f.read().replace("\n", "")]
            r.value("the verifier was told", (info.remoteHost, info.localHost, info.localPort == d.port("Master.Client"),
                                              info.remotePort > 0, info.cipher != "", same, context))


def managers(d, r):
    """What routers hand over: the first certificate names the user."""
    c = d.communicator()

    def pem(who):
        with open(d.path("certs", who + ".pem")) as f:
            return f.read()

    def manager(name, adapter):
        return Glacier2.SSLSessionManagerPrx.uncheckedCast(
            c.stringToProxy("Demo/%s:%s" % (name, d.endpoint("Master." + adapter))))
    admins, clients = manager("AdminSSLSessionManager", "AdminSessionManager"), manager("SSLSessionManager", "SessionManager")

    def info(*certs):
        return Glacier2.SSLInfo("1.2.3.4", 5, "6.7.8.9", 10, "CIPHER", list(certs))
    for label, certs in (("alice", [pem("alice")]), ("bob, then alice", [pem("bob"), pem("alice")]), ("rubbish", ["rubbish"]),
                         ("empty", [""]), ("cut", [pem("alice")[:200]])):
        r.call("client " + label, lambda x=certs: clients.create(info(*x), None) is not None)
        session = r.call("admin " + label, admins.create, info(*certs), None)
        if isinstance(session, Ice.Exception):
            continue
        session = IceGrid.AdminSessionPrx.uncheckedCast(session)
        admin = session.getAdmin()
        admin.addApplication(dd.application("Named", {}))
        r.value("user", admin.getApplicationInfo("Named").createUser)
        admin.removeApplication("Named")
        session.destroy()


# ---- life

def expiring(flavour):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__SessionTimeout="10")
    return d


def lifetimes(d, r):
    """Ten seconds: silence ends a session between once and twice that, heartbeats or keepAlive keep it, a session without
    a router's control is kept for ever."""
    quiet = {"Ice__ACM__Heartbeat": "0", "Ice__ACM__Close": "0"}
    start = time.monotonic()
    silent, asking, beating = d.communicator(**quiet), d.communicator(**quiet), d.communicator(**quiet)
    sessions = {name: d.registry_proxy(c).createSession(name, "x") for name, c in
                (("silent", silent), ("asking", asking), ("beating", beating))}
    lock = d.registry_proxy(d.communicator(**quiet)).createAdminSession("locker", "x")
    lock.startUpdate()
    keep_alive(sessions["beating"].ice_getCachedConnection() or d.registry_proxy(beating).ice_getConnection(), 10)
    manager = Glacier2.SessionManagerPrx.uncheckedCast(
        d.communicator().stringToProxy("Demo/SessionManager:" + d.endpoint("Master.SessionManager")))
    sessions["uncontrolled"] = IceGrid.SessionPrx.uncheckedCast(manager.create("uncontrolled", None))
    watcher, _ = d.admin(d.communicator(), user="watcher")
    tick = threading.Event()
    freed = None
    while time.monotonic() - start < 21:
        sessions["asking"].keepAlive()
        watcher.keepAlive()
        if freed is None:
            try:
                watcher.startUpdate()
                freed = time.monotonic() - start
            except IceGrid.AccessDeniedException:
                pass
        tick.wait(0.5)
    r.value("the silent one's lock was freed in time", freed is not None and 9.5 <= freed <= 20.5)
    r.kind("asking", sessions["asking"].keepAlive)
    r.kind("beating", sessions["beating"].keepAlive)
    r.kind("uncontrolled", sessions["uncontrolled"].keepAlive)
    try:
        sessions["silent"].keepAlive()
        r.value("silent", "alive")
    except (Ice.ObjectNotExistException, Ice.ConnectionLostException, Ice.CloseConnectionException):
        r.value("silent", "gone")  # with its connection, or before it: ACM and the reaper have the same time
    sessions["uncontrolled"].destroy()


def timeouts(flavour):
    d = Deployment(flavour)
    return d


def configured(d, r):
    for value in ("1", "0", "12", "-5"):
        d.start_registry(IceGrid__Registry__SessionTimeout=value)
        registry = d.registry_proxy(d.communicator())
        r.call(value + ": session timeout", registry.getSessionTimeout)
        r.call(value + ": a session lives", lambda: registry.createSession("x", "x").keepAlive())
        d.daemons["Master"].stop()


def strangers(d, r):
    """A session, its Admin, from connections that did not make it: with and without sessions of their own."""
    session, admin = d.admin(d.communicator())
    client = d.registry_proxy(d.communicator()).createSession("client", "x")
    stranger = d.communicator()
    for label in ("without a session", "with an admin session"):
        r.kind(label + ": session", IceGrid.AdminSessionPrx.uncheckedCast(stranger.stringToProxy(str(session))).destroy)
        r.kind(label + ": admin", IceGrid.AdminPrx.uncheckedCast(stranger.stringToProxy(str(admin))).shutdown)
        r.kind(label + ": client", IceGrid.SessionPrx.uncheckedCast(stranger.stringToProxy(str(client))).destroy)
        r.kind(label + ": ping", stranger.stringToProxy(str(session)).ice_ping)
        r.kind(label + ": made up", IceGrid.SessionPrx.uncheckedCast(stranger.stringToProxy(str(session))).ice_identity(
            Ice.Identity("12345678-0000-0000-0000-000000000000", "Demo")).ice_ping)
        d.admin(stranger)
    r.call("the session lives", session.getReplicaName)
    r.call("the client's too", client.keepAlive)
    prx = admin.getRegistryAdmin("Master").ice_facet("Properties")
    outside = d.communicator()
    r.kind("routed admin object, no session", Ice.PropertiesAdminPrx.uncheckedCast(
        outside.stringToProxy(str(prx))).getProperty, "x")
    d.registry_proxy(outside).createSession("client", "x")
    r.kind("routed admin object, a client's session", Ice.PropertiesAdminPrx.uncheckedCast(
        outside.stringToProxy(str(prx))).getProperty, "x")
    client.destroy()
    session.destroy()
    r.kind("after the end", admin.getAllApplicationNames)


# ---- a database from another replica

def taken_over(d, r):
    """A master that has lost everything but the address of its slave takes over what the slave has."""
    d.start_registry()
    c = d.communicator()
    session, admin = d.admin(c)
    d.start_registry("Replica1")
    wait_until(lambda: "Replica1" in admin.getAllRegistryNames(), "the slave's session")
    early = d.path("early")
    d.daemons["Master"].kill()  # its database knows the slave and nothing else
    os.rename(d.path("db-Master"), early)
    os.makedirs(d.path("db-Master"))
    with open(os.path.join(early, "data.mdb"), "rb") as source:
        old = source.read()
    with open(d.path("db-Master", "data.mdb"), "wb") as f:
        f.write(old)
    d.start_registry()
    session, admin = d.admin(d.communicator())
    wait_until(lambda: "Replica1" in admin.getAllRegistryNames(), "the slave's return")
    admin.addApplication(dd.pool("Kept", 1))
    admin.addObjectWithType(c.stringToProxy("kept @ A"), "::Kept")
    Ice.LocatorRegistryPrx.uncheckedCast(c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint(
        "Master.Server"))).setReplicatedAdapterDirectProxy("Kept.D", "G", c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9001"))
    d.daemons["Master"].kill()
    with open(d.path("db-Master", "data.mdb"), "wb") as f:
        f.write(old)
    d.start_registry(options=["--initdb-from-replica", "Replica1"])
    session, admin = d.admin(d.communicator())
    r.call("applications", admin.getApplicationInfo, "Kept")
    r.call("objects", admin.getObjectInfo, dd.identity("kept"))
    r.call("adapters", admin.getAdapterInfo, "G")
    r.call("all adapters", admin.getAllAdapterIds)
    admin.addObjectWithType(c.stringToProxy("more @ A"), "::More")
    wait_until(lambda: "Replica1" in admin.getAllRegistryNames(), "the slave's session with the new master")
    slave = d.query(d.communicator(), "Replica1")
    r.call("the slave follows it", slave.findObjectById, dd.identity("more"))
    d.daemons["Master"].stop()
    d.daemons["Replica1"].stop()


def cannot_take_over(d, r):
    """A replica nobody knows: the start fails and the database stays."""
    os.makedirs(d.path("db-Master"), exist_ok=True)
    failed = d.start("Master", "registry", d.registry_properties(), None, ["--initdb-from-replica", "Nobody"])
    r.value("status", failed.await_exit())
    r.value("names it", "Nobody" in failed.stderr())
    d.start_registry()
    r.call("starts without it", lambda: d.admin(d.communicator())[1].getAllRegistryNames())
    d.daemons["Master"].stop()


def plan():
    yield "verifier", verified, [contexts, client_leaves, many_at_once]
    yield "ssl", secured, [ssl_info, managers]
    yield "expiring", expiring, [lifetimes, strangers]
    yield "timeouts", timeouts, [configured]
    yield "database", timeouts, [taken_over]
    yield "no database", timeouts, [cannot_take_over]
