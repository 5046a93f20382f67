# SPDX-License-Identifier: Apache-2.0
"""The admin objects of registries, through an admin session: facets of master and slave, properties read and changed at
run time, views of metrics made by properties before and after the start, the log and remote loggers, shutdown of a
slave. Not compared: what each flavour calls within itself, times and threads."""

import threading

import Ice
import IceGrid
import IceMX

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.process import wait_until

VIEWS = {
    "IceMX.Metrics.Operations.Map.Dispatch.GroupBy": "operation",
    "IceMX.Metrics.Operations.Map.Dispatch.Accept.parent": "IceGrid.Registry.(Client|Server)",
    "IceMX.Metrics.Adapters.Map.Dispatch.GroupBy": "parent",
    "IceMX.Metrics.Adapters.Map.Dispatch.Accept.operation": "findObjectById|findAdapterById|createSession",
    "IceMX.Metrics.Failures.Map.Dispatch.GroupBy": "identity",
    "IceMX.Metrics.Failures.Map.Dispatch.Accept.identity": "Demo/nobody",
    "IceMX.Metrics.Off.GroupBy": "id",
    "IceMX.Metrics.Off.Disabled": "1",
}


def pair(flavour):
    d = Deployment(flavour)
    d.daemon_settings = dict(VIEWS)
    d.start_registry()
    d.start_registry("Replica1")
    session, admin = d.admin(d.communicator())
    wait_until(lambda: "Replica1" in admin.getAllRegistryNames(), "the slave's session")
    d.extras["admin"] = admin
    return d


def facet(d, cls, name, registry="Master"):
    return cls.uncheckedCast(d.extras["admin"].getRegistryAdmin(registry), name)


def facets(d, r):
    admin = d.extras["admin"]
    for registry in ("Master", "Replica1"):
        prx = r.call(registry, admin.getRegistryAdmin, registry)
        for name in ("Process", "Properties", "Logger", "Metrics", "Other", ""):
            r.call("%s %r id" % (registry, name), prx.ice_facet(name).ice_id)
            r.call("%s %r ping" % (registry, name), prx.ice_facet(name).ice_ping)
    r.call("unknown", admin.getRegistryAdmin, "Nobody")
    unknown = admin.getRegistryAdmin("Master").ice_identity(Ice.Identity("Nobody", "Demo-RegistryReplicaAdminRouter"))
    r.call("made up", unknown.ice_facet("Process").ice_ping)
    r.call("unknown operation", admin.getRegistryAdmin("Master").ice_facet("Properties").ice_invoke, "nonsense",
           Ice.OperationMode.Normal, b"\x06\0\0\0\1\1")
    r.kind("rubbish", admin.getRegistryAdmin("Master").ice_facet("Properties").ice_invoke, "getProperty",
           Ice.OperationMode.Normal, b"\x07\0\0\0\1\1\xff")


def properties(d, r):
    for registry in ("Master", "Replica1"):
        p = facet(d, Ice.PropertiesAdminPrx, "Properties", registry)
        for name in ("IceGrid.InstanceName", "IceGrid.Registry.ReplicaName", "Ice.Default.Locator", "Nope", ""):
            r.call("%s %s" % (registry, name), p.getProperty, name)
        r.value(registry + " adapters", sorted(n for n in p.getPropertiesForPrefix("IceGrid.Registry.Client.")
                                               if "ThreadPool" not in n))  # we have none
        p.setProperties({"Own.A": "1", "Own.B": "2"})
        r.call(registry + " set", p.getPropertiesForPrefix, "Own.")
        p.setProperties({"Own.A": "", "Own.B": "3"})
        r.call(registry + " changed", p.getPropertiesForPrefix, "Own.")
        p.setProperties({"Own.B": ""})
        r.call(registry + " gone", p.getPropertiesForPrefix, "Own.")


IGNORED = ("totalLifetime", "size", "replySize", "userException")


def element(e):
    return (e.id, {k: v for k, v in vars(e).items() if v and k not in IGNORED and k != "id"})


def look(r, label, metrics, view, name="Dispatch"):
    found, _ = metrics.getMetricsView(view)
    r.value(label, sorted((element(e) for e in found.get(name, [])), key=lambda e: e[0]))


def metrics(d, r):
    m = facet(d, IceMX.MetricsAdminPrx, "Metrics")
    r.call("views", m.getMetricsViewNames)
    c = d.communicator()
    locator = d.locator_proxy(c)
    for name in ("Demo/Query", "Demo/Registry", "nobody"):
        try:
            locator.findObjectById(dd.identity(name))
        except Ice.ObjectNotFoundException:
            pass
    try:
        locator.findAdapterById("nowhere")
    except Ice.AdapterNotFoundException:
        pass
    d.registry_proxy(c).createSession("alice", "x").destroy()
    query = d.query(c)
    query.findAllObjectsByType("::Nothing")
    for n in range(3):
        try:
            query.ice_identity(dd.identity("Demo/nobody")).ice_ping()
        except Ice.ObjectNotExistException:
            pass
    found = {e.id: e for e in m.getMetricsView("Operations")[0]["Dispatch"]}
    for operation in ("findObjectById", "findAdapterById", "createSession", "destroy", "findAllObjectsByType", "ice_ping"):
        e = found.get(operation)
        r.value("operation " + operation, e and (e.total, e.current, e.failures, e.userException, e.size))
    look(r, "by adapter", m, "Adapters")
    look(r, "failures", m, "Failures")
    failures = m.getMapMetricsFailures("Failures", "Dispatch")
    r.value("failures by exception", [(f.id, f.failures) for f in failures])
    r.call("unknown view", m.getMetricsView, "Nope")
    r.value("disabled view", m.getMetricsView("Off")[0])


def run_time_views(d, r):
    """Views made by the Properties facet."""
    m, p = facet(d, IceMX.MetricsAdminPrx, "Metrics"), facet(d, Ice.PropertiesAdminPrx, "Properties")
    p.setProperties({"IceMX.Metrics.Late.Map.Dispatch.GroupBy": "operation",
                     "IceMX.Metrics.Late.Map.Dispatch.Accept.operation": "getLocalQuery"})
    r.call("views", m.getMetricsViewNames)
    d.locator_proxy(d.communicator()).getLocalQuery()
    look(r, "late", m, "Late")
    p.setProperties({"IceMX.Metrics.Late.Disabled": "1"})
    r.call("disabled", m.getMetricsViewNames)
    m.enableMetricsView("Off")
    r.call("enabled", m.getMetricsViewNames)
    maps = m.getMetricsView("Off")[0]
    r.value("maps of everything", sorted(maps))
    m.disableMetricsView("Off")
    r.call("unknown", m.enableMetricsView, "Nope")


class RemoteLoggerI(Ice.RemoteLogger):
    def __init__(self):
        self.lock = threading.Condition()
        self.messages = []

    def init(self, prefix, messages, current):
        with self.lock:
            self.messages.append(("init", prefix, len(messages)))
            self.lock.notify_all()

    def log(self, message, current):
        with self.lock:
            self.messages.append(("log", str(message.type), message.traceCategory))
            self.lock.notify_all()

    def take(self, count):
        with self.lock:
            self.lock.wait_for(lambda: len(self.messages) >= count, 20)
            messages, self.messages = self.messages, []
        return messages


def logging(flavour):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__Trace__Session="1")
    d.extras["admin"] = d.admin(d.communicator())[1]
    return d


def log(d, r):
    """Traces are in the log, and reach a remote logger through the callback template."""
    admin = d.extras["admin"]
    logger = facet(d, Ice.LoggerAdminPrx, "Logger")
    for label, arguments in (("all", ([], [], -1)), ("none", ([], [], 0)), ("one", ([], [], 1)),
                             ("warnings", ([Ice.LogMessageType.WarningMessage], [], -1)),
                             ("sessions", ([Ice.LogMessageType.TraceMessage], ["Session"], -1)),
                             ("others", ([Ice.LogMessageType.TraceMessage], ["Nope"], -1))):
        messages, prefix = logger.getLog(*arguments)
        r.value(label, (prefix, [(str(m.type), m.traceCategory, m.message) for m in messages]))
    c = d.communicator()
    session, admin = d.admin(c, user="listener")
    adapter = c.createObjectAdapter("")
    d.registry_proxy(c).ice_getConnection().setAdapter(adapter)
    adapter.activate()
    servant = RemoteLoggerI()
    template = session.getAdminCallbackTemplate()
    mine = template.ice_identity(Ice.Identity("RemoteLogger", template.ice_getIdentity().category))
    adapter.add(servant, mine.ice_getIdentity())
    mine = Ice.RemoteLoggerPrx.uncheckedCast(mine)
    logger = Ice.LoggerAdminPrx.uncheckedCast(admin.getRegistryAdmin("Master"), "Logger")
    r.call("attach", logger.attachRemoteLogger, mine, [], ["Session"], 1)
    r.value("init", servant.take(1))
    r.call("attach again", logger.attachRemoteLogger, mine, [], [], -1)
    d.registry_proxy(c).createSession("x", "x").destroy()
    r.value("logged", servant.take(2))
    r.call("detach", logger.detachRemoteLogger, mine)
    r.call("detach again", logger.detachRemoteLogger, mine)
    d.registry_proxy(c).createSession("y", "x").destroy()
    session.keepAlive()
    r.value("silence", servant.take(0))
    r.call("gone with its session", lambda: (session.destroy(), logger.ice_ping())[1])


def slaves_end(d, r):
    """The master shuts its slave down: by Admin, and by the routed Process facet."""
    admin = d.extras["admin"]
    r.call("shutdownRegistry", admin.shutdownRegistry, "Replica1")
    r.value("status", d.daemons["Replica1"].await_exit())
    wait_until(lambda: "Replica1" not in admin.getAllRegistryNames(), "the slave leaving")
    r.call("once more", admin.shutdownRegistry, "Replica1")
    r.call("its admin object", admin.getRegistryAdmin, "Replica1")
    d.start_registry("Replica1")
    wait_until(lambda: "Replica1" in admin.getAllRegistryNames(), "the slave's return")
    r.call("Process.shutdown", facet(d, Ice.ProcessPrx, "Process", "Replica1").shutdown)
    r.value("status again", d.daemons["Replica1"].await_exit())


def without(flavour):
    d = Deployment(flavour)
    d.start_registry(Ice__Admin__Enabled="0")
    d.extras["admin"] = d.admin(d.communicator())[1]
    return d


def switched_off(d, r):
    prx = d.extras["admin"].getRegistryAdmin("Master")
    r.call("properties", prx.ice_facet("Properties").ice_ping)
    r.call("process", prx.ice_facet("Process").ice_ping)


def some(flavour):
    d = Deployment(flavour)
    d.start_registry(Ice__Admin__Facets="Properties Process")
    d.extras["admin"] = d.admin(d.communicator())[1]
    return d


def some_facets(d, r):
    prx = d.extras["admin"].getRegistryAdmin("Master")
    for name in ("Properties", "Process", "Metrics", "Logger"):
        r.call(name, prx.ice_facet(name).ice_ping)


def plan():
    yield "pair", pair, [facets, properties, metrics, run_time_views, slaves_end]
    yield "log", logging, [log]
    yield "off", without, [switched_off]
    yield "some", some, [some_facets]
