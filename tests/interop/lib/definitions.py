# SPDX-License-Identifier: Apache-2.0
"""The definitions of tests/data/descriptors, and a rich one that uses every descriptor there is."""

import importlib.util
import os

from .bindings import IceGrid as D  # noqa: F401  (before cases.py imports it by itself)
from .deployment import DATA

_SPEC = importlib.util.spec_from_file_location("definitions", os.path.join(DATA, "descriptors", "cases.py"))
table = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(table)

props, server, service, icebox, inline = table.props, table.server, table.service, table.icebox, table.inline
service_instance, instance, template, adapter = table.service_instance, table.instance, table.template, table.adapter
obj, group, node, app, update, node_update = table.obj, table.group, table.node, table.app, table.update, table.node_update


def endpoints(*names):
    return [(n + ".Endpoints", "tcp -h 127.0.0.1") for n in names]


def rich(name="App"):
    """Templates with parameters and defaults, property sets of all owners, an IceBox with services of both kinds,
    groups of all policies, objects, allocatables, databases, logs, distributions: small, but all of it."""
    plain = server(
        "plain", description="a server", options=["-a", "-b"], envs=["E=1", "F=2"], pwd="/tmp", activation="on-demand",
        activationTimeout="7", deactivationTimeout="8", user="me", logs=["l1", "l2"], iceVersion="3.7",
        distrib=D.DistributionDescriptor("${application}.P/server", ["d1", "d2"]),
        dbEnvs=[D.DbEnvDescriptor("env", "about", "", [D.PropertyDescriptor("k", "v")]), D.DbEnvDescriptor("home", "", "/h", [])],
        adapters=[adapter("A", "${server}.A", replicaGroupId="g1", priority="3", description="one",
                          objects=[obj("o1", "-t", "::T"), obj("o2", category="cat")], allocatables=[obj("r1", type="::R")]),
                  adapter("B", "${server}.B")],
        propertySet=props(endpoints("A", "B") + [("Own", "${v}")], ["shared", "local"]))
    session = server("session", activation="session", pwd="${node.data}/${session.id}", allocatable=True)
    box = icebox(
        [inline(service("in", description="a service", logs=["sl"], adapters=[adapter("S", "${server}.${service}.S", objects=[obj("so")])],
                        propertySet=props(endpoints("S"), ["shared"])), props([("Set", "${service}")])),
         service_instance("V", {"k": "one"}, props([("Mine", "${k}")], ["shared"]))], "box-${x}", propertySet=props([("Box", "1")]))
    return app(
        {"n1": node([plain, session], [instance("T", {"x": "1"}, props([("Inst", "${x}")], ["local"]))], {"v": "nv"},
                    loadFactor="1.5", description="a node", propertySets={"local": props([("Local", "${v}")])}),
         "n2": node([], [instance("B", {"x": "2"}, services={"in": props([("Late", "${x}")])})])},
        name, variables={"v": "av", "w": "${v}"}, description="all of it", distrib=D.DistributionDescriptor("icepatch", ["ad"]),
        replicaGroups=[group("g1", proxyOptions="-t", objects=[obj("go", type="::G")], description="group", filter="f"),
                       group("g2", loadBalancing=D.AdaptiveLoadBalancingPolicy("2", "5")),
                       group("g3", loadBalancing=D.OrderedLoadBalancingPolicy("1")),
                       group("g4", loadBalancing=D.RoundRobinLoadBalancingPolicy("0"))],
        serverTemplates={"T": template(server("t-${x}", propertySet=props([("P", "${y}")])), ["x", "y"], {"y": "${v}"}),
                         "B": template(box, ["x"])},
        serviceTemplates={"V": template(service("v-${k}", propertySet=props([("Q", "${k}")])), ["k"])},
        propertySets={"shared": props([("Shared", "${w}")], ["base"]), "base": props([("Base", "1")])})
