#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lets ZeroC's icegridadmin read every descriptor here and writes down what it sends to a registry, or what it says:
descriptors.json. The registry is a stand-in that keeps the bytes; its default templates are those of base.xml.
usage: record.py [PORT]"""
import glob
import json
import os
import subprocess
import sys

import Ice
import Glacier2
import IceGrid

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = sys.argv[1] if len(sys.argv) > 1 else "14081"
LOCATOR = "Rec/Locator:tcp -h 127.0.0.1 -p " + PORT


class Admin(Ice.Blobject):
    def __init__(self):
        self.added = self.defaults = None

    def ice_invoke(self, params, current):
        if current.operation == "addApplication":
            self.added = bytes(params)
            return True, bytes()
        if current.operation == "getDefaultApplicationDescriptor":
            return True, self.defaults  # parameters and results are encoded alike
        raise Ice.OperationNotExistException()


class Session(IceGrid.AdminSession):
    def __init__(self, admin):
        self.admin = admin

    def keepAlive(self, current):
        pass

    def getAdmin(self, current):
        return self.admin

    def startUpdate(self, current):
        return 0

    def finishUpdate(self, current):
        pass

    def destroy(self, current):
        pass


class Registry(IceGrid.Registry):
    def __init__(self, session):
        self.session = session

    def createAdminSession(self, user, password, current):
        return self.session

    def getACMTimeout(self, current):
        return 60

    def getSessionTimeout(self, current):
        return 60


class Locator(IceGrid.Locator):
    def getLocalRegistry(self, current):
        return self.registry

    def findObjectById(self, id, current):
        return self.registry


def main():
    ic = Ice.initialize(["record", "--Ice.Warn.Dispatch=0"])
    adapter = ic.createObjectAdapterWithEndpoints("Rec", "tcp -h 127.0.0.1 -p " + PORT)
    admin, locator = Admin(), Locator()
    prx = IceGrid.AdminPrx.uncheckedCast(adapter.addWithUUID(admin))
    session = IceGrid.AdminSessionPrx.uncheckedCast(adapter.addWithUUID(Session(prx)))
    locator.registry = IceGrid.RegistryPrx.uncheckedCast(adapter.add(Registry(session), Ice.stringToIdentity("Rec/Registry")))
    adapter.add(locator, Ice.stringToIdentity("Rec/Locator"))
    adapter.activate()
    runs = [(os.path.basename(path), [], []) for path in sorted(glob.glob(HERE + "/*.xml")) if "nested" not in path]
    runs += [("targets.xml", t, v) for t, v in (
        (["one"], []), (["debug"], []), (["App.n.s.debug", "App.one"], []), (["App.n.two"], []),
        (["n.s.debug"], []), (["extra", "deep"], []), ([], ["debug=9"]), (["one"], ["one=8", "new=7"]))]
    # its reader stumbles over a target inside one that is not selected
    runs += [("nested.xml", t, []) for t in (["two"], ["two", "App.n.inner"], ["two", "inner"])]
    cases = []
    for file, targets, variables in runs:
        admin.added = None
        words = " ".join('"%s"' % w for w in [HERE + "/" + file] + targets + variables)
        done = subprocess.run(["icegridadmin", "--Ice.Default.Locator=" + LOCATOR, "-u", "u", "-p", "p", "-e",
                               "application add -n " + words], capture_output=True, text=True, timeout=60, check=False)
        case = {"file": file, "targets": targets, "variables": variables}
        if admin.added:
            case["sent"] = admin.added.hex()
        else:
            case["said"] = done.stderr.replace(HERE + "/", "").strip()
        cases.append(case)
        if file == "base.xml":
            admin.defaults = admin.added
    ic.destroy()
    with open(os.path.join(HERE, "descriptors.json"), "w", encoding="utf-8") as f:
        json.dump({"cases": cases}, f, indent=1)
        f.write("\n")
    print(len(cases), "cases,", sum("sent" in c for c in cases), "sent")


main()
