#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows every definition of cases.py to ZeroC's registry and writes down what it makes of it: definitions.json and
updates.json. Needs icegridregistry, icegridnode and the Python binding; all on loopback, in /tmp/moulin-record.
usage: record.py [PORT]"""
import contextlib
import glob
import itertools
import json
import os
import shutil
import subprocess
import sys
import time

import Ice
import IceGrid

import cases

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = sys.argv[1] if len(sys.argv) > 1 else "14071"
LOCATOR = "Rec/Locator:tcp -h 127.0.0.1 -p " + PORT


class Catch(Ice.Blobject):
    """Keeps the bytes of what it is asked."""

    def __init__(self):
        self.last = {}

    def ice_invoke(self, params, current):
        self.last[current.operation] = bytes(params)
        return True, bytes()


class Recorder:
    def __init__(self, folder):
        self.folder = folder
        self.ic = Ice.initialize(["record", "--Ice.Default.Locator=" + LOCATOR])
        deadline = time.time() + 20
        while True:
            try:
                registry = IceGrid.RegistryPrx.checkedCast(self.ic.stringToProxy("Rec/Registry"))
                self.session = registry.createAdminSession("me", "")
                break
            except Ice.LocalException:
                if time.time() > deadline:
                    raise
                time.sleep(0.1)
        self.admin = self.session.getAdmin()
        while "up" not in self.admin.getAllNodeNames() or not self.admin.pingNode("up"):
            time.sleep(0.1)
        adapter = self.ic.createObjectAdapterWithEndpoints("Rec", "tcp -h 127.0.0.1")
        self.encoder, self.observer = Catch(), Catch()
        self.local = IceGrid.AdminPrx.uncheckedCast(adapter.addWithUUID(self.encoder))
        observer = IceGrid.ApplicationObserverPrx.uncheckedCast(adapter.addWithUUID(self.observer))
        adapter.activate()
        self.session.setObservers(None, None, observer, None, None)

    def encode(self, op, *args):
        try:
            getattr(self.local, op)(*args)
        except Ice.UnmarshalOutOfBoundsException:
            pass  # the empty answer is no result
        return self.encoder.last[op]

    def raw(self, op, *args):
        ok, out = self.admin.ice_invoke(op, Ice.OperationMode.Idempotent, self.encode(op, *args))
        assert ok, (op, args)
        return out.hex()

    def change(self, op, argument):
        self.session.startUpdate()
        try:
            getattr(self.admin, op)(argument)
            return None
        except IceGrid.DeploymentException as e:
            return e.reason
        finally:
            self.session.finishUpdate()

    def clear(self):
        for name in self.admin.getAllApplicationNames():
            self.session.startUpdate()
            self.admin.removeApplication(name)
            self.session.finishUpdate()

    def files(self):
        found = {}
        for path in sorted(glob.glob(self.folder + "/node/servers/*/config/config*")):
            with open(path, encoding="utf-8") as f:
                lines = f.read().split("\n")[2:]
            name = os.path.basename(path)
            found[name] = "\n".join(line for line in lines if not line.startswith("Ice.Default.Locator="))
        return found

    def definition(self, name, app, files):
        case = {"name": name, "in": self.encode("addApplication", app).hex(), "error": self.change("addApplication", app)}
        if case["error"] is None:
            case["servers"] = {id: self.raw("getServerInfo", id) for id in self.admin.getAllServerIds()}
            if files:
                case["files"] = self.files()
        self.clear()
        return case

    def update(self, name, app, change, quiet=False):
        sync = isinstance(change, IceGrid.ApplicationDescriptor)
        op = "syncApplication" if sync else "updateApplication"
        if quiet:
            op += "WithoutRestart"
        case = {"name": name, "add": self.encode("addApplication", app).hex(), "sync": sync, "quiet": quiet, "in": self.encode(op, change).hex()}
        assert self.change("addApplication", app) is None, name
        self.observer.last.clear()
        case["error"] = self.change(op, change)
        if case["error"] is None:
            case["info"] = self.raw("getApplicationInfo", "App")
            deadline = time.time() + 10
            while "applicationUpdated" not in self.observer.last and time.time() < deadline:
                time.sleep(0.01)
            case["event"] = self.observer.last["applicationUpdated"].hex()
        self.clear()
        return case


def main():
    with contextlib.ExitStack() as stack:
        folder = "/tmp/moulin-record"  # the data shows it: the same at every run
        os.mkdir(folder)
        stack.callback(shutil.rmtree, folder)
        os.mkdir(folder + "/reg")
        os.mkdir(folder + "/node")
        common = ["--Ice.Default.Host=127.0.0.1"]
        registry = subprocess.Popen(["icegridregistry", "--nowarn", "--IceGrid.InstanceName=Rec", "--IceGrid.Registry.LMDB.Path=" + folder +
                                     "/reg", "--IceGrid.Registry.Client.Endpoints=tcp -h 127.0.0.1 -p " + PORT,
                                     "--IceGrid.Registry.Server.Endpoints=tcp", "--IceGrid.Registry.Internal.Endpoints=tcp",
                                     "--IceGrid.Registry.AdminPermissionsVerifier=Rec/NullPermissionsVerifier"] + common)
        node = subprocess.Popen(["icegridnode", "--nowarn", "--Ice.Default.Locator=" + LOCATOR, "--IceGrid.Node.Name=up",
                                 "--IceGrid.Node.Endpoints=tcp", "--IceGrid.Node.Data=" + folder + "/node"] + common)
        try:
            r = Recorder(folder)
            info = r.admin.getNodeInfo("up")
            up = {k: getattr(info, k) for k in ("os", "hostname", "release", "version", "machine", "dataDir")}
            plain = itertools.chain(cases.variables(), cases.servers(), cases.adapters(), cases.groups(), cases.sets(),
                                    cases.templates(), cases.applications())
            definitions = [r.definition(n, a, False) for n, a in plain] + [r.definition(n, a, True) for n, a in cases.files()]
            updates = [r.update(*u) for u in cases.updates()] + [r.update(*u, quiet=True) for u in cases.without_restart()]
            r.ic.destroy()
        finally:
            for p in (node, registry):
                p.terminate()
                p.wait()
    for name, content in (("definitions.json", {"up": up, "cases": definitions}), ("updates.json", {"cases": updates})):
        with open(os.path.join(HERE, name), "w", encoding="utf-8") as f:
            json.dump(content, f, indent=1)
            f.write("\n")
    print(len(definitions), "definitions,", len(updates), "updates")


main()
