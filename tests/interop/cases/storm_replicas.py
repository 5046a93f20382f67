# SPDX-License-Identifier: Apache-2.0
"""Three replicas of IceStorm: a session of icestormadmin with the coordinator killed in the middle, proxies, every
operation through every replica, subscribers that are not there, publishers whose replica goes."""

import re

from lib import topics
from lib.bindings import Ice
from lib.process import wait_until
from lib.storm_group import Group, normal


def replicas(flavour):
    return Group(flavour).start_all()


def ports(d, text):
    """Endpoints as names: ports are the run's own."""
    for adapter in ("TopicManager", "Publish", "Node"):
        for i in d.ids:
            text = text.replace("-p %d" % d.port("%s%d" % (adapter, i)), "-p <%s%d>" % (adapter, i))
    return text


def leaders_group(text):
    """A slave of the original shows the group that it led before: left out."""
    coordinators = dict(re.findall(r"^(\d+): coord: +(\d+)$", text, re.M))
    return re.sub(r"^(\d+): group:.*\n", lambda m: m.group() if coordinators.get(m.group(1)) == m.group(1) else "", text,
                  flags=re.M)


def tool(d, r, label, commands, ids=None):
    run = d.tool(commands, ids)
    r.value(label, (run.returncode, leaders_group(normal(run.stdout)), run.stderr))


def session(d, r):
    """The coordinator is killed in the middle, and comes back."""
    tool(d, r, "cold start", "replica; topics; current")
    tool(d, r, "changes", "create a b c; link a b 3; links; subscribers a; topics; destroy c; topics")
    d.daemon(3).kill()
    tool(d, r, "through who is left", "create after; topics; links", (1, 2))
    d.await_group(1, 2)
    tool(d, r, "coordinator lost", "replica", (1, 2))
    d.launch(3)
    r.value("leads again", d.await_group(1, 2, 3))
    for i in d.ids:
        tool(d, r, "at %d" % i, "topics; links; subscribers a; replica", (i,))
    tool(d, r, "errors", "create a; destroy none; link a none; unlink b a; unlink a b; destroy a b after; topics")


def proxies(d, r):
    m = d.manager(1)
    t = m.create("proxies")
    c = d.extras["client"]
    for i in d.ids:
        topic = d.manager(i).retrieve("proxies")
        r.value("topic of %d" % i, ports(d, str(topic)))
        direct = topic.ice_endpoints(d.manager(i).ice_getEndpoints())
        r.value("publisher of %d" % i, ports(d, str(direct.getPublisher())))
        r.value("its own", ports(d, str(direct.getNonReplicatedPublisher())))
    subscriber = c.stringToProxy("s:tcp -h 127.0.0.1 -p 9")
    r.value("for one", ports(d, str(t.subscribeAndGetPublisher({}, subscriber))))
    t.destroy()


def everywhere(d, r):
    """Every kind of update through every replica; each is at every other one when it is answered."""
    c = d.extras["client"]
    for i in d.ids:
        m = d.manager(i)

        def here(topic):
            return topic.ice_endpoints(m.ice_getEndpoints())
        r.call("create", m.create, "t%d" % i)
        r.call("create twice", m.create, "t%d" % i)
        r.call("other", m.create, "o%d" % i)
        topic, other = here(m.retrieve("t%d" % i)), m.retrieve("o%d" % i)
        prx = c.stringToProxy("sub%d:tcp -h 127.0.0.1 -p 9" % i)
        r.kind("subscribe", topic.subscribeAndGetPublisher, {}, prx)
        r.kind("subscribe twice", topic.subscribeAndGetPublisher, {}, prx)
        r.kind("wrong", topic.subscribeAndGetPublisher, {"reliability": "none"}, c.stringToProxy("x:tcp -h 127.0.0.1 -p 9"))
        r.call("link", topic.link, other, 2)
        r.call("link twice", topic.link, other, 2)
        for k in d.ids:
            there = d.manager(k).retrieve("t%d" % i).ice_endpoints(d.manager(k).ice_getEndpoints())
            r.value("%d seen at %d" % (i, k), ([s.name for s in there.getSubscribers()],
                                              [(link.name, link.cost) for link in there.getLinkInfoSeq()]))
        r.call("unlink", topic.unlink, other)
        r.call("unsubscribe", topic.unsubscribe, prx)
        r.call("destroy", here(other).destroy)
        for k in d.ids:
            there = d.manager(k).retrieve("t%d" % i).ice_endpoints(d.manager(k).ice_getEndpoints())
            r.value("%d gone at %d" % (i, k), (len(there.getSubscribers()), d.names(k)))
    for i in d.ids:
        d.manager(1).retrieve("t%d" % i).destroy()


def members_come_and_go(d, r):
    d.daemon(1).kill()
    r.call("with two", d.manager(2).create, "two")
    d.launch(1)
    r.value("leader", d.await_group(1, 2, 3))
    r.value("copied", d.names(1))
    d.daemon(2).kill()
    r.call("through the other slave", d.manager(1).create, "three")
    d.launch(2)
    d.await_group(1, 2, 3)
    for i in d.ids:
        r.value("at %d" % i, d.names(i))
    for name in ("two", "three"):
        d.manager(3).retrieve(name).destroy()


def dead_subscriber(d, r):
    """One that is not there is removed from all replicas, whoever published."""
    topic = d.manager(1).create("dead")
    c = d.extras["client"]
    topic.subscribeAndGetPublisher({}, c.stringToProxy("nobody:tcp -h 127.0.0.1 -p 1"))
    publisher = topic.ice_endpoints(d.manager(1).ice_getEndpoints()).getNonReplicatedPublisher()

    def gone():
        topics.emit(publisher, "event")
        return not any(d.manager(i).retrieve("dead").ice_endpoints(d.manager(i).ice_getEndpoints()).getSubscribers()
                       for i in d.ids)
    r.value("gone", wait_until(gone, "the subscriber is removed everywhere"))
    topic.destroy()


def refused(publisher):
    """The connection is lost, or refused: as it happens."""
    try:
        topics.emit(publisher, "own5")
        return False
    except (Ice.ConnectionLostException, Ice.ConnectFailedException):
        return True


def publishers(d, r):
    """A replicated publisher goes on when its replica is killed, one of a single replica does not."""
    inboxes = topics.Subscribers(d)
    inbox, prx = inboxes.add("inbox")
    topic = d.manager(1).create("events")
    topic.subscribeAndGetPublisher({"reliability": "ordered"}, prx)
    own = topic.ice_endpoints(d.manager(2).ice_getEndpoints()).getNonReplicatedPublisher()
    everybody = topic.getPublisher()
    for n in range(5):
        topics.emit(everybody, "all%d" % n)
        topics.emit(own, "own%d" % n)
    inbox.await_count(10)
    r.value("each in order", ([o for o in inbox.operations() if o[:3] == "all"], [o for o in inbox.operations() if o[:3] == "own"]))
    d.daemon(2).kill()
    r.value("its replica is gone", refused(own))
    for n in range(5, 10):
        topics.emit(everybody, "all%d" % n)
    wait_until(lambda: "all9" in inbox.operations(), "the last event")
    d.launch(2)
    d.await_group(1, 2, 3)
    d.manager(1).retrieve("events").destroy()


def settings(d, r):
    """What must not start, and timeouts that are put right."""
    d.daemon(1).stop()
    for label, more in (("two nodes", {"Nodes__3": None}), ("not among them", {"NodeId": "7"})):
        r.value(label, start_wrong(d, more).await_exit() != 0)
    daemon = d.launch(1, Election__MasterTimeout="-5", Election__ResponseTimeout="-1")
    said = [line.split("warning: ")[-1] for line in daemon.stderr().splitlines() if "Adjusted" in line]
    r.value("adjusted", sorted(line.split(": ")[-1].split(".")[-1] for line in said))
    r.value("group", d.await_group(1, 2, 3) in d.ids)


def start_wrong(d, more):
    properties = {"IceStorm.NodeId": "1", "IceStorm.LMDB.Path": d.path("db1")}
    properties.update({"IceStorm.%s.Endpoints" % a: d.of(1, a) for a in ("TopicManager", "Publish", "Node")})
    properties.update({"IceStorm.Nodes.%d" % k: "IceStorm/node%d:%s" % (k, d.of(k, "Node")) for k in d.ids})
    for key, value in more.items():
        properties["IceStorm." + key.replace("__", ".")] = value
    properties = {k: v for k, v in properties.items() if v is not None}
    if d.flavour == "zeroc":
        properties.update({"IceBox.InheritProperties": "1", "IceBox.Service.IceStorm": "IceStormService,37:createIceStorm"})
    return d.start("storm1", "storm", properties, None)


def plan():
    yield "three", replicas, [session, proxies, everywhere, members_come_and_go, dead_subscriber, publishers, settings]
