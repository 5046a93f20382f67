# SPDX-License-Identifier: Apache-2.0
"""IceStorm deployed by IceGrid from ZeroC's own templates: alone, and three replicas that find each other by the locator.
Started on demand, through well-known names; killed and started again; what icestormadmin and icegridadmin print."""

import re

from lib import topics
from lib.bindings import Ice
from lib.process import wait_until
from lib.storm_grid import IDS, Grid
from lib.storm_group import normal

import IceBox
import IceStorm

from .icegridadmin import Tool

# Of the service's properties: what only IceBox has, and what differs by test.
LEFT_OUT = re.compile(r"Ice\.Admin\.(Enabled|DelayCreation)=|Ice\.Default\.Locator=")


def deployed(registry, what):
    def make(flavour):
        d = Grid(flavour, registry)
        getattr(d, "deploy_" + what)()
        return d
    return make


def printed(d, r, label, instance, commands):
    run = d.tool(instance, commands)
    r.value(label, (run.returncode, normal(run.stdout), run.stderr))


def publish_and_receive(d, r, manager, name):
    """A subscriber, through the topic as it was found; what it gets of three events."""
    subscribers = d.extras.setdefault("subscribers", topics.Subscribers(d))
    topic = r.call("retrieve", manager.retrieve, name)
    publisher = r.call("publisher", topic.getPublisher)
    inbox, prx = subscribers.add("inbox-" + name)
    one = topic.subscribeAndGetPublisher({"reliability": "ordered"}, prx)
    r.value("for one", str(one))
    for n in range(3):
        topics.emit(publisher, "event%d" % n)
    r.value("received", [e[0] for e in inbox.await_count(3)])
    topic.unsubscribe(prx)
    return topic


def await_state(d, server, name):
    wait_until(lambda: d.grid.getServerState(server).name == name, lambda: "%s %s" % (server, name))


# ---- alone

def alone(d, r):
    """The first request starts it."""
    r.value("before", d.grid.getServerState("Solo").name)
    printed(d, r, "tool", "Solo", "create a b; topics; link a b 2; links; subscribers a; topics; replica")
    await_state(d, "Solo", "Active")
    m = d.manager("Solo")
    r.call("ids", m.ice_ids)
    topic = publish_and_receive(d, r, m, "b")
    r.call("its own", topic.getNonReplicatedPublisher)
    for adapter in ("Solo.TopicManager", "Solo.Publish"):
        r.value(adapter, [(i.id, i.proxy is not None, i.replicaGroupId) for i in d.grid.getAdapterInfo(adapter)])
    finder = d.client.stringToProxy("IceStorm/Finder @ Solo.TopicManager")
    r.call("finder", IceStorm.FinderPrx.uncheckedCast(finder).getTopicManager)


class Observer(IceBox.ServiceObserver):
    def __init__(self):
        self.seen = []

    def servicesStarted(self, services, current):
        self.seen.append(("started", services))

    def servicesStopped(self, services, current):
        self.seen.append(("stopped", services))


def administered(d, r):
    """As an IceBox: its services, their properties and facets."""
    d.manager("Solo").ice_ping()
    tool = Tool(d, r)
    tool.run("service list Solo")
    tool.run("service properties Solo Solo")
    tool.run("service start Solo Solo")
    tool.run("service start Solo Other")
    tool.run("service stop Solo Other")
    tool.run("server properties Solo")
    r.lines = [line for line in r.lines if not LEFT_OUT.search(line)]
    admin = d.grid.getServerAdmin("Solo")
    for facet in ("Properties", "Metrics", "Logger", "IceBox.ServiceManager", "IceBox.Service.Solo.Properties",
                  "IceBox.Service.Solo.Metrics", "IceBox.Service.Solo.Logger", "IceBox.Service.Other.Properties"):
        r.kind(facet, admin.ice_facet(facet).ice_ping)
    metrics = admin.ice_facet("IceBox.Service.Solo.Metrics")
    r.call("metrics", metrics.ice_ids)
    manager = IceBox.ServiceManagerPrx.uncheckedCast(admin, "IceBox.ServiceManager")
    r.call("ids", manager.ice_ids)
    r.call("checksums", manager.getSliceChecksums)
    observer = Observer()
    adapter = d.client.createObjectAdapterWithEndpoints("Observer", "tcp -h 127.0.0.1")
    adapter.activate()
    r.call("observe", manager.addObserver, IceBox.ServiceObserverPrx.uncheckedCast(adapter.addWithUUID(observer)))
    wait_until(lambda: observer.seen, "the services are told")
    r.value("observed", observer.seen)


def killed(d, r):
    """kill -9, then the next request starts it again, with all it had."""
    d.manager("Solo").ice_ping()
    d.kill("Solo")
    printed(d, r, "after", "Solo", "topics; links")
    await_state(d, "Solo", "Active")
    r.call("stopped", d.grid.stopServer, "Solo")
    await_state(d, "Solo", "Inactive")
    printed(d, r, "started again", "Solo", "destroy a b; topics")
    r.call("shut down", IceBox.ServiceManagerPrx.uncheckedCast(d.grid.getServerAdmin("Solo"), "IceBox.ServiceManager").shutdown)
    await_state(d, "Solo", "Inactive")


# ---- replicas

def replicas(d, r):
    """The first request starts one, which starts the others."""
    r.value("before", [d.grid.getServerState("A%d" % i).name for i in IDS])
    printed(d, r, "cold start", "A", "create a; topics; replica")
    r.value("coordinator", d.await_group())
    for i in IDS:
        await_state(d, "A%d" % i, "Active")
    printed(d, r, "changes", "A", "create b; link a b 1; links; replica")


def proxies(d, r):
    d.await_group()
    publish_and_receive(d, r, d.manager("A"), "b")
    for i in IDS:
        m = d.manager("A", i)
        topic = m.retrieve("b")
        r.value("topic of %d" % i, str(topic))
        at = topic.ice_adapterId("A%d.TopicManager" % i)
        r.value("publisher", str(at.getPublisher()))
        r.value("its own", str(at.getNonReplicatedPublisher()))
        ok, params = m.ice_invoke("getReplicaNode", Ice.OperationMode.Idempotent, topics.NOTHING)
        r.value("node", (ok, bytes(params).hex()))
        finder = d.client.stringToProxy("IceStorm/Finder @ A%d.TopicManager" % i)
        r.value("finder", str(IceStorm.FinderPrx.uncheckedCast(finder).getTopicManager()))


def one_killed(d, r):
    """The node starts it again when the others look for it; what happened meanwhile it gets from them."""
    d.await_group()
    for i in (1, 3):
        before = d.grid.getServerPid("A%d" % i)
        d.kill("A%d" % i)
        r.call("create", d.manager("A", 2).create, "after%d" % i)
        r.value("coordinator", d.await_group())
        r.value("another process", d.grid.getServerPid("A%d" % i) not in (0, before))
        for k in IDS:
            r.value("topics of %d" % k, sorted(d.manager("A", k).retrieveAll()))
    publish_and_receive(d, r, d.manager("A"), "after3")


def one_stopped(d, r):
    """A disabled server stays away: the two others go on."""
    d.await_group()
    d.grid.enableServer("A3", False)
    d.grid.stopServer("A3")
    r.value("without it", d.await_group(ids=(1, 2)))
    r.call("create", d.manager("A", 1).create, "without3")
    d.grid.enableServer("A3", True)
    r.value("coordinator", d.await_group())
    r.value("topics of 3", sorted(d.manager("A", 3).retrieveAll()))


def plan():
    for registry, name in (("zeroc", "icegridregistry"), (None, "registry")):
        yield name + "/alone", deployed(registry, "alone"), [alone, administered, killed]
        yield name + "/replicas", deployed(registry, "replicas"), [replicas, proxies, one_killed, one_stopped]
