# SPDX-License-Identifier: Apache-2.0
"""Locator, LocatorRegistry and Query of a master: every operation, known and unknown, deployed, added and dynamic."""

import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.probe import Server

HELLO = "::Test::Hello"


def grid(flavour, transport="tcp"):
    d = Deployment(flavour, transport)
    d.start_registry()
    c = d.communicator()
    session, admin = d.admin(c)
    d.extras["admin"] = admin
    members = [dd.server("S%d" % n, [dd.adapter("A", "S%d.A" % n, group="Replicated",
                                                objects=[dd.obj("hello%d" % n, HELLO)])]) for n in range(3)]
    options = dd.server("Options", [dd.adapter("O", "Options.O", objects=[
        dd.obj("plain", "::Test::Options"), dd.obj("oneway", "::Test::Options", "-o -s"),
        dd.obj("cat/old", "::Test::Options", "-e 1.0")])])
    admin.addApplication(dd.application("Hello", {"node1": dd.node(*members[:2]), "node2": dd.node(members[2], options)},
                                        [dd.group("Replicated", objects=[dd.obj("hello", HELLO),
                                                                         dd.obj("other", "::Test::Other")]),
                                         dd.group("Empty"), dd.group("Ordered", IceGrid.OrderedLoadBalancingPolicy("2"))]))
    admin.addApplication(dd.pool("Pool", 1))
    admin.addObjectWithType(c.stringToProxy("added:tcp -h 127.0.0.1 -p 9999"), "::Test::Added")
    admin.addObjectWithType(c.stringToProxy("indirect @ S0.A"), "::Test::Added")
    admin.addObjectWithType(c.stringToProxy("table-hello -e 1.0 @ Replicated"), HELLO)
    return d


def probe(flavour):
    d = Deployment(flavour)
    d.start_registry()
    d.extras["server"] = Server(d)
    return d


def registry_of(d, c):
    """The Server endpoints' LocatorRegistry."""
    return Ice.LocatorRegistryPrx.uncheckedCast(
        c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint("Master.Server")))


NAMES = ("hello", "hello0", "hello2", "other", "plain", "oneway", "cat/old", "added", "indirect", "table-hello", "res0",
         "nobody", "cat/nobody", "Demo/Query", "Demo/Locator", "Demo/LocatorRegistry", "Demo/Registry",
         "Demo/Registry-Master", "Demo/Locator-Master", "Demo/SessionManager", "Demo/SSLSessionManager",
         "Demo/AdminSessionManager", "Demo/AdminSSLSessionManager", "Demo/AdminSessionManager-Master",
         "Demo/InternalRegistry-Master", "Demo/NullPermissionsVerifier", "Demo/RegistryUserAccountMapper")


# ---- cases

def locate_objects(d, r):
    locator, query = d.locator_proxy(d.communicator()), d.query(d.communicator())
    for name in NAMES:
        r.call("locator " + name, locator.findObjectById, dd.identity(name))
        r.call("query " + name, query.findObjectById, dd.identity(name))
    r.call("empty", locator.findObjectById, Ice.Identity())
    r.call("empty query", query.findObjectById, Ice.Identity())


def locate_adapters(d, r):
    locator = d.locator_proxy(d.communicator())
    for name in ("S0.A", "S2.A", "Options.O", "Replicated", "Empty", "Ordered", "Pool-0.A", "nowhere", "", "Demo"):
        r.call(repr(name), locator.findAdapterById, name)


def locator_itself(d, r):
    locator = d.locator_proxy(d.communicator())
    r.call("registry", locator.getRegistry)
    r.call("local registry", locator.getLocalRegistry)
    r.call("local query", locator.getLocalQuery)
    r.call("ids", locator.ice_ids)
    r.call("id", locator.ice_id)
    c = d.communicator()
    finder = Ice.LocatorFinderPrx.uncheckedCast(c.stringToProxy("Ice/LocatorFinder:" + d.endpoint("Master.Client")))
    r.call("finder", finder.getLocator)
    r.call("finder's ids", finder.ice_ids)
    for name in ("Demo/Query", "Demo/Registry", "Demo/Locator-Master", "Demo/Registry-Master", "Demo/nobody",
                 "Demo/NullPermissionsVerifier", "Demo/LocatorRegistry", "nobody"):
        prx = c.stringToProxy("%s:%s" % (Ice.identityToString(dd.identity(name)), d.endpoint("Master.Client")))
        r.call("on the client endpoints: " + name, prx.ice_ids)
    r.call("on the server endpoints", registry_of(d, c).ice_ids)
    r.call("facet", c.stringToProxy("Demo/Query -f x:" + d.endpoint("Master.Client")).ice_ping)


def raw_invocations(d, r):
    """Unknown operations, wrong modes, bodies that do not decode: the connection survives all of them."""
    c = d.communicator()
    query = d.query(c)
    mode = Ice.OperationMode
    r.call("unknown operation", query.ice_invoke, "nonsense", mode.Normal, b"\x06\0\0\0\1\1")
    body = b"\x0b\0\0\0\1\1\4type"
    r.call("right", query.ice_invoke, "findAllObjectsByType", mode.Nonmutating, body)
    r.call("idempotent for nonmutating", query.ice_invoke, "findAllObjectsByType", mode.Idempotent, body)
    r.kind("normal for nonmutating", query.ice_invoke, "findAllObjectsByType", mode.Normal, body)
    r.kind("truncated", query.ice_invoke, "findAllObjectsByType", mode.Nonmutating, b"\x07\0\0\0\1\1\4")
    r.kind("no parameters", query.ice_invoke, "findAllObjectsByType", mode.Nonmutating, b"\x06\0\0\0\1\1")
    r.kind("left over", query.ice_invoke, "findAllObjectsByType", mode.Nonmutating, b"\x0d\0\0\0\1\1\4typexx")
    r.kind("unknown encoding", query.ice_invoke, "findAllObjectsByType", mode.Nonmutating, b"\x0b\0\0\0\2\0\4type")
    r.call("encoding 1.0", query.ice_invoke, "findAllObjectsByType", mode.Nonmutating, b"\x0b\0\0\0\1\0\4type")
    r.call("alive", query.ice_ping)
    registry = d.registry_proxy(c)
    body = b"\x0a\0\0\0\1\1\1u\1p"
    for name, expected in ((mode.Normal, True), (mode.Nonmutating, False), (mode.Idempotent, False)):
        done = r.kind("createSession as %s" % name, lambda: registry.ice_invoke("createSession", name, body)[0])
        r.value("as expected", (not isinstance(done, Ice.Exception)) == expected)
    reg = registry_of(d, c)
    for name in (mode.Normal, mode.Nonmutating, mode.Idempotent):
        r.kind("setAdapterDirectProxy as %s" % name, reg.ice_invoke, "setAdapterDirectProxy", name, b"\x09\0\0\0\1\1\0\0\0")


def query_types(d, r):
    query = d.query(d.communicator())
    for type_id in (HELLO, "::Test::Other", "::Test::Options", "::Test::Added", "::Test::Resource", "::Test::Nothing", "",
                    "::IceGrid::Query", "::Ice::Locator", "::IceGrid::Locator", "::IceGrid::Registry",
                    "::Ice::LocatorRegistry", "::Glacier2::SessionManager", "::Glacier2::SSLSessionManager",
                    "::IceGrid::InternalRegistry"):
        r.call("all " + type_id, query.findAllObjectsByType, type_id)
    r.call("one of one", query.findObjectByType, "::Test::Other")
    r.call("one of none", query.findObjectByType, "::Test::Nothing")
    r.call("an allocatable", query.findObjectByType, "::Test::Resource")
    found = {str(query.findObjectByType(HELLO)) for _ in range(200)}
    r.value("one of many", sorted(found))
    r.call("least loaded of none", query.findObjectByTypeOnLeastLoadedNode, "::Test::Nothing",
           IceGrid.LoadSample.LoadSample1)
    r.call("least loaded of one", query.findObjectByTypeOnLeastLoadedNode, "::Test::Other",
           IceGrid.LoadSample.LoadSample15)


KEPT = ("kept:tcp -h 127.0.0.1 -p 9001:opaque -t 2 -e 1.1 -v CTEyNy4wLjAuMSojAACIEwAAAQ==",
        "kept-facet -f part:tcp -h 127.0.0.1 -p 9003", "kept-old -e 1.0:tcp -h 127.0.0.1 -p 9004",
        "kept-unknown:opaque -t 77 -e 1.0 -v abcd:tcp -h 127.0.0.1 -p 9005",
        "kept-many:ws -h 127.0.0.1 -p 9006 -r /x:udp -h 127.0.0.1 -p 9008 -c",
        "kept/with\\/slash -o -s @ Kept.A", "kept/wellknown -f \"a b\"")
KEPT_TYPE = "::Test::Kept"


def kept_proxies(d, r):
    """What was registered comes back with the same bytes, in the encoding of the question, with and without a context."""
    c = d.communicator()
    admin, locator, query = d.extras["admin"], d.locator_proxy(c), d.query(c)
    proxies = [c.stringToProxy(text) for text in KEPT]
    for proxy in proxies:
        r.call("add %s" % proxy, admin.addObjectWithType, proxy, KEPT_TYPE)

    def bytes_of(proxy, operation, *strings):
        for minor in (1, 0):
            body = b"".join(bytes([len(s)]) + s.encode() for s in strings)
            body = bytes([len(body) + 6, 0, 0, 0, 1, minor]) + body
            for context in ({}, {"key": "value"}):
                r.call("%s %s 1.%d %s" % (operation, strings, minor, context), proxy.ice_invoke, operation,
                       Ice.OperationMode.Idempotent, body, context)

    for proxy in proxies:
        identity = proxy.ice_getIdentity()
        bytes_of(locator, "findObjectById", identity.name, identity.category)
        bytes_of(query, "findObjectById", identity.name, identity.category)
        bytes_of(admin, "getObjectInfo", identity.name, identity.category)
    bytes_of(query, "findAllObjectsByType", KEPT_TYPE)
    bytes_of(admin, "getObjectInfosByType", KEPT_TYPE)
    for expression in ("kept*", "*slash", "kept/*", "kept-old", "*", ""):
        r.call("infos " + expression, admin.getAllObjectInfos, expression)
    r.value("any of them", sorted({str(query.findObjectByType(KEPT_TYPE)) for _ in range(200)}))
    r.value("least loaded", sorted({str(query.findObjectByTypeOnLeastLoadedNode("::Test::Added",
                                                                                IceGrid.LoadSample.LoadSample1))
                                    for _ in range(50)}))
    for proxy in proxies:
        r.call("remove %s" % proxy, admin.removeObject, proxy.ice_getIdentity())
    r.call("none left", query.findObjectByType, KEPT_TYPE)


def replicas(d, r):
    c = d.communicator()
    query = d.query(c)
    for text in ("hello @ Replicated", "hello", "table-hello", "x -o -e 1.0 @ Replicated", "hello0", "hello0 @ S0.A",
                 "x @ Empty", "x @ nowhere", "nobody", "added", "x:tcp -h 127.0.0.1 -p 9999", "res0"):
        r.call(text, query.findAllReplicas, c.stringToProxy(text))
    r.call("null", query.findAllReplicas, None)


def dynamic(d, r):
    c = d.communicator()
    reg, locator, query = registry_of(d, c), d.locator_proxy(c), d.query(c)

    def endpoint(n):
        return c.stringToProxy("dummy:tcp -h 127.0.0.1 -p %d" % n)

    r.call("register", reg.setAdapterDirectProxy, "Dyn.A", endpoint(9001))
    r.call("find", locator.findAdapterById, "Dyn.A")
    r.call("again elsewhere", reg.setAdapterDirectProxy, "Dyn.A", endpoint(9002))
    r.call("find it there", locator.findAdapterById, "Dyn.A")
    r.call("empty id", reg.setAdapterDirectProxy, "", endpoint(9003))
    r.call("null for unknown", reg.setAdapterDirectProxy, "Dyn.B", None)
    r.call("still unknown", locator.findAdapterById, "Dyn.B")
    r.call("in a dynamic group", reg.setReplicatedAdapterDirectProxy, "Dyn.1", "DynGroup", endpoint(9011))
    r.call("second in it", reg.setReplicatedAdapterDirectProxy, "Dyn.2", "DynGroup", endpoint(9012))
    r.call("one of it", locator.findAdapterById, "Dyn.1")
    r.call("the group", locator.findAdapterById, "DynGroup")
    r.call("its replicas", query.findAllReplicas, c.stringToProxy("x @ DynGroup"))
    r.call("moves to another group", reg.setReplicatedAdapterDirectProxy, "Dyn.2", "OtherGroup", endpoint(9013))
    r.call("group without it", locator.findAdapterById, "DynGroup")
    r.call("a deployed group", reg.setReplicatedAdapterDirectProxy, "Dyn.3", "Replicated", endpoint(9014))
    r.call("a deployed group's id", reg.setAdapterDirectProxy, "Replicated", endpoint(9015))
    r.call("a deployed adapter, node down", reg.setAdapterDirectProxy, "S0.A", endpoint(9016))
    r.call("deployed, wrong group", reg.setReplicatedAdapterDirectProxy, "S0.A", "Empty", endpoint(9016))
    r.call("encoding 1.0 adapter", reg.setAdapterDirectProxy, "Dyn.old", endpoint(9020).ice_encodingVersion(
        Ice.Encoding_1_0))
    r.call("asked in 1.1", locator.findAdapterById, "Dyn.old")
    r.call("asked in 1.0", IceGrid.LocatorPrx.uncheckedCast(locator.ice_encodingVersion(
        Ice.Encoding_1_0)).findAdapterById, "Dyn.old")
    r.call("ids", d.extras["admin"].getAllAdapterIds)
    for name in ("Dyn.A", "Dyn.1", "DynGroup", "OtherGroup", "S0.A", "Replicated", "Empty", "nowhere"):
        r.call("info " + name, d.extras["admin"].getAdapterInfo, name)
    r.call("unregister", reg.setAdapterDirectProxy, "Dyn.A", None)
    r.call("gone", locator.findAdapterById, "Dyn.A")
    for name in ("Dyn.1", "Dyn.2", "Dyn.old"):
        reg.setReplicatedAdapterDirectProxy(name, "", None)
    r.call("all gone", locator.findAdapterById, "DynGroup")
    r.call("process of an unknown server", reg.setServerProcessProxy, "nobody", Ice.ProcessPrx.uncheckedCast(
        endpoint(9030)))
    r.call("process of a server, node down", reg.setServerProcessProxy, "S0", Ice.ProcessPrx.uncheckedCast(
        endpoint(9030)))


def a_real_server(d, r):
    """A server that registers its adapter, and a client that knows its adapter id only."""
    server = Server(d, adapter_id="Live.A", replica_group="Live", name="live", register=True)
    c = d.communicator(Ice__Default__Locator=d.locator())
    for text in ("live @ Live.A", "live @ Live"):
        r.call(text, lambda t=text: c.stringToProxy(t).ice_id())
    admin = d.extras["admin"]
    r.call("added by ice_id, indirect", admin.addObject, c.stringToProxy("live @ Live"))
    r.call("added by ice_id", admin.addObject, c.stringToProxy(server.proxy_text))
    r.call("described", admin.getObjectInfo, dd.identity("live"))
    r.call("update", admin.updateObject, c.stringToProxy("live @ Live"))
    r.call("described after", admin.getObjectInfo, dd.identity("live"))
    r.call("well known", lambda: c.stringToProxy("live").ice_id())
    r.call("unknown adapter", lambda: c.stringToProxy("live @ nowhere").ice_ping())
    r.call("unknown object", lambda: c.stringToProxy("nobody").ice_ping())
    r.kind("no endpoints now", lambda: c.stringToProxy("hello0").ice_ping())
    server.adapter.destroy()
    fresh = d.communicator(Ice__Default__Locator=d.locator())
    r.kind("after deactivation", lambda: fresh.stringToProxy("live @ Live.A").ice_ping())
    r.call("removed", admin.removeObject, dd.identity("live"))


def without_dynamic(flavour):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__DynamicRegistration=None)
    return d


def no_dynamic(d, r):
    c = d.communicator()
    reg = registry_of(d, c)
    r.call("refused", reg.setAdapterDirectProxy, "Dyn.A", c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9001"))
    r.call("refused in a group", reg.setReplicatedAdapterDirectProxy, "Dyn.A", "G",
           c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9001"))
    r.call("empty id", reg.setAdapterDirectProxy, "", None)
    r.call("null", reg.setAdapterDirectProxy, "Dyn.A", None)


def plan():
    cases = [locate_objects, locate_adapters, locator_itself, raw_invocations, query_types, kept_proxies, replicas, dynamic,
             a_real_server]
    for transport in ("tcp", "ssl", "ws", "wss"):
        yield transport, lambda f, t=transport: grid(f, t), cases
    yield "not dynamic", without_dynamic, [no_dynamic]
