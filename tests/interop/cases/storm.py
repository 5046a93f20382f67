# SPDX-License-Identifier: Apache-2.0
"""IceStorm without replicas: topics, subscriptions, links and their errors, proxies and identities; what survives a
restart; several services in one process; icestormadmin."""

import subprocess

from lib import topics
from lib.bindings import Ice
from lib.deployment import Deployment
from lib.process import wait_until

import IceStorm


def admin(d, r, label, text, service="IceStorm"):
    """One run of icestormadmin; where the original shows a line of its source, only that there is one is compared."""
    manager = topics.manager(d, service)
    run = subprocess.run(["icestormadmin", "--IceStormAdmin.TopicManager.Default=%s" % manager, "-e", text],
                         capture_output=True, text=True, timeout=60)
    stderr = [line for line in run.stderr.splitlines() if "NullHandleException" not in line]
    r.value(label, (run.returncode, run.stdout, stderr))


def create_and_find(d, r):
    m = topics.manager(d)
    r.call("ids", m.ice_ids)
    for name in ("A", "", "a/b c", "\u00e4\u4e2d", "A"):
        r.call("create %r" % name, m.create, name)
    r.call("retrieve", m.retrieve, "A")
    r.call("retrieve none", m.retrieve, "B")
    r.call("all", m.retrieveAll)
    r.call("checksums", m.getSliceChecksums)
    r.call("replica node", lambda: m.ice_invoke("getReplicaNode", Ice.OperationMode.Idempotent, topics.NOTHING))
    topic = IceStorm.TopicPrx.uncheckedCast(m.retrieve("A"))
    r.call("name", topic.getName)
    r.call("topic ids", topic.ice_ids)
    r.call("publisher", topic.getPublisher)
    r.call("non-replicated", topic.getNonReplicatedPublisher)
    r.call("facet", topic.ice_facet("x").ice_ping)
    r.call("link proxy", lambda: topic.ice_invoke("getLinkProxy", Ice.OperationMode.Idempotent, topics.NOTHING)[0])


def destroyed(d, r):
    """Of a service that keeps its topics: a transient one of ZeroC's has them for a while after their destruction."""
    m = topics.manager(d)
    for name in ("", "a/b c", "\u00e4\u4e2d"):
        r.call("destroy %r" % name, m.retrieve(name).destroy)
    topic = m.retrieve("A")
    publisher = topic.getPublisher()
    r.call("destroy", topic.destroy)
    r.call("gone", topic.getName)
    r.call("gone, publisher", publisher.ice_ping)
    r.call("destroyed twice", topic.destroy)
    r.call("all gone", m.retrieveAll)


def subscriptions(d, r):
    m = topics.manager(d)
    c = d.extras["client"]
    topic = m.create("subscriptions")

    def subscribe(label, text, **qos):
        return r.call(label, topic.subscribeAndGetPublisher, qos, c.stringToProxy(text) if text else None)
    subscribe("null", "")
    subscribe("plain", "s:tcp -h 127.0.0.1 -p 9")
    subscribe("again", "s:tcp -h 127.0.0.1 -p 9")
    subscribe("again, elsewhere and wrong", "s:tcp -h 127.0.0.1 -p 10", reliability="none")
    subscribe("category", "cat/slow\\/1:tcp -h 127.0.0.1 -p 9")
    subscribe("well-known", "wk")
    subscribe("indirect", "i @ adapter")
    subscribe("facet", "f -f facet:tcp -h 127.0.0.1 -p 9")
    subscribe("ordered", "o:tcp -h 127.0.0.1 -p 9", reliability="ordered")
    subscribe("ordered oneway", "oo -o:tcp -h 127.0.0.1 -p 9", reliability="ordered")
    subscribe("empty reliability", "er:tcp -h 127.0.0.1 -p 9", reliability="")
    for value in ("oneway", "Ordered", "twoway"):
        subscribe("reliability " + value, "r:tcp -h 127.0.0.1 -p 9", reliability=value)
    for key in ("locatorCacheTimeout", "connectionCached"):
        for number, value in enumerate(("5", " 7 ", "-1", "x", "1x", "", "99999999999")):
            subscribe("%s %r" % (key, value), "%s%d:tcp -h 127.0.0.1 -p 9" % (key, number), **{key: value})
    for number, value in enumerate(("3", "-1", "zz", "4x", "")):
        subscribe("retryCount %r" % value, "retry%d:tcp -h 127.0.0.1 -p 9" % number, retryCount=value)
    subscribe("other keys", "other:tcp -h 127.0.0.1 -p 9", colour="blue")
    r.call("all", topic.getSubscribers)
    r.call("unsubscribe", topic.unsubscribe, c.stringToProxy("s:tcp -h 127.0.0.1 -p 99"))
    r.call("twice", topic.unsubscribe, c.stringToProxy("s"))
    r.call("null", topic.unsubscribe, None)
    subscribe("anew", "s -o:tcp -h 127.0.0.1 -p 9")
    r.call("order", topic.getSubscribers)
    r.call("reap", lambda: topic.ice_invoke("unknown", Ice.OperationMode.Normal, topics.NOTHING))
    topic.destroy()


def links(d, r):
    m = topics.manager(d)
    c = d.extras["client"]
    a, b, e = m.create("a"), m.create("b"), m.create("e")

    def other(text):
        return IceStorm.TopicPrx.uncheckedCast(c.stringToProxy(text))
    address = "tcp -h 127.0.0.1 -p %d" % d.port("IceStormTopicManager")
    r.call("link", a.link, b, 3)
    r.call("twice", a.link, b, 4)
    r.call("itself", a.link, a, 0)
    r.call("negative", a.link, e, -1)
    r.kind("null", a.link, None, 1)
    r.call("no such topic", a.link, other("IceStorm/topic.X:" + address), 1)
    r.kind("nobody there", a.link, other("IceStorm/topic.X:tcp -h 127.0.0.1 -p 1"), 1)
    r.kind("known, but nobody there", a.link, other("IceStorm/topic.b:tcp -h 127.0.0.1 -p 1"), 1)
    r.call("no topic", a.link, IceStorm.TopicPrx.uncheckedCast(m), 1)
    r.call("links", a.getLinkInfoSeq)
    r.call("subscribers", a.getSubscribers)
    r.call("unlink", a.unlink, b)
    r.call("unlink twice", a.unlink, b)
    r.kind("unlink null", a.unlink, None)
    e.destroy()
    r.call("the other end is gone", a.getLinkInfoSeq)
    r.call("unlink what is gone", a.unlink, e)
    r.call("unsubscribe a link", a.unsubscribe, a)
    r.call("left", a.getSubscribers)
    a.destroy()
    b.destroy()


def transient_links(d, r):
    m = topics.manager(d)
    a, b = m.create("a"), m.create("b")
    r.call("link", a.link, b, 3)
    r.call("twice", a.link, b, 4)
    r.call("links", a.getLinkInfoSeq)
    r.call("unlink", a.unlink, b)
    r.call("unlink twice", a.unlink, b)
    r.call("subscribers", a.getSubscribers)
    admin(d, r, "tool", "topics; links; subscribers a; link a b 9; links")


def long_names(d, r):
    m = topics.manager(d)
    r.kind("long", m.create, "x" * 600)
    r.kind("longest", m.create, "x" * 489)
    topic = m.create("names")
    r.kind("long subscriber", topic.subscribeAndGetPublisher, {}, d.extras["client"].stringToProxy("s" * 600 + ":tcp -p 9"))
    r.call("subscribers", topic.getSubscribers)
    for t in m.retrieveAll().values():
        t.destroy()


def finder(d, r):
    address = "tcp -h 127.0.0.1 -p %d" % d.port("IceStormTopicManager")
    c = d.communicator()
    r.call("finder", IceStorm.FinderPrx.uncheckedCast(c.stringToProxy("IceStorm/Finder:" + address)).getTopicManager)


def restart(d, r):
    """What was acknowledged is there again, subscribers in the order of their identities."""
    m = topics.manager(d)
    c = d.extras["client"]
    for name in ("one", "two", "", "gone"):
        m.create(name)
    one, two = m.retrieve("one"), m.retrieve("two")
    for text in ("z:tcp -h 127.0.0.1 -p 9", "cat/y -o:tcp -h 127.0.0.1 -p 9", "b @ adapter", "gone:tcp -h 127.0.0.1 -p 9"):
        one.subscribeAndGetPublisher({"retryCount": "1"}, c.stringToProxy(text))
    one.link(two, 5)
    one.unsubscribe(c.stringToProxy("gone"))
    m.retrieve("gone").destroy()
    d.daemons["storm"].stop()
    topics.start(d)
    r.call("topics", m.retrieveAll)
    r.call("subscribers", one.getSubscribers)
    r.call("links", one.getLinkInfoSeq)
    r.call("again", one.subscribeAndGetPublisher, {}, c.stringToProxy("z:tcp -h 127.0.0.1 -p 9"))
    r.call("exists", m.create, "two")
    for t in m.retrieveAll().values():
        t.destroy()


def tool(d, r):
    admin(d, r, "empty", "topics; links; current")
    admin(d, r, "create", "create news sport weather")
    admin(d, r, "create one that exists", "create news")
    admin(d, r, "create some that exist", "create news more")
    admin(d, r, "link", "link news sport; link news weather 7")
    admin(d, r, "link twice", "link news sport")
    admin(d, r, "link nothing", "link news nothing")
    admin(d, r, "lists", "topics; links; subscribers news sport")
    topics.manager(d).retrieve("news").subscribeAndGetPublisher(
        {}, d.extras["client"].stringToProxy("\"cat/a b\":tcp -h 127.0.0.1 -p 9"))
    admin(d, r, "subscribers", "subscribers news")
    admin(d, r, "subscribers of nothing", "subscribers nothing")
    admin(d, r, "unlink", "unlink news sport; links")
    admin(d, r, "unlink twice", "unlink news sport")
    admin(d, r, "by instance", "topics IceStorm; create IceStorm/other; topics; topics Other")
    admin(d, r, "replica", "replica")
    admin(d, r, "current", "current; current IceStorm; current")
    admin(d, r, "wrong", "bogus; link; create; topics a b")
    admin(d, r, "destroy", "destroy news sport weather more other; topics")
    admin(d, r, "destroy nothing", "destroy nothing")


def no_finder(d, r):
    """A transient service has none."""
    address = "tcp -h 127.0.0.1 -p %d" % d.port("IceStormTopicManager")
    c = d.communicator()
    r.call("finder", IceStorm.FinderPrx.uncheckedCast(c.stringToProxy("IceStorm/Finder:" + address)).getTopicManager)


def two_services(flavour):
    d = Deployment(flavour)
    topics.start(d, ("First", "Second"), settings={"First.InstanceName": "Uno", "Second.InstanceName": "Due"})
    return d


def apart(d, r):
    first, second = topics.manager(d, "First", "Uno"), topics.manager(d, "Second", "Due")
    r.call("create", first.create, "t")
    r.call("not there", second.retrieve, "t")
    r.call("create there", second.create, "t")
    r.call("not this instance", topics.manager(d, "First", "Due").retrieveAll)
    r.call("link", first.retrieve("t").link, second.retrieve("t"), 2)
    r.call("links", first.retrieve("t").getLinkInfoSeq)
    r.call("publisher", second.retrieve("t").getPublisher)


def registered(flavour):
    """Adapters with ids, in a registry; the subscriber, too."""
    d = Deployment(flavour)
    d.start_registry()
    topics.start(d, settings={"Ice.Default.Locator": d.locator()}, TopicManager__AdapterId="Topics",
                 Publish__AdapterId="Publishers", Publish__ReplicaGroupId="Group")
    return d


def by_the_locator(d, r):
    c = d.communicator(Ice__Default__Locator=d.locator())
    m = IceStorm.TopicManagerPrx.uncheckedCast(c.stringToProxy("IceStorm/TopicManager @ Topics"))
    topic = r.call("create", m.create, "t")
    r.call("all", m.retrieveAll)
    r.call("publisher", topic.getPublisher)
    r.call("non-replicated", topic.getNonReplicatedPublisher)
    inbox = topics.Inbox()
    adapter = c.createObjectAdapterWithEndpoints("A", "tcp -h 127.0.0.1")
    adapter.add(inbox, Ice.stringToIdentity("s"))
    adapter.activate()
    c.getProperties().setProperty("Indirect.AdapterId", "Subscriber")
    c.getProperties().setProperty("Indirect.Endpoints", "tcp -h 127.0.0.1")
    indirect = c.createObjectAdapter("Indirect")
    prx = indirect.add(inbox, Ice.stringToIdentity("i"))
    indirect.activate()
    r.call("subscribe", topic.subscribeAndGetPublisher, {"reliability": "ordered"}, prx)
    r.call("not registered", topic.subscribeAndGetPublisher, {"retryCount": "-1"}, c.stringToProxy("x @ Nowhere"))
    publisher = topic.getNonReplicatedPublisher()
    topics.emit(publisher, "one")
    inbox.await_count(1)

    def left():
        topics.emit(publisher, "again")
        return len(topic.getSubscribers()) == 1
    wait_until(left, "the removal of the one that is not registered")
    r.call("left", topic.getSubscribers)
    r.call("link", topic.link, topic, 0)
    r.call("links", topic.getLinkInfoSeq)


def plan():
    yield "kept", topics.service(), [create_and_find, destroyed, subscriptions, links, long_names, finder, tool, restart]
    yield "transient", topics.service(Transient="1"), [create_and_find, subscriptions, no_finder]
    yield "transient links", topics.service(Transient="1"), [transient_links]
    yield "two", two_services, [apart]
    yield "registered", registered, [by_the_locator]
