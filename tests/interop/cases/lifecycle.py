# SPDX-License-Identifier: Apache-2.0
"""A session from its creation to its end, with a verifier and a manager that see everything: concurrent and interrupted
logins, what keeps a session and what ends it, contexts, opaque calls, published endpoints."""

import os
import socket
import threading

import Glacier2
import Ice

from lib.deployment import DATA, Deployment, keep_alive
from lib.probe import CallbackI, Probe, Server
from lib.process import Daemon, free_port, wait_until
from lib.wire import VALIDATE, Peer, request, string

from .brokered import Log
from .rawclient import tcp_proxy

Ice.loadSlice("", ["-I" + Ice.getSliceDir(), "-I" + DATA, os.path.join(DATA, "Expelled.ice")])

TIMEOUT = 2  # seconds, where sessions expire


class VerifierI(Glacier2.PermissionsVerifier):
    def __init__(self, log):
        self.log = log
        self.gate = threading.Event()

    def checkPermissions(self, user, password, current):
        self.log.add("verify %s %s" % (user, shown(current.ctx)))
        if user.startswith("slow"):
            self.gate.wait(20)
        if user == "expelled":
            raise Probe.Expelled("for a week", 7)
        return not user.endswith("denied"), ""


class SessionI(Glacier2.Session):
    """Its ice_ping shows whether it lives, and can be the end of it."""

    def __init__(self, user, log, control):
        self.user, self.log, self.control = user, log, control
        self.pings = 0
        self.dead = threading.Event()

    def ice_ping(self, current):
        self.pings += 1
        if self.user == "suicidal":
            self.control.destroy()
        if self.dead.is_set():
            raise Ice.ObjectNotExistException()

    def destroy(self, current):
        self.log.add("destroy %s %s" % (self.user, shown(current.ctx)))
        current.adapter.remove(current.id)


class ManagerI(Glacier2.SessionManager):
    def __init__(self, log):
        self.log = log
        self.sessions = {}
        self.controls = {}

    def create(self, user, control, current):
        self.log.add("create %s %s" % (user, shown(current.ctx)))
        if user == "crowd":
            raise Probe.Overcrowded("too many", 99)
        self.controls[user] = control
        if user == "filtered":
            control.categories().add(["open", ""])
            control.categories().remove([""])
            control.identities().add([Ice.Identity("echo", "one"), Ice.Identity("echo", "two")])
            control.adapterIds().add(["somewhere"])
        self.sessions[user] = SessionI(user, self.log, control)
        return Glacier2.SessionPrx.uncheckedCast(current.adapter.addWithUUID(self.sessions[user]))


class EchoI(Ice.Blobject):
    """Whatever is called: the parameters come back, and a note says how it was called."""

    def __init__(self):
        self.calls = []
        self.connections = set()

    def ice_invoke(self, parameters, current):
        self.connections.add(current.con)
        self.calls.append((current.operation, current.facet, current.mode, current.requestId > 0, shown(current.ctx)))
        return True, parameters


def shown(context):
    """Connection keys by name alone: their values are ports."""
    return sorted(k if k.startswith("_con.") else "%s=%s" % (k, v) for k, v in context.items())


def services(flavour, **router):
    """A router with a verifier, a manager and an echo behind it; d.extras has them."""
    d = Deployment(flavour)
    c = d.communicator()
    adapter = c.createObjectAdapterWithEndpoints("Services", d.endpoint("services"))
    d.extras["log"] = Log()
    for name, servant in (("verifier", VerifierI(d.extras["log"])), ("manager", ManagerI(d.extras["log"])),
                          ("echo", EchoI())):
        d.extras[name] = servant
        adapter.add(servant, Ice.stringToIdentity(name))
    for category in ("open", "one", "two"):
        adapter.addDefaultServant(d.extras["echo"], category)
    adapter.addFacet(d.extras["echo"], Ice.stringToIdentity("echo"), "side")
    adapter.activate()
    d.extras["server"] = Server(d)
    settings = {"Glacier2__PermissionsVerifier": "verifier:" + d.endpoint("services"),
                "Glacier2__SessionManager": "manager:" + d.endpoint("services")}
    d.start_router(registries=(), **dict(settings, **router))
    return d


def login(d, user, context=None, **more):
    c = d.communicator(**more)
    router = d.router_proxy(c)
    session = router.createSession(user, "x", context or {})
    c.setDefaultRouter(router)
    return c, router, session and Glacier2.SessionPrx.uncheckedCast(session.ice_router(router))


def outcome(future):
    try:
        future.result()
        return "session"
    except Glacier2.CannotCreateSessionException as e:
        return e.reason
    except Glacier2.PermissionDeniedException as e:
        return e.reason
    except Ice.LocalException as e:
        return e.ice_id()


# ---- cases

def concurrent(d, r):
    """Several logins of one connection: one after the other until one succeeds, the verifier asked no more after that."""
    log, verifier = d.extras["log"], d.extras["verifier"]
    for name, users in (("first wins", ("slow", "b", "c")), ("first denied", ("slow denied", "b", "c")),
                        ("all denied", ("slow denied", "b denied", "c denied"))):
        router = d.router_proxy(d.communicator())
        verifier.gate.clear()
        futures = [router.createSessionAsync(u, "x") for u in users]
        log.take(1)
        r.call("timeout meanwhile", router.getSessionTimeout)
        r.call("refresh meanwhile", router.refreshSession)
        verifier.gate.set()
        wait_until(lambda: all(f.done() for f in futures), "the logins")
        r.value(name, [outcome(f) for f in futures])
        r.kind("destroy", router.destroySession)
        seen = log.take(6 if name == "all denied" else 4, 0.3)
        r.value("seen", [line for line in seen if not line.startswith("destroy")])
        log.take(1, 0.1)


def interrupted(d, r):
    """A request, or the end of the connection, during the creation: it is finished, and its session destroyed at once."""
    log, verifier = d.extras["log"], d.extras["verifier"]
    for name in ("request", "disconnect"):
        verifier.gate.clear()
        c = d.communicator()
        router = d.router_proxy(c)
        future = router.createSessionAsync("slow " + name, "x")
        r.value("verifier", log.take(1))
        if name == "request":
            r.kind("request", router.getClientProxy)
        else:
            router.ice_getConnection().close(Ice.ConnectionClose.Forcefully)
        r.value("login", outcome(future))
        verifier.gate.set()
        r.value("then", log.take(2))
        r.value("and no more", log.take(1, 0.2))


def derived(d, r):
    """Exceptions that the router does not know pass whole; a caller with encoding 1.0 sees their base."""
    for encoding in ("1.1", "1.0"):
        router = d.router_proxy(d.communicator(Ice__Default__EncodingVersion=encoding))
        for user in ("expelled", "crowd"):
            r.call("%s %s" % (user, encoding), router.createSession, user, "x")
    d.extras["log"].take(6, 0.2)


def contexts(d, r):
    """The context of the login, and what AddConnectionContext and ForwardContext add to whom."""
    log, echo = d.extras["log"], d.extras["echo"]
    c, router, session = login(d, "alice", {"colour": "blue", "_con.remoteAddress": "spoofed"})
    r.value("login", log.take(2))
    target = c.stringToProxy("echo:" + d.endpoint("services"))
    echo.calls.clear()
    target.ice_invoke("plain", Ice.OperationMode.Normal, b"")
    target.ice_invoke("with", Ice.OperationMode.Normal, b"", {"a": "1", "_fwd": "t"})
    r.value("forwarded", echo.calls)
    router.destroySession()
    r.value("destroy", log.take(1))


def opaque(d, r):
    """Parameters of any kind and size come back as they went; operation, mode and facet arrive as they were sent."""
    echo = d.extras["echo"]
    c, router, _ = login(d, "opaque")
    d.extras["log"].take(2)
    echo.calls.clear()
    target = c.stringToProxy("echo:" + d.endpoint("services"))
    for size, version in ((0, b"\1\1"), (0, b"\1\0"), (1, b"\1\0"), (1000, b"\1\1"), (900 * 1024, b"\1\1"), (255, b"\1\0")):
        body = (size + 6).to_bytes(4, "little") + version + os.urandom(size)
        ok, back = target.ice_invoke("op%d" % size, Ice.OperationMode.Normal, body)
        r.value("%d %s" % (size, version.hex()), (ok, back == body))
    for mode in (Ice.OperationMode.Nonmutating, Ice.OperationMode.Idempotent):
        target.ice_facet("side").ice_invoke("mode", mode, b"")
    target.ice_oneway().ice_invoke("oneway", Ice.OperationMode.Normal, b"")
    wait_until(lambda: len(echo.calls) == 9, lambda: "nine calls: %s" % echo.calls)
    r.value("calls", echo.calls)
    router.destroySession()
    d.extras["log"].take(1)


def concentration(d, r):
    """Twenty sessions, and one connection to the server from each worker; twenty tokens."""
    d.extras["echo"].connections.clear()
    clients = [login(d, "c%d" % n) for n in range(20)]
    for c, _, _ in clients:
        c.stringToProxy("echo:" + d.endpoint("services")).ice_invoke("op", Ice.OperationMode.Normal, b"")
    r.value("connections", len(d.extras["echo"].connections))
    r.value("tokens", len({router.getCategoryForClient() for _, router, _ in clients}))
    for c, router, _ in clients:
        router.destroySession()
        d.drop(c)
    d.extras["log"].take(60)


def dynamic_filters(d, r):
    """Filters that the manager sets inside create, before the client's first request."""
    c, router, session = login(d, "filtered")
    d.extras["log"].take(2)
    for identity in ("open/a", "open/b", "one/echo", "one/other", "two/echo", "echo"):
        target = c.stringToProxy("%s:%s" % (identity, d.endpoint("services")))
        r.call(identity, target.ice_invoke, "op", Ice.OperationMode.Normal, b"")
    r.call("its own session", session.ice_ping)
    for adapter in ("somewhere", "elsewhere"):
        r.kind("an object of %s" % adapter, c.stringToProxy("three/%s @ %s" % (adapter, adapter)).ice_ping)
    control = d.extras["manager"].controls["filtered"]
    r.call("categories", control.categories().get)
    r.call("identities", control.identities().get)
    r.call("adapters", control.adapterIds().get)
    router.destroySession()
    d.extras["log"].take(1)
    r.kind("control after", control.categories)


def order(d, r):
    """A hundred thousand requests, every seventh of them twoway, faster than they are carried out, arrive as they were sent."""
    peer = Peer.connect(d.ports["router.Client"])
    peer.send(request(1, "Gate/router", "createSession", string("sender") + string("x")))
    peer.read_but_heartbeats()
    d.extras["log"].take(2)
    proxy = tcp_proxy("probe", port=d.ports["probe"])
    peer.send(request(2, "Gate/router", "addProxies", b"\1" + proxy, mode=2), request(3, "probe", "ice_ping", mode=1))
    for _ in range(2):  # connected: what waits for a connection is not kept in order by 3.7.8
        peer.read_but_heartbeats()
    count = 100000
    sender = threading.Thread(target=peer.send, args=[request(n + 10 if n % 7 == 0 else 0, "probe", "put", n.to_bytes(
        4, "little")) for n in range(count)], daemon=True)
    sender.start()
    answers = [int.from_bytes(peer.read_but_heartbeats()[2][:4], "little") - 10 for _ in range(0, count, 7)]
    sender.join()
    r.value("answers in order", answers == list(range(0, count, 7)))
    arrived = d.extras["server"].target.await_numbers(count)
    r.value("arrived in order", (len(arrived), [n for k, n in enumerate(arrived) if n != k][:3]))
    peer.close()
    d.extras["log"].take(1)


def suicide(d, r):
    """The client's call of its own session destroys it, and is answered all the same; the next one ends the connection."""
    log = d.extras["log"]
    c, router, session = login(d, "suicidal")
    log.take(2)
    r.call("the last call", session.ice_ping)
    r.value("manager saw", log.take(1))
    r.kind("a call after", session.ice_ping)


HEARTBEAT = bytes.fromhex("496365500100010003000e000000")


def beat_until(peer, condition):
    """Sends heartbeats: one that comes while the ping of another is under way is not asked about."""
    def beaten():
        peer.send(HEARTBEAT)
        return condition()
    wait_until(beaten, "the ping of a heartbeat")


def beat_until_answered(peer):
    """What comes that is no heartbeat."""
    while True:
        peer.send(HEARTBEAT)
        while not peer.quiet(0.2):
            got = peer.read()
            if got is None or got[0] != VALIDATE:
                return got


def session_pings(d, r):
    """refreshSession asks the session object, and so does a heartbeat; one that is dead ends the session."""
    log, manager = d.extras["log"], d.extras["manager"]
    c, router, _ = login(d, "refresher")
    log.take(2)
    r.call("refresh", router.refreshSession)
    r.value("pings", manager.sessions["refresher"].pings)
    manager.sessions["refresher"].dead.set()
    r.call("refresh a dead one", router.refreshSession)
    r.value("destroyed", log.take(1))
    r.call("connection stays", router.getSessionTimeout)
    peer = Peer.connect(d.ports["router.Client"])
    peer.send(request(1, "Gate/router", "createSession", string("beater") + string("x")))
    peer.read_but_heartbeats()
    log.take(2)
    beater = manager.sessions["beater"]
    for _ in range(2):
        before = beater.pings
        beat_until(peer, lambda: beater.pings > before)
    beater.dead.set()
    r.value("closed", beat_until_answered(peer))
    r.value("destroyed", log.take(1))


def published(d, r):
    """Published endpoints are what finder, server proxy and control proxies tell."""
    c = d.communicator()
    finder = Ice.RouterFinderPrx.uncheckedCast(c.stringToProxy("Ice/RouterFinder:" + d.endpoint("router.Client")))
    r.call("finder", finder.getRouter)
    _, router, _ = login(d, "published")
    r.value("server proxy", [str(e) for e in router.getServerProxy().ice_getEndpoints()])
    control = d.extras["manager"].controls["published"]
    r.value("control", [str(e) for e in control.ice_getEndpoints()])
    r.value("its sets", [[str(e) for e in operation().ice_getEndpoints()] for operation in (
        control.ice_endpoints(c.stringToProxy("x:" + d.endpoint("router.Server")).ice_getEndpoints()).categories,)])


def no_server_adapter(d, r):
    c = d.communicator()
    router = d.router_proxy(c)
    r.call("category before", router.getCategoryForClient)
    r.kind("login", lambda: router.createSession("lonely", "x") is not None)
    r.call("category", router.getCategoryForClient)
    r.call("server proxy", router.getServerProxy)
    r.kind("callback adapter", c.createObjectAdapterWithRouter, "", router)
    r.value("control", d.extras["manager"].controls["lonely"])
    r.call("destroy", router.destroySession)


def activities(d, r):
    """T=2: what keeps a session, what does not, and a call that takes longer than that. All at once, for five seconds."""
    log = d.extras["log"]
    stop = threading.Event()
    endpoint = d.endpoint("services")

    def refresh(c, router):
        router.refreshSession()

    def forward(c, router):
        c.stringToProxy("echo:" + endpoint).ice_invoke("op", Ice.OperationMode.Normal, b"")

    def oneway(c, router):
        c.stringToProxy("echo:" + endpoint).ice_oneway().ice_invoke("op", Ice.OperationMode.Normal, b"")

    def add(c, router):
        router.addProxies([])

    def timeouts(c, router):
        router.getSessionTimeout()
        router.ice_ping()

    def nothing(c, router):
        pass

    clients = {}
    for what in (refresh, forward, oneway, add, timeouts, nothing):
        clients[what.__name__] = (what,) + login(d, what.__name__)
    c, router, _ = login(d, "heartbeats")
    keep_alive(router.ice_getConnection(), 2)
    clients["heartbeats"] = nothing, c, router
    c, router, _ = login(d, "answers")  # answering callbacks is no activity
    adapter = c.createObjectAdapterWithRouter("", router)
    adapter.activate()
    callback = adapter.add(CallbackI(), Ice.Identity("me", router.getCategoryForClient()))
    clients["answers"] = nothing, c, router
    direct = Probe.CallbackPrx.uncheckedCast(d.communicator().stringToProxy(str(callback.ice_router(None))))
    c, router, _ = login(d, "long call")
    long_call = Probe.TargetPrx.uncheckedCast(c.stringToProxy(d.extras["server"].proxy_text)).sleepAsync(5000)
    clients["long call"] = nothing, c, router
    log.take(2 * len(clients))

    def live(name, act):
        while not stop.wait(0.3):
            try:
                direct.answer("x") if name == "answers" else act(*clients[name][1:3])
            except Ice.Exception:
                return
    threads = [threading.Thread(target=live, args=(name, row[0])) for name, row in clients.items()]
    for t in threads:
        t.start()
    stop.wait(5)
    stop.set()
    for t in threads:
        t.join()
    r.value("expired", sorted(log.take(4, 5)))
    r.value("not expired", log.take(1, 0.1))
    r.call("the long call", long_call.result)
    r.kind("a call after", lambda: forward(*clients["nothing"][1:3]))


def shutdown(d, r):
    """Sessions are destroyed before the end; each client reads CloseConnection; exit 0."""
    log = d.extras["log"]
    peer = Peer.connect(d.ports["router.Client"])
    peer.send(request(1, "Gate/router", "createSession", string("last") + string("x")))
    peer.read()
    log.take(2)
    d.daemons["router"].signal(15)
    r.value("told", peer.read_but_heartbeats())
    peer.close()
    r.value("destroyed", log.take(1))
    r.value("status", d.daemons["router"].await_exit())


def unreachable_targets(d, r):
    """What the router says when a server does not answer, cannot be found, or takes too long."""
    c, router, _ = login(d, "seeker")
    d.extras["log"].take(2)
    hole = socket.create_server(("127.0.0.1", free_port()))
    d.ports["hole"] = hole.getsockname()[1]
    r.call("refused", c.stringToProxy("nobody:" + d.endpoint("nobody")).ice_ping)
    r.call("says nothing", c.stringToProxy("mute:%s -t 500" % d.endpoint("hole")).ice_ping)
    slow = Probe.TargetPrx.uncheckedCast(c.stringToProxy(d.extras["server"].proxy_text))
    r.call("takes too long", slow.sleep, 1500)
    r.call("and then", slow.ice_ping)
    hole.close()
    router.destroySession()
    d.extras["log"].take(1)


def options(d, r):
    """The command line, and the daemon: its parent returns when clients are served, and its pid is in the file."""
    settings = ["--Glacier2.Client.Endpoints=" + d.endpoint("daemon"), "--Glacier2.PermissionsVerifier="
                "Foo Bar/NullPermissionsVerifier", "--Glacier2.InstanceName=Foo Bar"]
    argv = d.daemons["router"].argv[:-1]
    for name, more in (("help", ["-h"]), ("version", ["-v"]), ("stray", ["stray"]), ("unknown", ["--bogus"]),
                       ("pidfile alone", ["--pidfile", d.path("pid")]), ("noclose alone", ["--noclose"])):
        daemon = Daemon("option-" + name.replace(" ", "-"), argv + settings + more, d.directory)
        r.value(name, (daemon.await_exit(), bool(daemon.stdout()), bool(daemon.stderr())))
    parent = Daemon("daemon", argv + settings + ["--daemon", "--pidfile", d.path("pid")], d.directory)
    r.value("parent", parent.await_exit())
    c = d.communicator()
    router = Glacier2.RouterPrx.uncheckedCast(c.stringToProxy('"Foo Bar/router":' + d.endpoint("daemon")))
    r.call("serves at once, verifier and name with a blank", router.createSession, "u", "p")
    pid = int(open(d.path("pid")).read())
    try:
        r.value("directory", os.readlink("/proc/%d/cwd" % pid))
        r.value("descriptors", [os.readlink("/proc/%d/fd/%d" % (pid, n)) for n in range(3)])
        r.value("session of its own", os.getsid(pid) != os.getsid(0))
    finally:
        os.kill(pid, 15)
    wait_until(lambda: not os.path.exists("/proc/%d" % pid) or open("/proc/%d/stat" % pid).read().split()[2] == "Z",
               "the end of the daemon")
    r.value("pid file stays", os.path.exists(d.path("pid")))
    r.value("ready lines", d.daemons["router"].stdout().splitlines())


def plan():
    yield "plain", services, [concurrent, interrupted, derived, opaque, dynamic_filters, order,
                              session_pings, suicide, options,
                              contexts, shutdown]
    yield "one worker", lambda f: services(f, Moulin__Workers="1"), [concentration]
    for value in ("1", "2"):
        yield "connection context %s" % value, lambda f, v=value: services(
            f, Glacier2__AddConnectionContext=v), [contexts]
    yield "both contexts", lambda f: services(f, Glacier2__AddConnectionContext="1", Glacier2__Client__ForwardContext="1"), [
        contexts]
    yield "published", lambda f: services(
        f, Glacier2__Client__PublishedEndpoints="tcp -h gate.example -p 4063",
        Glacier2__Server__PublishedEndpoints="tcp -h inside.example -p 4064"), [published]
    yield "no server adapter", lambda f: services(f, Glacier2__Server__Endpoints=None), [no_server_adapter]
    yield "timeout", lambda f: services(f, Glacier2__SessionTimeout=str(TIMEOUT), Glacier2__Client__ACM__Timeout="30"), [
        activities]
    yield "errors", lambda f: services(f, Ice__Default__InvocationTimeout="1000"), [unreachable_targets]
