# SPDX-License-Identifier: Apache-2.0
"""Where clients must not get through the router, and what they must not learn or pretend: what ZeroC's router lets happen."""

import Ice

from lib.bindings import Glacier2
from lib.probe import CallbackI, Probe, Server
from lib.process import wait_until

from . import check


def login(d, user="alice", **more):
    c = d.communicator(**more)
    router = d.router_proxy(c)
    router.createSession(user, "wonderland")
    c.setDefaultRouter(router)
    return c, router


def outcome(call, *arguments):
    """The type of the exception, or the result."""
    try:
        return call(*arguments)
    except Ice.Exception as e:
        return e.ice_id().split("::")[-1]


def refused_proxy(d, number, text):
    """addProxies must close the connection."""
    c = d.communicator()
    router = Glacier2.RouterPrx.uncheckedCast(d.router_proxy(c).ice_connectionId(str(number)))
    router.createSession("alice", "wonderland")
    said = outcome(router.addProxies, [c.stringToProxy(text)])
    check(said == "ConnectionLostException", "%s: %s" % (text, said))
    d.drop(c)


def admin_endpoints(d):
    """The admin object is never reached through the router, whatever its host is called."""
    for bound, hosts in (("127.0.0.1", ("127.0.0.1", "localhost", "LocalHost.", "127.1", "2130706433", "0.0.0.0",
                                        "::ffff:127.0.0.1")),
                         ("0.0.0.0", ("127.0.0.1", "127.0.0.3", "0x7f000001", "localhost"))):
        port = d.port("admin " + bound)
        daemon = d.start_router(registries=(), Ice__Admin__Endpoints="tcp -h %s -p %d" % (bound, port),
                                Ice__Admin__InstanceName="Gate", Glacier2__Client__Trace__Reject="1")
        text = 'Gate/admin -f Process:tcp -h "%s" -p %d'
        direct = d.communicator().stringToProxy(text % ("127.0.0.1", port))
        check(outcome(direct.ice_ping) is None, "the admin object itself cannot be reached")
        for number, host in enumerate(hosts):
            refused_proxy(d, number, text % (host, port))
        refused_proxy(d, "mixed", (text % ("127.0.0.1", port)) + ":tcp -h 127.0.0.1 -p 10")
        check(daemon.stderr().count("it names the router's admin endpoints") == len(hosts) + 1, daemon.stderr())
        check(daemon.alive(), "the router ended")
        daemon.kill()


def session_control(d):
    """What session managers control sessions by is for them, not for clients."""
    class Manager(Glacier2.SessionManager):
        control = None

        def create(self, user, control, current):
            self.control = control

    manager = Manager()
    adapter = d.communicator().createObjectAdapterWithEndpoints("Manager", d.endpoint("manager"))
    adapter.add(manager, Ice.stringToIdentity("manager"))
    adapter.activate()
    d.start_router(registries=(), Glacier2__SessionManager="manager:" + d.endpoint("manager"))
    c, router = login(d)
    text = adapter.getCommunicator().proxyToString(manager.control)
    mine = Glacier2.SessionControlPrx.uncheckedCast(c.stringToProxy(text))
    check(manager.control.getSessionTimeout() == 0, "the manager cannot use its control")
    for call in (mine.getSessionTimeout, mine.destroy, mine.categories, mine.ice_ping):
        said = outcome(call)
        check(said == "ObjectNotExistException", "%s: %s" % (call, said))
    check(outcome(router.refreshSession) is None, "the session is gone")
    sets = (manager.control.categories(), manager.control.adapterIds(), manager.control.identities())
    for prx in sets:
        said = outcome(c.stringToProxy(adapter.getCommunicator().proxyToString(prx)).ice_ping)
        check(said == "ObjectNotExistException", said)


def names_of_rejected_addresses(d):
    """A name is no way around a rule about the address it stands for."""
    server = Server(d)
    port = d.port("probe")
    daemon = d.start_router(registries=(), Glacier2__Filter__Address__Reject="127.0.0.1 [::1]",
                            Glacier2__Client__Trace__Reject="1")
    c, router = login(d)
    target = Probe.TargetPrx.uncheckedCast(c.stringToProxy("probe:tcp -h localhost -p %d" % port))
    try:
        target.put(1)
        check(False, "the server was reached")
    except Ice.UnknownLocalException as e:
        check("ConnectionRefusedException" in e.unknown, e.unknown)
    check(not server.target.numbers, "the server was reached")
    check("refusing to connect to 127.0.0.1 port %d" % port in daemon.stderr(), daemon.stderr())
    check(outcome(router.refreshSession) is None, "the session is gone")
    daemon.kill()
    d.start_router(registries=(), Glacier2__Filter__Address__Reject="10.0.0.0/8")
    c, router = login(d)
    target = Probe.TargetPrx.uncheckedCast(c.stringToProxy("probe:tcp -h localhost -p %d" % port))
    check(outcome(target.echo, "x") == "x", "what is not rejected must pass")


def loopback(d):
    """Moulin.Gateway.Filter.Loopback=reject; what a locator says is the operator's word all the same."""
    d.start_registry()
    Server(d, adapter_id="ProbeAdapterId", register=True)
    d.start_router(Moulin__Gateway__Filter__Loopback="reject")
    port = d.port("probe")
    for number, host in enumerate(("127.0.0.1", "127.8.8.8", "localhost", "::1", "0.0.0.0")):
        refused_proxy(d, number, 'probe:tcp -h "%s" -p %d' % (host, port))
    c, router = login(d)
    located = Probe.TargetPrx.uncheckedCast(c.stringToProxy("probe@ProbeAdapterId"))
    check(outcome(located.echo, "x") == "x", "an indirect proxy must pass")
    check(outcome(router.addProxies, [c.stringToProxy("a:tcp -h 10.0.0.1 -p 10")]) == [], "other hosts must pass")


def hidden_errors(d):
    """Moulin.Gateway.HideErrors keeps the types of failures, in the answer, and their texts, in the log only."""
    Server(d)
    secrets = ("Traceback", "no Ice exception at all", "nobody", "127.0.0.1")
    for hide in ("0", "1"):
        daemon = d.start_router(registries=(), Moulin__Gateway__HideErrors=hide)
        c, router = login(d)
        target = Probe.TargetPrx.uncheckedCast(c.stringToProxy("probe:" + d.endpoint("probe")))
        texts = []
        for call, arguments in ((target.fault, ("unknown",)), (c.stringToProxy("nobody").ice_ping, ()),
                                (c.stringToProxy("x:" + d.endpoint("nobody")).ice_ping, ()), (target.fault, ("local",))):
            try:
                call(*arguments)
                check(False, "no failure")
            except (Ice.UnknownException, Ice.UnknownLocalException) as e:
                texts.append(e.unknown)
        said = "\n".join(texts)
        check("::Ice::NoEndpointException" in said and "::Ice::ConnectionRefusedException" in said, said)
        seen = [s for s in secrets if s in said]
        check(not seen if hide == "1" else len(seen) > 1, "HideErrors=%s: %s in\n%s" % (hide, seen, said))
        check("no Ice exception at all" in daemon.stderr(), "the log has to tell")
        check(outcome(target.fault, "problem") == "Problem", "user exceptions are results")
        daemon.kill()


class Recording(Ice.Blobject):
    """Remembers the contexts of its requests."""

    def __init__(self):
        self.seen = []

    def ice_invoke(self, params, current):
        self.seen.append(dict(current.ctx))
        return True, b"\6\0\0\0\1\1"


SPOOFED = {"_con.type": "spoofed", "_con.remoteAddress": "spoofed", "_con.": "spoofed", "_con.new": "spoofed", "a": "1"}


def spoofed_contexts(d):
    """Keys that begin with _con. are the router's, in every setting, to servers, verifiers, managers and clients."""
    class Manager(Glacier2.SessionManager):
        def create(self, user, control, current):
            seen.append(("manager", dict(current.ctx)))

    class Verifier(Glacier2.PermissionsVerifier):
        def checkPermissions(self, user, password, current):
            seen.append(("verifier", dict(current.ctx)))
            return True, ""

    seen, server, client = [], Recording(), Recording()
    back = d.communicator()
    adapter = back.createObjectAdapterWithEndpoints("Back", d.endpoint("back"))
    for name, servant in (("manager", Manager()), ("verifier", Verifier()), ("server", server)):
        adapter.add(servant, Ice.stringToIdentity(name))
    adapter.activate()
    for add in ("0", "1", "2"):
        for forward in ("0", "1"):
            daemon = d.start_router(registries=(), Glacier2__AddConnectionContext=add,
                                    Glacier2__Client__ForwardContext=forward, Glacier2__Server__ForwardContext=forward,
                                    Glacier2__SessionManager="manager:" + d.endpoint("back"),
                                    Glacier2__PermissionsVerifier="verifier:" + d.endpoint("back"))
            c = d.communicator()
            router = d.router_proxy(c)
            router.createSession("alice", "x", SPOOFED)
            c.setDefaultRouter(router)
            c.stringToProxy("server:" + d.endpoint("back")).ice_ping(SPOOFED)
            own = c.createObjectAdapterWithRouter("", router)
            mine = own.add(client, Ice.Identity("me", router.getCategoryForClient()))
            own.activate()
            back.stringToProxy(c.proxyToString(mine)).ice_ping(SPOOFED)
            contexts = seen + [("server", server.seen[-1]), ("client", client.seen[-1])]
            del seen[:]
            check(len(contexts) == 4, contexts)
            for where, ctx in contexts:
                label = "%s, AddConnectionContext=%s, ForwardContext=%s: %s" % (where, add, forward, ctx)
                login_call = where in ("manager", "verifier")
                expected = add != "0" if login_call else add == "1" and where == "server"
                check("spoofed" not in ctx.values() and "_con.new" not in ctx, label)
                check((ctx.get("_con.type") == "tcp") == expected, label)
                check(("a" in ctx) == (login_call or forward == "1"), label)
            d.drop(c)
            daemon.kill()


def another_clients_callbacks(d):
    """By the server endpoints, in whatever spelling, clients get to each other's objects and nowhere else."""
    d.start_router(registries=())
    c, router = login(d)
    servant = CallbackI()
    own = c.createObjectAdapterWithRouter("", router)
    category = router.getCategoryForClient()
    own.add(servant, Ice.Identity("me", category))
    own.activate()
    port = d.port("router.Server")
    other, other_router = login(d, "bob")
    for host in ("127.0.0.1", "localhost", "127.1"):
        text = 'me:tcp -h "%s" -p %d' % (host, port)
        theirs = other.stringToProxy(text).ice_identity(Ice.Identity("me", category))
        answer = outcome(Probe.CallbackPrx.uncheckedCast(theirs).answer, "x")
        check(answer == "X", "%s: %s" % (host, answer))
        said = outcome(theirs.ice_identity(Ice.Identity("me", "no category")).ice_ping)
        check(said == "ObjectNotExistException", said)
    d.drop(c)
    wait_until(lambda: outcome(theirs.ice_ping) == "ObjectNotExistException", "the end of the first client's session")


CASES = [admin_endpoints, session_control, names_of_rejected_addresses, loopback, hidden_errors, spoofed_contexts,
         another_clients_callbacks]
