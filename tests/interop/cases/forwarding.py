# SPDX-License-Identifier: Apache-2.0
"""Through the gateway to a server and back: values, exceptions of every kind, facets, contexts, order, callbacks."""

import threading

import Ice

from lib.deployment import Deployment
from lib.probe import CallbackI, Probe, Server
from lib.process import wait_until


def routed(d, user="alice", **more):
    """A logged-in client: (communicator, router, target proxy through the router)."""
    c = d.communicator(**more)
    router = d.router_proxy(c)
    router.createSession(user, "wonderland")
    c.setDefaultRouter(router)
    return c, router, Probe.TargetPrx.uncheckedCast(c.stringToProxy(d.extras["server"].proxy_text))


def callback_adapter(c, router):
    adapter = c.createObjectAdapterWithRouter("", router)
    adapter.activate()
    return adapter


def plain(flavour, transport="tcp", **more):
    d = Deployment(flavour, transport)
    d.extras["server"] = Server(d)
    d.start_router(registries=(), **more)
    return d


def located(flavour):
    """An indirect proxy is resolved by the router's locator, not by the client."""
    d = Deployment(flavour)
    d.start_registry()
    d.extras["server"] = Server(d, adapter_id="ProbeAdapterId", register=True)
    d.start_router()
    return d


# ---- cases

def values(d, r):
    c, router, target = routed(d)
    r.call("echo", target.echo, "grüße \u20ac")
    r.call("empty string", target.echo, "")
    r.call("long string", lambda: len(target.echo("x" * 200000)))
    r.call("struct, enum, out", target.move, Probe.Point(2147483647 - 1, -3), Probe.Colour.Blue)
    r.call("class", target.draw, Probe.Circle("inner", 1.5, Probe.Shape("core")))
    r.call("null class", target.draw, None)
    r.call("optional both", target.maybe, "a", 7)
    r.call("optional one", target.maybe, "a", Ice.Unset)
    r.call("optional none", target.maybe, Ice.Unset, Ice.Unset)
    r.call("blob", target.blob, 300000)
    r.call("no blob", target.blob, 0)
    r.call("id", target.ice_id)
    r.call("ids", target.ice_ids)
    r.call("isA", target.ice_isA, "::Probe::Target")
    r.call("ping", target.ice_ping)
    r.call("checked cast", Probe.TargetPrx.checkedCast, target)


def exceptions(d, r):
    c, router, target = routed(d)
    for kind in ("problem", "worse", "object", "facet", "operation", "local"):
        r.call(kind, target.fault, kind)
    for kind in ("unknown", "undeclared"):  # the text is a python traceback
        r.kind(kind, target.fault, kind)
    r.call("no such operation", target.ice_invoke, "nonsense", Ice.OperationMode.Normal, b"\x06\0\0\0\1\1")
    r.call("no such facet", target.ice_facet("nowhere").ice_ping)
    missing = c.stringToProxy("missing:" + d.endpoint("probe"))
    r.call("no such object", missing.ice_ping)
    r.call("and the connection lives", target.echo, "yes")


def raw_bodies(d, r):
    """Bodies are carried unread: encodings nobody knows pass too."""
    c, router, target = routed(d)
    for name, version in (("1.0", b"\1\0"), ("1.1", b"\1\1")):
        body = b"\x08\0\0\0" + version + b"\1x"
        r.call("echo " + name, target.ice_invoke, "echo", Ice.OperationMode.Normal, body)
    r.call("empty body", target.ice_invoke, "ice_ping", Ice.OperationMode.Nonmutating, b"")
    r.call("user exception", target.ice_invoke, "fault", Ice.OperationMode.Normal, b"\x0e\0\0\0\1\1\7problem")


def facets(d, r):
    c, router, target = routed(d)
    r.call("main", target.facetName)
    r.call("side", Probe.TargetPrx.uncheckedCast(target, "side").facetName)
    r.call("side again", Probe.TargetPrx.uncheckedCast(target.ice_facet("side")).facetName)


def contexts(d, r):
    c, router, target = routed(d)
    r.call("none", target.context)
    r.call("some", target.context, {"a": "1", "colour": "blue"})
    r.call("proxy's", Probe.TargetPrx.uncheckedCast(target.ice_context({"p": "q"})).context)
    r.call("forward twoway as oneway", target.put, 7, {"_fwd": "o"})
    r.value("arrived", d.extras["server"].target.await_numbers(1))


def unreachable(d, r):
    c, router, target = routed(d)
    nobody = c.stringToProxy("nobody:" + d.endpoint("nobody"))
    r.call("refused", nobody.ice_ping)
    r.call("no endpoints", c.stringToProxy("indirect").ice_ping)
    r.call("no adapter", c.stringToProxy("indirect @ nowhere").ice_ping)
    r.call("and the session lives", router.refreshSession)


def order(d, r):
    c, router, target = routed(d)
    oneway = Probe.TargetPrx.uncheckedCast(target.ice_oneway())
    for n in range(200):
        oneway.put(n)
    numbers = d.extras["server"].target.await_numbers(200)
    r.value("oneway in order", numbers == list(range(200)))
    batch = Probe.TargetPrx.uncheckedCast(target.ice_batchOneway())
    for n in range(100):
        batch.put(n)
    batch.ice_flushBatchRequests()
    numbers = d.extras["server"].target.await_numbers(100)
    r.value("batch in order", numbers == list(range(100)))
    for n in range(30):
        (oneway if n % 3 else target).put(n)
    numbers = d.extras["server"].target.await_numbers(30)
    r.value("mixed in order", numbers == list(range(30)))
    pending = [target.putAsync(n) for n in range(100)]
    for p in pending:
        p.result()
    r.value("asynchronous in order", target.taken() == list(range(100)))


def interleaved(d, r):
    """Two sessions at once do not see each other's answers."""
    clients = [routed(d, user) for user in ("alice", "bob")]
    futures = [[t.echoAsync("%d/%d" % (k, n)) for n in range(100)] for k, (_, _, t) in enumerate(clients)]
    for k, row in enumerate(futures):
        r.value("client %d" % k, [f.result() for f in row] == ["%d/%d" % (k, n) for n in range(100)])


def callbacks(d, r):
    c, router, target = routed(d)
    adapter = callback_adapter(c, router)
    servant = CallbackI()
    identity = Ice.Identity("me", router.getCategoryForClient())
    proxy = Probe.CallbackPrx.uncheckedCast(adapter.add(servant, identity))
    r.value("endpoints of the callback", [str(e) for e in proxy.ice_getEndpoints()])
    target.subscribe(proxy)
    r.call("answer", target.ask, "are you there")
    r.call("user exception", target.askToFail, "because")
    target.notify(100)
    r.value("oneway callbacks in order", servant.await_notes(100) == list(range(100)))
    target.subscribe(Probe.CallbackPrx.uncheckedCast(proxy.ice_identity(Ice.Identity("other", identity.category))))
    r.call("no such servant", target.askToFail, "x")
    target.subscribe(Probe.CallbackPrx.uncheckedCast(proxy.ice_identity(Ice.Identity("me", "x" * 20))))
    r.call("no such token", target.askToFail, "x")
    target.subscribe(proxy)
    r.call("again", target.ask, "still there")
    router.destroySession()
    r.kind("after destroy", d.extras["server"].target.callback.ice_ping)


def callback_after_loss(d, r):
    c, router, target = routed(d)
    adapter = callback_adapter(c, router)
    proxy = Probe.CallbackPrx.uncheckedCast(adapter.add(CallbackI(), Ice.Identity("me", router.getCategoryForClient())))
    target.subscribe(proxy)
    r.call("while here", target.ask, "here")
    d.drop(c)

    def gone():
        try:
            d.extras["server"].target.callback.ice_ping()
        except Ice.ObjectNotExistException as e:
            return e
        except Ice.Exception:
            return None
    r.value("callback when the client is gone", wait_until(gone, "the callback being refused").operation)


def slow_and_fast(d, r):
    """A slow server does not hold up a session's other answers."""
    c, router, target = routed(d)
    second = Server(d, name="second")
    fast = Probe.TargetPrx.uncheckedCast(c.stringToProxy(second.proxy_text))
    slow = target.sleepAsync(1500)
    r.call("fast answers first", fast.echo, "fast")
    r.value("slow still pending", not slow.done())
    r.call("slow answers", slow.result)


def server_dies(d, r):
    c, router, target = routed(d)
    mortal = Server(d, name="mortal")
    proxy = Probe.TargetPrx.uncheckedCast(c.stringToProxy(mortal.proxy_text))
    r.call("alive", proxy.echo, "alive")
    d.drop(mortal.communicator)
    r.call("dead", proxy.echo, "dead")
    back = Server(d, name="mortal")
    r.call("back", proxy.echo, "back")
    d.drop(back.communicator)


def without_login(d, r):
    c = d.communicator()
    c.setDefaultRouter(d.router_proxy(c))
    target = Probe.TargetPrx.uncheckedCast(c.stringToProxy(d.extras["server"].proxy_text))
    r.kind("twoway", target.echo, "x")
    direct = c.stringToProxy("probe:" + d.endpoint("router.Client")).ice_router(None)
    r.kind("unrouted", direct.ice_ping)
    oneway = Probe.TargetPrx.uncheckedCast(direct.ice_oneway())
    closed = threading.Event()
    direct.ice_getConnection().setCloseCallback(lambda connection: closed.set())
    oneway.put(666)
    r.value("connection closed", closed.wait(20))
    r.value("nothing arrived", d.extras["server"].target.numbers)


def unknown_route(d, r):
    c, router, target = routed(d)
    stray = c.stringToProxy("stray:" + d.endpoint("router.Client")).ice_router(None)
    r.call("not in the table", stray.ice_fixed(router.ice_getConnection()).ice_ping)
    r.call("with a facet", stray.ice_facet("f").ice_fixed(router.ice_getConnection()).ice_ping)


def through_locator(d, r):
    c, router, target = routed(d)
    indirect = Probe.TargetPrx.uncheckedCast(c.stringToProxy("probe @ ProbeAdapterId"))
    r.call("adapter", indirect.echo, "located")
    r.call("facet", Probe.TargetPrx.uncheckedCast(indirect, "side").facetName)
    query = c.stringToProxy("Demo/Query")
    r.call("well known", query.ice_id)
    r.call("unknown adapter", c.stringToProxy("x @ nowhere").ice_ping)
    r.call("unknown object", c.stringToProxy("nobody").ice_ping)


def plan():
    everything = [values, exceptions, raw_bodies, facets, contexts, unreachable, order, interleaved, callbacks,
                  callback_after_loss, slow_and_fast, server_dies, without_login, unknown_route]
    yield "plain", plain, everything
    yield "context", lambda f: plain(f, Glacier2__Client__ForwardContext="1",
                                     Glacier2__Server__ForwardContext="1"), [contexts, callbacks]
    yield "unbuffered", lambda f: plain(f, Glacier2__Client__Buffered="0", Glacier2__Server__Buffered="0"), everything
    yield "located", located, [values, through_locator]
