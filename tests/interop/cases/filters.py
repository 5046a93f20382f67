# SPDX-License-Identifier: Apache-2.0
"""Address rules, proxy sizes and the router's own endpoints, wherever ZeroC's router does what the rules say. What it gets
wrong (and where it would spin) is in the table of tests/unit/gateway/test_address_rules.c.
"""

import Ice

from lib.bindings import Glacier2
from lib.deployment import Deployment
from lib.probe import CallbackI, Probe, Server

from .forwarding import callback_adapter, routed

OPAQUE = "a:opaque -t 99 -e 1.1 -v abch"

# (accept, reject, proxies); "h" is a:tcp -h h -p 10, "h:p" names the port, anything with a blank or "@" is a proxy.
ROWS = [
    ("127.0.0.1", None, ["127.0.0.1", "a:ws -h 127.0.0.1 -p 10", "a:udp -h 127.0.0.1 -p 10", "127.0.0.10", "localhost",
                         "a @ ad", "a -t", OPAQUE, "127.0.0.1+1.2.3.4"]),
    ("example.com", None, ["example.com", "example.com.evil.org"]),
    ("10.0.0.1", None, ["10.0.0.1", "10.0.0.11"]),
    ("*example.com", None, ["example.com", "a.example.com", "badexample.com"]),
    ("10.*", None, ["10.0.0.1", "10.evil.com", "110.0.0.1"]),
    ("10.[0-1].0.1", None, ["10.0.0.1", "10.1.0.1", "10.2.0.1"]),
    ("*", None, ["127.0.0.1", "a @ ad", "a -t"]),
    (None, "*", ["127.0.0.1", "a @ ad", "a -t"]),
    ("127.0.0.*", None, ["127.0.0.1", "127.0.1.1"]),
    ("*.1", None, ["127.0.0.1", "127.0.0.11", "127.0.0.2"]),
    ("127.*.1", None, ["127.0.0.1", "127.1", "127.5.1.2"]),
    ("10.0.0.[1-3,5]", None, ["10.0.0.%d" % n for n in range(7)]),
    ("10.0.[0-1].[1-3]", None, ["10.0.2.1"]),
    ("[127].0.0.1", None, ["127.0.0.1", "128.0.0.1"]),
    ("*[1-5]", None, ["127.0.0.1"]),
    ("*foo*bar", None, ["xfooybar", "fooxxbar", "fooxxbarz"]),
    ("127.0.0.1:10", None, ["127.0.0.1:10", "127.0.0.1:11"]),
    ("127.0.0.1:[10,20-22]", None, ["127.0.0.1:%d" % p for p in (9, 10, 20, 22, 23)]),
    ("127.0.0.1:10,20-22", None, ["127.0.0.1:%d" % p for p in (9, 10, 20, 22, 23)]),
    ("*:80 127.0.0.1", None, ["127.0.0.1:10", "h:80", "h:81"]),
    ("127.0.0.1 ", "127.0.0.1:[20-30]", ["127.0.0.1:10", "127.0.0.1:25", "1.1.1.1"]),
    (None, "1.1.1.1", ["127.0.0.1", "1.1.1.1"]),
    ("10.0.0.1 10.0.0.2", None, ["10.0.0.1", "10.0.0.2", "10.0.0.1+10.0.0.2"]),
    ("10.0.0.*", None, ["10.0.0.1+10.0.0.2"]),
]
BAD = ["::1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.[1", "127.0.0.1:[10", "127.0.0.1:[1 2]", "127.0.0.1]", "127.0.0.[]",
       "127.0.0.1:[1-]", "127[*]", ":80"]
WORDS = ["expected number", "unclosed group", "group close without group start", "empty group", "Unterminated range",
         "wildcards not permitted in groups", "expected address information before ':'"]


def endpoint(text):
    host, _, port = text.partition(":")
    return "tcp -h %s -p %s" % (host, port or "10")


def proxy(c, text):
    return c.stringToProxy(text if " " in text else "a:" + ":".join(endpoint(h) for h in text.split("+")))


def settings(accept=None, reject=None, size=None):
    return {"Glacier2__Filter__Address__Accept": accept, "Glacier2__Filter__Address__Reject": reject,
            "Glacier2__Filter__ProxySizeMax": size}


def session(d, c, number):
    """A session on a connection of its own: one that is refused a proxy is closed."""
    router = Glacier2.RouterPrx.uncheckedCast(d.router_proxy(c).ice_connectionId(str(number)))
    router.createSession("alice", "wonderland")
    return router


def offer(d, r, c, number, label, proxies):
    router = session(d, c, number)
    r.kind(label, router.addProxies, proxies)
    router.ice_getConnection().close(Ice.ConnectionClose.Forcefully)


def address_rules(d, r):
    for number, (accept, reject, targets) in enumerate(ROWS):
        daemon = d.start_router(registries=(), **settings(accept, reject))
        c = d.communicator()
        for k, target in enumerate(targets):
            offer(d, r, c, k, "accept %s reject %s: %s" % (accept, reject, target), [proxy(c, target)])
        d.drop(c)
        daemon.kill()


def sizes(d, r):
    for size in ("40", "42", "43"):
        daemon = d.start_router(registries=(), **settings(size=size))
        c = d.communicator()
        offer(d, r, c, 0, size, [proxy(c, "127.0.0.1")])
        offer(d, r, c, 1, size + " of an indirect one", [proxy(c, "a @ ad")])
        d.drop(c)
        daemon.kill()


def all_or_nothing(d, r):
    d.start_router(registries=(), Glacier2__Client__Trace__Reject="0", Glacier2__Trace__RoutingTable="1",
                   **settings("127.0.0.1"))
    c = d.communicator()
    router = session(d, c, 0)
    r.kind("one of three", router.addProxies, [proxy(c, h) for h in ("127.0.0.1", "1.1.1.1", "127.0.0.1:11")])
    r.value("nothing was added", "adding" not in d.daemons["router"].stderr())
    r.kind("the session is gone", session(d, c, 0).addProxies, [None, proxy(c, "127.0.0.1")])


def bad_starts(d, r):
    def start(label, words, **more):
        properties = {"Glacier2.InstanceName": "Gate", "Glacier2.Client.Endpoints": d.endpoint("router.Client"),
                      "Glacier2.PermissionsVerifier": "Gate/NullPermissionsVerifier"}
        properties.update({k.replace("__", "."): v for k, v in more.items() if v is not None})
        daemon = d.start("bad", "gateway", properties, None)
        status = daemon.await_exit()
        r.value(label, [status] + [w for w in words if w in daemon.stderr()])
    for rule in BAD:
        for which in ("Accept", "Reject"):
            words = ["invalid `Glacier2.Filter.Address.%s' property:" % which] + WORDS
            start("%s=%s" % (which, rule), words, **{"Glacier2__Filter__Address__" + which: rule})
    for size in ("0", "x"):
        start(size, ["Error parsing ProxySizeMax property", "ProxySizeMax must be greater than 1"], **settings(size=size))


def own_endpoints(d, r):
    """The router's client endpoints lead nowhere; its server endpoints lead to other clients' callback objects."""
    c, router, target = routed(d)
    client = router.ice_getEndpoints()
    r.call("an object there", c.stringToProxy("some/one").ice_endpoints(client).ice_ping)
    r.call("a facet there", c.stringToProxy("some/one -f f").ice_endpoints(client).ice_ping)
    r.kind("oneway", c.stringToProxy("some/one -o").ice_endpoints(client).ice_ping)
    servant = CallbackI()
    adapter = callback_adapter(c, router)
    mine = adapter.add(servant, Ice.Identity("me", router.getCategoryForClient()))
    other, other_router, _ = routed(d, "bob")
    theirs = Probe.CallbackPrx.uncheckedCast(other.stringToProxy(c.proxyToString(mine)))
    r.call("another client", theirs.answer, "hello")
    r.call("its exception", theirs.fail, "x")
    Probe.CallbackPrx.uncheckedCast(theirs.ice_oneway()).note(7)
    r.value("oneway arrives", servant.await_notes(1))
    r.kind("no object of its", theirs.ice_identity(Ice.Identity("you", mine.ice_getIdentity().category)).ice_ping)
    r.kind("no such client", theirs.ice_identity(Ice.Identity("me", "nobody")).ice_ping)
    r.kind("itself", Probe.CallbackPrx.uncheckedCast(mine).answer, "hello")
    r.call("still alive", target.echo, "x")


def indirect_only(d, r):
    """Address.Reject=* leaves what the router's locator knows."""
    c, router, target = routed(d)
    r.kind("direct", target.echo, "x")
    c, router, _ = routed(d)
    r.call("indirect", Probe.TargetPrx.uncheckedCast(c.stringToProxy("probe @ ProbeAdapterId")).echo, "x")


def located(flavour):
    d = Deployment(flavour)
    d.start_registry()
    d.extras["server"] = Server(d, adapter_id="ProbeAdapterId", register=True)
    d.extras["server"].proxy_text = "probe:" + d.endpoint("probe")
    d.start_router(**settings(reject="*"))
    return d


def plain(flavour):
    return Deployment(flavour)


def with_server(flavour, **more):
    d = Deployment(flavour)
    d.extras["server"] = Server(d)
    d.start_router(registries=(), **more)
    return d


def plan():
    yield "rules", plain, [address_rules]
    yield "sizes", plain, [sizes, all_or_nothing]
    yield "bad starts", plain, [bad_starts]
    yield "indirect only", located, [indirect_only]
    yield "own endpoints", with_server, [own_endpoints]
    yield "own endpoints, not buffered", lambda f: with_server(
        f, Glacier2__Client__Buffered="0", Glacier2__Server__Buffered="0"), [own_endpoints]
