# SPDX-License-Identifier: Apache-2.0
"""Replicas of both kinds together, in every pairing (icegrid-internal 19). "Ours" is a mixture here, and must behave as three
of ZeroC's do: what is written through the master, or registered with any replica, is the same at all of them, and stays so
when one is killed and returns, and when a slave of either kind becomes the master."""

import json
import re

import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.process import wait_until
from lib.watcher import Watcher

from .icegridadmin import Tool
from .replication import application, registry_of

REPLICAS = ("Master", "Replica1", "Replica2")
READY = "IceGrid.Registry.AdminSessionManager ready"


class Grid(Deployment):
    """Three replicas, each of the kind that `kinds` says; all of ZeroC's when the flavour is."""

    def __init__(self, flavour, kinds, encodings=None):
        super().__init__(flavour)
        self.kinds = dict(zip(REPLICAS, kinds))
        self.encodings = encodings or {}

    def kind(self, replica):
        return "zeroc" if self.flavour == "zeroc" else self.kinds[replica]

    def launch(self, replica, **more):
        """All of them know the endpoints of all."""
        more.setdefault("Ice__Default__Locator", self.locator(*REPLICAS))
        if replica in self.encodings:
            more["Ice__Default__EncodingVersion"] = self.encodings[replica]
        return self.start_registry(replica, flavour=self.kind(replica), **more)

    def promote(self, replica, **more):
        """The slave's database and endpoints, the kind it was, under the name Master."""
        properties = self.registry_properties(replica, IceGrid__Registry__ReplicaName="Master",
                                              Ice__Default__Locator=self.locator(*REPLICAS), **more)
        return self.start(replica, "registry", properties, READY, flavour=self.kind(replica))

    def ask(self, replica, name="Master"):
        """(communicator, session, Admin) of the registry called `name` at the endpoints of `replica`."""
        c = self.communicator()
        text = "%s/%s:%s" % (self.instance, "Registry" if name == "Master" else "Registry-" + name,
                             self.endpoint(replica + ".Client"))
        session = IceGrid.RegistryPrx.uncheckedCast(c.stringToProxy(text)).createAdminSession("admin", "x")
        return c, session, session.getAdmin()


def grid(kinds, encodings=None):
    def setup(flavour):
        d = Grid(flavour, kinds, encodings)
        for replica in REPLICAS:
            d.launch(replica)
        settled(d)
        return d
    return setup


def content(d, replica):
    """Everything a replica answers, in words, but for the encoding of proxies, which 1.0 cannot carry; None when it does not
    answer."""
    c = d.communicator()
    try:
        query, locator = d.query(c, replica), d.locator_proxy(c, replica)
        internal = [p for p in query.findAllObjectsByType("::IceGrid::InternalRegistry")]
        objects = {t: sorted(str(p) for p in query.findAllObjectsByType(t)) for t in (
            "::Hello", "::Added", "::IceGrid::Query", "::Ice::Locator", "::Ice::LocatorRegistry", "::IceGrid::Registry")}
        objects["internal"] = sorted(str(p) for p in internal)
        # ZeroC's own replicas disagree about a group whose members' proxies have different encodings.
        for adapter in ("D1", "D2", "D3") + (() if d.encodings else ("DynGroup",)):
            try:
                objects[adapter] = ":".join(sorted(str(locator.findAdapterById(adapter)).split(":")))
            except Ice.AdapterNotFoundException:
                objects[adapter] = "-"
        return json.loads(re.sub(r" -e 1\.[01]", "", json.dumps(objects)))
    except Ice.LocalException:
        return None
    finally:
        d.drop(c)


def settled(d, replicas=REPLICAS):
    """All of them answer alike, and the shared objects have the endpoints of exactly these."""
    seen = {}

    def alike():
        seen.clear()
        seen.update({r: content(d, r) for r in replicas})
        first = seen[replicas[0]]
        if any(s is None or s != first for s in seen.values()):
            return False
        return len(first["::IceGrid::Query"]) == 1 and first["::IceGrid::Query"][0].count("tcp") == len(replicas)
    wait_until(alike, lambda: "equal answers of %s: %s" % (", ".join(replicas), seen), 60)


# ---- cases

def same_answers(d, r):
    c = d.communicator()
    session, admin = d.admin(c)
    admin.addApplication(application())
    admin.addObjectWithType(c.stringToProxy("added:tcp -h 127.0.0.1 -p 9999"), "::Added")
    settled(d)
    for replica in REPLICAS:
        r.value(replica, content(d, replica))
        locator = d.locator_proxy(c, replica)
        for name in ("hello", "hello0", "added", "nobody", "Demo/Query", "Demo/Registry-Replica2", "Demo/SessionManager",
                     "Demo/AdminSessionManager-Replica1", "Demo/InternalRegistry-Master"):
            r.call("%s: %s" % (replica, name), locator.findObjectById, dd.identity(name))
        r.call(replica + ": registry", locator.getRegistry)
        r.call(replica + ": local registry", locator.getLocalRegistry)
    r.call("registries", admin.getAllRegistryNames)
    session.destroy()


def follows(d, r):
    """An acknowledged change is at every slave."""
    c = d.communicator()
    session, admin = d.admin(c)
    others = {}
    for replica in REPLICAS[1:]:
        _, _, others[replica] = d.ask(replica, replica)

    def everywhere(label, read):
        for replica, slave in others.items():
            r.call("%s: %s" % (replica, label), lambda: read(slave))
    admin.addApplication(application("Second"))
    everywhere("added", lambda a: a.getApplicationInfo("Second"))
    admin.updateApplication(IceGrid.ApplicationUpdateDescriptor(
        name="Second", description=IceGrid.BoxedString("d"), variables={"v": "1"}, removeVariables=[],
        nodes=[IceGrid.NodeUpdateDescriptor(name="node1", removeServers=["Second1"])]))
    everywhere("updated", lambda a: a.getApplicationInfo("Second"))
    update = dd.application("Second", {"node1": dd.node(dd.server("Other", [dd.adapter("A", "Other.A")]))})
    admin.syncApplication(update)
    everywhere("synchronized", lambda a: a.getApplicationInfo("Second"))
    everywhere("servers", lambda a: a.getAllServerIds())
    admin.removeApplication("Second")
    everywhere("removed", lambda a: a.getApplicationInfo("Second"))
    admin.addObjectWithType(c.stringToProxy("late @ A"), "::Late")
    everywhere("object", lambda a: a.getObjectInfo(dd.identity("late")))
    admin.updateObject(c.stringToProxy("late @ B"))
    everywhere("object updated", lambda a: a.getObjectInfo(dd.identity("late")))
    admin.removeObject(dd.identity("late"))
    everywhere("object removed", lambda a: a.getObjectInfo(dd.identity("late")))
    for n in range(40):
        admin.addObjectWithType(c.stringToProxy("many%d @ A" % n), "::Many")
    everywhere("many", lambda a: sorted(i.proxy.ice_getIdentity().name for i in a.getObjectInfosByType("::Many")))
    for n in range(40):
        admin.removeObject(dd.identity("many%d" % n))
    everywhere("none", lambda a: len(a.getObjectInfosByType("::Many")))
    for replica, slave in others.items():
        r.call(replica + ": a write", slave.removeApplication, "Hello")
    session.destroy()


def whose_change(d, r):
    """Whose name an application's last change has, at every replica: the session's for updates, for the others that of the lock's
    holder, which nobody is without a lock. And what the observers of each are told."""
    c = d.communicator()
    session, admin = d.admin(c, user="alice")
    admins = {replica: d.ask(replica, replica)[2] for replica in REPLICAS}
    heard = {replica: Watcher(d, replica) for replica in REPLICAS}
    for w in heard.values():
        w.watch("application")
        w.events.take("application", 1)
    template = IceGrid.TemplateDescriptor(descriptor=dd.server("${name}", []), parameters=["name"])
    instance = IceGrid.ServerInstanceDescriptor(template="T", parameterValues={"name": "Made"})

    def definition(text):
        return dd.application("Whose", {"node1": dd.node()}, description=text, serverTemplates={"T": template})

    def steps(text):
        update = IceGrid.ApplicationUpdateDescriptor(name="Whose", description=IceGrid.BoxedString(text))
        yield "update", lambda: admin.updateApplication(update)
        yield "sync", lambda: admin.syncApplication(definition(text + " synchronised"))
        yield "update without restart", lambda: admin.updateApplicationWithoutRestart(update)
        yield "sync without restart", lambda: admin.syncApplicationWithoutRestart(definition(text + " synchronised"))
        yield "instantiate", lambda: admin.instantiateServer("Whose", "node1", instance)
    r.call("add", admin.addApplication, definition(""))
    for w in heard.values():
        w.events.take("application", 1)
    for text in ("free", "locked"):
        if text == "locked":
            session.startUpdate()
        for label, step in steps(text):
            r.call("%s, %s" % (label, text), step)
            for replica in REPLICAS:
                info = admins[replica].getApplicationInfo("Whose")
                told = [(operation, arguments[1].updateUser, arguments[1].revision)
                        for operation, arguments, *_ in heard[replica].events.take("application", 1)]
                r.value(replica, (info.createUser, info.updateUser, info.revision, told))
    r.call("remove", admin.removeApplication, "Whose")
    session.destroy()
    for w in heard.values():
        w.session.destroy()
        w.leave()


def dynamic(d, r):
    """Adapters register with any replica; all know."""
    c = d.communicator()
    for n, replica in enumerate(REPLICAS, 1):
        proxy = c.stringToProxy("dummy:tcp -h 127.0.0.1 -p %d" % (9000 + n))
        r.call("D%d with %s" % (n, replica), registry_of(d, c, replica).setAdapterDirectProxy, "D%d" % n, proxy)
        r.call("in a group with " + replica, registry_of(d, c, replica).setReplicatedAdapterDirectProxy, "Dyn.%d" % n,
               "DynGroup", proxy)
        for where in REPLICAS:
            r.call("at " + where, d.locator_proxy(c, where).findAdapterById, "D%d" % n)
    settled(d)
    for n, replica in enumerate(reversed(REPLICAS), 1):
        r.call("D%d leaves through %s" % (n, replica), registry_of(d, c, replica).setAdapterDirectProxy, "D%d" % n, None)
        for where in REPLICAS:
            r.call("at " + where, d.locator_proxy(c, where).findAdapterById, "D%d" % n)
    r.call("of an application", registry_of(d, c, "Replica1").setAdapterDirectProxy, "Hello0.A",
           c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9009"))


def tool(d, r):
    """icegridadmin: the registries seen from the master and from a slave, and one told to end."""
    Tool(d, r).run("registry list", "registry describe Replica1", "registry ping Replica1", "registry describe Replica2",
                   "registry ping Replica2", "registry ping Master", "registry describe Nobody")
    for replica in REPLICAS:
        at = Tool(d, r, replica=replica)
        at.argv[1] = "--Ice.Default.Locator=" + d.locator(*REPLICAS)
        at.run("registry list", "application list", "object find ::Added", "object add x:default",
               "registry describe " + replica) if replica != "Master" else at.run("application list")
    Tool(d, r).run("registry shutdown Replica2")
    r.value("status of the slave that was told to end", d.daemons["Replica2"].await_exit())
    settled(d, REPLICAS[:2])
    Tool(d, r).run("registry list")
    d.launch("Replica2")
    settled(d)
    Tool(d, r).run("registry list")


def slave_returns(d, r):
    """kill -9 of one slave after the other, changes meanwhile."""
    session, admin = d.admin(d.communicator())
    for replica in REPLICAS[1:]:
        d.daemons[replica].kill()
        admin.addObjectWithType(d.communicator().stringToProxy("while%s @ A" % replica), "::Added")
        d.launch(replica)
        settled(d)
        r.value(replica, content(d, replica)["::Added"])
    session.destroy()


def master_returns(d, r):
    """kill -9 of the master; the slaves answer; it returns, everybody comes back, changes arrive."""
    before = content(d, "Replica1")
    d.daemons["Master"].kill()
    for replica in REPLICAS[1:]:
        now = content(d, replica)
        r.value(replica + " goes on", now["::Hello"] == before["::Hello"] and now["::Added"] == before["::Added"])
        _, _, slave = d.ask(replica, replica)
        r.call(replica + ": a write", slave.removeApplication, "Hello")
    d.launch("Master")
    settled(d)
    session, admin = d.admin(d.communicator())
    admin.addObjectWithType(d.communicator().stringToProxy("returned @ A"), "::Added")
    for replica in REPLICAS:
        r.value(replica, content(d, replica)["::Added"])
    session.destroy()


def promotion(d, r):
    """The master dies for good, Replica1 is started as the master on its database; the other slave follows it; the former
    master returns as a slave."""
    d.daemons["Master"].kill()
    d.daemons["Replica1"].stop()
    d.promote("Replica1")
    settled_at(d, "Replica1", ["Replica2"])
    c, session, admin = d.ask("Replica1")
    r.call("registries", admin.getAllRegistryNames)
    r.call("applications", admin.getAllApplicationNames)
    admin.addObjectWithType(c.stringToProxy("promoted @ A"), "::Added")
    _, _, slave = d.ask("Replica2", "Replica2")
    r.call("at the other slave", slave.getObjectInfo, dd.identity("promoted"))
    properties = d.registry_properties("Master", IceGrid__Registry__ReplicaName="Former",
                                       Ice__Default__Locator=d.locator(*REPLICAS))
    d.start("Master", "registry", properties, READY, flavour=d.kind("Master"))
    settled_at(d, "Replica1", ["Master", "Replica2"])
    _, _, former = d.ask("Master", "Former")
    r.call("at the former master", former.getObjectInfo, dd.identity("promoted"))
    r.call("its write", former.removeApplication, "Hello")
    r.call("registries in the end", admin.getAllRegistryNames)


def settled_at(d, master, slaves):
    settled(d, [master] + slaves)


def plan():
    everything = [same_answers, follows, whose_change, dynamic, tool, slave_returns, master_returns, promotion]
    ours, theirs = "moulin", "zeroc"
    yield "our master, their slaves", grid((ours, theirs, theirs)), everything
    yield "their master, our slaves", grid((theirs, ours, ours)), everything
    yield "our master, a slave of each", grid((ours, ours, theirs)), everything
    yield "their master, a slave of each", grid((theirs, ours, theirs)), everything
    old = {"Replica1": "1.0", "Replica2": "1.0"}
    some = [same_answers, follows, whose_change, dynamic, slave_returns]
    yield "our master, their slaves of encoding 1.0", grid((ours, theirs, theirs), old), some
    yield "their master, our slaves of encoding 1.0", grid((theirs, ours, ours), old), some
