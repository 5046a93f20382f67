# SPDX-License-Identifier: Apache-2.0
"""Three replicas of one IceStorm service, each a process of its own: ZeroC's in IceBox, or ours."""

import os
import re
import subprocess

from .deployment import Deployment, command
from .process import Failure, wait_until

import IceStorm

IDS = (1, 2, 3)
FAST = {"Election__MasterTimeout": "1", "Election__ElectionTimeout": "1", "Election__ResponseTimeout": "1"}


class Group(Deployment):
    def __init__(self, flavour, ids=IDS, host=None, **settings):
        super().__init__(flavour)
        self.ids = ids
        self.host = host or (lambda i: "127.0.0.1")
        self.settings = dict(FAST, **settings)

    def of(self, i, adapter):
        return "tcp -h %s -p %d" % (self.host(i), self.port("%s%s" % (adapter, i)))

    def all(self, adapter, ids=None):
        return ":".join(self.of(i, adapter) for i in ids or self.ids)

    def launch(self, i, flavour=None, prefix=(), path=None, properties=None, **more):
        os.makedirs(path or self.path("db%d" % i), exist_ok=True)
        merged = {"NodeId": str(i), "LMDB__Path": path or self.path("db%d" % i),
                  "ReplicatedTopicManagerEndpoints": self.all("TopicManager"),
                  "ReplicatedPublishEndpoints": self.all("Publish")}
        merged.update({a + "__Endpoints": self.of(i, a) for a in ("TopicManager", "Publish", "Node")})
        merged.update({"Nodes__%d" % k: "IceStorm/node%d:%s" % (k, self.of(k, "Node")) for k in self.ids})
        merged.update(self.settings)
        merged.update(more)
        properties = dict(properties or {}, **{
            "IceStorm." + k.replace("__", "."): v for k, v in merged.items() if v is not None})
        ready = "IceStorm ready"
        if (flavour or self.flavour) == "zeroc":
            properties.update({"IceBox.InheritProperties": "1", "IceBox.PrintServicesReady": "topics",
                               "IceBox.Service.IceStorm": "IceStormService,37:createIceStorm"})
            ready = "topics ready"
        properties["Ice.Default.Host"] = self.host(i)
        return self.start("storm%d" % i, "storm", properties, ready, flavour=flavour, prefix=prefix)

    def start_all(self, ids=None, **more):
        for i in ids or self.ids:
            self.launch(i, **more)
        self.await_group(*(ids or self.ids))
        return self

    def daemon(self, i):
        return self.daemons["storm%d" % i]

    def tool(self, commands, ids=None, *options):
        manager = "IceStorm/TopicManager:" + self.all("TopicManager", ids)
        return subprocess.run(["icestormadmin", "--IceStormAdmin.TopicManager.Default=" + manager, "-e", commands, *options],
                              capture_output=True, text=True, timeout=120)

    def view(self, ids=None):
        """What `replica` prints: id → its fields; exceptions are left out."""
        nodes = {}
        for line in self.tool("replica", ids, "--Ice.Default.InvocationTimeout=3000").stdout.splitlines():
            m = re.match(r"(\d+): (id|coord|group name|state|group|max): *(.*)", line)
            if m:
                nodes.setdefault(int(m.group(1)), {})[m.group(2)] = m.group(3)
        return nodes

    def is_group(self, view, members):
        if not all(i in view and view[i].get("state") == "normal" for i in members):
            return None
        leaders = {view[i]["coord"] for i in members}
        names = {view[i]["group name"] for i in members}
        return int(leaders.pop()) if len(leaders) == 1 and len(names) == 1 else None

    def await_group(self, *members, timeout=60):
        """The coordinator's id, once these are one active group."""
        return wait_until(lambda: self.is_group(self.view(members), members), lambda: "one group of %s, but %s"
                          % (members, self.view(members)), timeout)

    def manager(self, *ids, timeout=None):
        c = self.extras.setdefault("client", self.communicator())
        prx = c.stringToProxy("IceStorm/TopicManager:" + self.all("TopicManager", ids or None))
        if timeout:
            prx = prx.ice_invocationTimeout(timeout)
        return IceStorm.TopicManagerPrx.uncheckedCast(prx)

    def names(self, i):
        return sorted(self.manager(i).retrieveAll())

    def stored(self, i):
        """What the disk of a replica of ours has, as `moulin storm export` tells it, while the replica runs or not."""
        out = self.path("export%d" % i)
        run = subprocess.run(command(self.flavour, "storm")[:1] + ["storm", "export", out, "--Ice.Config=" + self.path("storm%d.cfg" % i)],
                             capture_output=True, timeout=60)
        if run.returncode:
            raise Failure("export: %s" % run.stderr)
        with open(out, "rb") as f:
            return f.read()

    def await_names(self, wanted, *ids):
        for i in ids or self.ids:
            wait_until(lambda: self.names(i) == sorted(wanted), lambda: "topics %s at %d, not %s"
                       % (self.names(i), i, sorted(wanted)))


def normal(text):
    """Group names without what is random in them."""
    return re.sub(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f-]{27}", "<uuid>", text)
