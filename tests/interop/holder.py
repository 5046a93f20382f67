#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""holder.py CONFIG REGISTRY IDENTITY: a client that allocates an object, says so, and stays until it is killed."""

import sys
import threading

import Ice
import IceGrid

communicator = Ice.initialize(["--Ice.Config=" + sys.argv[1]])
registry = IceGrid.RegistryPrx.uncheckedCast(communicator.stringToProxy(sys.argv[2]))
session = registry.createSession("holder", "x")
session.allocateObjectById(Ice.stringToIdentity(sys.argv[3]))
print("holding", flush=True)
threading.Event().wait()
