# SPDX-License-Identifier: Apache-2.0
"""Definitions made to hurt: circles, what doubles at every step, very many of everything, null where there must be
something, and bytes that are no definition. Each is refused quickly and in words, and the registry serves the others."""

import random
import time

import Ice
import IceGrid

from lib import definitions as df

from . import check

SECONDS = 60  # with sanitizers, on a busy machine; a release needs about one
MEGABYTES = 1500  # the sanitizers' own memory included


def deploy(d):
    d.start_registry(Ice__MessageSizeMax="8192")
    return d.admin(d.communicator(Ice__MessageSizeMax="8192"))


def resident(d):
    with open("/proc/%d/status" % d.daemons["Master"].pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) // 1024


def refused(d, label, operation, *arguments, words=None):
    """A DeploymentException with these words, in time and in bounds."""
    started = time.monotonic()
    try:
        operation(*arguments)
        reason = None
    except IceGrid.DeploymentException as e:
        reason = e.reason
    took = time.monotonic() - started
    check(reason is not None, label + " was accepted")
    check(words is None or words in reason, "%s: the reason is\n%s" % (label, reason))
    check(took < SECONDS, "%s took %.1f s" % (label, took))
    check(resident(d) < MEGABYTES, "%s: %d MB" % (label, resident(d)))


def chain(n, value="${v%d}"):
    return {"v%d" % i: value.replace("%d", str(i + 1)) for i in range(n)}


def circles(d):
    session, admin = deploy(d)
    one = df.server("s", pwd="${a}")
    for label, variables, of_node in (("itself", {"a": "${a}"}, {}), ("two", {"a": "${b}", "b": "${a}"}, {}),
                                      ("by the node", {"a": "${b}"}, {"b": "${a}"}), ("long", dict(chain(60000), a="${v0}"), {})):
        refused(d, label, admin.addApplication, df.app({"n": df.node([one], variables=of_node)}, variables=variables), words="in a circle")
    refused(d, "application's name", admin.addApplication, df.app({"n": df.node([df.server("s", pwd="${application}")])}, "${application}"),
            words="in a circle")
    refused(d, "server's id", admin.addApplication, df.app({"n": df.node([df.server("${server}")])}), words="undefined variable")
    sets = lambda **k: {name: df.props([], refs) for name, refs in k.items()}
    for family in (sets(a=["a"]), sets(a=["b"], b=["a"]), sets(a=["b"], b=["c"], c=["b"])):
        refused(d, "sets %s" % family, admin.addApplication, df.app(propertySets=family), words="circular dependency")
    deep = {"p%d" % i: df.props([("x", "y")], ["p%d" % (i + 1)]) for i in range(60000)}
    deep["p60000"] = df.props()
    refused(d, "deep sets", admin.addApplication, df.app(propertySets=deep), words="nested more than")
    check(admin.getAllApplicationNames() == [], "something is left")
    session.destroy()


def doubling(d):
    session, admin = deploy(d)
    for text, words in (("text", "longer than"), ("", "steps are needed")):
        variables = chain(40, "${v%d}${v%d}")
        variables["v40"] = text
        refused(d, "variables", admin.addApplication, df.app({"n": df.node([df.server("s", pwd="${v0}")])}, variables=variables), words=words)
    sets = {"p%d" % i: df.props([("x", "y")], ["p%d" % (i + 1)] * 2) for i in range(40)}
    sets["p40"] = df.props([("x", "y")])
    refused(d, "sets", admin.addApplication, df.app(propertySets=sets), words="circular dependency")
    wide = {"leaf": df.props([("p", "v")] * 1000)}
    refused(d, "wide sets", admin.addApplication, df.app({"n": df.node([df.server("s", propertySet=df.props(
        [], ["leaf"] * 50000))])}, propertySets=wide), words="more than")
    servers = [df.server("s%d" % i, propertySet=df.props([], ["leaf"] * 90)) for i in range(5000)]
    refused(d, "wide servers", admin.addApplication, df.app({"n": df.node(servers)}, propertySets=wide), words="larger than")
    session.destroy()


def very_many(d):
    """A hundred thousand of what is looked up among a hundred thousand others."""
    session, admin = deploy(d)
    n = 100000
    names = ["p%d" % i for i in range(n)]
    many = dict.fromkeys(names, "")
    template = {"T": df.template(df.server("s"), names)}
    refused(d, "parameters", admin.addApplication, df.app(serverTemplates={"T": df.template(df.server("s"), names + names)}),
            words="duplicate parameters")
    refused(d, "values", admin.addApplication, df.app({"n": df.node([], [df.instance("T", many)])}, serverTemplates={
        "T": df.template(df.server("s"), ["q%d" % i for i in range(n)])}))
    refused(d, "instances of many parameters", admin.addApplication, df.app({"n": df.node([], [df.instance("T")] * 20000)}, serverTemplates={
        "T": df.template(df.server("s"), names[:50000], dict.fromkeys(names[:50000], ""))}))
    adapters = [df.adapter("A%d" % i, "a%d" % i) for i in range(20000)]
    refused(d, "adapters and properties", admin.addApplication, df.app({"n": df.node([df.server(
        "s", adapters=adapters, propertySet=df.props([("A%d.Endpoints" % (i + 1), "tcp") for i in range(99000)]))])}), words="empty string")
    refused(d, "sets of services", admin.addApplication, df.app({"n": df.node([], [df.instance("B", {}, services={
        name: df.props() for name in names})])}, serverTemplates={"B": df.template(df.icebox([
            df.inline(df.service("v%d" % i)) for i in range(20000)], "b"))}))
    admin.addApplication(df.app({"n": df.node(variables=many)}, variables=many))
    started = time.monotonic()
    admin.updateApplication(df.update(removeVariables=["q%d" % i for i in range(n)], variables=dict.fromkeys(names, "1"), nodes=[
        df.node_update("n", removeVariables=names, removeServers=names)] + [df.node_update("m%d" % i) for i in range(20000)],
        removeServerTemplates=names, removeReplicaGroups=names))
    admin.syncApplication(df.app(variables=many, serverTemplates=template, replicaGroups=[df.group(name) for name in names[:30000]]))
    check(time.monotonic() - started < 4 * SECONDS, "the updates took %.1f s" % (time.monotonic() - started))
    check(len(admin.getApplicationInfo("App").descriptor.variables) == n, "the update is lost")
    admin.removeApplication("App")
    session.destroy()


def null_and_wrong_classes(d):
    session, admin = deploy(d)
    service, server, box = df.service(), df.server(), df.icebox([])
    policy = IceGrid.LoadBalancingPolicy("1")
    use = {"n": df.node([], [df.instance()])}
    one = lambda *services: df.app({"n": df.node([df.icebox(list(services))])})
    for label, definition in (
            ("null server", df.app({"n": df.node([None])})), ("null template", df.app(serverTemplates={"T": df.template(None)})),
            ("null service template", df.app(serviceTemplates={"T": df.template(None)})), ("null service", one(df.inline())),
            ("service as server", df.app(use, serverTemplates={"T": df.template(service)})),
            ("server as service", fill(one(df.service_instance("T")), serviceTemplates={"T": df.template(server)})),
            ("box as service", fill(one(df.service_instance("T")), serviceTemplates={"T": df.template(box)})),
            ("plain communicator", df.app(use, serverTemplates={"T": df.template(IceGrid.CommunicatorDescriptor())})),
            ("no policy", df.app(replicaGroups=[df.group(loadBalancing=None)])),
            ("plain policy", df.app(replicaGroups=[df.group(loadBalancing=policy)]))):
        refused(d, label, admin.addApplication, definition)
    admin.addApplication(df.rich())
    for label, change in (("null server", df.update(nodes=[df.node_update(servers=[None])])),
                          ("null template", df.update(serverTemplates={"T": df.template(None)})),
                          ("service as server", df.update(serverTemplates={"T": df.template(service)})),
                          ("no policy", df.update(replicaGroups=[df.group(loadBalancing=None)]))):
        refused(d, label, admin.updateApplication, change)
    session.destroy()


def fill(definition, **more):
    for key, value in more.items():
        setattr(definition, key, value)
    return definition


class Catch(Ice.Blobject):
    """Keeps the bytes of what it is asked."""

    def ice_invoke(self, params, current):
        self.params = bytes(params)
        return True, b""


def encoded(c, operation, argument):
    """The parameters as this client encodes them."""
    adapter = c.createObjectAdapterWithEndpoints("Catch%d" % random.randrange(1 << 30), "tcp -h 127.0.0.1")
    catch = Catch()
    prx = IceGrid.AdminPrx.uncheckedCast(adapter.addWithUUID(catch))
    adapter.activate()
    getattr(prx, operation)(argument)
    adapter.destroy()
    return catch.params


def bent(chance, data):
    """Truncated everywhere, and with a few bytes changed."""
    for n in range(6, len(data), 1 + len(data) // 700):
        cut = bytearray(data[:n])
        cut[0:4] = n.to_bytes(4, "little")
        yield bytes(cut)
    for _ in range(700):
        other = bytearray(data)
        for _ in range(chance.randrange(1, 4)):
            other[chance.randrange(6, len(other))] = chance.choice((0, 1, 2, 0xff, 0xfe, 0x7f, chance.randrange(256)))
        yield bytes(other)


def remove_all(admin):
    """By bytes: names may be no UTF-8."""
    _, out = admin.ice_invoke("getAllApplicationNames", Ice.OperationMode.Idempotent, b"\6\0\0\0\1\1")
    at = 7
    for _ in range(out[6]):
        name = out[at:at + 1 + out[at]]
        at += len(name)
        ok, _ = admin.ice_invoke("removeApplication", Ice.OperationMode.Normal, (6 + len(name)).to_bytes(4, "little") + b"\1\1" + name)
        check(ok, "%r cannot be removed" % name)


def bytes_that_are_no_definition(d):
    seed = random.randrange(1 << 30)
    print("      seed %d" % seed)
    chance = random.Random(seed)
    session, admin = deploy(d)
    accepted = raised = 0
    for settings in ({}, {"Ice__Default__EncodingVersion": "1.0"}, {"Ice__Default__SlicedFormat": "1"}):
        c = d.communicator(**settings)
        for operation, argument in (("addApplication", df.rich()), ("updateApplication", df.update(
                description=IceGrid.BoxedString("x"), nodes=[df.node_update("n1", servers=[df.icebox([df.inline(df.service())])])]))):
            for data in bent(chance, encoded(c, operation, argument)):
                try:
                    ok, _ = admin.ice_invoke(operation, Ice.OperationMode.Normal, data)
                    accepted += ok
                except Ice.UnknownException:
                    raised += 1
                remove_all(admin)
        d.drop(c)
    check(raised > 1000, "only %d were refused as no definition" % raised)
    print("      %d accepted, %d not decoded" % (accepted, raised))
    admin.addApplication(df.rich())
    check(admin.getAllApplicationNames() == ["App"], "the registry does not work any more")
    session.destroy()


def unknown_classes(d):
    """Class ids nobody knows: sliced to what is known, or refused."""
    session, admin = deploy(d)
    known = b"::IceGrid::ServerDescriptor"
    for settings in ({}, {"Ice__Default__EncodingVersion": "1.0"}, {"Ice__Default__SlicedFormat": "1"}):
        c = d.communicator(**settings)
        data = encoded(c, "addApplication", df.app({"n": df.node([df.server()])}))
        check(known in data, "the class is not there")
        for other in (b"::IceGrid::ServerDescriptoX", b"::Nobody::Knows::This::One1", bytes(len(known))):
            try:
                ok, _ = admin.ice_invoke("addApplication", Ice.OperationMode.Normal, data.replace(known, other))
            except Ice.UnknownException:
                continue
            check(not ok, "a server of class %r was accepted" % other)
        d.drop(c)
    check(admin.getAllApplicationNames() == [], "something is left")
    session.destroy()


CASES = [circles, doubling, very_many, null_and_wrong_classes, bytes_that_are_no_definition, unknown_classes]
