# SPDX-License-Identifier: Apache-2.0
"""Every value of a rich definition made wrong in every way, one at a time: the registries accept the same ones, with the
same result, and refuse the others with the same words."""

from lib import definitions as df
from lib import mutations
from lib.bindings import Ice, IceGrid
from lib.deployment import Deployment

WRONG = ("", "${nope}", "x${", "${node.os}", "${session.id}", "$${v}", "${v}", "a b/c@d")

CRASHES = "variables.v = '${v}'"  # ZeroC's registry dies of a variable that refers to itself: fault/descriptors has it


def master(flavour):
    d = Deployment(flavour)
    d.start_registry()
    return d


def show(admin, definition):
    """What the registry has after it accepted: the definition is what was sent, so only the servers are shown."""
    return [[id, admin.getServerInfo(id).descriptor] for id in admin.getAllServerIds()], admin.getAllAdapterIds()


def tell(r, admin, label, definition):
    if isinstance(r.call(label, admin.addApplication, definition), Ice.Exception):
        return
    r.call("  gives", show, admin, definition)
    for name in admin.getAllApplicationNames():
        admin.removeApplication(name)


def strings(d, r):
    session, admin = d.admin(d.communicator())
    for label, definition in mutations.strings(df.rich(), WRONG):
        if not label.endswith(CRASHES):
            tell(r, admin, label, definition)
    session.destroy()


def shapes(d, r):
    session, admin = d.admin(d.communicator())
    for label, definition in mutations.shapes(df.rich()):
        tell(r, admin, label, definition)
    session.destroy()


BAD, BAD2 = "${nope}", "${nope2}"


def servers_with(*changes):
    """(label, definition) of applications with one server made of each."""
    for change in changes:
        yield "server with %s" % sorted(change), df.app({"n": df.node([df.server(**change)])}, variables={
            "x": "y", "a": "session", "six": " 6 ", "e": ""})


def orders():
    """Two faults each: which one is told?"""
    names = ("description", "iceVersion", "activation", "exe", "pwd", "user", "activationTimeout", "deactivationTimeout", "id")
    yield from servers_with(*({a: BAD, b: BAD2} for a in names for b in names if a < b))
    faulty = df.props([("x", BAD2)])
    yield from servers_with(*({a: BAD, "propertySet": faulty} for a in names))
    yield from servers_with({"iceVersion": "zz", "description": BAD}, {"activation": "xx", "exe": ""}, {"activation": "xx", "user": BAD},
                            {"activation": "xx", "activationTimeout": "z"})
    yield "version and service", df.app({"n": df.node([df.icebox([df.inline(df.service(entry=BAD2))], iceVersion=BAD)])})
    wrong_set, no_set = {"a": df.props([("x", BAD)])}, {"a": df.props([], ["zz"])}
    for sets in (wrong_set, no_set, dict(no_set, b=wrong_set["a"]), {"a": df.props([("x", BAD)], ["zz", BAD2])}):
        yield "sets %s" % sorted(sets), df.app(propertySets=sets)
        yield "sets and description", df.app(propertySets=sets, description=BAD2)
        yield "sets and distribution", df.app(propertySets=sets, distrib=IceGrid.DistributionDescriptor(BAD2, []))
        yield "sets and group", df.app(propertySets=sets, replicaGroups=[df.group("")])
        yield "sets and node", df.app({"n": df.node(variables={"": "x"})}, propertySets=sets)
        yield "node's sets", df.app({"n": df.node(propertySets=sets)})
        yield "node's sets and load factor", df.app({"n": df.node(propertySets=sets, loadFactor="zz")})
        yield "node's sets and description", df.app({"n": df.node(propertySets=sets, description=BAD2)})
        yield "node's sets and server", df.app({"n": df.node([df.server("")], propertySets=sets)})
    yield "distribution and group", df.app(replicaGroups=[df.group("")], distrib=IceGrid.DistributionDescriptor(BAD, []))
    yield "description and distribution", df.app(description=BAD, distrib=IceGrid.DistributionDescriptor(BAD2, []))
    yield "template's parameters", df.app({"n": df.node([], [df.instance("T", {"zz": BAD})])}, serverTemplates={
        "T": df.template(df.server(), ["q"])})


def sets():
    """Names of sets may be variables; a set with references comes once only below one list of references."""
    leaf, p = df.props([("c", "1")]), df.props
    families = {
        "diamond": {"c": leaf, "a": p([("a", "1")], ["c"]), "b": p([("b", "1")], ["c"]), "p": p([("p", "1")], ["a", "b"])},
        "deep diamond": {"d": leaf, "c": p([], ["d"]), "a": p([], ["c"]), "b": p([], ["c"]), "p": p([], ["a", "b"])},
        "circle": {"a": p([], ["b"]), "b": p([], ["c"]), "c": p([], ["a"])}, "self": {"a": p([("a", "1")], ["a"])},
        "double": {"c": leaf, "a": p([], ["c", "c"])}, "by variable": {"a": p([], ["${v}"]), "c": leaf},
        "circle by variable": {"c": p([], ["${v}"])}, "escaped": {"a": p([], ["$${v}"]), "$${v}": leaf},
        "node's variable": {"a": p([], ["${n}"]), "c": leaf}}
    for name, family in families.items():
        for references in (["a"], ["a", "b"], ["a", "c"], ["c", "a"], ["a", "a"], ["c", "c"], ["p"]):
            if set(references) <= set(family):
                used = df.node([df.server("s", propertySet=p([], references))], variables={"v": "other", "n": "c"})
                yield "%s, %s used" % (name, references), df.app({"n": used}, variables={"v": "c"}, propertySets=family)
                used.propertySets = family
                yield "%s of a node, %s used" % (name, references), df.app({"n": used}, variables={"v": "c"})
        yield name + " unused", df.app(propertySets=family, variables={"v": "c"})
        both = df.node([], [df.instance("T", {}, p([], ["a"]))])
        yield name + " by server and instance", df.app({"n": both}, propertySets=family, variables={"v": "c"}, serverTemplates={
            "T": df.template(df.server("s", propertySet=p([], ["a"])))})
    yield "node's set of the same name", df.app({"n": df.node([df.server("s", propertySet=p([], ["c"]))], propertySets={
        "c": p([("nc", "1")], ["c"])})}, propertySets={"c": leaf})


def values():
    """Numbers as they are written, names that hold variables, services that are templates and in line, proxy options."""
    for text in ("${six}", " ${six} ", "${x}", " ${x} ", " zz ", " 5 ", "1e2", "0x10", "010", "+5", "-0", " ", "${e}", "5 6", "",
                 "2147483647", "2147483648", "-2147483648", "-2147483649"):
        yield from servers_with({"activationTimeout": text}, {"deactivationTimeout": text})
        yield "priority '%s'" % text, df.table.with_adapter(priority=text)
    for text in ("nan", "inf", "1e99", "0x10", "1.5f", ".5", "5.", " ", " 5 ", "1e2", "-1", "1 2", "e"):
        yield "load factor '%s'" % text, df.app({"n": df.node(loadFactor=text)})
    for name in ("${x}", "$${x}", "$$${x}", "$$$${x}"):
        yield "application " + name, df.app({"n": df.node([df.server("s", pwd="${application}")])}, name, variables={"x": "y"})
        yield "node " + name, df.app({name: df.node([df.server("s", pwd="${node}")])}, variables={"x": "y"})
        yield "server " + name, df.app({"n": df.node([df.server(name, pwd="${server}")])}, variables={"x": "${q}", "q": "r"})
        yield "service " + name, df.app({"n": df.node([df.icebox([df.inline(df.service(name, entry="${service}"))])])}, variables={
            "x": "y"})
        yield "parameter " + name, df.app({"n": df.node([], [df.instance("T", {"a": name})])}, variables={"x": "y"}, serverTemplates={
            "T": df.template(df.server("s${a}", pwd="${server}", user="${a}"), ["a"])})
    v = {"V": df.template(df.service("tv-${k}"), ["k"])}
    for given in ({"k": "1"}, {}, {"z": BAD}):
        both = IceGrid.ServiceInstanceDescriptor("V", given, df.service("inl"), df.props())
        yield "service in line and of a template", df.app({"n": df.node([df.icebox([both])])}, serviceTemplates=v)
    for options in ("bad", "${node.os}", "-t -e 1.0", "$${x}"):
        for objects in ([], [df.obj("o")], [df.obj("o", "-o")]):
            yield "options %s of %d" % (options, len(objects)), df.table.with_adapter(
                df.props([("A.Endpoints", "tcp"), ("A.ProxyOptions", options)]), objects=objects)
    yield "encoding", df.table.with_adapter(df.props([("A.Endpoints", "tcp"), ("Ice.Default.EncodingVersion", "zz")]), objects=[df.obj("o")])
    yield "options and endpoints", df.table.with_adapter(df.props([("A.ProxyOptions", "bad")]), objects=[df.obj("o")])
    for parameters in ("bcacba", "aaabb", "bab"):
        yield "parameters " + parameters, df.app(serverTemplates={"T": df.template(df.server(), list(parameters))})
    for activation in ("session", "${a}", "session${e}", "${node.os}"):
        yield from servers_with({"activation": activation, "pwd": "${session.id}"})


def table_of(rows):
    def case(d, r):
        session, admin = d.admin(d.communicator())
        for label, definition in rows():
            tell(r, admin, label, definition)
        session.destroy()
    case.__name__ = rows.__name__
    return case


def plan():
    yield "master", master, [strings, shapes] + [table_of(rows) for rows in (orders, sets, values)]
