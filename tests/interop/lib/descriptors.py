# SPDX-License-Identifier: Apache-2.0
"""Small application descriptors for tests: servers on a node that never runs, which is all that locate, query and
allocation need, and processes that a node does run."""

import os
import pwd

from .bindings import Ice, IceGrid

DEPLOYED = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "deployed.py"))


def identity(text):
    return Ice.stringToIdentity(text)


def obj(text, type_id="", options=""):
    return IceGrid.ObjectDescriptor(identity(text), type_id, options)


def adapter(name, id, objects=(), allocatables=(), group="", priority=""):
    return IceGrid.AdapterDescriptor(name=name, id=id, replicaGroupId=group, priority=priority, registerProcess=False,
                                     serverLifetime=True, objects=list(objects), allocatables=list(allocatables))


def server(id, adapters, activation="on-demand", allocatable=False, properties=(), **more):
    pairs = [(a.name + ".Endpoints", "tcp -h 127.0.0.1") for a in adapters] + list(properties)
    return IceGrid.ServerDescriptor(
        id=id, exe="/bin/true", activation=activation, allocatable=allocatable, adapters=list(adapters),
        propertySet=IceGrid.PropertySetDescriptor(properties=[IceGrid.PropertyDescriptor(*p) for p in pairs]),
        applicationDistrib=True, **more)


def process(id, activation="on-demand", adapters=None, options=(), properties=(), **more):
    """A server of deployed.py; adapters: (name, id) pairs or AdapterDescriptors, by default one, "A", called <id>.A."""
    made = [a if isinstance(a, IceGrid.AdapterDescriptor) else adapter(*a)
            for a in ([("A", id + ".A")] if adapters is None else adapters)]
    pairs = [(a.name + ".Endpoints", "tcp -h 127.0.0.1") for a in made] + list(properties)
    settings = dict(exe="/usr/bin/python3", user=pwd.getpwuid(os.getuid()).pw_name, activationTimeout="20",
                    deactivationTimeout="20", applicationDistrib=True)
    settings.update(more)
    return IceGrid.ServerDescriptor(
        id=id, activation=activation, adapters=made,
        options=[DEPLOYED] + ["--adapter=" + a.name for a in made] + list(options),
        propertySet=IceGrid.PropertySetDescriptor(properties=[IceGrid.PropertyDescriptor(*p) for p in pairs]), **settings)


def group(id, policy=None, objects=(), options=""):
    return IceGrid.ReplicaGroupDescriptor(id=id, loadBalancing=policy or IceGrid.RandomLoadBalancingPolicy("0"),
                                          proxyOptions=options, objects=list(objects))


def node(*servers, **more):
    return IceGrid.NodeDescriptor(servers=list(servers), **more)


def application(name, nodes, groups=(), **more):
    return IceGrid.ApplicationDescriptor(name=name, nodes=nodes, replicaGroups=list(groups), **more)


def pool(name="Pool", count=2, type_id="::Test::Resource", **more):
    """`count` servers with one allocatable object each: res0, res1, ..."""
    servers = [server("%s-%d" % (name, n), [adapter("A", "%s-%d.A" % (name, n),
               allocatables=[obj("res%d" % n, type_id)])], **more) for n in range(count)]
    return application(name, {"node1": node(*servers)})
