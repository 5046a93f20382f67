# SPDX-License-Identifier: Apache-2.0
"""The admin object of the gateway: its facets, the properties as the gateway rewrote them, views of its metrics after
scripted traffic, switching views and changing their properties, shutdown by the Process facet.

Not compared: times, bytes of connections (each flavour writes messages of its own size), threads, calls a flavour makes
within itself (ZeroC's router calls its verifier and flushes batches), and the map Gateway, which is ours."""

import Ice
import IceMX

from lib.deployment import Deployment
from lib.probe import CallbackI, Probe, Server
from lib.process import wait_until

SESSION = "IceMX.Metrics.%s.Map.Session."
VIEWS = {
    "IceMX.Metrics.All.GroupBy": "id",
    "IceMX.Metrics.Parents.GroupBy": "parent",
    "IceMX.Metrics.Off.GroupBy": "id",
    "IceMX.Metrics.Off.Disabled": "1",
    "IceMX.Metrics.Empty.GroupBy": "none",
    "IceMX.Metrics.NoSuchMap.Map.Nope.GroupBy": "id",
    "IceMX.Metrics.MapOff.Map.Session.Disabled": "1",
    "IceMX.Metrics.MapOff.Map.Thread.GroupBy": "parent",
    "IceMX.Metrics.BadPattern.Map.Session.Accept.id": "[",
    "IceMX.Metrics.Forwarded.Map.Dispatch.GroupBy": "operation",
    "IceMX.Metrics.Forwarded.Map.Dispatch.Accept.identity": "^(probe|nobody|stray)$",
    "IceMX.Metrics.Calls.Map.Invocation.GroupBy": "operation",
    "IceMX.Metrics.Calls.Map.Invocation.Reject.operation": "ice_flushBatchRequests|checkPermissions|ice_isA",
    "IceMX.Metrics.Calls.Map.Invocation.Map.Remote.GroupBy": "parent",
    "IceMX.Metrics.Attempts.Map.ConnectionEstablishment.GroupBy": "endpointHost",
    "IceMX.Metrics.Attempts.Map.EndpointLookup.GroupBy": "endpointHost",
    "IceMX.Metrics.Clients.Map.Connection.GroupBy": "adapterName",
    "IceMX.Metrics.Clients.Map.Connection.Accept.adapterName": "Glacier2.Client",
}
GROUPS = ["parent", "id", "none", "parent/id [none]", "id)", "(id)", "-id", "id..parent", "nonsense", "id-nonsense", "userId",
          "state", "mcastHost", "incoming", "adapterName", "connectionId", "localHost", "localPort", "remoteHost", "endpoint",
          "endpointType", "endpointIsDatagram", "endpointIsSecure", "endpointTimeout", "endpointCompress", "endpointHost",
          "endpointPort"]
RULES = [("Accept.id", "b"), ("Accept.id", "^b2$"), ("Reject.id", ".*2"), ("Accept.nonsense", "x"), ("Reject.nonsense", "."),
         ("Accept.connection", "^local address = 127.0.0.1"), ("Reject.connection", "remote.*address"), ("RetainDetached", "2"),
         ("RetainDetached", "0"), ("RetainDetached", "x")]


def administered(flavour, **settings):
    d = Deployment(flavour)
    d.daemon_settings = {"Ice.Admin.Endpoints": d.endpoint("admin"), "Ice.Admin.InstanceName": "Gateway"}
    d.daemon_settings.update({k.replace("__", "."): v for k, v in settings.items()})
    d.extras["server"] = Server(d)
    return d


def viewed(flavour, **more):
    d = administered(flavour)
    d.daemon_settings.update(VIEWS)
    for n, group in enumerate(GROUPS):
        d.daemon_settings[SESSION % ("Group%02d" % n) + "GroupBy"] = group
    for n, (rule, value) in enumerate(RULES):
        d.daemon_settings[SESSION % ("Rule%02d" % n) + rule] = value
    d.start_router(registries=(), **more)
    return d


def bare(flavour):
    d = administered(flavour)
    d.start_router(registries=())
    return d


def unbuffered(flavour):
    d = administered(flavour, **{SESSION % "All" + "GroupBy": "id"})
    d.start_router(registries=(), Glacier2__Client__Buffered="0", Glacier2__Server__Buffered="0")
    return d


def admin(d):
    return d.communicator().stringToProxy("Gateway/admin:" + d.endpoint("admin"))


def metrics(d):
    return IceMX.MetricsAdminPrx.uncheckedCast(admin(d), "Metrics")


def settings(d):
    return Ice.PropertiesAdminPrx.uncheckedCast(admin(d), "Properties")


def login(d, user):
    c = d.communicator()
    router = d.router_proxy(c)
    router.createSession(user, "secret")
    c.setDefaultRouter(router)
    return c, router, Probe.TargetPrx.uncheckedCast(c.stringToProxy(d.extras["server"].proxy_text))


def leave(d, c, router):
    router.destroySession()
    d.drop(c)


IGNORED = ("totalLifetime", "receivedBytes", "sentBytes", "inUseForIO", "inUseForUser", "inUseForOther")


def element(e):
    """Class, id, and whatever is not 0; the time of those that are gone only as being there."""
    shown = {k: v for k, v in vars(e).items() if v and k not in IGNORED and k not in ("id", "remotes", "collocated")}
    if isinstance(e, IceMX.InvocationMetrics):
        shown["remotes"] = [element(x) for x in e.remotes]
    if e.failures:  # the texts of failures are each flavour's own
        shown.pop("replySize", None)
    if e.total > e.current:
        shown["lived"] = e.totalLifetime > 0
    return (type(e).__name__, e.id, shown)


def look(r, view, name, *maps):
    found, _ = view.getMetricsView(name)
    found.pop("Gateway", None)
    r.value(name + " maps", sorted(found))
    for m in maps:
        r.value("%s %s" % (name, m), sorted((element(e) for e in found.get(m, [])), key=lambda e: e[1]))


def sessions(view, name="All"):
    return {e.id: e for e in view.getMetricsView(name)[0]["Session"]}


# ---- the admin object

def facets(d, r):
    a = admin(d)
    r.call("no default facet", a.ice_ping)
    for facet in ("Process", "Properties", "Logger", "Metrics"):
        r.call(facet, a.ice_facet(facet).ice_id)
    r.call("another", a.ice_facet("Other").ice_ping)


def rewritten(d, r):
    p = settings(d)
    for prefix in ("Glacier2.Client.ACM", "Glacier2.Server.ACM", "Ice.ACM.Client", "Ice.Admin.InstanceName"):
        r.call(prefix, p.getPropertiesForPrefix, prefix)


def without_views(d, r):
    m = metrics(d)
    r.call("names", m.getMetricsViewNames)
    r.call("view", m.getMetricsView, "none")
    r.call("enable", m.enableMetricsView, "none")
    r.call("disable", m.disableMetricsView, "none")
    r.call("failures of a map", m.getMapMetricsFailures, "none", "Session")
    r.call("failures", m.getMetricsFailures, "none", "Session", "id")


def shut_down(d, r):
    process = Ice.ProcessPrx.uncheckedCast(admin(d), "Process")
    r.call("shutdown", process.shutdown)
    r.value("status", d.daemons["router"].await_exit())


# ---- views

def names(d, r):
    m = metrics(d)
    r.call("names", m.getMetricsViewNames)
    r.call("unknown", m.getMetricsView, "nobody")
    for view in ("All", "Off", "Empty", "NoSuchMap", "MapOff", "BadPattern", "Forwarded", "Group00", "Rule00"):
        look(r, m, view)


def groups(d, r):
    """One session for every expression, and what is left when it is gone."""
    m = metrics(d)
    c, router, target = login(d, "alice")
    target.echo("x")

    def show(name, group):
        found = m.getMetricsView(name)[0]["Session"]
        port = str(d.port("router.Client"))
        r.value("by " + group, [("<port>" if e.id == port else e.id, e.total, e.current, e.routingTableSize) for e in found])
    for n, group in enumerate(GROUPS):
        show("Group%02d" % n, group)
    leave(d, c, router)
    wait_until(lambda: not sessions(m, "Group01")["alice"].current, "a change of the metrics")
    for n, group in enumerate(GROUPS):
        show("Group%02d" % n, group)


def rules(d, r):
    m = metrics(d)
    for user in ("a1", "a2", "b1", "b2", "b3", "a1"):
        c, router, target = login(d, user)
        target.echo("x")
        leave(d, c, router)
    for n, (rule, value) in enumerate(RULES):
        found = m.getMetricsView("Rule%02d" % n)[0]["Session"]
        r.value("%s=%s" % (rule, value), sorted((e.id, e.total) for e in found if e.id[0] in "ab" and e.id != "alice"))


def traffic(d, r):
    """Everything that can become of a request, and who counts it."""
    m = metrics(d)
    c, router, target = login(d, "carol")
    server = d.extras["server"].target
    server.taken(None)
    for kind in ("problem", "worse", "object", "facet", "operation", "local", "unknown", "undeclared"):
        r.kind(kind, target.fault, kind)
    oneway = Probe.TargetPrx.uncheckedCast(target.ice_oneway())
    batch = Probe.TargetPrx.uncheckedCast(target.ice_batchOneway())
    oneway.put(1)
    batch.put(2)
    batch.put(3)
    batch.ice_flushBatchRequests()
    r.value("numbers", sorted(server.await_numbers(3)))
    r.kind("refused", c.stringToProxy("nobody:tcp -h 127.0.0.1 -p 1").ice_ping)
    r.kind("no such object", c.stringToProxy("stray:" + d.endpoint("probe")).ice_ping)
    r.kind("by name", c.stringToProxy("stray:tcp -h localhost -p %d" % d.port("probe")).ice_ping)
    stray = c.stringToProxy("unheard:" + d.endpoint("router.Client")).ice_router(None)
    r.kind("no route", stray.ice_fixed(router.ice_getConnection()).ice_ping)
    r.kind("unknown name", c.stringToProxy("far:tcp -h nosuch.invalid -p 1000").ice_ping)
    r.call("echo", lambda: len(target.echo("x" * 1000)))
    look(r, m, "Forwarded", "Dispatch")
    look(r, m, "Clients", "Connection")
    r.value("session", element(sessions(m)["carol"]))
    found = m.getMetricsView("Calls")[0]["Invocation"]
    r.value("calls", sorted((e.id, e.total, e.current, e.userException, bool(e.failures), len(e.collocated),
                             [(x.id, x.total, x.size, x.replySize) for x in e.remotes]) for e in found))
    found = m.getMetricsView("Attempts")[0]
    for name in ("ConnectionEstablishment", "EndpointLookup"):  # how often it is tried again differs
        r.value(name, sorted((e.id, e.total > 0, e.current, e.failures > 0) for e in found[name]
                             if name == "EndpointLookup" or e.id == "127.0.0.1"))
    leave(d, c, router)


def failures(d, r):
    m = metrics(d)
    r.call("dispatches", lambda: sorted((f.id, f.failures) for f in m.getMapMetricsFailures("Forwarded", "Dispatch")))
    r.call("calls", lambda: sorted((f.id, {k: v for k, v in f.failures.items()})
                                   for f in m.getMapMetricsFailures("Calls", "Invocation")))
    r.call("lookups", lambda: [(f.id, sorted(f.failures)) for f in m.getMapMetricsFailures("Attempts", "EndpointLookup")])
    r.call("one", m.getMetricsFailures, "Forwarded", "Dispatch", "fault")
    r.call("one without", m.getMetricsFailures, "Forwarded", "Dispatch", "echo")
    r.call("unknown id", m.getMetricsFailures, "Forwarded", "Dispatch", "nobody")
    r.call("unknown map", m.getMetricsFailures, "Forwarded", "Nope", "fault")
    r.call("all of an unknown map", m.getMapMetricsFailures, "Forwarded", "Nope")
    r.call("disabled view", m.getMapMetricsFailures, "Off", "Dispatch")
    r.call("unknown view", m.getMapMetricsFailures, "nobody", "Dispatch")


def lost_client(d, r):
    m = metrics(d)
    c, router, target = login(d, "dave")
    target.echo("x")
    before = [e for e in m.getMetricsView("Clients")[0]["Connection"]][0].failures
    router.ice_getConnection().close(Ice.ConnectionClose.Forcefully)
    wait_until(lambda: not sessions(m)["dave"].current, "a change of the metrics")
    r.value("session", element(sessions(m)["dave"]))
    wait_until(lambda: m.getMetricsView("Clients")[0]["Connection"][0].failures > before, "a change of the metrics")
    r.call("failures", lambda: [sorted(f.failures) for f in m.getMapMetricsFailures("Clients", "Connection")])


def callbacks(d, r):
    m = metrics(d)
    c, router, target = login(d, "erin")
    adapter = c.createObjectAdapterWithRouter("", router)
    adapter.activate()
    callback = CallbackI()
    target.subscribe(Probe.CallbackPrx.uncheckedCast(adapter.add(
        callback, Ice.Identity("callback", router.getCategoryForClient()))))
    r.call("ask", target.ask, "question")
    target.notify(3)
    r.value("notes", callback.await_notes(3))
    wait_until(lambda: sessions(m)["erin"].forwardedServer == 4, "a change of the metrics")
    r.value("session", element(sessions(m)["erin"]))
    leave(d, c, router)
    wait_until(lambda: not sessions(m)["erin"].current, "a change of the metrics")
    r.value("gone", element(sessions(m)["erin"]))


def switching(d, r):
    m, p = metrics(d), settings(d)
    c, router, target = login(d, "frank")
    target.echo("x")
    r.call("disable", m.disableMetricsView, "Group01")
    r.call("property", p.getProperty, SESSION.split(".Map")[0] % "Group01" + ".Disabled")
    look(r, m, "Group01")
    r.value("disabled", m.getMetricsViewNames()[1])
    r.call("enable", m.enableMetricsView, "Group01")
    r.call("property", p.getProperty, SESSION.split(".Map")[0] % "Group01" + ".Disabled")
    look(r, m, "Group01", "Session")
    target.echo("x")
    r.call("enable again", m.enableMetricsView, "Group01")
    look(r, m, "Group01", "Session")
    leave(d, c, router)
    r.call("enable unknown", m.enableMetricsView, "nobody")
    r.call("disable unknown", m.disableMetricsView, "nobody")


def changing(d, r):
    m, p = metrics(d), settings(d)
    c, router, target = login(d, "grace")
    target.echo("x")
    key = SESSION % "New" + "GroupBy"
    r.call("a new view", p.setProperties, {key: "id"})
    r.value("is there", "New" in m.getMetricsViewNames()[0])
    look(r, m, "New", "Session")
    target.echo("x")
    r.call("something else", p.setProperties, {"Some.Thing": "1"})
    look(r, m, "New", "Session")
    r.call("another expression", p.setProperties, {key: "parent"})
    look(r, m, "New", "Session")
    r.call("a bad pattern", p.setProperties, {SESSION % "New" + "Accept.id": "["})
    look(r, m, "New")
    r.call("disabled", p.setProperties, {"IceMX.Metrics.New.Disabled": "1"})
    r.value("is disabled", "New" in m.getMetricsViewNames()[1])
    r.call("no view", p.setProperties,
           {key: "", SESSION % "New" + "Accept.id": "", "IceMX.Metrics.New.Disabled": ""})
    r.call("is gone", m.getMetricsView, "New")
    leave(d, c, router)


def counted_unbuffered(d, r):
    """Unbuffered, every request of the session counts as forwarded."""
    m = metrics(d)
    c, router, target = login(d, "alice")
    target.echo("x")
    oneway = Probe.TargetPrx.uncheckedCast(target.ice_oneway())
    oneway.put(1)
    d.extras["server"].target.await_numbers(1)
    stray = c.stringToProxy("unheard:" + d.endpoint("router.Client")).ice_router(None)
    r.kind("no route", stray.ice_fixed(router.ice_getConnection()).ice_ping)
    r.value("session", element(sessions(m)["alice"]))


def plan():
    yield "bare", bare, [facets, rewritten, without_views, shut_down]
    yield "views", viewed, [names, groups, traffic, failures, lost_client, callbacks, switching, changing]
    yield "one worker", lambda f: viewed(f, Moulin__Workers="1"), [rules]  # each retains so many
    yield "unbuffered", unbuffered, [counted_unbuffered]
