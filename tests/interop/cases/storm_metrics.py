# SPDX-License-Identifier: Apache-2.0
"""The metrics maps Topic and Subscriber of a storm service, by the facet names IceBox has for a service of its own
communicator: what is counted, by what it can be grouped, views that come at run time.

Not compared: times; what the original still counts as queued or outstanding of events that it gave up."""

import threading

import Ice
import IceMX

from lib import topics
from lib.deployment import Deployment
from lib.process import wait_until

ATTRIBUTES = ("parent", "id", "topic", "service", "identity", "facet", "encoding", "mode", "proxy", "link", "state",
              "qos.retryCount", "qos.reliability", "qos.none", "none", "nonsense")
FACET = "IceBox.Service.IceStorm."


def administered(flavour):
    d = Deployment(flavour)
    settings = {"Ice.Admin.Endpoints": d.endpoint("admin"), "Ice.Admin.InstanceName": "Box",
                "IceMX.Metrics.Errors.Map.Subscriber.GroupBy": "identity|state",
                "IceMX.Metrics.Links.Map.Subscriber.GroupBy": "id",
                "IceMX.Metrics.Links.Map.Subscriber.Reject.link": "^$",
                "IceMX.Metrics.Names.Map.Topic.GroupBy": "id",
                "IceMX.Metrics.Names.Map.Topic.Accept.topic": "^a"}
    for attribute in ATTRIBUTES:
        settings["IceMX.Metrics.By-%s.Map.Topic.GroupBy" % attribute.replace(".", "-")] = attribute
        settings["IceMX.Metrics.By-%s.Map.Subscriber.GroupBy" % attribute.replace(".", "-")] = attribute
    topics.start(d, settings=settings, Discard__Interval="600")
    return d


def admin(d):
    return d.communicator().stringToProxy("Box/admin:" + d.endpoint("admin"))


def metrics(d):
    return IceMX.MetricsAdminPrx.uncheckedCast(admin(d), FACET + "Metrics")


def element(e):
    return type(e).__name__, {k: v for k, v in vars(e).items() if k != "totalLifetime"}


def look(r, label, view, name):
    found, _ = view.getMetricsView(name)
    r.value("%s: %s" % (label, name), [(m, [element(e) for e in found[m]]) for m in sorted(found)])


def await_value(view, name, map_name, id, wanted):
    """wanted: of an element's members."""
    def there():
        return any(e.id == id and all(getattr(e, k) == v for k, v in wanted.items())
                   for e in view.getMetricsView(name)[0].get(map_name, []))
    wait_until(there, "%s of %s" % (wanted, id))


def publish(publisher, inboxes, n):
    """One event after the other, so that none shares a link's message with another."""
    for _ in range(n):
        before = [len(i.events) for i in inboxes]
        topics.emit(publisher, "e")
        for inbox, count in zip(inboxes, before):
            inbox.await_count(count + 1)


def facets(d, r):
    for name in ("Metrics", "Properties", "Logger", "Process", "Strange"):
        r.kind(name, admin(d).ice_facet(FACET + name).ice_ids)
    r.call("another service's", admin(d).ice_facet("IceBox.Service.Other.Metrics").ice_ping)
    r.value("views", metrics(d).getMetricsViewNames())


def counts(d, r):
    m, view = topics.manager(d), metrics(d)
    a, b, other = m.create("a"), m.create("a b"), m.create("other")
    a.link(b, 0)
    subscribers = topics.Subscribers(d)
    inboxes = []
    for name, mode, topic, qos in (("one/way", "-o", a, {}), ("ordered", "", a, {"reliability": "ordered"}),
                                   ("two", "", a, {"retryCount": "5"}), ("batch", "-O", a, {}), ("end", "", b, {})):
        inbox, prx = subscribers.add(name, mode)
        inboxes.append(inbox)
        publisher = topic.subscribeAndGetPublisher(qos, prx)
        if name == "two":
            own = publisher
    publish(a.getPublisher(), inboxes, 3)
    publish(own, inboxes[2:3], 2)
    publish(b.getPublisher(), inboxes[4:], 1)
    await_value(view, "By-none", "Subscriber", "", {"delivered": 21})
    for name in sorted(view.getMetricsViewNames()[0]):
        look(r, "all", view, name)
    a.unsubscribe(d.extras["client"].stringToProxy("ordered"))
    a.unlink(b)
    other.destroy()
    b.destroy()
    for name in ("By-id", "By-topic", "By-mode", "Links"):
        look(r, "less", view, name)
    r.value("failures", [f for m in ("Topic", "Subscriber") for f in view.getMapMetricsFailures("By-id", m)])


def states(d, r):
    """One that fails counts elsewhere; the numbers of what it did not get are not compared."""
    m, view = topics.manager(d), metrics(d)
    topic = m.create("states")
    c = d.extras["client"]
    topic.subscribeAndGetPublisher({"retryCount": "3"}, c.stringToProxy("dead:tcp -h 127.0.0.1 -p 9"))
    topics.emit(topic.getPublisher(), "e")
    await_value(view, "Errors", "Subscriber", "dead|offline", {"current": 1})
    r.value("states", [(e.id, e.total, e.current, e.delivered) for e in view.getMetricsView("Errors")[0]["Subscriber"]
                       if e.id.startswith("dead")])


def held(d, r):
    """A subscriber that takes its time: one event outstanding, the others queued, until it goes on."""
    m, view = topics.manager(d), metrics(d)
    topic = m.create("held")
    gate = threading.Event()
    d.on_close.append(gate.set)
    subscribers = topics.Subscribers(d)
    inbox, prx = subscribers.add("slow", on_event=lambda *_: gate.wait(60))
    topic.subscribeAndGetPublisher({"reliability": "ordered"}, prx)
    for _ in range(5):
        topics.emit(topic.getPublisher(), "e")
    await_value(view, "By-identity", "Subscriber", "slow", {"queued": 4, "outstanding": 1, "delivered": 0})
    gate.set()
    await_value(view, "By-identity", "Subscriber", "slow", {"queued": 0, "outstanding": 0, "delivered": 5})
    r.value("held", [element(e) for e in view.getMetricsView("By-identity")[0]["Subscriber"] if e.id == "slow"])


def at_run_time(d, r):
    """A view made by the facet of properties has what is there already, and counts from then on."""
    view = metrics(d)
    m = topics.manager(d)
    topic = m.create("late")
    inbox, prx = topics.Subscribers(d).add("late")
    topic.subscribeAndGetPublisher({}, prx)
    publish(topic.getPublisher(), [inbox], 2)
    await_value(view, "By-identity", "Subscriber", "late", {"delivered": 2})
    settings = Ice.PropertiesAdminPrx.uncheckedCast(admin(d), FACET + "Properties")
    settings.setProperties({"IceMX.Metrics.Late.Map.%s.%s" % (m, k): v for m in ("Topic", "Subscriber") for k, v in (
        ("GroupBy", "topic"), ("Accept.topic", "^late$"))})
    look(r, "new", view, "Late")
    publish(topic.getPublisher(), [inbox], 3)
    await_value(view, "Late", "Subscriber", "late", {"delivered": 3})
    look(r, "counted", view, "Late")
    view.disableMetricsView("Late")
    look(r, "disabled", view, "Late")
    view.enableMetricsView("Late")
    look(r, "enabled", view, "Late")


def plan():
    yield "metrics", administered, [facets, counts]
    yield "states", administered, [states, held]
    yield "run time", administered, [at_run_time]
