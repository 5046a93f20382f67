# SPDX-License-Identifier: Apache-2.0
"""The JavaScript client: ZeroC's npm package in Node, and the same scenario in a headless browser.

The package is installed from the lock file (version and hash) into the build directory, once per lock file; without it the
test fails.
"""

import fcntl
import http.server
import json
import os
import shutil
import signal
import subprocess
import threading

from .deployment import DATA, MOULIN
from .process import Failure, die_with_parent

SOURCES = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "js"))
LIMIT = 60  # seconds a client may take; the slowest seen took three


def _run(argv, **more):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", **more)
    if done.returncode:
        raise Failure("%s ended with status %d:\n%s" % (" ".join(argv), done.returncode, done.stdout))


def prepare():
    """The directory with node_modules/ice and Probe.js, filled when the lock file is another one than last time."""
    directory = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(MOULIN))), "interop-js")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _run(["slice2js", "--output-dir", directory, os.path.join(DATA, "Probe.ice")])
        installed = os.path.join(directory, "installed.json")
        with open(os.path.join(SOURCES, "package-lock.json")) as f:
            wanted = f.read()
        if not os.path.exists(installed) or open(installed).read() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(os.path.join(SOURCES, name), directory)
            _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-timeout=20000",
                  "--fetch-retries=1"], cwd=directory)
            with open(installed, "w") as f:
                f.write(wanted)
    return directory


def in_node(options, client="client.js"):
    """The lines that a client recorded in Node."""
    directory = prepare()
    path = os.pathsep.join([directory, os.path.join(directory, "node_modules")])
    try:
        done = subprocess.run(["node", os.path.join(SOURCES, client), json.dumps(options)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=LIMIT,
                              env=dict(os.environ, NODE_PATH=path), preexec_fn=die_with_parent)
    except subprocess.TimeoutExpired as e:
        raise Failure("node was not ready after %d s: %s" % (LIMIT, e.stderr))
    if done.returncode:
        raise Failure("node ended with status %d:\n%s%s" % (done.returncode, done.stdout, done.stderr))
    return json.loads(done.stdout)


class Site(http.server.ThreadingHTTPServer):
    """The page, its scripts and its options, on a port of 127.0.0.1; `record` is what the page posts."""

    def __init__(self, options):
        super().__init__(("127.0.0.1", 0), Page)
        directory = prepare()
        library = os.path.join(directory, "node_modules", "ice", "lib")
        self.files = {"/": os.path.join(SOURCES, "page.html"), "/scenario.js": os.path.join(SOURCES, "scenario.js"),
                      "/Probe.js": os.path.join(directory, "Probe.js"),
                      "/ice/Ice.min.js": os.path.join(library, "Ice.min.js"),
                      "/ice/Glacier2.min.js": os.path.join(library, "Glacier2.min.js")}
        self.options = options
        self.record = None
        self.recorded = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/options":
            body, kind = json.dumps(self.server.options).encode(), "application/json"
        elif self.path in self.server.files:
            with open(self.server.files[self.path], "rb") as f:
                body = f.read()
            kind = "text/html" if self.path == "/" else "text/javascript"
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind + "; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.server.record = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.recorded.set()

    def log_message(self, *arguments):
        pass


def trust(directory, ca):
    """A home in `directory` whose browsers trust `ca`, and nobody else's certificates of ours."""
    database = os.path.join(directory, ".pki", "nssdb")
    os.makedirs(database)
    _run(["certutil", "-d", "sql:" + database, "-N", "--empty-password"])
    _run(["certutil", "-d", "sql:" + database, "-A", "-t", "C,,", "-n", "ca", "-i", ca])


def in_browser(options, directory, ca):
    """The lines that the scenario recorded in a headless Chromium with a profile of its own in `directory`, which trusts
    the CA of the file `ca` (None: no other than the system's)."""
    if ca:
        trust(directory, ca)
    site = Site(options)
    log = os.path.join(directory, "chromium.err")
    profile = os.path.join(directory, "chromium-profile")
    argv = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-default-apps", "--disable-extensions", "--no-proxy-server",
            "--user-data-dir=" + profile, "--remote-debugging-port=0", "http://127.0.0.1:%d/" % site.server_address[1]]
    with open(log, "wb") as err:
        browser = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=err, stderr=err, start_new_session=True,
                                   env=dict(os.environ, HOME=directory), preexec_fn=die_with_parent)
    try:
        if not site.recorded.wait(LIMIT):
            with open(log, errors="replace") as f:
                raise Failure("the page said nothing within %d s; the browser:\n%s" % (LIMIT, f.read()[-4000:]))
        return site.record
    finally:
        os.killpg(browser.pid, signal.SIGKILL)  # the group that start_new_session made: the browser and its helpers
        browser.wait()
        site.close()
