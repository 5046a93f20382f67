# SPDX-License-Identifier: Apache-2.0
"""Admin objects of servers and nodes reached through the master, a slave and a router: each facet, what is missing, who may,
what happens when the server stops or its node goes. (Both registries are of the same make.)"""

import Ice
import IceBox
import IceGrid
import IceMX

from lib import descriptors as dd
from lib.deployment import Deployment, keep_alive
from lib.process import wait_until

from .icegridadmin_nodes import PROGRAMS
from .registry_admin import RemoteLoggerI

State = IceGrid.ServerState
FACETS = ("Process", "Properties", "Logger", "Metrics", "IceBox.ServiceManager", "IceBox.Service.One.Properties",
          "IceBox.Service.One.Metrics", "nothing", "")


def box(user):
    service = IceGrid.ServiceInstanceDescriptor(descriptor=IceGrid.ServiceDescriptor(
        name="One", entry=PROGRAMS + "/probe_service:create", propertySet=IceGrid.PropertySetDescriptor(
            properties=[IceGrid.PropertyDescriptor("Colour", "red")])), propertySet=IceGrid.PropertySetDescriptor())
    return IceGrid.IceBoxDescriptor(
        id="Box", exe="/usr/bin/icebox++11", activation="manual", services=[service], user=user, applicationDistrib=True,
        propertySet=IceGrid.PropertySetDescriptor(
            properties=[IceGrid.PropertyDescriptor("Ice.Admin.Endpoints", "tcp -h 127.0.0.1")]))


def grid(flavour):
    d = Deployment(flavour)
    for replica in ("Master", "Slave"):
        d.start_registry(replica, IceGrid__Registry__NodeSessionTimeout="10")
    d.start_node("node1", ("Master", "Slave"), IceGrid__Node__Trace__Activator="1",
                 IceMX__Metrics__All__Map__Dispatch__GroupBy="operation")
    d.start_router(Glacier2__SessionManager="Demo/AdminSessionManager")
    d.extras["session"], d.extras["admin"] = d.admin(d.communicator())
    d.extras["slave"] = d.admin(d.communicator(), "Slave")
    for a in (d.extras["admin"], d.extras["slave"][1]):
        d.await_node(a)
    plain = dd.process("Plain", "manual", properties=[("Ice.Trace.Locator", "1")])
    none = dd.process("NoAdmin", "manual", properties=[("Ice.Admin.Enabled", "0"), ("Ice.Admin.Endpoints", "")])
    d.extras["admin"].addApplication(dd.application("App", {
        "node1": dd.node(plain, dd.process("Stopped"), box(plain.user), none), "node2": dd.node(dd.process("Away"))}))
    for id in ("Plain", "Box"):
        d.extras["admin"].startServer(id)
    return d


def admins(d):
    return ("master", d.extras["admin"]), ("slave", d.extras["slave"][1])


def facets(d, r):
    for who, admin in admins(d):
        for label, prx in (("node", admin.getNodeAdmin("node1")), ("Plain", admin.getServerAdmin("Plain")),
                           ("Box", admin.getServerAdmin("Box")), ("Stopped", admin.getServerAdmin("Stopped"))):
            r.value("%s %s" % (who, label), prx)
            for name in FACETS:
                r.call("%s %s %r" % (who, label, name), prx.ice_facet(name).ice_ids)
        for name in ("nobody", "Away", "NoAdmin"):
            made_up = admin.getServerAdmin("Plain").ice_identity(Ice.Identity(name, admin.getServerAdminCategory()))
            r.call("%s %s" % (who, name), made_up.ice_facet("Process").ice_ping)
        for name in ("nobody", "node2", "Master"):
            made_up = admin.getNodeAdmin("node1").ice_identity(Ice.Identity(name, "Demo-RegistryNodeAdminRouter"))
            r.call("%s node %s" % (who, name), made_up.ice_facet("Process").ice_ping)


def properties(d, r):
    for who, admin in admins(d):
        for label, prx, name in (("server", admin.getServerAdmin("Plain"), "Ice.Admin.ServerId"),
                                 ("node", admin.getNodeAdmin("node1"), "IceGrid.Node.Name")):
            p = Ice.PropertiesAdminPrx.uncheckedCast(prx, "Properties")
            r.call("%s of the %s" % (who, label), p.getProperty, name)
            p.setProperties({"Own.A": "1", "Own.B": "2"})
            r.call(label + " set", p.getPropertiesForPrefix, "Own.")
            p.setProperties({"Own.A": "", "Own.B": ""})
            r.call(label + " gone", p.getPropertiesForPrefix, "Own.")
            r.call(label + " unknown operation", p.ice_invoke, "nonsense", Ice.OperationMode.Normal, b"\x06\0\0\0\1\1")
            r.kind(label + " rubbish", p.ice_invoke, "getProperty", Ice.OperationMode.Normal, b"\x07\0\0\0\1\1\xff")
        service = Ice.PropertiesAdminPrx.uncheckedCast(admin.getServerAdmin("Box"), "IceBox.Service.One.Properties")
        r.call(who + " of a service", service.getProperty, "Colour")


def services(d, r):
    for who, admin in admins(d):
        manager = IceBox.ServiceManagerPrx.uncheckedCast(admin.getServerAdmin("Box"), "IceBox.ServiceManager")
        r.call(who + " stop", manager.stopService, "One")
        r.call(who + " stop again", manager.stopService, "One")
        r.call(who + " start", manager.startService, "One")
        r.call(who + " start nobody", manager.startService, "Nobody")


def metrics(d, r):
    for who, admin in admins(d):
        m = IceMX.MetricsAdminPrx.uncheckedCast(admin.getNodeAdmin("node1"), "Metrics")
        r.call(who + " views of the node", m.getMetricsViewNames)
        before = {e.id: e.total for e in m.getMetricsView("All")[0].get("Dispatch", [])}
        admin.getServerPid("Plain")
        after = {e.id: e.total for e in m.getMetricsView("All")[0].get("Dispatch", [])}
        r.value(who + " counted", after.get("getPid", 0) - before.get("getPid", 0))
        r.call(who + " unknown view", m.getMetricsView, "Nope")
        m = IceMX.MetricsAdminPrx.uncheckedCast(admin.getServerAdmin("Plain"), "Metrics")
        r.call(who + " views of the server", m.getMetricsViewNames)


class Listener:
    """A session with remote loggers reached by its callback template."""

    def __init__(self, d, replica):
        c = d.communicator()
        self.session, self.admin = d.admin(c, replica, "listener")
        adapter = c.createObjectAdapter("")
        d.registry_proxy(c, replica).ice_getConnection().setAdapter(adapter)
        adapter.activate()
        self.adapter, self.template = adapter, self.session.getAdminCallbackTemplate()

    def logger(self, name):
        servant = RemoteLoggerI()
        id = Ice.Identity(name, self.template.ice_getIdentity().category)
        self.adapter.add(servant, id)
        return servant, Ice.RemoteLoggerPrx.uncheckedCast(self.template.ice_identity(id))


def logs(d, r):
    for who in ("Master", "Slave"):
        listener = Listener(d, who)
        admin = listener.admin
        node = Ice.LoggerAdminPrx.uncheckedCast(admin.getNodeAdmin("node1"), "Logger")
        server = Ice.LoggerAdminPrx.uncheckedCast(admin.getServerAdmin("Plain"), "Logger")
        messages, prefix = server.getLog([Ice.LogMessageType.TraceMessage], ["Locator"], -1)
        r.value(who + " server", (prefix, [(m.traceCategory, m.message) for m in messages]))
        messages, prefix = node.getLog([Ice.LogMessageType.TraceMessage], ["Activator"], 2)
        r.value(who + " node", (prefix, [(str(m.type), m.traceCategory) for m in messages]))
        heard_node, prx_node = listener.logger("node")
        heard_server, prx_server = listener.logger("server")
        r.call(who + " attach to the node", node.attachRemoteLogger, prx_node, [], ["Activator"], 1)
        r.value("init", heard_node.take(1))
        r.call(who + " attach to the server", server.attachRemoteLogger, prx_server, [], ["Locator"], 0)
        r.value("init", heard_server.take(1))
        r.call(who + " again", node.attachRemoteLogger, prx_node, [], [], -1)
        # It warns of rubbish: what it says at its end may be lost with it.
        r.kind(who + " rubbish", server.ice_facet("Properties").ice_invoke, "getProperty", Ice.OperationMode.Normal,
               b"\x07\0\0\0\1\1\xff")
        r.value(who + " of the server", heard_server.take(1))
        admin.stopServer("Plain")
        r.value(who + " of the node", heard_node.take(1))
        admin.startServer("Plain")
        r.value(who + " of the node", heard_node.take(1))
        r.call(who + " detach", node.detachRemoteLogger, prx_node)
        r.call(who + " detach again", node.detachRemoteLogger, prx_node)
        listener.session.destroy()


def strangers(d, r):
    """On the Client endpoints only connections with an admin session come through."""
    prx = d.extras["admin"].getServerAdmin("Plain")
    c = d.communicator()
    facet = c.stringToProxy(str(prx)).ice_facet("Process")
    r.kind("without a session", facet.ice_ping)
    client = d.registry_proxy(c).createSession("client", "x")
    r.kind("with a client session", facet.ice_ping)
    session, _ = d.admin(c)
    r.kind("with an admin session", facet.ice_ping)
    session.destroy()
    r.kind("after it", facet.ice_ping)
    client.destroy()
    router = d.router_proxy(d.communicator())
    session = IceGrid.AdminSessionPrx.uncheckedCast(router.createSession("root", "x").ice_router(router))
    keep_alive(router.ice_getConnection())
    admin = session.getAdmin()
    prx = r.call("through the router", admin.getServerAdmin, "Plain")
    process = Ice.PropertiesAdminPrx.uncheckedCast(prx, "Properties")
    r.call("through the router", process.getProperty, "Ice.Admin.ServerId")
    prx = r.call("through the router", admin.getNodeAdmin, "node1")
    r.call("through the router", Ice.PropertiesAdminPrx.uncheckedCast(prx, "Properties").getProperty, "IceGrid.Node.Name")
    r.call("template", session.getAdminCallbackTemplate)
    router.destroySession()


def processes(d, r):
    for who, admin in admins(d):
        process = Ice.ProcessPrx.uncheckedCast(admin.getServerAdmin("Plain"), "Process")
        r.call(who + " write", process.writeMessage, "hello", 1)
        r.call(who + " shut down", process.shutdown)
        wait_until(lambda: admin.getServerState("Plain") == State.Inactive, "the end of Plain")
        r.call(who + " once more", process.shutdown)
        r.kind(who + " inactive", admin.getServerAdmin("Plain").ice_facet("Properties").ice_ping)
        admin.startServer("Plain")
        r.kind(who + " active", admin.getServerAdmin("Plain").ice_facet("Properties").ice_ping)
    admin = d.extras["admin"]
    for id in ("Plain", "Box"):
        admin.stopServer(id)
    server, node = admin.getServerAdmin("Plain").ice_facet("Process"), admin.getNodeAdmin("node1").ice_facet("Process")
    r.call("shut down the node", Ice.ProcessPrx.uncheckedCast(node).shutdown)
    r.value("status", d.daemons["node1"].await_exit())
    wait_until(lambda: not admin.pingNode("node1"), "the end of node1")
    r.call("node", node.ice_ping)
    r.call("server", server.ice_ping)
    r.call("admin of the node", admin.getNodeAdmin, "node1")
    r.call("admin of the server", admin.getServerAdmin, "Plain")


def plan():
    yield "routed", grid, [facets, properties, services, metrics, logs, strangers, processes]
