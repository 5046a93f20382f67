# SPDX-License-Identifier: Apache-2.0
"""IceStorm as IceGrid deploys it: from the templates that come with ZeroC's registry, on ZeroC's node. For ours only the
program and its option are others. For both the user is set, so that nobody else has to reach the files of a test, and
the program started so that it does not outlive it."""

import os
import pwd
import re
import subprocess

from .bindings import Ice, IceGrid

from . import descriptors as dd
from .deployment import MOULIN, Deployment
from .process import Failure, wait_until

import IceStorm

TEMPLATES = "/usr/share/ice/templates.xml"
WATCHED = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lives_with_parent.py"))
USER = pwd.getpwuid(os.getuid()).pw_name
IDS = (1, 2, 3)
GROUPS = {"topic-manager-replica-group": "TMG", "publish-replica-group": "PubG"}


def pairs(**more):
    return [IceGrid.PropertyDescriptor(k.replace("__", "."), v) for k, v in more.items()]


class Grid(Deployment):
    def __init__(self, flavour, registry=None):
        super().__init__(flavour)
        self.start_registry(flavour=registry, IceGrid__Registry__DefaultTemplates=TEMPLATES)
        os.makedirs(self.path("output"))
        self.start_node(IceGrid__Node__Output=self.path("output"),
                        IceGrid__Node__PropertiesOverride="Ice.Default.Host=127.0.0.1 Ice.Admin.Endpoints='tcp -h 127.0.0.1'")
        self.session, self.grid = self.admin(self.communicator())
        self.await_node(self.grid)
        self.client = self.extras["client"] = self.communicator(Ice__Default__Locator=self.locator())

    def logs(self):
        text = super().logs()
        for name in sorted(os.listdir(self.path("output"))):
            with open(self.path("output", name), errors="replace") as f:
                text += "--- %s\n%s" % (name, f.read()[-4000:])
        return text

    # ---- what is deployed

    def templates(self, flavour):
        shipped = self.grid.getDefaultApplicationDescriptor()
        names = ("IceStorm", "IceStorm-HA")
        servers = {name: shipped.serverTemplates[name] for name in names}
        for template in servers.values():
            box = template.descriptor
            box.user = USER
            box.options = [WATCHED, MOULIN, "storm"] if flavour == "moulin" else [WATCHED, box.exe]
            box.exe = "/usr/bin/python3"
        return {"serverTemplates": servers, "serviceTemplates": {name: shipped.serviceTemplates[name] for name in names}}

    def deploy(self, name, instances, groups=(), flavour=None):
        """instances: (template, parameters, properties of its service)."""
        made = []
        for template, parameters, properties in instances:
            service = parameters["instance-name"] + parameters.get("node-id", "")
            named = {"%s.%s" % (service, k): v for k, v in properties.items()}
            made.append(IceGrid.ServerInstanceDescriptor(template, parameters, IceGrid.PropertySetDescriptor(), {
                service: IceGrid.PropertySetDescriptor(properties=pairs(**named))}))
        self.grid.addApplication(IceGrid.ApplicationDescriptor(
            name=name, replicaGroups=list(groups), nodes={"node1": IceGrid.NodeDescriptor(serverInstances=made)},
            **self.templates(flavour or self.flavour)))

    def deploy_alone(self, instance="Solo"):
        self.deploy("Alone", [("IceStorm", {"instance-name": instance}, {})])

    def deploy_replicas(self, instance="A", ids=IDS, strangers=()):
        """The strangers among the ids are ZeroC's; in an application of their own, because a template has one program."""
        fast = {"Election__%sTimeout" % t: "1" for t in ("Master", "Election", "Response")}
        manager = IceGrid.ObjectDescriptor(Ice.Identity("TopicManager", instance), "::IceStorm::TopicManager", "")
        made = {i: ("IceStorm-HA", dict(GROUPS, **{"instance-name": instance, "node-id": str(i)}), fast) for i in ids}
        self.deploy("Replicas", [made[i] for i in ids if i not in strangers],
                    [dd.group("PubG"), dd.group("TMG", objects=[manager])])
        if strangers:
            self.deploy("Strangers", [made[i] for i in strangers], flavour="zeroc")

    # ---- what runs

    def manager(self, instance, i=None):
        """By its well-known name, or one replica's."""
        where = " @ %s%d.TopicManager" % (instance, i) if i else ""
        return IceStorm.TopicManagerPrx.uncheckedCast(self.client.stringToProxy(instance + "/TopicManager" + where))

    def tool(self, instance, commands):
        return subprocess.run(["icestormadmin", "--Ice.Default.Locator=" + self.locator(),
                               "--IceStormAdmin.TopicManager.Default=%s/TopicManager" % instance, "-e", commands],
                              capture_output=True, text=True, timeout=100)

    def coordinator(self, instance="A", ids=IDS):
        """Its id, if these are one active group."""
        text = self.tool(instance, "replica").stdout
        fields = [re.findall(r"(?m)^\d+: %s: *(\S+)" % f, text) for f in ("state", "coord", "group name")]
        good = fields[0] == ["normal"] * len(ids) and len(set(fields[1])) == 1 and len(set(fields[2])) == 1
        return int(fields[1][0]) if good and int(fields[1][0]) in ids else None

    def await_group(self, instance="A", ids=IDS):
        return wait_until(lambda: self.coordinator(instance, ids), lambda: "one group, but %s"
                          % self.tool(instance, "replica").stdout, 100)

    def kill(self, server):
        """kill -9; returns when the node has seen it."""
        pid = self.grid.getServerPid(server)
        if pid <= 0:
            raise Failure("%s does not run" % server)
        os.kill(pid, 9)
        wait_until(lambda: self.grid.getServerPid(server) != pid, "the node sees that %s is dead" % server)
