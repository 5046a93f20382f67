# SPDX-License-Identifier: Apache-2.0
"""ZeroC's JavaScript binding: a client in Node over tcp, one of Ice 3.6 too, and one in a real browser over ws and wss."""

from lib import javascript
from lib.deployment import Deployment
from lib.probe import Server


def door(flavour, transport):
    d = Deployment(flavour, transport)
    d.extras["server"] = Server(d)
    # A browser has no client certificate, and none is asked for.
    d.start_router(registries=(), Glacier2__PermissionsVerifier=None, Glacier2__CryptPasswords=d.password_file(),
                   **({"IceSSL__VerifyPeer": "0"} if transport == "wss" else {}))
    return d


def options(d):
    return {"router": d.router(), "finder": "Ice/RouterFinder:" + d.endpoint("router.Client"),
            "target": d.extras["server"].proxy_text,
            "properties": {"Ice.Default.InvocationTimeout": "20000", "Ice.RetryIntervals": "-1"}}


def node(d, r):
    for line in javascript.in_node(options(d)):
        r.lines.append(r.text(line))


SESSION_TIMEOUT = 2  # seconds


def old_door(flavour):
    d = Deployment(flavour, "tcp")
    d.extras["server"] = Server(d)
    d.start_router(registries=(), Glacier2__PermissionsVerifier=None, Glacier2__CryptPasswords=d.password_file(),
                   Glacier2__SessionTimeout=str(SESSION_TIMEOUT))
    return d


def old_node(d, r):
    for line in javascript.in_node(dict(options(d), timeout=SESSION_TIMEOUT), "client36.js"):
        r.lines.append(r.text(line))


def browser(d, r):
    ca = d.path("certs", "ca.pem") if d.transport == "wss" else None
    for line in javascript.in_browser(options(d), d.directory, ca):
        r.lines.append(r.text(line))


def plan():
    yield "tcp", lambda f: door(f, "tcp"), [node]
    yield "3.6", old_door, [old_node]
    for transport in ("ws", "wss"):
        yield transport, lambda f, t=transport: door(f, t), [browser]
