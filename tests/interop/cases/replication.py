# SPDX-License-Identifier: Apache-2.0
"""A slave: synchronised at start, following, reading, refusing writes, outliving its master; and clients that know both."""

import Glacier2
import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment, keep_alive
from lib.process import wait_until
from lib.probe import Server

NAMES = ("hello", "hello0", "added", "nobody", "res0", "Demo/Query", "Demo/Locator", "Demo/LocatorRegistry",
         "Demo/Registry", "Demo/Registry-Replica1", "Demo/Registry-Master", "Demo/SessionManager",
         "Demo/SSLSessionManager", "Demo/AdminSessionManager", "Demo/AdminSessionManager-Replica1",
         "Demo/AdminSSLSessionManager-Replica1", "Demo/InternalRegistry-Master", "Demo/InternalRegistry-Replica1",
         "Demo/Locator-Replica1")


def application(name="Hello"):
    return dd.application(name, {"node1": dd.node(*[dd.server("%s%d" % (name, n), [dd.adapter(
        "A", "%s%d.A" % (name, n), group=name + "Group", objects=[dd.obj("%s%d" % (name.lower(), n), "::Hello")])])
        for n in range(2)])}, [dd.group(name + "Group", objects=[dd.obj(name.lower(), "::Hello")])])


def registry_of(d, c, replica):
    return Ice.LocatorRegistryPrx.uncheckedCast(
        c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint(replica + ".Server")))


def pair(flavour, transport="tcp"):
    """A master with content, then the slave."""
    d = Deployment(flavour, transport)
    d.start_registry()
    c = d.communicator()
    session, admin = d.admin(c)
    admin.addApplication(application())
    admin.addApplication(dd.pool("Pool", 1))
    admin.addObjectWithType(c.stringToProxy("added:tcp -h 127.0.0.1 -p 9999"), "::Added")
    registry_of(d, c, "Master").setReplicatedAdapterDirectProxy("Dyn.1", "DynGroup",
                                                               c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9001"))
    session.destroy()
    d.start_registry("Replica1")
    await_up(d)
    return d


def await_up(d, replica="Master", other="Replica1"):
    """Until the master lists the slave (and so the slave's start is over)."""
    def listed():
        try:
            session, admin = d.admin(d.communicator(), replica)
            names = admin.getAllRegistryNames()
            d.drop(session.ice_getCommunicator())
            return other in names
        except Ice.LocalException:
            return False
    wait_until(listed, "%s in the registry list of %s" % (other, replica))


# ---- cases

def same_answers(d, r):
    c = d.communicator()
    for replica in ("Master", "Replica1"):
        locator, query = d.locator_proxy(c, replica), d.query(c, replica)
        for name in NAMES:
            r.call("%s: %s" % (replica, name), locator.findObjectById, dd.identity(name))
            r.call("%s: query %s" % (replica, name), query.findObjectById, dd.identity(name))
        for name in ("Hello0.A", "HelloGroup", "Dyn.1", "DynGroup", "nowhere"):
            r.call("%s: adapter %s" % (replica, name), locator.findAdapterById, name)
        for type_id in ("::Hello", "::Added", "::IceGrid::Registry", "::IceGrid::Query", "::Glacier2::SessionManager",
                        "::IceGrid::InternalRegistry"):
            r.call("%s: type %s" % (replica, type_id), query.findAllObjectsByType, type_id)
        r.call(replica + ": replicas", query.findAllReplicas, c.stringToProxy("hello @ HelloGroup"))
        r.call(replica + ": dynamic replicas", query.findAllReplicas, c.stringToProxy("x @ DynGroup"))
        r.call(replica + ": registry", locator.getRegistry)
        r.call(replica + ": local registry", locator.getLocalRegistry)
        r.call(replica + ": local query", locator.getLocalQuery)
        finder = Ice.LocatorFinderPrx.uncheckedCast(c.stringToProxy("Ice/LocatorFinder:" + d.endpoint(replica + ".Client")))
        r.call(replica + ": finder", finder.getLocator)


def slave_admin(d, r):
    session, admin = d.admin(d.communicator(), "Replica1")
    r.value("session", session)
    r.call("replica", session.getReplicaName)
    r.call("applications", admin.getAllApplicationNames)
    r.call("application", admin.getApplicationInfo, "Hello")
    r.call("servers", admin.getAllServerIds)
    r.call("server", admin.getServerInfo, "Hello0")
    r.call("adapters", admin.getAllAdapterIds)
    r.call("adapter", admin.getAdapterInfo, "DynGroup")
    r.call("objects", admin.getAllObjectInfos, "")
    r.call("registries", admin.getAllRegistryNames)
    r.call("ping itself", admin.pingRegistry, "Replica1")
    r.call("ping master", admin.pingRegistry, "Master")
    r.call("nodes", admin.getAllNodeNames)
    r.call("state", admin.getServerState, "Hello0")
    session.destroy()
    session, admin = d.admin(d.communicator())
    r.call("master: registries", admin.getAllRegistryNames)
    r.call("master: ping", admin.pingRegistry, "Replica1")
    info = admin.getRegistryInfo("Replica1")
    r.value("master: info", info.name)
    r.call("master: admin", admin.getRegistryAdmin, "Replica1")
    properties = Ice.PropertiesAdminPrx.uncheckedCast(admin.getRegistryAdmin("Replica1"), "Properties")
    r.call("master: a property of the slave", properties.getProperty, "IceGrid.Registry.ReplicaName")
    session.destroy()


def refused_writes(d, r):
    c = d.communicator()
    session, admin = d.admin(c, "Replica1")
    app = dd.application("New", {})
    update = IceGrid.ApplicationUpdateDescriptor(name="Pool")
    for label, operation in (
            ("add", lambda: admin.addApplication(app)), ("sync", lambda: admin.syncApplication(app)),
            ("update", lambda: admin.updateApplication(update)),
            ("sync without restart", lambda: admin.syncApplicationWithoutRestart(app)),
            ("update without restart", lambda: admin.updateApplicationWithoutRestart(update)),
            ("remove", lambda: admin.removeApplication("Pool")), ("remove unknown", lambda: admin.removeApplication("x")),
            ("instantiate", lambda: admin.instantiateServer("Pool", "n", IceGrid.ServerInstanceDescriptor("t"))),
            ("remove adapter", lambda: admin.removeAdapter("Dyn.1")), ("add object", lambda: admin.addObject(None)),
            ("add object with type", lambda: admin.addObjectWithType(c.stringToProxy("x"), "t")),
            ("update object", lambda: admin.updateObject(c.stringToProxy("added"))),
            ("remove object", lambda: admin.removeObject(dd.identity("added")))):
        r.call(label, operation)
    registry = d.registry_proxy(c, "Replica1")
    r.call("client session", registry.createSession, "alice", "x")
    r.call("secure client session", registry.createSessionFromSecureConnection)
    r.call("lock", session.startUpdate)
    r.call("unlock", session.finishUpdate)
    r.call("nothing changed", admin.getAllApplicationNames)
    session.destroy()


def session_managers(d, r):
    """What the slave's own session manager endpoints serve."""
    c = d.communicator()

    def manager(name, adapter):
        return Glacier2.SessionManagerPrx.uncheckedCast(
            c.stringToProxy("Demo/%s:%s" % (name, d.endpoint("Replica1." + adapter))))

    r.call("client manager", manager("SessionManager", "SessionManager").ice_ping)
    r.call("client manager by name", manager("SessionManager-Replica1", "SessionManager").ice_ping)
    r.call("admin manager of the master", manager("AdminSessionManager", "AdminSessionManager").ice_ping)
    session = r.call("admin manager", manager("AdminSessionManager-Replica1", "AdminSessionManager").create, "root", None)
    session = IceGrid.AdminSessionPrx.uncheckedCast(session)
    admin = session.getAdmin()
    r.call("admin", admin.getAllApplicationNames)
    r.call("write", admin.removeApplication, "Hello")
    session.destroy()
    d.start_router("door", registries=("Replica1",), Glacier2__SessionManager="Demo/AdminSessionManager-Replica1")
    router = d.router_proxy(c, "door")
    through = IceGrid.AdminSessionPrx.uncheckedCast(router.createSession("root", "x").ice_router(router))
    keep_alive(router.ice_getConnection())
    r.call("through a router", through.getReplicaName)
    admin = through.getAdmin()
    r.call("reads", admin.getAllApplicationNames)
    r.call("writes", admin.addApplication, dd.application("New", {}))
    router.destroySession()
    d.daemons["door"].stop()


def follows(d, r):
    """An acknowledged change is at the slave: the master answers the administrator after its slaves did."""
    c = d.communicator()
    session, admin = d.admin(c)
    slave_session, slave = d.admin(d.communicator(), "Replica1")
    query = d.query(c, "Replica1")
    admin.addApplication(application("Second"))
    r.call("added", slave.getApplicationInfo, "Second")
    r.call("its objects", query.findObjectById, dd.identity("second0"))
    admin.updateApplication(IceGrid.ApplicationUpdateDescriptor(name="Second", description=IceGrid.BoxedString("d"), nodes=[
        IceGrid.NodeUpdateDescriptor(name="node1", removeServers=["Second1"])]))
    r.call("updated", slave.getApplicationInfo, "Second")
    r.call("servers", slave.getAllServerIds)
    admin.removeApplication("Second")
    r.call("removed", slave.getApplicationInfo, "Second")
    r.call("its objects gone", query.findObjectById, dd.identity("second0"))
    admin.addObjectWithType(c.stringToProxy("late @ A"), "::Late")
    r.call("object", slave.getObjectInfo, dd.identity("late"))
    admin.updateObject(c.stringToProxy("late @ B"))
    r.call("object updated", slave.getObjectInfo, dd.identity("late"))
    admin.removeObject(dd.identity("late"))
    r.call("object removed", slave.getObjectInfo, dd.identity("late"))
    for n in range(30):
        admin.addObjectWithType(c.stringToProxy("many%d @ A" % n), "::Many")
    r.value("many", len(query.findAllObjectsByType("::Many")))
    for n in range(30):
        admin.removeObject(dd.identity("many%d" % n))
    r.value("none", len(query.findAllObjectsByType("::Many")))
    session.destroy()
    slave_session.destroy()


def dynamic(d, r):
    """Adapters register with either replica; both know."""
    c = d.communicator()
    on_master, on_replica = registry_of(d, c, "Master"), registry_of(d, c, "Replica1")
    one, two = d.locator_proxy(c), d.locator_proxy(c, "Replica1")
    r.call("with the master", on_master.setAdapterDirectProxy, "D1", c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9002"))
    r.call("at the slave", two.findAdapterById, "D1")
    r.call("with the slave", on_replica.setAdapterDirectProxy, "D2", c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9003"))
    r.call("at the master", one.findAdapterById, "D2")
    r.call("at the slave too", two.findAdapterById, "D2")
    r.call("in a group with the slave", on_replica.setReplicatedAdapterDirectProxy, "Dyn.2", "DynGroup",
           c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9004"))
    r.call("the group at the master", one.findAdapterById, "DynGroup")
    r.call("deployed with the slave", on_replica.setAdapterDirectProxy, "Hello0.A",
           c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9005"))
    for name, registry in (("D1", on_replica), ("D2", on_master), ("Dyn.2", on_replica)):
        r.call("unregister " + name, registry.setAdapterDirectProxy, name, None)
        r.call(name + " gone at the master", one.findAdapterById, name)
        r.call(name + " gone at the slave", two.findAdapterById, name)


def observed(d, r):
    """The master's registry observers and object list while the slave leaves and returns."""
    session, admin = d.admin(d.communicator())
    r.value("exit status", d.daemons["Replica1"].stop())
    wait_until(lambda: "Replica1" not in admin.getAllRegistryNames(), "the stopped slave leaving the list")
    # Ours commits the removal of its objects after that, which takes a moment on a busy disk.
    query = d.query(d.communicator())
    wait_until(lambda: len(query.findObjectById(dd.identity("Demo/Query")).ice_getEndpoints()) == 1 and not
               query.findObjectById(dd.identity("Demo/Registry-Replica1")), "the objects of the stopped slave leaving")
    r.call("registries", admin.getAllRegistryNames)
    r.call("query", d.query(d.communicator()).findObjectById, dd.identity("Demo/Query"))
    r.call("its registry object", admin.getObjectInfosByType, "::IceGrid::Registry")
    r.call("ping", admin.pingRegistry, "Replica1")
    admin.addApplication(application("While"))
    d.start_registry("Replica1")
    await_up(d)
    r.call("registries again", admin.getAllRegistryNames)
    slave_session, slave = d.admin(d.communicator(), "Replica1")
    r.call("caught up", slave.getAllApplicationNames)
    r.call("query again", d.query(d.communicator()).findObjectById, dd.identity("Demo/Query"))
    admin.removeApplication("While")
    session.destroy()
    slave_session.destroy()


def slave_killed(d, r):
    """kill -9 of the slave, changes meanwhile, restart on its database."""
    session, admin = d.admin(d.communicator())
    d.daemons["Replica1"].kill()
    admin.addApplication(application("Meanwhile"))
    admin.addObjectWithType(d.communicator().stringToProxy("apart @ A"), "::Apart")
    d.start_registry("Replica1")
    await_up(d)
    slave_session, slave = d.admin(d.communicator(), "Replica1")

    def caught_up():
        return "Meanwhile" in slave.getAllApplicationNames()
    wait_until(caught_up, "the change at the restarted slave")
    r.call("applications", slave.getAllApplicationNames)
    r.call("object", slave.getObjectInfo, dd.identity("apart"))
    admin.removeApplication("Meanwhile")
    admin.removeObject(dd.identity("apart"))
    session.destroy()
    slave_session.destroy()


def failover(d, r):
    """A client whose locator proxy has both endpoints; the master is killed, the client goes on; the master returns."""
    server = Server(d, adapter_id="Live.A", name="live", register=True)
    c = d.communicator(Ice__Default__Locator=d.locator("Master", "Replica1"), Ice__RetryIntervals="0 100 500",
                       Ice__Default__LocatorCacheTimeout="0")
    live = c.stringToProxy("live @ Live.A")
    r.call("before", live.ice_id)
    session, admin = d.admin(d.communicator(), "Replica1")
    d.daemons["Master"].kill()
    r.call("after", live.ice_id)
    r.kind("known, node down", c.stringToProxy("hello").ice_ping)
    r.kind("unknown", c.stringToProxy("nobody").ice_ping)
    query = IceGrid.QueryPrx.uncheckedCast(c.stringToProxy("Demo/Query"))
    r.call("query, well known", query.findAllObjectsByType, "::Hello")
    r.call("slave's applications", admin.getAllApplicationNames)
    r.call("slave's write", admin.removeApplication, "Hello")
    r.call("slave's registries", admin.getAllRegistryNames)
    r.call("register with the slave", registry_of(d, d.communicator(), "Replica1").setAdapterDirectProxy, "Alone",
           d.communicator().stringToProxy("dummy:tcp -h 127.0.0.1 -p 9006"))
    d.start_registry()
    await_up(d)
    r.call("master is back", live.ice_id)
    master_session, master = d.admin(d.communicator())
    r.call("master's applications", master.getAllApplicationNames)
    master.addApplication(application("Again"))

    def synchronised():
        return "Again" in admin.getAllApplicationNames()
    wait_until(synchronised, "the slave following the returned master")
    r.call("slave follows", admin.getAllApplicationNames)
    r.call("register with the slave again", registry_of(d, d.communicator(), "Replica1").setAdapterDirectProxy, "Alone",
           d.communicator().stringToProxy("dummy:tcp -h 127.0.0.1 -p 9006"))
    r.call("at the master", d.locator_proxy(d.communicator()).findAdapterById, "Alone")
    registry_of(d, d.communicator(), "Master").setAdapterDirectProxy("Alone", None)
    master.removeApplication("Again")
    session.destroy()
    master_session.destroy()
    server.adapter.deactivate()


def slave_alone(flavour):
    """A slave started while its master is down, with the database of an earlier life."""
    d = pair(flavour)
    d.daemons["Replica1"].stop()
    d.daemons["Master"].stop()
    d.start_registry("Replica1")
    return d


def alone(d, r):
    session, admin = d.admin(d.communicator(), "Replica1")
    query = d.query(d.communicator(), "Replica1")
    r.call("applications", admin.getAllApplicationNames)
    r.call("object", query.findObjectById, dd.identity("hello0"))
    r.call("dynamic", d.locator_proxy(d.communicator(), "Replica1").findAdapterById, "DynGroup")
    r.call("write", admin.removeApplication, "Hello")
    d.start_registry()
    await_up(d)
    r.call("after the master came", admin.getAllApplicationNames)
    session.destroy()


def plan():
    yield "tcp", pair, [same_answers, slave_admin, refused_writes, session_managers, follows, dynamic, observed]
    yield "slave killed", pair, [slave_killed]
    yield "master killed", pair, [failover]
    yield "ssl", lambda f: pair(f, "ssl"), [same_answers, follows, failover]
    yield "slave alone", slave_alone, [alone]
