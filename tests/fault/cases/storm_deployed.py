# SPDX-License-Identifier: Apache-2.0
"""Topics deployed by IceGrid: configurations of IceBox that cannot start, and those that can; deployments in which the
replicas do not find each other; a locator that is away, silent, or comes late; a group of both kinds; no registry."""

import os
import re
import signal
import socket
import subprocess
import time

from lib import descriptors as dd
from lib import topics
from lib.deployment import MOULIN
from lib.storm_grid import IDS, USER, WATCHED, Grid

import IceStorm

from . import check

ENTRY = "IceStormService,37:createIceStorm"


def refused(d, properties, *words, options=()):
    """One line with these words, and status 1."""
    storm = d.start("refused%d" % len(d.daemons), "storm", properties, None, options)
    check(storm.await_exit() == 1, "status 1; it said %s" % storm.stderr())
    for word in words:
        check(word in storm.stderr(), "%r is not in %s" % (word, storm.stderr()))
    check(len(storm.stderr().splitlines()) == 1 and not storm.stdout(), storm.stderr() + storm.stdout())


# ---- IceBox's configuration

def service_file(d, service, **more):
    path = d.path(service + ".properties")
    with open(path, "w") as f:
        for key, value in topics.properties(d, service, **more).items():
            f.write("%s=%s\n" % (key, value))
    return path


def boxes_refused(d):
    file = service_file(d, "One")
    for entry, words in (
            ("HelloService,37:create --Ice.Config=" + file, ("`IceBox.Service.One'", ".cfg:", "only IceStorm", "`HelloService,37:create'")),
            ("IceStormService,37:createOther", ("only IceStorm",)), ("IceStormService", ("only IceStorm",)),
            ("MyIceStormService:createIceStorm", ("only IceStorm",)), (":createIceStorm", ("only IceStorm",)),
            (ENTRY + " --Ice.Config=/nowhere/one.cfg", ("`IceBox.Service.One'", "/nowhere/one.cfg")),
            (ENTRY + " '--Ice.Config=" + file, ("`IceBox.Service.One'", "quote")),
            (ENTRY, ("`One.TopicManager.Endpoints' is not set",)),
            (ENTRY + " --Ice.Config=%s --One.NodeId=1" % file, ("Replication requires at least 3 Nodes",))):
        refused(d, {"IceBox.Service.One": entry}, *words)
    good = "%s --Ice.Config=%s" % (ENTRY, file)
    refused(d, {"IceBox.Service.One": good, "IceBox.LoadOrder": "One Two"}, "IceBox.LoadOrder", "`Two'")
    # The second of two fails: the first does not run alone.
    refused(d, {"IceBox.Service.One": good, "IceBox.Service.Two": ENTRY}, "`Two.TopicManager.Endpoints' is not set")
    run = d.start("option", "storm", {"IceBox.Service.One": good}, None, ["--Two.X=1"])
    check(run.await_exit() == 1 and "invalid option: `--Two.X=1'" in run.stderr(), run.stderr())


def maintain(d, *options):
    return subprocess.run([MOULIN, "storm", "verify", "--Ice.Config=" + d.path("storm.cfg"), *options], capture_output=True,
                          text=True, timeout=60)


def boxes(d):
    """Services with properties of their own, in the order that is asked for; options of both command lines."""
    one, two = service_file(d, "One", InstanceName="First"), service_file(d, "Two")
    properties = {
        "IceBox.Service.One": "/usr/lib/IceStormService:createIceStorm '--Ice.Config=%s' --One.Trace.TopicManager" % one,
        "IceBox.Service.Two": "%s --Ice.Config=%s --Two.InstanceName=Wrong" % (ENTRY, two),
        "IceBox.LoadOrder": "Two, One", "IceBox.PrintServicesReady": "bundle", "Ice.ProgramName": "box",
        "Two.InstanceName": "of the box, not of the service"}
    storm = d.start("storm", "storm", properties, "bundle ready", ["--Two.InstanceName=Second", "--One.Colour=blue"])
    check([line for line in storm.stdout().splitlines() if "Ice.Admin" not in line] == ["bundle ready"], storm.stdout())
    topics.manager(d, "One", "First").create("t")
    topics.manager(d, "Two", "Second").create("u")
    text = storm.stderr()
    check("box-One: TopicManager: creating new topic \"t\"" in text, text)
    check('topic "u"' not in text and "unknown properties for IceStorm service 'One'" in text, text)
    check(storm.stop() == 0, "an orderly end")
    # With what the box has; maintenance finds the database by the same files.
    properties.update({"IceBox.InheritProperties": "1", "IceBox.Service.Three": ENTRY, "Ice.PrintAdapterReady": "1"})
    properties.update(topics.properties(d, "Three"))
    storm = d.start("storm", "storm", properties, "bundle ready")
    order = [line.split(".")[0] for line in storm.stdout().splitlines() if line.endswith(".TopicManager ready")]
    check(order == ["Two", "One", "Three"], order)
    topics.manager(d, "Three").create("v")
    check(sorted(topics.manager(d, "One", "First").retrieveAll()) == ["t"], "One has kept its topic")
    for service, words in (("One", "1 topics"), ("Three", "1 topics"), ("Two", "1 topics"), ("Four", "no `IceBox.Service.Four'")):
        run = maintain(d, "--service=" + service)
        check(words in run.stdout + run.stderr and run.returncode == (service == "Four"), str(run))
    check("say which one" in maintain(d).stderr, "there are three")
    check(storm.stop() == 0, "an orderly end")


# ---- replicas that do not find each other

def replica(d, **more):
    properties = topics.properties(d, "A1", NodeId="1", InstanceName="A", TopicManager__AdapterId="A1.TopicManager",
                                   TopicManager__ReplicaGroupId="TMG", Node__AdapterId="A1.Node",
                                   Node__Endpoints="tcp -h 127.0.0.1")
    properties.update({"Moulin.Storm.Services": "A1", "Ice.Default.Locator": d.locator()})
    properties.update({k.replace("__", "."): v for k, v in more.items()})
    return {k: v for k, v in properties.items() if v is not None}


def deployed(admin, *ids, object="A/TopicManager"):
    """An application whose servers nobody starts: the registry knows the adapters' ids."""
    servers = [dd.server("S%d" % n, [dd.adapter("TM", id, group="TMG")]) for n, id in enumerate(ids)]
    if "App" in admin.getAllApplicationNames():
        admin.removeApplication("App")
    admin.addApplication(dd.application("App", {"node1": dd.node(*servers)}, [dd.group("TMG", objects=[dd.obj(object)])]))


def deployments_refused(d):
    words = "IceGrid deployment is incorrect: "
    refused(d, replica(d, A1__Node__AdapterId=None), words, "`A1.Node.AdapterId' is not set")
    refused(d, replica(d, A1__TopicManager__AdapterId=None), words, "`A1.TopicManager.AdapterId' is not set")
    for id in ("A1.Nod", "A2.Node", "A1.Node.", "Node"):
        refused(d, replica(d, A1__Node__AdapterId=id), words, "`%s'" % id, "the same")
    refused(d, replica(d, A1__TopicManager__AdapterId="A1"), words, "the same")
    refused(d, replica(d, A1__Node__Endpoints=None), "`A1.Node.Endpoints' is not set")
    refused(d, replica(d, Ice__Default__Locator=None), words, "`Ice.Default.Locator'")
    d.start_registry()
    session, admin = d.admin(d.communicator())
    refused(d, replica(d, Ice__Default__Locator="Demo/Query:" + d.endpoint("Master.Client")), words, "not IceGrid's")
    refused(d, replica(d), words, "`A/TopicManager' has no adapter `A1.TopicManager' among its replicas (0)")
    all_three = ("A1.TopicManager", "A2.TopicManager", "A3.TopicManager")
    for ids, text in (
            (all_three[:2], "at least 3 Nodes, `A/TopicManager' has 2 replicas"),
            (all_three[1:], "no adapter `A1.TopicManager' among its replicas (2)"),
            (all_three + ("A.TopicManager",), "`A.TopicManager', which is not `A<id>.TopicManager'"),
            (all_three + ("B4.TopicManager",), "`B4.TopicManager', which is not"),
            (all_three + ("A4.Manager",), "`A4.Manager', which is not"),
            (all_three + ("A99999999999.TopicManager",), "which is not"),
            (all_three + ("A03.TopicManager",), "two replicas of `A/TopicManager' have the id 3"),
            (("A01.TopicManager",) + all_three[1:], "replica 1 of `A/TopicManager' has the adapter `A01.TopicManager'"),
            (["A%d.TopicManager" % n for n in range(1, 19)], "more than 16 replicas")):
        deployed(admin, *ids)
        refused(d, replica(d), words, text)
    deployed(admin, *all_three, object="B/TopicManager")
    refused(d, replica(d), words, "`A/TopicManager' has no adapter")
    # Found, but the locator has never heard of the adapter that the node listens at.
    deployed(admin, *all_three)
    d.daemons["Master"].stop()
    d.start_registry(IceGrid__Registry__DynamicRegistration="0")
    refused(d, replica(d), "A1.Node: cannot activate the adapter", "`A1.Node'")
    alone = {k: v for k, v in replica(d).items() if "Node" not in k}
    refused(d, dict(alone, **{"A1.TopicManager.AdapterId": "X"}), "A1.TopicManager: cannot activate", "`X'")


def locator_away(d):
    begin = time.monotonic()
    refused(d, replica(d), "A1: the locator does not tell the replicas of `A/TopicManager'", "start the registry",
            "`A1.Nodes.<id>'")
    check(8 < time.monotonic() - begin < 25, "%.1f s" % (time.monotonic() - begin))


def locator_silent(d):
    """It accepts and says nothing. Meanwhile a signal ends the process."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        locator = "Demo/Locator:tcp -h 127.0.0.1 -p %d" % s.getsockname()[1]
        begin = time.monotonic()
        refused(d, replica(d, Ice__Default__Locator=locator), "does not tell the replicas")
        check(8 < time.monotonic() - begin < 25, "%.1f s" % (time.monotonic() - begin))
        storm = d.start("ended", "storm", replica(d, Ice__Default__Locator=locator), None)
        s.settimeout(30)
        s.accept()
        s.accept()  # the second process's
        storm.signal(signal.SIGTERM)
        check(storm.await_exit() == -signal.SIGTERM, "it ends by the signal; %s" % storm.stderr())


def locator_late(d):
    """A registry that comes when it has been looked for in vain."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", d.port("Master.Client")))
        s.listen()
        s.settimeout(30)
        storm = d.start("refused", "storm", replica(d), None)
        s.accept()[0].close()
    d.start_registry()
    check(storm.await_exit() == 1 and "among its replicas (0)" in storm.stderr(), storm.stderr())


# ---- groups

def mixed(d):
    """One replica in icebox, two of ours, in one deployment."""
    with Grid("moulin", "zeroc") as g:
        g.deploy_replicas(strangers=(2,))
        check(g.tool("A", "create a").returncode == 0, "a topic on a cold start")
        check(g.await_group() == 3, "3 leads")
        for i in IDS:
            check(sorted(g.manager("A", i).retrieveAll()) == ["a"], "at %d" % i)
        g.kill("A3")
        g.await_group()
        check(g.tool("A", "create b").stderr == "", "another")
        for i in IDS:
            check(sorted(g.manager("A", i).retrieveAll()) == ["a", "b"], "at %d" % i)


def without_registry(d):
    """Who knows the others needs no locator: updates and events go on when it is gone."""
    with Grid("moulin") as g:
        g.deploy_replicas()
        g.tool("A", "create a")
        g.await_group()
        direct = []
        for i in IDS:
            endpoints = g.locator_proxy(g.client).findAdapterById("A%d.TopicManager" % i).ice_getEndpoints()
            direct.append(g.manager("A", i).ice_adapterId("").ice_endpoints(endpoints))
        g.daemons["Master"].kill()
        for n, m in enumerate(direct):
            IceStorm.TopicManagerPrx.uncheckedCast(m).create("b%d" % n)
        for m in direct:
            names = sorted(IceStorm.TopicManagerPrx.uncheckedCast(m).retrieveAll())
            check(names == ["a", "b0", "b1", "b2"], names)


def documented(d):
    """The XML of docs/storm.md, with one node in place of three."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../docs/storm.md")) as f:
        text = re.search(r"```xml\n(.*?)```", f.read(), re.S).group(1)
    with Grid("moulin") as g:
        text = re.sub(r"node[23]\"", "node1\"", text).replace(
            'exe="moulin"', 'exe="/usr/bin/python3" user="%s"' % USER).replace(
            "<option>storm", "<option>%s</option><option>%s</option><option>storm" % (WATCHED, MOULIN))
        with open(g.path("topics.xml"), "w") as f:
            f.write(text)
        run = subprocess.run(["icegridadmin", "--Ice.Default.Locator=" + g.locator(), "-u", "a", "-p", "b", "-e",
                              "application add " + g.path("topics.xml")], capture_output=True, text=True, timeout=60)
        check(run.returncode == 0, run.stderr)
        check(g.tool("Topics", "create a").stderr == "", "a topic")
        check(g.await_group("Topics") == 3, "3 leads")
        topic = str(g.manager("Topics").retrieve("a"))
        check(topic == "Topics/topic.a -t -e 1.1 @ Topics.TopicManager", topic)


CASES = [documented, boxes_refused, boxes, deployments_refused, locator_away, locator_silent, locator_late, mixed, without_registry]
