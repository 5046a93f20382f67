# SPDX-License-Identifier: Apache-2.0
"""Definitions and what the registry makes of them: the table of tests/data/descriptors, live; conflicts with what is
registered already; default templates; encoding 1.0 and sliced classes."""

from lib import definitions as df
from lib.bindings import Ice, IceGrid
from lib.deployment import Deployment


def master(flavour, **more):
    d = Deployment(flavour)
    d.start_registry(**more)
    return d


def tell(r, admin, name, definition):
    """Adds it, and records the refusal or all that can be asked about it; removes it again."""
    refused = r.call("add " + name, admin.addApplication, definition)
    if refused is not None:
        return
    r.call("  definition", admin.getApplicationInfo, definition.name)
    for id in admin.getAllServerIds():
        r.call("  server " + id, admin.getServerInfo, id)
    r.call("  adapters", admin.getAllAdapterIds)
    r.call("  objects", lambda: [o.proxy for o in admin.getAllObjectInfos("") if o.proxy.ice_getIdentity().category != "Demo"])
    admin.removeApplication(definition.name)


def table_of(rows):
    def case(d, r):
        session, admin = d.admin(d.communicator())
        for name, definition in rows():
            tell(r, admin, name, definition)
        r.call("nothing is left", admin.getAllApplicationNames)
        session.destroy()
    case.__name__ = rows.__name__
    return case


def rich(d, r):
    session, admin = d.admin(d.communicator())
    tell(r, admin, "all of it", df.rich())
    session.destroy()


def registered(d, r):
    """What other applications, dynamic adapters and the object table have already."""
    c = d.communicator()
    session, admin = d.admin(c)
    locator = Ice.LocatorRegistryPrx.uncheckedCast(c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint("Master.Server")))
    locator.setReplicatedAdapterDirectProxy("dyn", "dyngroup", c.stringToProxy("x:tcp -h 127.0.0.1 -p 9999"))
    admin.addObjectWithType(c.stringToProxy("table:tcp -h 127.0.0.1 -p 9999"), "::T")
    admin.addApplication(df.app({"n": df.node([df.server("s1", adapters=[df.adapter(
        id="a1", objects=[df.obj("o1")], allocatables=[df.obj("r1")])], propertySet=df.table.ENDPOINTS)])}, "First",
        replicaGroups=[df.group("g1", objects=[df.obj("go1")])]))

    def second(label, s="s2", groups=(), **k):
        one = df.server(s, adapters=[df.adapter(**dict(dict(id="a2"), **k))], propertySet=df.table.ENDPOINTS)
        definition = df.app({"n": df.node([one])}, "Second", replicaGroups=list(groups))
        r.call(label, admin.addApplication, definition)
        for name in admin.getAllApplicationNames():
            if name == "Second":
                admin.removeApplication(name)

    second("server", "s1")
    for id in ("a1", "g1", "dyn", "dyngroup"):
        second("adapter " + id, id=id)
        second("group " + id, groups=[df.group(id)])
    for id in ("o1", "r1", "go1", "table"):
        second("object " + id, objects=[df.obj(id)])
        second("allocatable " + id, allocatables=[df.obj(id)])
        second("object of a group " + id, groups=[df.group("g9", objects=[df.obj(id)])])
    second("its group", replicaGroupId="g1")
    second("no group", replicaGroupId="g7")
    second("dynamic group", replicaGroupId="dyngroup")
    second("server, adapter and object", "s1", id="a1", objects=[df.obj("o1")])
    user = df.server("s2", adapters=[df.adapter(id="a2", replicaGroupId="g1")], propertySet=df.table.ENDPOINTS)
    r.call("add a user of the group", admin.addApplication, df.app({"n": df.node([user])}, "Second"))
    r.call("remove the owner", admin.removeApplication, "First")
    r.call("update the owner", admin.updateApplication, IceGrid.ApplicationUpdateDescriptor(
        name="First", removeReplicaGroups=["g1"]))
    r.call("the name again", admin.addApplication, df.app(name="First"))
    admin.removeApplication("Second")
    r.call("remove the owner now", admin.removeApplication, "First")
    r.call("remove it again", admin.removeApplication, "First")
    admin.removeObject(Ice.stringToIdentity("table"))
    admin.removeAdapter("dyn")
    session.destroy()


def long_names(d, r):
    session, admin = d.admin(d.communicator())
    for n in (510, 511, 512, 3000):
        r.value("application of %d" % n, kind(admin.addApplication, df.app(name="x" * n)))
        r.value("server of %d" % n, kind(admin.addApplication, df.table.one(df.server("s" * n))))
    for name in admin.getAllApplicationNames():
        admin.removeApplication(name)
    session.destroy()


def kind(operation, *arguments):
    try:
        operation(*arguments)
        return "accepted"
    except Ice.Exception as e:
        return e.ice_id()


def formats(d, r):
    """Classes, boxed strings and policies in both encodings, compact and sliced."""
    clients = {"1.1": {}, "1.0": {"Ice__Default__EncodingVersion": "1.0"}, "sliced": {"Ice__Default__SlicedFormat": "1"}}
    for how, settings in clients.items():
        session, admin = d.admin(d.communicator(**settings))
        r.call(how + " add", admin.addApplication, df.rich())
        r.call(how + " update", admin.updateApplication, df.update(
            description=IceGrid.BoxedString("new"), distrib=IceGrid.BoxedDistributionDescriptor(
                IceGrid.DistributionDescriptor("i", ["d"])), serverTemplates=df.rich().serverTemplates,
            replicaGroups=[df.group("g9", loadBalancing=IceGrid.AdaptiveLoadBalancingPolicy("1", "15"))],
            nodes=[df.node_update("n1", description=IceGrid.BoxedString(""), loadFactor=IceGrid.BoxedString("2"), servers=[
                df.icebox([df.inline(df.service())], "late")])]))
        for reader, other in clients.items():
            session2, admin2 = d.admin(d.communicator(**other))
            r.call("%s read as %s" % (how, reader), admin2.getApplicationInfo, "App")
            r.call("%s server as %s" % (how, reader), admin2.getServerInfo, "box-2")
            session2.destroy()
        r.call(how + " sync", admin.syncApplication, df.rich())
        r.call(how + " synchronised", admin.getApplicationInfo, "App")
        admin.removeApplication("App")
        session.destroy()


def plan():
    t = df.table
    yield "master", master, [table_of(rows) for rows in (t.variables, t.servers, t.adapters, t.groups, t.sets, t.templates,
                                                         t.applications, t.files)] + [rich, registered, long_names, formats]
