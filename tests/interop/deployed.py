#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""deployed.py [OPTION...] --Ice.Config=FILE: a server that a node starts. Its adapters are those --adapter names; each
holds the same object under every identity. Options: --adapter=NAME (more than one), --delay=SECONDS before the adapters
are activated, --deaf (does not stop when it is told to), --exit=STATUS (at once)."""

import os
import select
import signal
import sys
import threading
import time

import Ice


def option(name):
    return [a.split("=", 1)[1] for a in sys.argv[1:] if a.startswith("--%s=" % name)]


def end_with_the_node():
    """Whatever happens to the node, nothing is left behind when a test is over."""
    parent = select.poll()
    parent.register(os.pidfd_open(os.getppid()), select.POLLIN)
    parent.poll()
    os._exit(1)


def main():
    threading.Thread(target=end_with_the_node, daemon=True).start()
    for status in option("exit"):
        sys.exit(int(status))
    if "--deaf" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    communicator = Ice.initialize(sys.argv)
    for seconds in option("delay"):
        time.sleep(float(seconds))
    for name in option("adapter"):
        adapter = communicator.createObjectAdapter(name)
        adapter.addDefaultServant(Ice.Object(), "")
        adapter.activate()
    communicator.waitForShutdown()
    if "--deaf" in sys.argv:
        threading.Event().wait()
    communicator.destroy()


main()
