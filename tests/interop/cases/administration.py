# SPDX-License-Identifier: Apache-2.0
"""Admin sessions: creation, the exclusive lock, applications, objects, adapters, servers and nodes that do not run."""

import threading

import Glacier2
import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.process import wait_until

BOXED = IceGrid.BoxedString


def master(flavour, transport="tcp", client_settings=()):
    d = Deployment(flavour, transport)
    d.client_settings = dict(client_settings)
    d.start_registry()
    return d


def guarded(flavour):
    """Password files for clients and administrators, no verifier for certificates."""
    d = Deployment(flavour)
    passwords = d.password_file()
    d.start_registry(IceGrid__Registry__PermissionsVerifier=None, IceGrid__Registry__AdminPermissionsVerifier=None,
                     IceGrid__Registry__SSLPermissionsVerifier=None, IceGrid__Registry__AdminSSLPermissionsVerifier=None,
                     IceGrid__Registry__CryptPasswords=passwords, IceGrid__Registry__AdminCryptPasswords=passwords)
    return d


def open_nowhere(flavour):
    d = Deployment(flavour, "ssl")
    d.start_registry(IceGrid__Registry__PermissionsVerifier=None, IceGrid__Registry__AdminPermissionsVerifier=None,
                     IceGrid__Registry__SSLPermissionsVerifier=None, IceGrid__Registry__AdminSSLPermissionsVerifier=None)
    return d


class VerifierI(Glacier2.PermissionsVerifier):
    def checkPermissions(self, user, password, current):
        if user == "denied":
            raise Glacier2.PermissionDeniedException("denied by name")
        if user == "broken":
            raise ValueError("no answer")
        return password == "secret", "" if user == "silent" else "not that password"


def remote(flavour):
    d = Deployment(flavour)
    c = d.communicator()
    adapter = c.createObjectAdapterWithEndpoints("Verifier", d.endpoint("verifier"))
    adapter.add(VerifierI(), Ice.stringToIdentity("verifier"))
    adapter.activate()
    d.start_registry(IceGrid__Registry__PermissionsVerifier="verifier:" + d.endpoint("verifier"),
                     IceGrid__Registry__AdminPermissionsVerifier="verifier:" + d.endpoint("verifier"))
    return d


def read_only(flavour):
    d = Deployment(flavour)
    d.start_registry()
    session, admin = d.admin(d.communicator())
    admin.addApplication(dd.pool("Pool", 1))
    admin.addObjectWithType(d.communicator().stringToProxy("added:tcp -h 127.0.0.1 -p 9999"), "::Test::Added")
    session.destroy()
    d.daemons["Master"].stop()
    d.start_registry(options=["--readonly"])
    return d


# ---- logging in

def passwords(d, r):
    registry = d.registry_proxy(d.communicator())
    for user, password in (("alice", "builder"), ("mallory", "x"), ("", ""), ("", "x"), ("alice", "wonderland")):
        r.call("client %s %s" % (user, password), registry.createSession, user, password)
        r.call("admin %s %s" % (user, password), registry.createAdminSession, user, password)
    r.kind("certificate", registry.createSessionFromSecureConnection)
    r.kind("admin certificate", registry.createAdminSessionFromSecureConnection)


def no_verifiers(d, r):
    registry = d.registry_proxy(d.communicator())
    r.call("client", registry.createSession, "alice", "x")
    r.call("admin", registry.createAdminSession, "alice", "x")
    r.call("client certificate", registry.createSessionFromSecureConnection)
    r.call("admin certificate", registry.createAdminSessionFromSecureConnection)


def remote_verifier(d, r):
    registry = d.registry_proxy(d.communicator())
    for user, password in (("alice", "secret"), ("alice", "x"), ("silent", "x"), ("denied", "secret"),
                           ("broken", "secret")):
        r.call("client " + user, registry.createSession, user, password)
        r.call("admin " + user, registry.createAdminSession, user, password)


def certificates(d, r):
    registry = d.registry_proxy(d.communicator("alice"))
    session = r.call("admin", registry.createAdminSessionFromSecureConnection)
    admin = session.getAdmin()
    admin.addApplication(dd.application("Signed", {"n": dd.node()}))
    r.value("user id", admin.getApplicationInfo("Signed").createUser)
    session.startUpdate()
    second = d.registry_proxy(d.communicator("bob")).createAdminSessionFromSecureConnection()
    r.call("lock holder's name", second.startUpdate)
    session.destroy()
    bob = second.getAdmin()
    bob.addApplication(dd.application("Comma", {"n": dd.node()}))
    r.value("user id with a comma", bob.getApplicationInfo("Comma").createUser)
    bob.removeApplication("Comma")
    bob.removeApplication("Signed")
    anonymous = d.communicator("alice", IceSSL__CertFile="", IceSSL__KeyFile="")
    registry = d.registry_proxy(anonymous)
    r.call("client without a certificate", registry.createSessionFromSecureConnection)


def sessions(d, r):
    c = d.communicator()
    session, admin = d.admin(c)
    r.value("session", session)
    r.value("admin", admin)
    r.value("same admin", session.getAdmin() == admin)
    r.call("ids", session.ice_ids)
    r.call("admin's ids", admin.ice_ids)
    r.call("replica", session.getReplicaName)
    r.call("keep alive", session.keepAlive)
    r.value("callback template", session.getAdminCallbackTemplate().ice_getIdentity().name)
    other = d.communicator()
    r.kind("from another connection", IceGrid.AdminSessionPrx.uncheckedCast(other.stringToProxy(str(session))).getAdmin)
    r.kind("admin from another connection", IceGrid.AdminPrx.uncheckedCast(
        other.stringToProxy(str(admin))).getAllApplicationNames)
    r.call("empty user", d.registry_proxy(c).createAdminSession, "", "")
    r.call("destroy", session.destroy)
    r.kind("after", session.getAdmin)
    r.kind("admin after", admin.getAllApplicationNames)


def exclusive_lock(d, r):
    alice, admin_a = d.admin(d.communicator(), user="alice")
    bob, admin_b = d.admin(d.communicator(), user="bob")
    serial = alice.startUpdate()
    r.call("by another", bob.startUpdate)
    r.call("finish by another", bob.finishUpdate)
    r.value("again by the holder", alice.startUpdate() == serial)
    app = dd.application("Locked", {"n": dd.node(dd.server("L", []))})
    update = IceGrid.ApplicationUpdateDescriptor(name="Locked")
    for name, operation in (("add", lambda a: a.addApplication(app)), ("sync", lambda a: a.syncApplication(app)),
                            ("update", lambda a: a.updateApplication(update)),
                            ("sync without restart", lambda a: a.syncApplicationWithoutRestart(app)),
                            ("update without restart", lambda a: a.updateApplicationWithoutRestart(update)),
                            ("instantiate", lambda a: a.instantiateServer("Locked", "n",
                                                                          IceGrid.ServerInstanceDescriptor("t"))),
                            ("remove", lambda a: a.removeApplication("Locked"))):
        r.call(name + " by another", operation, admin_b)
        r.call(name + " by the holder", operation, admin_a)
    r.call("object by another", admin_b.addObjectWithType, d.communicator().stringToProxy("o:tcp -h 127.0.0.1 -p 1"), "t")
    r.call("object gone", admin_b.removeObject, dd.identity("o"))
    r.value("serial counts", alice.startUpdate() - serial)
    r.call("finish once", alice.finishUpdate)
    r.call("finish twice", alice.finishUpdate)
    r.value("free for another", bob.startUpdate() >= serial)
    bob.destroy()
    r.value("free after destroy", alice.startUpdate() >= serial)
    third, _ = d.admin(d.communicator(), user="carol")
    d.drop(alice.ice_getCommunicator())

    def free():
        try:
            third.startUpdate()
            return True
        except IceGrid.AccessDeniedException:
            return False
    r.value("free after the holder's loss", wait_until(free, "the lock of a lost session being freed"))
    third.destroy()


# ---- applications

def applications(d, r):
    session, admin = d.admin(d.communicator())
    r.call("names", admin.getAllApplicationNames)
    r.call("unknown", admin.getApplicationInfo, "Nobody")
    app = dd.application("Hello", {"node1": dd.node(dd.server("S1", [dd.adapter("A", "S1.A", objects=[dd.obj("o", "t")])]),
                                                   dd.server("S2", []))}, [dd.group("G")],
                         variables={"b": "2", "a": "1"}, description="an example")
    r.call("add", admin.addApplication, app)
    r.call("add twice", admin.addApplication, app)
    r.call("info", admin.getApplicationInfo, "Hello")
    r.call("server", admin.getServerInfo, "S1")
    r.call("servers", admin.getAllServerIds)
    r.call("adapters", admin.getAllAdapterIds)
    r.call("objects", admin.getAllObjectInfos, "o*")
    r.call("nodes", admin.getAllNodeNames)
    app.nodes["node2"] = dd.node(dd.server("S3", []))
    app.nodes["node1"].servers.pop()
    r.call("sync", admin.syncApplication, app)
    r.call("info after sync", admin.getApplicationInfo, "Hello")
    r.call("servers after sync", admin.getAllServerIds)
    update = IceGrid.ApplicationUpdateDescriptor(name="Hello", description=BOXED("new"), removeVariables=["a"],
                                                 variables={"c": "3"}, removeNodes=["node2"],
                                                 nodes=[IceGrid.NodeUpdateDescriptor(name="node1", servers=[
                                                     dd.server("S4", [])], removeServers=["S1"])],
                                                 replicaGroups=[dd.group("H", IceGrid.RoundRobinLoadBalancingPolicy("2"))])
    r.call("update", admin.updateApplication, update)
    r.call("info after update", admin.getApplicationInfo, "Hello")
    r.call("update unknown", admin.updateApplication, IceGrid.ApplicationUpdateDescriptor(name="Nobody"))
    r.call("sync unknown", admin.syncApplication, dd.application("Nobody", {}))
    r.call("without restart, node down", admin.updateApplicationWithoutRestart, IceGrid.ApplicationUpdateDescriptor(
        name="Hello", nodes=[IceGrid.NodeUpdateDescriptor(name="node1", servers=[dd.server(
            "S4", [], activation="manual")])]))
    r.call("instantiate unknown application", admin.instantiateServer, "Nobody", "n", IceGrid.ServerInstanceDescriptor("t"))
    r.call("instantiate unknown template", admin.instantiateServer, "Hello", "node1", IceGrid.ServerInstanceDescriptor("t"))
    r.call("patch", admin.patchApplication, "Hello", True)
    r.call("patch unknown", admin.patchApplication, "Nobody", True)
    r.call("defaults", admin.getDefaultApplicationDescriptor)
    r.call("checksums", admin.getSliceChecksums)
    r.call("remove", admin.removeApplication, "Hello")
    r.call("remove twice", admin.removeApplication, "Hello")
    r.call("names at the end", admin.getAllApplicationNames)
    session.destroy()


def templates(d, r):
    session, admin = d.admin(d.communicator())
    body = dd.server("T-${n}", [dd.adapter("A", "${server}.A", objects=[dd.obj("obj-${n}", "::T")])],
                     properties=[("Name", "${n}-${which}-${application}-${node}"), ("Escaped", "$${n}")])
    template = IceGrid.TemplateDescriptor(descriptor=body, parameters=["n", "which"], parameterDefaults={"which": "d"})
    instances = [IceGrid.ServerInstanceDescriptor(template="T", parameterValues={"n": str(n)}) for n in range(2)]
    app = dd.application("Tmpl", {"node1": dd.node(serverInstances=instances, variables={"v": "1"})},
                         serverTemplates={"T": template})
    r.call("add", admin.addApplication, app)
    r.call("definition", admin.getApplicationInfo, "Tmpl")
    r.call("instance", admin.getServerInfo, "T-1")
    r.call("instantiate, node down", admin.instantiateServer, "Tmpl", "node1", IceGrid.ServerInstanceDescriptor(
        template="T", parameterValues={"n": "9"}))
    r.call("missing parameter", admin.instantiateServer, "Tmpl", "node1", IceGrid.ServerInstanceDescriptor(template="T"))
    r.call("unknown parameter", admin.instantiateServer, "Tmpl", "node1", IceGrid.ServerInstanceDescriptor(
        template="T", parameterValues={"n": "9", "x": "y"}))
    r.call("servers", admin.getAllServerIds)
    r.call("remove", admin.removeApplication, "Tmpl")
    session.destroy()


def boxes(d, r):
    """Classes inside descriptors: an IceBox with services, all load balancing policies."""
    session, admin = d.admin(d.communicator())
    service = IceGrid.ServiceDescriptor(name="Svc", entry="lib:create", adapters=[dd.adapter("S", "Box.S")],
                                        propertySet=IceGrid.PropertySetDescriptor(properties=[
                                            IceGrid.PropertyDescriptor("S.Endpoints", "default")]))
    box = IceGrid.IceBoxDescriptor(id="Box", exe="icebox", activation="manual",
                                   services=[IceGrid.ServiceInstanceDescriptor(descriptor=service)])
    groups = [dd.group("R", IceGrid.RandomLoadBalancingPolicy("1")), dd.group("O", IceGrid.OrderedLoadBalancingPolicy("2")),
              dd.group("RR", IceGrid.RoundRobinLoadBalancingPolicy("3")),
              dd.group("AD", IceGrid.AdaptiveLoadBalancingPolicy("0", "15"), options="-e 1.0")]
    r.call("add", admin.addApplication, dd.application("Boxes", {"node1": dd.node(box, loadFactor="1.5")}, groups))
    r.call("definition", admin.getApplicationInfo, "Boxes")
    r.call("server", admin.getServerInfo, "Box")
    r.call("in encoding 1.0", IceGrid.AdminPrx.uncheckedCast(admin.ice_encodingVersion(
        Ice.Encoding_1_0)).getApplicationInfo, "Boxes")
    r.call("remove", admin.removeApplication, "Boxes")
    session.destroy()


def invalid_applications(d, r):
    session, admin = d.admin(d.communicator())
    one = dd.server("Dup", [dd.adapter("A", "Dup.A", objects=[dd.obj("dup", "t")])])

    def attempt(label, app):
        r.call(label, admin.addApplication, app)

    admin.addApplication(dd.application("First", {"n": dd.node(one)}, [dd.group("FG")]))
    attempt("empty name", dd.application("", {}))
    attempt("server id taken", dd.application("Second", {"n": dd.node(dd.server("Dup", []))}))
    attempt("adapter id taken", dd.application("Second", {"n": dd.node(dd.server("X", [dd.adapter("A", "Dup.A")]))}))
    attempt("object taken", dd.application("Second", {"n": dd.node(dd.server("X", [dd.adapter(
        "A", "X.A", objects=[dd.obj("dup")])]))}))
    attempt("group taken", dd.application("Second", {}, [dd.group("FG")]))
    attempt("unknown group", dd.application("Second", {"n": dd.node(dd.server("X", [dd.adapter("A", "X.A", group="Q")]))}))
    attempt("group of another", dd.application("Second", {"n": dd.node(dd.server("X", [dd.adapter("A", "X.A",
                                                                                                  group="FG")]))}))
    r.call("remove the group's owner", admin.removeApplication, "First")
    r.call("remove its user", admin.removeApplication, "Second")
    attempt("two servers", dd.application("Second", {"n": dd.node(dd.server("X", []), dd.server("X", []))}))
    attempt("servers on two nodes", dd.application("Second", {"n": dd.node(dd.server("X", [])),
                                                              "m": dd.node(dd.server("X", []))}))
    attempt("empty node name", dd.application("Second", {"": dd.node()}))
    attempt("no executable", dd.application("Second", {"n": dd.node(IceGrid.ServerDescriptor(id="X"))}))
    attempt("activation", dd.application("Second", {"n": dd.node(dd.server("X", [], activation="sometimes"))}))
    attempt("timeout", dd.application("Second", {"n": dd.node(dd.server("X", [], activationTimeout="soon"))}))
    attempt("undefined variable", dd.application("Second", {"n": dd.node(dd.server("X${v}", []))}))
    attempt("undefined in a property", dd.application("Second", {"n": dd.node(dd.server("X", [], properties=[
        ("P", "${v}")]))}))
    attempt("reserved variable", dd.application("Second", {}, variables={"node": "x"}))
    attempt("no endpoints", dd.application("Second", {"n": dd.node(IceGrid.ServerDescriptor(
        id="X", exe="x", adapters=[dd.adapter("A", "X.A")]))}))
    attempt("empty adapter id", dd.application("Second", {"n": dd.node(dd.server("X", [dd.adapter("A", "")]))}))
    attempt("two groups", dd.application("Second", {}, [dd.group("G"), dd.group("G")]))
    attempt("no policy", dd.application("Second", {}, [IceGrid.ReplicaGroupDescriptor(id="G")]))
    attempt("negative count", dd.application("Second", {}, [dd.group("G", IceGrid.RandomLoadBalancingPolicy("-1"))]))
    attempt("count no number", dd.application("Second", {}, [dd.group("G", IceGrid.RandomLoadBalancingPolicy("a"))]))
    attempt("load sample", dd.application("Second", {}, [dd.group("G", IceGrid.AdaptiveLoadBalancingPolicy("1", "7"))]))
    attempt("unknown property set", dd.application("Second", {"n": dd.node(IceGrid.ServerDescriptor(
        id="X", exe="x", propertySet=IceGrid.PropertySetDescriptor(references=["P"])))}))
    attempt("null server", dd.application("Second", {"n": dd.node(None)}))
    attempt("unknown template", dd.application("Second", {"n": dd.node(serverInstances=[
        IceGrid.ServerInstanceDescriptor("T")])}))
    r.call("only the first is there", admin.getAllApplicationNames)
    for name in admin.getAllApplicationNames():
        admin.removeApplication(name)
    session.destroy()


# ---- objects, adapters, servers, nodes, registries

def objects(d, r):
    session, admin = d.admin(d.communicator())
    c = d.communicator()

    def prx(text):
        return c.stringToProxy(text)

    admin.addApplication(dd.application("Objects", {"n": dd.node(dd.server("S", [dd.adapter(
        "A", "S.A", objects=[dd.obj("deployed", "::T")], allocatables=[dd.obj("reserved", "::T")])]))}))
    r.call("null", admin.addObjectWithType, None, "::T")
    r.call("null without type", admin.addObject, None)
    r.call("null update", admin.updateObject, None)
    r.call("add", admin.addObjectWithType, prx("one:tcp -h 127.0.0.1 -p 9999"), "::T")
    r.call("add twice", admin.addObjectWithType, prx("one:tcp -h 127.0.0.1 -p 9998"), "::T")
    r.call("category", admin.addObjectWithType, prx("\"cat/a b\" -f facet -o:ws -h 127.0.0.1 -p 9999"), "::U")
    r.call("deployed", admin.addObjectWithType, prx("deployed:tcp -h 127.0.0.1 -p 9999"), "::T")
    r.call("allocatable", admin.addObjectWithType, prx("reserved:tcp -h 127.0.0.1 -p 9999"), "::T")
    r.call("ours", admin.addObjectWithType, prx("Demo/mine:tcp -h 127.0.0.1 -p 9999"), "::T")
    r.call("its own", admin.addObjectWithType, prx("Demo/Query:tcp -h 127.0.0.1 -p 9999"), "::T")
    r.call("by ice_id", admin.addObject, d.query(c))
    r.call("unreachable", admin.addObject, prx("two:tcp -h 127.0.0.1 -p 1"))
    r.call("update", admin.updateObject, prx("one @ S.A"))
    r.call("update unknown", admin.updateObject, prx("nobody @ S.A"))
    r.call("update deployed", admin.updateObject, prx("deployed @ S.A"))
    r.call("update its own", admin.updateObject, prx("Demo/Query @ S.A"))
    for name in ("one", "deployed", "reserved", "nobody", "Demo/Query"):
        r.call("info " + name, admin.getObjectInfo, dd.identity(name))
    for expr in ("", "*", "one", "o*", "*e", "Demo/*", "*d*", "no*", "cat/*"):
        r.call("infos '%s'" % expr, admin.getAllObjectInfos, expr)
    for type_id in ("::T", "::U", "", "::IceGrid::Query"):
        r.call("type '%s'" % type_id, admin.getObjectInfosByType, type_id)
    for name in ("one", "one", "reserved", "deployed", "nobody", "Demo/Query", "cat/a b"):
        r.call("remove " + name, admin.removeObject, dd.identity(name))
    admin.removeApplication("Objects")
    r.call("deployed gone", admin.getObjectInfo, dd.identity("deployed"))
    session.destroy()


def adapters(d, r):
    session, admin = d.admin(d.communicator())
    c = d.communicator()
    reg = Ice.LocatorRegistryPrx.uncheckedCast(c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint("Master.Server")))
    admin.addApplication(dd.application("Adapters", {"n": dd.node(dd.server("AS", [dd.adapter("A", "AS.A", group="AG")]))},
                                        [dd.group("AG")]))
    for n, name in enumerate(("D1", "D2")):
        reg.setReplicatedAdapterDirectProxy(name, "DG", c.stringToProxy("dummy:tcp -h 127.0.0.1 -p %d" % (9000 + n)))
    r.call("taken by a dynamic one", admin.addApplication, dd.application("More", {"n": dd.node(dd.server("X", [
        dd.adapter("A", "D1")]))}))
    r.call("group taken by a dynamic one", admin.addApplication, dd.application("More", {}, [dd.group("DG")]))
    r.call("ids", admin.getAllAdapterIds)
    r.call("deployed", admin.removeAdapter, "AS.A")
    r.call("deployed group", admin.removeAdapter, "AG")
    r.call("unknown", admin.removeAdapter, "nobody")
    r.call("group", admin.removeAdapter, "DG")
    r.call("member", admin.getAdapterInfo, "D1")
    r.call("group gone", admin.getAdapterInfo, "DG")
    r.call("remove", admin.removeAdapter, "D1")
    r.call("remove twice", admin.removeAdapter, "D1")
    r.call("remove other", admin.removeAdapter, "D2")
    admin.removeApplication("Adapters")
    session.destroy()


def servers_and_nodes(d, r):
    session, admin = d.admin(d.communicator())
    admin.addApplication(dd.application("Servers", {"node1": dd.node(dd.server("NS", [dd.adapter("A", "NS.A")]))}))
    for server in ("NS", "nobody"):
        for name, arguments in (("getServerState", ()), ("getServerPid", ()), ("isServerEnabled", ()),
                                ("enableServer", (False,)), ("startServer", ()), ("stopServer", ()),
                                ("sendSignal", ("SIGTERM",)), ("getServerAdmin", ()), ("patchServer", (True,))):
            r.call("%s %s" % (name, server), getattr(admin, name), server, *arguments)
    r.call("unknown server", admin.getServerInfo, "nobody")
    for node in ("node1", "nobody"):
        for name in ("pingNode", "getNodeInfo", "getNodeLoad", "getNodeHostname", "getNodeProcessorSocketCount",
                     "getNodeAdmin", "shutdownNode"):
            r.call("%s %s" % (name, node), getattr(admin, name), node)
    r.call("names", admin.getAllNodeNames)
    r.call("category", admin.getServerAdminCategory)
    admin.removeApplication("Servers")
    r.call("names after", admin.getAllNodeNames)
    session.destroy()


def registries(d, r):
    session, admin = d.admin(d.communicator())
    r.call("names", admin.getAllRegistryNames)
    for name in ("Master", "Nobody", ""):
        r.call("ping " + name, admin.pingRegistry, name)
        r.call("admin " + name, admin.getRegistryAdmin, name)
    info = admin.getRegistryInfo("Master")
    r.value("info", [info.name, bool(info.hostname)])
    r.call("info of nobody", admin.getRegistryInfo, "Nobody")
    r.call("shutdown nobody", admin.shutdownRegistry, "Nobody")
    process = Ice.ProcessPrx.uncheckedCast(admin.getRegistryAdmin("Master"), "Process")
    r.call("process facet", process.ice_ids)
    properties = Ice.PropertiesAdminPrx.uncheckedCast(admin.getRegistryAdmin("Master"), "Properties")
    r.call("a property", properties.getProperty, "IceGrid.InstanceName")
    r.call("unknown facet", admin.getRegistryAdmin("Master").ice_facet("nowhere").ice_ping)
    session.destroy()


def keeps(d, r):
    """What was acknowledged is there after kill -9."""
    session, admin = d.admin(d.communicator())
    admin.addApplication(dd.pool("Kept", 2))
    admin.addObjectWithType(d.communicator().stringToProxy("kept:tcp -h 127.0.0.1 -p 9999"), "::Kept")
    reg = Ice.LocatorRegistryPrx.uncheckedCast(d.communicator().stringToProxy(
        "Demo/LocatorRegistry:" + d.endpoint("Master.Server")))
    reg.setAdapterDirectProxy("Kept.D", d.communicator().stringToProxy("dummy:tcp -h 127.0.0.1 -p 9001"))
    d.daemons["Master"].kill()
    d.start_registry()
    session, admin = d.admin(d.communicator())
    r.call("application", admin.getApplicationInfo, "Kept")
    r.call("object", admin.getObjectInfo, dd.identity("kept"))
    r.call("adapter", admin.getAdapterInfo, "Kept.D")
    r.call("servers", admin.getAllServerIds)
    session.destroy()


def refused_writes(d, r):
    session, admin = d.admin(d.communicator())
    c = d.communicator()
    app = dd.application("New", {})
    update = IceGrid.ApplicationUpdateDescriptor(name="Pool")
    for label, operation in (
            ("add", lambda: admin.addApplication(app)), ("sync", lambda: admin.syncApplication(app)),
            ("update", lambda: admin.updateApplication(update)),
            ("sync without restart", lambda: admin.syncApplicationWithoutRestart(app)),
            ("update without restart", lambda: admin.updateApplicationWithoutRestart(update)),
            ("remove", lambda: admin.removeApplication("Pool")),
            ("instantiate", lambda: admin.instantiateServer("Pool", "n", IceGrid.ServerInstanceDescriptor("t"))),
            ("remove adapter", lambda: admin.removeAdapter("nobody")), ("add object", lambda: admin.addObject(None)),
            ("add object with type", lambda: admin.addObjectWithType(c.stringToProxy("x"), "t")),
            ("update object", lambda: admin.updateObject(None)),
            ("remove object", lambda: admin.removeObject(dd.identity("added")))):
        r.call(label, operation)
    r.call("applications", admin.getAllApplicationNames)
    r.call("object", admin.getObjectInfo, dd.identity("added"))
    r.value("lock", session.startUpdate())
    r.call("unlock", session.finishUpdate)
    registry = d.registry_proxy(c)
    client = registry.createSession("alice", "x")
    r.call("allocation", client.allocateObjectById, dd.identity("res0"))
    session.destroy()


# ---- observers

class Watcher:
    """One list of everything five observers were told."""

    def __init__(self, d, session, connection):
        self.lock = threading.Condition()
        self.events = []
        watcher = self

        def servant(base, names):
            def method(name):
                def told(self, *arguments):
                    watcher.tell(name, arguments[:-1])
                return told
            return type("Watching" + base.__name__, (base,), {name: method(name) for name in names})()

        adapter = connection.getAdapter() or session.ice_getCommunicator().createObjectAdapter("")
        connection.setAdapter(adapter)
        adapter.activate()
        parts = ((IceGrid.RegistryObserver, ("registryInit", "registryUp", "registryDown")),
                 (IceGrid.NodeObserver, ("nodeInit", "nodeUp", "nodeDown", "updateServer", "updateAdapter")),
                 (IceGrid.ApplicationObserver, ("applicationInit", "applicationAdded", "applicationRemoved",
                                                "applicationUpdated")),
                 (IceGrid.AdapterObserver, ("adapterInit", "adapterAdded", "adapterUpdated", "adapterRemoved")),
                 (IceGrid.ObjectObserver, ("objectInit", "objectAdded", "objectUpdated", "objectRemoved")))
        self.identities = [adapter.addWithUUID(servant(*p)).ice_getIdentity() for p in parts]
        session.setObserversByIdentity(*self.identities)

    def tell(self, name, arguments):
        with self.lock:
            self.events.append((name, arguments))
            self.lock.notify_all()

    def take(self, count):
        with self.lock:
            self.lock.wait_for(lambda: len(self.events) >= count, 20)
            events, self.events = self.events, []
        return events


def observers(d, r):
    c = d.communicator()
    session, admin = d.admin(c)
    registry = d.registry_proxy(c)
    watcher = Watcher(d, session, registry.ice_getConnection())

    def show(label, count):
        for name, arguments in sorted(watcher.take(count), key=lambda e: e[0]):
            if name.startswith("registry") and name != "registryDown":
                arguments = [[i.name for i in a] if isinstance(a, list) else a.name for a in arguments]
            if name.startswith("application"):
                arguments = arguments[1:]
            r.value("%s: %s" % (label, name), list(arguments))

    show("init", 5)
    admin.addApplication(dd.pool("Seen", 1))
    show("application added", 1)
    admin.updateApplication(IceGrid.ApplicationUpdateDescriptor(name="Seen", description=BOXED("seen")))
    show("application updated", 1)
    app = admin.getApplicationInfo("Seen").descriptor
    app.variables = {"x": "y"}
    admin.syncApplication(app)
    show("application synchronised", 1)
    admin.removeApplication("Seen")
    show("application removed", 1)
    admin.addObjectWithType(c.stringToProxy("seen @ A"), "::Seen")
    show("object added", 1)
    admin.updateObject(c.stringToProxy("seen @ B"))
    show("object updated", 1)
    admin.removeObject(dd.identity("seen"))
    show("object removed", 1)
    reg = Ice.LocatorRegistryPrx.uncheckedCast(c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint("Master.Server")))
    reg.setReplicatedAdapterDirectProxy("D", "G", c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9001"))
    show("adapter added", 1)
    reg.setReplicatedAdapterDirectProxy("D", "G", c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9002"))
    show("adapter updated", 1)
    admin.removeAdapter("D")
    show("adapter removed", 1)
    session.setObserversByIdentity(*[Ice.Identity()] * 5)
    admin.addObjectWithType(c.stringToProxy("unseen @ A"), "::Seen")
    admin.removeObject(dd.identity("unseen"))
    r.value("silence after unsubscribing", len(watcher.events))
    session.destroy()


def plan():
    cases = [sessions, exclusive_lock, applications, templates, boxes, invalid_applications, objects, adapters,
             servers_and_nodes, registries, observers, keeps]
    yield "master", master, cases
    for label, settings in (("encoding 1.0", {"Ice.Default.EncodingVersion": "1.0"}),
                            ("sliced format", {"Ice.Default.SlicedFormat": "1"})):
        yield label, lambda f, s=settings: master(f, client_settings=s), [applications, templates, boxes, objects]
    yield "guarded", guarded, [passwords]
    yield "remote", remote, [remote_verifier]
    yield "no verifiers", open_nowhere, [no_verifiers]
    yield "certificates", lambda f: master(f, "ssl"), [certificates]
    yield "read only", read_only, [refused_writes]
