# SPDX-License-Identifier: Apache-2.0
"""The definitions that record.py shows to ZeroC's registry, with few enough words each to read them all. BAD stands for
a variable that nobody defines; nodes: "up" is connected, all others are not."""
import Ice
import IceGrid as D

BAD = "${nope}"


def oid(name, category=""):
    return Ice.Identity(name, category)


def props(pairs=(), refs=()):
    return D.PropertySetDescriptor(list(refs), [D.PropertyDescriptor(*p) for p in pairs])


def fill(d, values):
    for key, value in values.items():
        setattr(d, key, value)
    return d


def server(id="s", cls=D.ServerDescriptor, **k):
    plain = dict(adapters=[], propertySet=props(), dbEnvs=[], logs=[], description="", id=id, exe="/bin/true",
                 iceVersion="", pwd="", options=[], envs=[], activation="manual", activationTimeout="",
                 deactivationTimeout="", applicationDistrib=True, distrib=D.DistributionDescriptor("", []),
                 allocatable=False, user="")
    return fill(fill(cls(), plain), k)


def service(name="v", **k):
    plain = dict(adapters=[], propertySet=props(), dbEnvs=[], logs=[], description="", name=name, entry="e")
    return fill(fill(D.ServiceDescriptor(), plain), k)


def icebox(services, id="s", **k):
    return server(id, D.IceBoxDescriptor, services=services, **k)


def inline(d=None, p=None):
    return D.ServiceInstanceDescriptor("", {}, d, p or props())


def service_instance(template="V", values=None, p=None):
    return D.ServiceInstanceDescriptor(template, values or {}, None, p or props())


def instance(template="T", values=None, p=None, services=None):
    return D.ServerInstanceDescriptor(template, values or {}, p or props(), services or {})


def template(d, parameters=(), defaults=None):
    return D.TemplateDescriptor(d, list(parameters), defaults or {})


def adapter(name="A", id="a", **k):
    return fill(D.AdapterDescriptor(name, "", id, "", "", False, True, [], []), k)


def obj(name, options="", type="", category=""):
    return D.ObjectDescriptor(oid(name, category), type, options)


def group(id="g", **k):
    return fill(D.ReplicaGroupDescriptor(id, D.RandomLoadBalancingPolicy("0"), "", [], "", ""), k)


def node(servers=(), instances=(), variables=None, **k):
    return fill(D.NodeDescriptor(variables or {}, list(instances), list(servers), "", "", {}), k)


def app(nodes=None, name="App", **k):
    return fill(D.ApplicationDescriptor(name, {}, [], {}, {}, nodes or {}, D.DistributionDescriptor("", []), "", {}), k)


def node_update(name="n", **k):
    return fill(D.NodeUpdateDescriptor(name, None, {}, [], {}, [], [], [], [], None), k)


def update(**k):
    return fill(D.ApplicationUpdateDescriptor("App", None, None, {}, [], {}, [], [], [], {}, [], {}, [], [], []), k)


ENDPOINTS = props([("A.Endpoints", "default")])
ENDPOINTS2 = props([("A.Endpoints", "default"), ("B.Endpoints", "default")])


def one(s, **k):
    return app({"n": node([s])}, **k)


def with_adapter(endpoints=ENDPOINTS, **k):
    return one(server(adapters=[adapter(**k)], propertySet=endpoints))


def variables():
    vs = dict(a="A-${b}", b="B", e="", quoted="$${b}")
    texts = ["${a}", "$${a}", "$$${a}", "$$$${a}", "$$$$${a}", "a$$b", "$", "$$", "x${", "x${a", "${node.os}$$${a}$${a}",
             "$$${node.data}", "${node.datadir}", "${node.hostname}/${node.machine}", "${session.id}", "${node.foo}", "${}",
             "${ a}", "${server.data}|${application.distrib}", "${service.data}", "${server.distrib}", "${e}.", "${a${b}}",
             "${a}}", BAD, "${quoted}", "x${bad}y", "x${half}y"]
    for text in texts:
        for where in ("down", "up"):
            vs.update(bad="1${nope}2", half="1${nope")
            yield ("text %s on %s" % (text, where),
                   app({where: node([server(pwd=text)], variables={"b": "NB"})}, variables=vs))
    for activation in ("session", "manual"):
        yield ("session id, " + activation,
               app({"up": node([server(activation=activation, pwd="$${x}${session.id}")])}))
    yield "no session id", app({"up": node([server(activation="session", pwd="$${x}${node.os}")])})
    yield "activation with session id", one(server(activation="${session.id}"))
    for text in ("${node.os}", BAD, "x${", "$${a}", "x${a}y"):
        yield "id " + text, one(server(text), variables=dict(a="1${b}", b="2"))
    for bad in ({"node": "x"}, {"": "x"}, {"node.os": "x"}, {"session.id": "x"}, {"node.x": "x"}, {"a": BAD}):
        yield "application variables %s" % bad, app(variables=bad)
        yield "node variables %s" % bad, app({"n": node(variables=bad)})


def servers():
    for f in ("description", "exe", "iceVersion", "pwd", "activation", "activationTimeout", "deactivationTimeout", "user"):
        yield "server " + f, one(server(**{f: BAD}))
        yield "server empty " + f, one(server(**{f: ""}))
    for f in ("options", "envs", "logs"):
        yield "server " + f, one(server(**{f: [BAD]}))
        yield "server empty " + f, one(server(**{f: [""]}))
    yield "icepatch", one(server(distrib=D.DistributionDescriptor(BAD, [])))
    yield "directory", one(server(distrib=D.DistributionDescriptor("", [BAD])))
    yield "distribution", one(server(distrib=D.DistributionDescriptor("${application}/x", ["a", "${server}"])))
    for pair in ((BAD, "x"), ("x", BAD), ("", "x")):
        yield "property %s=%s" % pair, one(server(propertySet=props([pair])))
    yield "empty id", one(server(""))
    for f, values in dict(activation=["xx"], activationTimeout=["xx", " 5 ", "-1"], deactivationTimeout=["1.5"],
                          iceVersion=["x", "3.9.1", "3.7b1", "3", "3.7.", "10.20.30", "123.4"]).items():
        for value in values:
            yield "%s %s" % (f, value), one(server(**{f: value}))
    for name in ("name", "description", "dbHome"):
        d = fill(D.DbEnvDescriptor("x", "", "", []), {name: BAD})
        yield "database " + name, one(server(dbEnvs=[d]))
    yield "database without name", one(server(dbEnvs=[D.DbEnvDescriptor("", "", "", [])]))
    yield "database property", one(server(dbEnvs=[D.DbEnvDescriptor("x", "", "", [D.PropertyDescriptor("a", BAD)])]))
    yield "desc before exe", one(server(exe="", description=BAD, propertySet=props([("x", BAD)])))
    yield "load factor before servers", app({"n": node([server("")], loadFactor="zz")})
    yield "groups before nodes", app({"n": node([server("")])}, replicaGroups=[group("")])
    yield "description before groups", app(description=BAD, replicaGroups=[group("")])
    yield "instances before servers", app({"n": node([server("")], [instance("zz")])})
    yield "nodes by name", app({"n": node([server(exe="")]), "m": node([server("c", user=BAD)])})
    yield "all of a server", one(server(
        description="d ${application}", options=["-o", "${server}"], envs=["E=${node.os}"], pwd="/x", activation="on-demand",
        activationTimeout=" 7", deactivationTimeout="8 ", user="${u}", allocatable=True, logs=["${server}.log"],
        applicationDistrib=False, iceVersion="3.7", dbEnvs=[D.DbEnvDescriptor("d", "e", "", [D.PropertyDescriptor("a", "${u}")])],
        adapters=[adapter(priority=" 3 ", replicaGroupId="${g}", description="x", objects=[obj("o", type="::T"), obj("p", "-o")],
                          allocatables=[obj("q", category="${server}")])], propertySet=ENDPOINTS), variables=dict(u="me", g="g"),
                                replicaGroups=[group(objects=[obj("w")], proxyOptions="-t")])


def adapters():
    for f in ("name", "description", "id", "replicaGroupId", "priority"):
        yield "adapter " + f, with_adapter(**{f: BAD})
        yield "adapter empty " + f, with_adapter(**{f: ""})
    yield "priority x", with_adapter(priority="x")
    for f in ("objects", "allocatables"):
        for o in (obj(BAD), obj("x", category=BAD), obj("x", type=BAD), obj("x", BAD), obj(""), obj("", category="c"),
                  obj("x", "bad"), obj("x", "-t -e 1.0"), obj("x", "@ y")):
            yield "%s %s/%s %s %s" % (f, o.id.category, o.id.name, o.type, o.proxyOptions), with_adapter(**{f: [o]})
    yield "no endpoints", with_adapter(props())
    yield "empty endpoints", with_adapter(props([("A.Endpoints", "")]))
    both = [obj("o"), obj("p", "-o")]
    for more in ([("A.ProxyOptions", "-t -e 1.0")], [("Ice.Default.EncodingVersion", "1.0")]):
        yield "options by %s" % more, with_adapter(props([("A.Endpoints", "default")] + more), objects=both)
    yield "options by version", one(server(iceVersion="3.4", adapters=[adapter(objects=both)], propertySet=ENDPOINTS))
    yield "group is adapter", fill(with_adapter(id="g"), dict(replicaGroups=[group()]))
    yield "adapter twice", one(server(adapters=[adapter(), adapter("B")], propertySet=ENDPOINTS2))
    yield "object twice", with_adapter(objects=[obj("o"), obj("o")])
    yield "allocatable twice", with_adapter(allocatables=[obj("o"), obj("o")])
    yield "object and allocatable", with_adapter(objects=[obj("o")], allocatables=[obj("o")])
    yield "object and other's allocatable", one(server(adapters=[adapter(objects=[obj("o")]), adapter(
        "B", "b", allocatables=[obj("o")])], propertySet=ENDPOINTS2))
    yield "object of adapter and group", fill(with_adapter(objects=[obj("o")]), dict(replicaGroups=[group(objects=[obj("o")])]))
    yield "server twice", app({"n": node([server(), server()])})
    yield "server on two nodes", app({"n": node([server()]), "m": node([server()])})


def groups():
    for f in ("id", "proxyOptions", "description", "filter"):
        yield "group " + f, app(replicaGroups=[group(**{f: BAD})])
        yield "group empty " + f, app(replicaGroups=[group(**{f: ""})])
    yield "group options", app(replicaGroups=[group(proxyOptions="bad")])
    yield "group without policy", app(replicaGroups=[group(loadBalancing=None)])
    for n in ("a", "", "-1", BAD, "99999999999", " 2"):
        yield "replicas '%s'" % n, app(replicaGroups=[group(loadBalancing=D.OrderedLoadBalancingPolicy(n))])
    for n in ("7", "", BAD, "15"):
        yield "sample '%s'" % n, app(replicaGroups=[group(loadBalancing=D.AdaptiveLoadBalancingPolicy("1", n))])
    yield "group twice", app(replicaGroups=[group(), group()])
    for o in (obj(BAD), obj(""), obj("x", type=BAD), obj("x", BAD), obj("x", "bad")):
        yield "group object %s %s %s" % (o.id.name, o.type, o.proxyOptions), app(replicaGroups=[group(objects=[o])])


def sets():
    p = lambda **k: {n: props(*v) for n, v in k.items()}
    user = node([server(propertySet=props([("z", "1")], ["p"]))])
    for name, s in dict(bad=p(p=([("x", BAD)],)), unknown=p(p=((), ["q"])), circle=p(p=((), ["q"]), q=((), ["p"])),
                        self=p(p=((), ["p"])), nothing={}, empty={"": props()}).items():
        yield "application set " + name, app(propertySets=s)
        yield "application set %s, used" % name, app({"n": user}, propertySets=s)
        yield "node set " + name, app({"n": node(propertySets=s)})
    yield "reference with variable", one(server(propertySet=props(refs=["${a}"])), variables=dict(a="p"))
    yield "node's set in application's", app(
        {"n": node([server(propertySet=props([("own", "${b}")], ["p2", "p1"]))], variables={"b": "NB"},
                   propertySets=p(p1=([("x", "node ${b} ${node}")],)))},
        variables=dict(a="A-${b}", b="B"), propertySets=p(p1=([("x", "app")],), p2=([("y", "${a}")], ["p1"])))
    yield "node's set closes a circle", app({"n": node([server(propertySet=props(refs=["p2"]))], propertySets=p(p1=((), ["p2"])))},
                                            propertySets=p(p1=(), p2=((), ["p1"])))


def templates():
    t = dict(serverTemplates={"T": template(server("${a}"), ["a"])})
    x = dict(serverTemplates={"T": template(icebox([inline(service())], "x"))})
    v = dict(serviceTemplates={"V": template(service("${k}"), ["k"])})
    yield "template null", app(serverTemplates={"T": template(None)})
    yield "template without id", app(serverTemplates={"": template(server())})
    yield "parameters twice", app(serverTemplates={"T": template(server(), ["a", "b", "a", "b"])})
    yield "service template null", app(serviceTemplates={"T": template(None)})
    yield "service template without id", app(serviceTemplates={"": template(service())})
    yield "service parameters twice", app(serviceTemplates={"T": template(service(), ["a", "a"])})
    yield "unused template is bad", app(serverTemplates={"T": template(server(exe=BAD), ["node", ""], {"z": "1"})})
    yield "no template", app({"n": node([], [instance("")])})
    yield "unknown template", app({"n": node([], [instance()])})
    yield "null server", app({"n": node([None])})
    for values in ({}, {"a": "1", "b": "2", "c": "3"}, {"a": BAD}, {"a": "${server}"}, {"a": "${node.os}"}, {"a": "${node}"}):
        yield "values %s" % values, app({"n": node([], [instance(values=values)])}, **t)
    yield "bad default", app({"n": node([], [instance()])}, serverTemplates={"T": template(server("x"), ["a"], {"a": BAD})})
    yield "default of other", app({"n": node([], [instance(values={"a": "1"})])},
                                  serverTemplates={"T": template(server("x"), ["a", "b"], {"b": "${a}"})})
    yield "two undefined", app({"n": node([], [instance()])}, serverTemplates={"T": template(server("x"), list("abc"), {"b": ""})})
    yield "parameter is a variable", app({"n": node([], [instance(values={"a": "$${q}"})])}, variables=dict(a="app"),
                                         serverTemplates={"T": template(server("x", pwd="${a}"), ["a"])})
    yield "instance set", app({"n": node([], [instance(values={"a": "1"}, p=props([("x", BAD)]))])}, **t)
    yield "service sets of no box", app({"n": node([], [instance(values={"a": "1"}, services={"v": props()})])}, **t)
    yield "service set of none", app({"n": node([], [instance(services={"w": props()})])}, **x)
    yield "service set sees no service", app({"n": node([], [instance(services={"v": props([("x", "${service}")])})])}, **x)
    for f in ("description", "entry", "name"):
        yield "service " + f, one(icebox([inline(service(**{f: BAD}))]))
        yield "service empty " + f, one(icebox([inline(service(**{f: ""}))]))
    yield "service property", one(icebox([inline(service(propertySet=props([("x", BAD)])))]))
    yield "service adapter", one(icebox([inline(service(adapters=[adapter(id=BAD)]))]))
    yield "service instance set", one(icebox([inline(service(), props([("x", BAD)]))]))
    yield "null service", one(icebox([inline()]))
    yield "unknown service template", one(icebox([service_instance("T")]))
    for values in ({}, {"k": "1", "z": ""}, {"k": BAD}):
        yield "service values %s" % values, one(icebox([service_instance(values=values)]), **v)
    yield "everything of a box", app({"down": node([], [instance(
        "B", {"n": "${node}"}, props([("inst", "${n}${server}")], ["common"]), {"in": props([("late", "${n}${server}")])})])},
        propertySets={"common": props([("c", "${application}")])},
        serverTemplates={"B": template(icebox([
            service_instance("V", {"k": "k-${n}"}, props([("mine", "${k}${service}")])),
            inline(service("in", propertySet=props([("of", "${n}${service}"), ("A.Endpoints", "tcp")]), adapters=[adapter(
                id="${server}.${service}.A", objects=[obj("o-${n}")])]), props([("set", "${service}")]))],
            "box-${n}", propertySet=props([("own", "1"), ("Ice.Default.EncodingVersion", "1.0")])), ["n"])},
        serviceTemplates={"V": template(service("${k}", propertySet=props([("x", "${k}")])), ["k"])})


def applications():
    yield "no name", app(name="")
    yield "description", app(description=BAD)
    yield "application icepatch", app(distrib=D.DistributionDescriptor(BAD, []))
    yield "application directory", app(distrib=D.DistributionDescriptor("", [BAD]))
    yield "node without name", app({"": node()})
    for f in ("zz", BAD, "-1", "1.5e3", " 2 "):
        yield "load factor " + f, app({"n": node(loadFactor=f)})
    yield "node description", app({"n": node(description=BAD)})
    yield "group is nowhere", with_adapter(replicaGroupId="zz")


def files():
    more = [("A.x", "a#b \\# =q"), (" lead", "x "), ("k=#", "v=\\\\ \\x\\"), ("p", "${node.data}/x")]
    yield "plain", app({"up": node([server()])})
    yield "two adapters", app({"up": node([server(adapters=[adapter(replicaGroupId="g"), adapter("B", "b")], propertySet=props(
        [("A.Endpoints", "default")] + more + [("B.Endpoints", "tcp")]), logs=["l"], dbEnvs=[D.DbEnvDescriptor("e", "", "", [
            D.PropertyDescriptor("dp", "dv")]), D.DbEnvDescriptor("f", "", "/h", [])])])}, replicaGroups=[group()])
    yield "box", app({"up": node([icebox([
        inline(service("v1")), inline(service("v2", adapters=[adapter(id="v2.A")], propertySet=props(
            [("A.Endpoints", "default"), ("z", "1")]), dbEnvs=[D.DbEnvDescriptor("e", "", "", [])])),
        inline(service("v3", propertySet=props([("only", "1")])))], propertySet=props(
            [("IceBox.ServiceManager.Endpoints", "tcp"), ("Ice.Admin.Enabled", "1")]))])})
    yield "old server", app({"up": node([server(iceVersion="3.2", propertySet=props([("a#", "b#"), ("Ice.ProgramName", "p")]))])})
    yield "no admin", app({"up": node([server(propertySet=props([("Ice.Admin.Endpoints", "")]))])})


def without_restart():
    """(name, definition, definition to sync with without stopping a server)"""
    a = lambda *servers, **k: app({"up": node(servers)}, **k)
    ad = lambda **k: server(adapters=[adapter(**k)], propertySet=ENDPOINTS)
    box = lambda p=(), **k: icebox([inline(service(propertySet=props(p), **k))])
    yield "the same", a(server()), a(server())
    yield "a property", a(server()), a(server(propertySet=props([("x", "y")])))
    yield "a service's property", a(box()), a(box([("x", "y")]))
    yield "a service's entry", a(box()), a(box(entry="f"))
    yield "description", a(server()), a(server(description="d"))
    yield "two of three", a(server("a"), server("b"), server("c")), a(server("c", exe="x"), server("b"), server("a", user="x"))
    yield "allocatable", a(server()), a(server(allocatable=True))
    yield "an object", a(ad()), a(ad(objects=[obj("o")]))
    yield "server to box", a(server()), a(box())
    yield "added and removed", a(server("a")), a(server("b"))
    yield "by a variable", a(server(pwd="${v}"), variables={"v": "1"}), a(server(pwd="${v}"), variables={"v": "2"})
    yield "proxy options by property", a(ad(objects=[obj("o")])), a(server(adapters=[adapter(objects=[obj("o")])], propertySet=props(
        [("A.Endpoints", "default"), ("A.ProxyOptions", "-t")])))
    yield "application only", a(server()), a(server(), description="new")


def updates():
    """(name, definition, then updates or definitions to sync with)"""
    t = {"T": template(server("${a}"), ["a"])}
    t2 = {"T": template(server("${a}2"), ["a"])}
    base = app({"n": node([server("a"), server("b"), server("${v}")], variables={"v": "c"})})
    inst = app({"n": node([], [instance(values={"a": "${v}"})], variables={"v": "q"})}, serverTemplates=t)
    yield "nothing", base, update()
    yield "new and changed server", base, update(nodes=[node_update(servers=[server("d"), server("b", exe="x")])])
    yield "servers removed", base, update(nodes=[node_update(removeServers=["a", "zz"])])
    yield "id changes", base, update(nodes=[node_update(variables={"v": "x"})])
    yield "id of instance changes", inst, update(nodes=[node_update(variables={"v": "x"})])
    yield "id changes by template", inst, update(serverTemplates=t2)
    yield "id changes by template, node touched", inst, update(serverTemplates=t2, nodes=[node_update(servers=[server("z")])])
    yield "variable gone", base, update(nodes=[node_update(removeVariables=["v"])])
    for f in ("removeServers", "removeVariables", "removePropertySets"):
        yield f + " of no node", base, update(nodes=[node_update("m", **{f: ["a"]})])
    yield "new node", base, update(nodes=[node_update("m", servers=[server("z")], loadFactor=D.BoxedString("2"), variables={
        "k": "1"}, description=D.BoxedString("hey"), propertySets={"p": props([("a", "b")])})])
    yield "node removed", base, update(removeNodes=["n", "zz"])
    yield "node removed and updated", base, update(removeNodes=["n"], nodes=[node_update(servers=[server("z")])])
    yield "given twice", base, update(nodes=[node_update(servers=[server("z"), server("z")])])
    yield "given on two nodes", base, update(nodes=[node_update("m", servers=[server("a")])])
    yield "given a bad id", base, update(nodes=[node_update(servers=[server(BAD)])])
    yield "given null", base, update(nodes=[node_update(servers=[None])])
    yield "given an unknown template", base, update(nodes=[node_update(serverInstances=[instance("zz")])])
    yield "groups", app(replicaGroups=[group(x) for x in "abc"]), update(
        replicaGroups=[group("d"), group("b", filter="f")], removeReplicaGroups=["a", "zz"])
    yield "variables", app(variables={"a": "1", "b": "2"}), update(variables={"a": "3", "c": "4"}, removeVariables=["b", "c", "z"])
    yield "template in use removed", inst, update(removeServerTemplates=["T"])
    yield "text and distribution", base, update(description=D.BoxedString("new"), distrib=D.BoxedDistributionDescriptor(
        D.DistributionDescriptor("i", ["d"])))
    yield "sync: the same", base, base
    yield "sync: servers", base, app({"n": node([server("b", exe="x"), server("e"), server("a")])})
    yield "sync: nodes", base, app({"m": node([server("z")], variables={"k": "1"}, loadFactor="2", description="d")})
    yield ("sync: everything", app(
        {"n": node([], [instance(values={"a": "1"}), instance(values={"a": "2"})], propertySets={"p": props()})},
        variables={"a": "1", "b": "1"}, replicaGroups=[group("a"), group("b")], serverTemplates=t, serviceTemplates={
            "V": template(service())}, propertySets={"p": props(), "q": props()}),
        app({"n": node([], [instance(values={"a": "2"}, p=props([("x", "y")])), instance(values={"a": "3"})],
                       propertySets={"p": props([("x", "y")])}, description="d", loadFactor="1")},
            variables={"a": "2", "c": "1"}, replicaGroups=[group("b", filter="x"), group("c")], serverTemplates=dict(
                t, U=template(server("u"))), propertySets={"p": props([("1", "2")]), "r": props()}, description="new",
            distrib=D.DistributionDescriptor("i", [])))
