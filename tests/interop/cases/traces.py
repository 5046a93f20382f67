# SPDX-License-Identifier: Apache-2.0
"""What the router's traces and warnings say about a scripted session: line by line, without times, ports and tokens."""

import re

import Ice

from lib.deployment import Deployment
from lib.probe import CallbackI, Probe, Server
from lib.process import wait_until

from .forwarding import callback_adapter

TRACES = {"Glacier2__Client__Trace__Request": "1", "Glacier2__Server__Trace__Request": "1",
          "Glacier2__Client__Trace__Reject": "1", "Glacier2__Trace__Session": "1",
          "Glacier2__Trace__RoutingTable": "3", "Glacier2__RoutingTable__MaxSize": "2"}


def traced(flavour, **more):
    d = Deployment(flavour)
    d.extras["server"] = Server(d)
    settings = dict(TRACES)
    settings.update(more)
    d.start_router(registries=(), **settings)
    return d


def entries(d, r):
    """The log as a list of entries, each a first line with the lines that belong to it, masked."""
    found = []
    for line in d.daemons["router"].stderr().splitlines():
        if line.startswith("   ") and found:
            found[-1] += " / " + line.strip()
        else:
            found.append(re.sub(r"^(-!|--|!!) \S+ \S+ \S+: ", r"\1 ", line))
    masked = []
    for entry in found:
        entry = re.sub(r"category = \S+( \.\.\.)?", "category = <token>", r.text(entry))
        entry = re.sub(r"identity = \S+( \.\.\.)?/me", "identity = <token>/me", entry)
        entry = re.sub(r"exception: \S+\.cpp:\d+: ", "exception: ", entry).replace("\\'", "'")  # ours are escaped
        masked.append(re.sub(r"remote port: \d+", "remote port: <port>", entry))
    return masked


def client(d, user="alice"):
    c = d.communicator()
    router = d.router_proxy(c)
    router.createSession(user, "wonderland")
    c.setDefaultRouter(router)
    return c, router, Probe.TargetPrx.uncheckedCast(c.stringToProxy(d.extras["server"].proxy_text))


def said(d, r, label, text, count=1):
    """Waits until an entry with that text is in the log, and records those that have it."""
    wait_until(lambda: sum(text in e for e in entries(d, r)) >= count, "`%s' in the log" % text)
    for entry in entries(d, r):
        if text in entry:
            r.value(label, re.sub(r"Traceback .*? / } / ", "<traceback>", entry))


def sessions(d, r):
    c, router, target = client(d)
    router.destroySession()
    said(d, r, "begin", "created session")
    said(d, r, "end", "destroying session")


def routing(d, r):
    c, router, target = client(d)
    target.echo("x")
    target.echo("x", {"a": "1", "b": "2"})
    target.ice_facet("side").ice_ping()
    Probe.TargetPrx.uncheckedCast(target.ice_oneway()).put(1)
    d.extras["server"].target.await_numbers(1)
    said(d, r, "routing", "-- Glacier2: routing", 4)
    for n in range(3):
        r.kind("nobody", c.stringToProxy("some%d:" % n + d.endpoint("probe")).ice_ping)
    router.addProxies([c.stringToProxy("some2:tcp -h 10.0.0.1 -p 10")])
    said(d, r, "added", "adding proxy", 4)
    said(d, r, "known", "already in")
    said(d, r, "evicted", "evicting", 2)


def callbacks(d, r):
    c, router, target = client(d)
    servant = CallbackI()
    adapter = callback_adapter(c, router)
    proxy = adapter.add(servant, Ice.Identity("me", router.getCategoryForClient()))
    target.subscribe(Probe.CallbackPrx.uncheckedCast(proxy))
    r.value("answer", target.ask("hello"))
    said(d, r, "reverse", "reverse routing")


def without_session(d, r):
    c = d.communicator()
    router = d.router_proxy(c)
    fixed = router.ice_identity(Ice.Identity("some", "where")).ice_router(None)
    r.kind("ping", fixed.ice_ping)
    said(d, r, "rejected", "no session")


def filtered(d, r):
    c, router, target = client(d)
    r.call("echo", target.echo, "x")
    said(d, r, "rejected", "rejecting request")


def dispatch(d, r):
    c, router, target = client(d)
    r.kind("refused", c.stringToProxy("cat/nobody:" + d.endpoint("nobody")).ice_ping)
    r.kind("nowhere", c.stringToProxy("nobody").ice_facet("f").ice_ping)
    r.kind("local", target.fault, "local")
    r.kind("not there", c.stringToProxy("missing:" + d.endpoint("probe")).ice_ping)
    said(d, r, "warning", "dispatch exception", 3)


def proxies(d, r):
    """Only the first lines: the reasons that follow ours are our own."""
    c, router, target = client(d)
    target.ice_ping()
    r.kind("refused", router.addProxies, [c.stringToProxy("a:tcp -h 1.1.1.1 -p 10")])
    wait_until(lambda: any("rejected" in e for e in entries(d, r)), "the rejection in the log")
    for entry in entries(d, r):
        if "accepted" in entry or "rejected" in entry:
            r.value("judged", entry.split(" / ")[0])


def plan():
    yield "traces", traced, [sessions, without_session]
    yield "routing", traced, [routing]
    yield "not buffered", lambda f: traced(f, Glacier2__Client__Buffered="0", Glacier2__Server__Buffered="0",
                                           Glacier2__Client__ForwardContext="1"), [routing, callbacks]
    yield "callbacks", lambda f: traced(f, Glacier2__Server__ForwardContext="1"), [callbacks]
    yield "filter", lambda f: traced(f, Glacier2__Filter__Category__Accept="c",
                                     Glacier2__Filter__Identity__Accept="d"), [filtered]
    yield "warnings", traced, [dispatch]
    yield "all warnings", lambda f: traced(f, Ice__Warn__Dispatch="2"), [dispatch]
    yield "no warnings", lambda f: traced(f, Ice__Warn__Dispatch="0"), [sessions]
    yield "proxies", lambda f: traced(f, Glacier2__Filter__Address__Accept="127.0.0.1"), [proxies]
