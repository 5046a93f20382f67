# SPDX-License-Identifier: Apache-2.0
"""Gateway and registry together: sessions brokered to the registry's session managers, and what ends them."""

import threading

import Glacier2
import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment, keep_alive
from lib.process import wait_until


def deploy(d, *applications):
    c = d.communicator()
    session, admin = d.admin(c)
    for a in applications:
        admin.addApplication(a)
    d.extras["admin"] = admin


def grid(flavour, transport="tcp", manager="SessionManager", registry=None, **router):
    d = Deployment(flavour, transport)
    d.start_registry(**(registry or {}))
    deploy(d, dd.pool("Pool", 2), dd.application("One", {"n": dd.node(dd.server("One", [dd.adapter(
        "A", "One.A", allocatables=[dd.obj("one", "::Test::One")])]))}))
    ssl_manager = manager.replace("SessionManager", "SSLSessionManager")
    d.start_router(Glacier2__SessionManager="Demo/" + manager, Glacier2__SSLSessionManager="Demo/" + ssl_manager, **router)
    return d


def filtered(flavour):
    return grid(flavour, registry={"IceGrid__Registry__SessionFilters": "1"})


def filtered_admin(flavour):
    return grid(flavour, manager="AdminSessionManager", registry={"IceGrid__Registry__AdminSessionFilters": "1"})


class SessionI(Glacier2.Session):
    def __init__(self, user, log):
        self.user = user
        self.log = log

    def destroy(self, current):
        self.log.add("destroy " + self.user)
        current.adapter.remove(current.id)


class Log:
    def __init__(self):
        self.lock = threading.Condition()
        self.lines = []

    def add(self, line):
        with self.lock:
            self.lines.append(line)
            self.lock.notify_all()

    def take(self, count, timeout=30):
        with self.lock:
            self.lock.wait_for(lambda: len(self.lines) >= count, timeout)
            lines, self.lines = self.lines, []
        return lines


class ManagerI(Glacier2.SessionManager):
    """A session manager of our own: users show every way a session can begin, or not."""

    def __init__(self, log):
        self.log = log
        self.control = None

    def create(self, user, control, current):
        self.log.add("create %s%s" % (user, "" if control else " without control"))
        self.control = control
        if user == "refused":
            raise Glacier2.CannotCreateSessionException("not today")
        if user == "broken":
            raise ValueError("no")
        if user == "null":
            return None
        if user == "curious":
            self.log.add("timeout %d" % control.getSessionTimeout())
            self.log.add("categories %s" % control.categories().get())
            self.log.add("adapters %s" % control.adapterIds().get())
            self.log.add("identities %s" % control.identities().get())
        return Glacier2.SessionPrx.uncheckedCast(current.adapter.addWithUUID(SessionI(user, self.log)))


def own_manager(flavour, **router):
    d = Deployment(flavour)
    c = d.communicator()
    adapter = c.createObjectAdapterWithEndpoints("Manager", d.endpoint("manager"))
    d.extras["log"] = Log()
    d.extras["manager"] = ManagerI(d.extras["log"])
    adapter.add(d.extras["manager"], Ice.stringToIdentity("manager"))
    adapter.activate()
    d.start_router(registries=(), Glacier2__SessionManager="manager:" + d.endpoint("manager"), **router)
    return d


def login(d, user="alice", cls=IceGrid.SessionPrx, heartbeat=True):
    c = d.communicator()
    router = d.router_proxy(c)
    session = router.createSession(user, "x")
    c.setDefaultRouter(router)
    if heartbeat:
        keep_alive(router.ice_getConnection())
    return c, router, cls.uncheckedCast(session.ice_router(router)) if session else None


# ---- the registry's sessions

def client_session(d, r):
    c, router, session = login(d)
    r.value("category", session.ice_getIdentity().category)
    r.value("proxy", session)
    r.call("ids", session.ice_ids)
    r.call("keep alive", session.keepAlive)
    r.call("query", lambda: IceGrid.QueryPrx.uncheckedCast(c.stringToProxy("Demo/Query")).findAllObjectsByType("::Test::T"))
    r.call("by id", session.allocateObjectById, dd.identity("one"))
    r.call("unknown", session.allocateObjectById, dd.identity("nobody"))
    r.call("by type", lambda: session.allocateObjectByType("::Test::Resource").ice_getIdentity().name in ("res0", "res1"))
    r.call("release", session.releaseObject, dd.identity("one"))
    r.call("router destroys", router.destroySession)
    c2, router2, again = login(d, "bob")
    again.setAllocationTimeout(0)
    r.call("all free", lambda: [again.allocateObjectById(dd.identity(i)).ice_getIdentity().name
                                for i in ("one", "res0", "res1")])
    router2.destroySession()


def contention(d, r):
    _, router, owner = login(d)
    _, _, waiter = login(d, "bob")
    owner.allocateObjectById(dd.identity("one"))
    future = waiter.allocateObjectByIdAsync(dd.identity("one"))
    waiter.keepAlive()
    r.value("waits", not future.done())
    owner.releaseObject(dd.identity("one"))
    wait_until(future.done, "the waiter's allocation")
    r.call("gets it", future.result)
    owner.setAllocationTimeout(300)
    r.call("timeout", owner.allocateObjectById, dd.identity("one"))
    waiter.destroy()
    r.call("freed by the session's destroy", owner.allocateObjectById, dd.identity("one"))
    router.destroySession()


def client_loss(d, r):
    c, router, owner = login(d)
    _, _, waiter = login(d, "bob")
    owner.allocateObjectById(dd.identity("one"))
    future = waiter.allocateObjectByIdAsync(dd.identity("one"))
    waiter.keepAlive()
    r.value("waits", not future.done())
    d.drop(c)
    wait_until(future.done, "the allocation of the lost client")
    r.call("gets it", future.result)
    c3, router3, third = login(d, "carol")
    pending = third.allocateObjectByIdAsync(dd.identity("one"))
    third.keepAlive()
    waiter.destroy()
    wait_until(pending.done, "the allocation of the destroyed session")
    r.call("next", pending.result)
    router3.ice_getConnection().close(Ice.ConnectionClose.Forcefully)
    _, _, fourth = login(d, "dave")
    r.call("after a forced close", fourth.allocateObjectById, dd.identity("one"))
    fourth.destroy()


def router_killed(d, r):
    """The router dies: the sessions made through it, and what they own, live until their timeout."""
    _, router, owner = login(d)
    owner.allocateObjectById(dd.identity("res0"))
    d.daemons["router"].kill()
    try:
        owner.keepAlive()
    except Ice.LocalException:  # connection lost or refused: whichever the client notices first
        r.value("client sees", "a broken connection")
    direct = d.registry_proxy(d.communicator()).createSession("late", "x")
    direct.setAllocationTimeout(0)
    r.call("still owned", direct.allocateObjectById, dd.identity("res0"))
    direct.destroy()


def two_sessions(d, r):
    """A session does not reach another one's session object."""
    _, _, alice = login(d)
    c, router, bob = login(d, "bob")
    foreign = IceGrid.SessionPrx.uncheckedCast(c.stringToProxy("%s:%s" % (
        Ice.identityToString(alice.ice_getIdentity()), d.endpoint("Master.Client"))))
    r.kind("on the client endpoints", foreign.keepAlive)
    r.call("own", bob.keepAlive)
    r.call("alice", alice.keepAlive)


def secure(d, r):
    c = d.communicator("alice")
    router = d.router_proxy(c)
    session = router.createSessionFromSecureConnection()
    c.setDefaultRouter(router)
    session = IceGrid.SessionPrx.uncheckedCast(session.ice_router(router))
    r.value("proxy", session)
    r.call("ids", session.ice_ids)
    r.call("allocate", session.allocateObjectById, dd.identity("one"))
    r.call("destroy", router.destroySession)


def admin_session(d, r):
    c, router, session = login(d, "root", IceGrid.AdminSessionPrx)
    r.value("proxy", session)
    r.call("ids", session.ice_ids)
    admin = session.getAdmin()
    r.value("admin", admin)
    r.call("names", admin.getAllApplicationNames)
    r.call("replica", session.getReplicaName)
    r.call("template", session.getAdminCallbackTemplate)
    serial = r.call("lock", session.startUpdate)
    r.call("add", admin.addApplication, dd.application("Through", {"n": dd.node()}))
    r.call("user", lambda: admin.getApplicationInfo("Through").createUser)
    r.call("remove", admin.removeApplication, "Through")
    r.call("unlock", session.finishUpdate)
    r.call("unknown", admin.getApplicationInfo, "Nobody")
    r.call("read-only", admin.getAllRegistryNames)
    session.startUpdate()
    router.destroySession()
    other, _ = d.admin(d.communicator(), user="other")
    wait_until(lambda: lock_free(other), "the lock of the destroyed session being freed")
    r.value("lock freed", True)
    other.destroy()


def lock_free(session):
    try:
        session.startUpdate()
        return True
    except IceGrid.AccessDeniedException:
        return False


def filters(d, r):
    c, router, session = login(d)
    r.call("session", session.keepAlive)
    r.call("query", lambda: c.stringToProxy("Demo/Query").ice_id())
    r.call("locator", lambda: c.stringToProxy("Demo/Locator").ice_id())
    r.call("other", lambda: c.stringToProxy("other:" + d.endpoint("Master.Client")).ice_id())
    r.kind("before allocation", lambda: c.stringToProxy("one @ One.A").ice_ping())
    session.allocateObjectById(dd.identity("one"))
    r.kind("allocated", lambda: c.stringToProxy("one @ One.A").ice_ping())
    session.releaseObject(dd.identity("one"))

    def refused():
        try:
            c.stringToProxy("one @ One.A").ice_ping()
        except Ice.ObjectNotExistException:
            return True
        except Ice.UnknownLocalException:
            return False
    # The registry answers the release and takes the filter back; nothing says in which order the two arrive.
    r.value("released", wait_until(refused, "the filter of the released object being taken back"))


def admin_filters(d, r):
    c, router, session = login(d, "root", IceGrid.AdminSessionPrx)
    admin = session.getAdmin()
    r.call("admin", admin.getAllApplicationNames)
    r.call("query", lambda: c.stringToProxy("Demo/Query").ice_id())
    r.call("locator", lambda: c.stringToProxy("Demo/Locator").ice_id())


def by_hand(d, r):
    """The session manager called without a router, as anybody on its endpoints can."""
    c = d.communicator()
    manager = Glacier2.SessionManagerPrx.uncheckedCast(
        c.stringToProxy("Demo/SessionManager:" + d.endpoint("Master.SessionManager")))
    r.call("ids", manager.ice_ids)
    session = IceGrid.SessionPrx.uncheckedCast(r.call("no control", manager.create, "alice", None))
    r.call("works", session.keepAlive)
    other = d.communicator()
    r.call("from any connection", IceGrid.SessionPrx.uncheckedCast(other.stringToProxy(str(session))).keepAlive)
    nobody = Glacier2.SessionControlPrx.uncheckedCast(c.stringToProxy("control:tcp -h 127.0.0.1 -p 1"))
    r.call("unreachable control", manager.create, "alice", nobody)
    r.call("destroy", session.destroy)
    r.kind("after", session.keepAlive)
    admin = Glacier2.SessionManagerPrx.uncheckedCast(
        c.stringToProxy("Demo/AdminSessionManager:" + d.endpoint("Master.AdminSessionManager")))
    session = IceGrid.AdminSessionPrx.uncheckedCast(r.call("admin", admin.create, "root", None))
    r.call("its admin", session.getAdmin)
    r.call("callback template", session.getAdminCallbackTemplate)
    session.destroy()
    missing = c.stringToProxy("Demo/Query:" + d.endpoint("Master.SessionManager"))
    r.call("not there", missing.ice_ping)


# ---- sessions of a manager of our own

def manager_calls(d, r):
    log = d.extras["log"]
    router = d.router_proxy(d.communicator())
    for user in ("refused", "broken", "null"):
        r.call(user, router.createSession, user, "x")
        r.value("manager saw", log.take(1))
        if user == "null":
            r.call("destroy null", router.destroySession)
    r.kind("curious", lambda: router.createSession("curious", "x") is not None)
    r.value("control said", log.take(5))
    control = d.extras["manager"].control
    r.value("control's category", control.ice_getIdentity().category)
    r.call("destroy", router.destroySession)
    r.value("manager saw destroy", log.take(1))
    r.kind("control afterwards", control.getSessionTimeout)


def manager_destroys(d, r):
    log = d.extras["log"]
    c, router, _ = login(d, "alice", Glacier2.SessionPrx)
    log.take(1)
    r.call("control destroys", d.extras["manager"].control.destroy)
    r.value("session destroyed", log.take(1))
    r.call("refresh", router.refreshSession)
    r.kind("destroy twice", d.extras["manager"].control.destroy)


def manager_loss(d, r):
    log = d.extras["log"]
    c, router, _ = login(d, "alice", Glacier2.SessionPrx)
    log.take(1)
    d.drop(c)
    r.value("closed", log.take(1))
    c, router, _ = login(d, "bob", Glacier2.SessionPrx)
    log.take(1)
    router.ice_getConnection().close(Ice.ConnectionClose.Forcefully)
    r.value("forced", log.take(1))


def control_filters(d, r):
    """Filters that the manager sets through the control take effect on the next request."""
    c, router, session = login(d, "alice", Glacier2.SessionPrx)
    control = d.extras["manager"].control
    d.extras["log"].take(1)
    r.call("before", session.ice_ping)
    control.categories().add(["b", "a", "b"])
    r.call("categories", control.categories().get)
    r.call("filtered", session.ice_ping)
    control.identities().add([session.ice_getIdentity(), Ice.Identity("x", "y")])
    r.call("allowed again", session.ice_ping)
    control.identities().remove([session.ice_getIdentity(), Ice.Identity("no", "body")])
    r.call("identities", control.identities().get)
    r.call("filtered again", session.ice_ping)
    control.identities().remove([Ice.Identity("x", "y")])
    control.categories().remove(["a", "b"])
    r.call("open", session.ice_ping)
    control.adapterIds().add(["z"])
    r.call("adapters", control.adapterIds().get)
    router.destroySession()
    d.extras["log"].take(1)


def expiry(d, r):
    """No request for the session timeout: expired; the connection is closed later by its own timeout."""
    log = d.extras["log"]
    c, router, _ = login(d, "alice", Glacier2.SessionPrx, heartbeat=False)
    r.call("timeout", router.getSessionTimeout)
    r.call("ACM timeout", router.getACMTimeout)
    log.take(1)
    r.value("expired", log.take(1))
    r.call("refresh", router.refreshSession)


def refreshing(d, r):
    """A client that refreshes lives past the timeout."""
    log = d.extras["log"]
    c, router, _ = login(d, "alice", Glacier2.SessionPrx, heartbeat=False)
    log.take(1)
    tick = threading.Event()
    for _ in range(8):
        tick.wait(0.5)
        router.refreshSession()
    r.value("not destroyed", log.take(1, 0))
    r.call("destroy", router.destroySession)
    r.value("destroyed", log.take(1))


def shutdown(d, r):
    """An orderly end of the router destroys its sessions."""
    log = d.extras["log"]
    login(d, "alice", Glacier2.SessionPrx)
    log.take(1)
    r.value("exit status", d.daemons["router"].stop())
    r.value("destroyed", log.take(1))


def plan():
    cases = [client_session, contention, client_loss, two_sessions, by_hand]
    for transport in ("tcp", "ssl", "ws", "wss"):
        yield transport, lambda f, t=transport: grid(f, t), cases + ([secure] if transport == "ssl" else [])
    yield "killed", grid, [router_killed]
    yield "admin", lambda f: grid(f, manager="AdminSessionManager"), [admin_session]
    yield "filters", filtered, [filters]
    yield "admin filters", filtered_admin, [admin_filters]
    yield "own manager", own_manager, [manager_calls, manager_destroys, manager_loss, control_filters]
    yield "no control", lambda f: own_manager(f, Glacier2__Server__Endpoints=None), [manager_loss]
    yield "timeout", lambda f: own_manager(f, Glacier2__SessionTimeout="2", Glacier2__Client__ACM__Timeout="60"), [
        expiry, refreshing]
    yield "shutdown", own_manager, [shutdown]
