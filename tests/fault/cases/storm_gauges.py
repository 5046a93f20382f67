# SPDX-License-Identifier: Apache-2.0
"""Subscribers that keep their events for ever: what waits for them shows in the map Queue, and Moulin.Storm.ReplyTimeout
ends it; others notice nothing."""

import os
import sys
import threading

from lib import topics
from lib.bindings import Ice
from lib.process import wait_until

import IceMX

from . import check

SLICE = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "slice"))
VIEWS = {"IceMX.Metrics.Queues.Map.Queue.GroupBy": "identity", "IceMX.Metrics.Topics.Map.Queue.GroupBy": "topic"}


def start(d, **settings):
    topics.start(d, settings=dict(VIEWS, **{
        "Ice.Admin.Endpoints": d.endpoint("admin"), "Ice.Admin.InstanceName": "Storm"}, **settings), Discard__Interval="0",
        Send__QueueSizeMax="20", Send__QueueSizeMaxPolicy="DropEvents")
    sys.modules.setdefault("Ice_Metrics_ice", sys.modules["Ice.Metrics_ice"])  # what loadSlice calls an included file
    Ice.loadSlice("", ["-I" + SLICE, os.path.join(SLICE, "Moulin", "Metrics.ice")])
    c = d.communicator()
    return IceMX.MetricsAdminPrx.uncheckedCast(c.stringToProxy("Storm/admin -f Metrics:" + d.endpoint("admin")))


def gauge(view, name, id):
    """(bytes, lost, failed) of one element."""
    for e in view.getMetricsView(name)[0]["Queue"]:
        if e.id == id:
            return e.bytes, e.lost, e.failed
    return None


def deaf(d, name, topic, **qos):
    """A subscriber whose connection lives, heartbeats included, and that answers nothing until its gate is opened."""
    gate = threading.Event()
    d.on_close.append(gate.set)
    inbox, prx = topics.Subscribers(d).add(name, on_event=lambda *_: gate.wait(60))
    topic.subscribeAndGetPublisher(qos, prx)
    return inbox, gate


def queue_gauges(d):
    view = start(d)
    topic = topics.manager(d).create("t")
    slow, gate = deaf(d, "slow", topic, reliability="ordered")
    quick, prx = topics.Subscribers(d).add("quick")
    topic.subscribeAndGetPublisher({"reliability": "ordered"}, prx)
    for n in range(31):
        topics.emit(topic.getPublisher(), "e%02d" % n)
        slow.await_count(1)
    quick.await_count(31)
    wait_until(lambda: gauge(view, "Queues", "quick") == (0, 0, 0), "the quick one's end")
    size = gauge(view, "Queues", "slow")[0]
    check(gauge(view, "Queues", "slow") == (size, 10, 0) and size % 20 == 0 and size > 20 * 10,
          "one under way, 20 wait, 10 are lost: %s" % (gauge(view, "Queues", "slow"),))
    check(gauge(view, "Topics", "t") == (size, 10, 0), "the topic's: %s" % (gauge(view, "Topics", "t"),))
    gate.set()
    slow.await_count(21)
    wait_until(lambda: gauge(view, "Queues", "slow") == (0, 10, 0), "nothing waits any more")
    check([e[0] for e in slow.events] == ["e00"] + ["e%02d" % n for n in range(11, 31)], "%s" % slow.operations())


def no_answer(d):
    """Without an answer in time the subscription ends, or with retries left goes on with what comes then; a late answer
    changes nothing. The same for the other end of a link."""
    view = start(d, **{"Moulin.Storm.ReplyTimeout": "1"})
    topic = topics.manager(d).create("t")
    deaf(d, "once", topic)
    twice, gate = deaf(d, "twice", topic, retryCount="-1", reliability="ordered")
    quick, prx = topics.Subscribers(d).add("quick")
    topic.subscribeAndGetPublisher({"reliability": "ordered"}, prx)
    publisher = topic.getPublisher()
    topics.emit(publisher, "first")
    topics.emit(publisher, "second")
    quick.await_count(2)
    wait_until(lambda: len(topic.getSubscribers()) == 2, "the removal of the one without retries")
    wait_until(lambda: gauge(view, "Queues", "twice") == (0, 2, 1), "the failure of the other")
    check(sorted(i.name for i in topic.getSubscribers()) == ["quick", "twice"], "%s" % topic.getSubscribers())
    gate.set()
    topics.emit(publisher, "third")
    check([e[0] for e in twice.await_count(2)] == ["first", "third"], "%s" % twice.operations())
    check([e[0] for e in quick.await_count(3)] == ["first", "second", "third"], "the quick one has all")


CASES = [queue_gauges, no_answer]
