# SPDX-License-Identifier: Apache-2.0
"""What cannot start says so in one line on stderr (what, where), ends with status 1, and loses nothing."""

import os
import re
import shutil
import socket
import subprocess

from lib import descriptors as dd
from lib.deployment import MOULIN, command

from . import check


def refuses(d, name, role, properties, *words, options=(), lines=1):
    """Start it; it must end with status 1 and its stderr name every word, in `lines` lines (None: any number)."""
    daemon = d.start(name, role, properties, None, options)
    status = daemon.await_exit()
    said = daemon.stderr().strip()
    check(status == 1, "exit status %s of %s; it said:\n%s" % (status, name, said))
    for word in words:
        check(word in said, "`%s' is not in what %s said:\n%s" % (word, name, said))
    check("Sanitizer" not in said, said)
    if lines and d.flavour == "moulin":
        check(len(said.splitlines()) == lines, "%d line(s) expected:\n%s" % (lines, said))
    check("Client ready" not in daemon.stdout(), "%s printed a ready line: %s" % (name, daemon.stdout()))


def gateway_properties(d, **more):
    properties = {"Glacier2.InstanceName": "Gate", "Glacier2.Client.Endpoints": d.endpoint("router.Client"),
                  "Glacier2.Server.Endpoints": d.endpoint("router.Server"),
                  "Glacier2.PermissionsVerifier": "Gate/NullPermissionsVerifier"}
    properties.update({k.replace("__", "."): v for k, v in more.items()})
    return {k: v for k, v in properties.items() if v is not None}


def missing_properties(d):
    for name in ("Client", "Server", "Internal"):
        key = "IceGrid.Registry.%s.Endpoints" % name
        refuses(d, "no-" + name, "registry", d.registry_properties(**{key.replace(".", "__"): None}), key)
    refuses(d, "no-path", "registry", d.registry_properties(IceGrid__Registry__LMDB__Path=None),
            "IceGrid.Registry.LMDB.Path")
    refuses(d, "no-locator", "registry", d.registry_properties("Replica1", Ice__Default__Locator=None),
            "Ice.Default.Locator")
    refuses(d, "no-client", "gateway", gateway_properties(d, Glacier2__Client__Endpoints=None), "Glacier2.Client.Endpoints")
    refuses(d, "no-verifier", "gateway", gateway_properties(d, Glacier2__PermissionsVerifier=None), "verifier")


def malformed_properties(d):
    for value in ("nonsense -p 1", "tcp -p", "tcp -h 127.0.0.1 -p 70000", "tcp -h 127.0.0.1 -p x"):
        refuses(d, "endpoint", "registry", d.registry_properties(IceGrid__Registry__Client__Endpoints=value),
                value.split()[0])
    refuses(d, "passwords", "registry", d.registry_properties(
        IceGrid__Registry__PermissionsVerifier=None, IceGrid__Registry__CryptPasswords="/nowhere/passwords"),
        "/nowhere/passwords", lines=None)
    refuses(d, "gateway-passwords", "gateway", gateway_properties(
        d, Glacier2__PermissionsVerifier=None, Glacier2__CryptPasswords="/nowhere/passwords"), "/nowhere/passwords",
        lines=None)
    refuses(d, "gateway-verifier", "gateway", gateway_properties(d, Glacier2__PermissionsVerifier="not a proxy:"),
            "not a proxy", lines=None)


def absent_verifier(d):
    """A remote verifier that cannot be reached: ends the start of ours; with the property, as of ZeroC's, only a warning."""
    proxy = "verifier:" + d.endpoint("verifier")
    located = {"IceGrid__Registry__PermissionsVerifier": "nobody"}
    ready = {"gateway": "Glacier2.Server ready", "registry": "IceGrid.Registry.Client ready"}
    for key in ("PermissionsVerifier", "SSLPermissionsVerifier"):
        gate = gateway_properties(d, **{"Glacier2__" + key: proxy})
        registry = d.registry_properties(**{"IceGrid__Registry__Admin" + key: proxy})
        if d.flavour == "moulin":
            words = (proxy, key, "refused", "Moulin.VerifierOptional")
            refuses(d, "gate", "gateway", gate, *words)
            refuses(d, "registry", "registry", registry, *words)
        more = {"Moulin.VerifierOptional": "1"} if d.flavour == "moulin" else {}
        for name, role, properties in (("gate", "gateway", gate), ("registry", "registry", registry)):
            daemon = d.start(name, role, dict(properties, **more), ready[role])
            daemon.stop()
    # One without endpoints may be registered with the very registry that asks for it.
    d.start("located", "registry", d.registry_properties(**located), ready["registry"]).stop()


def strict_gateway(d):
    """ZeroC's router warns of these, or opens a door; the text has file and line, and what to do."""
    if d.flavour != "moulin":
        return
    for key, value, word in (("Glacier2.Filter.Adress.Accept", "127.0.0.1", "did you mean `Glacier2.Filter.Address.Accept'"),
                             ("Glacier2.AllowCategories", "a", "use Glacier2.Filter.Category.Accept"),
                             ("Glacier2.Filter.Address.Reject", "10.0.0.[", "unclosed group"),
                             ("Glacier2.Filter.Category.Accept", "'a", "quote"),
                             ("Glacier2.SessionManager.EndpointSelection", "foo", "`Random' or `Ordered'"),
                             ("Glacier2.SessionManager", "m:tcp -p", "Glacier2.SessionManager"),
                             ("Glacier2.Server.PublishedEndpoints", "tcp -q", "Glacier2.Server.PublishedEndpoints"),
                             ("Moulin.Gateway.Server.Queue.Overflow", "explode", "give fail, drop, disconnect or hold"),
                             ("Moulin.Gatewy.HideErrors", "1", "unknown property Moulin.Gatewy.HideErrors"),
                             ("Moulin.Workers", "65", "from 1 to 64"),
                             ("IceSSL.VerifyPeer", "3", "from 0 to 2"),
                             ("IceSSL.RevocationCheck", "-1", "from 0 to 2"),
                             ("IceSSL.TrustOnly", "junk", "malformed"),
                             ("Glacier2.Client.Buffered", "2", "from 0 to 1")):
        tls = {"Ice__Plugin__IceSSL": "IceSSL:createIceSSL"} if key.startswith("IceSSL") else {}
        refuses(d, "strict", "gateway", gateway_properties(d, **{key.replace(".", "__"): value}, **tls), word, "strict.cfg:",
                lines=None if "`Glacier2" in word or "use" in word or "unknown" in word else 1)  # names are warned of first, as Ice does


def documented_properties(d):
    """Every name of the table in docs/gateway.md is known, with the default the table tells."""
    if d.flavour != "moulin":
        return
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../docs/gateway.md")) as f:
        rows = re.findall(r"^\| `(Moulin\.[A-Za-z.]+)` \| `?([^|`]*)`? \|", f.read().split("\n## Its own properties\n")[1], re.M)
    check(len(rows) > 25, rows)
    for name, default in rows:
        known = subprocess.run([MOULIN, "gateway", "--%s=x" % name], capture_output=True, text=True, timeout=30).stderr
        check("unknown property" not in known, known)
    settings = {name: default for name, default in rows if default not in ("", "none", "one a processor")}
    d.start("documented", "gateway", dict(gateway_properties(d), **settings), "Glacier2.Server ready").stop()


def options(d):
    refuses(d, "option", "registry", d.registry_properties(), "--bogus", options=["--bogus"], lines=None)
    refuses(d, "argument", "registry", d.registry_properties(), "too many arguments", options=["extra"], lines=None)
    refuses(d, "gateway-option", "gateway", gateway_properties(d), "--bogus", options=["--bogus"], lines=None)
    refuses(d, "gateway-argument", "gateway", gateway_properties(d), "too many arguments", options=["extra"], lines=None)
    for role in ("registry", "gateway"):
        argv = command(d.flavour, role)
        done = subprocess.run(argv + ["--Ice.Config=/nowhere.cfg"], capture_output=True, text=True, timeout=30)
        check(done.returncode == 1 and "/nowhere.cfg" in done.stderr, "%s: %s" % (done.returncode, done.stderr))
        for option in ("--help", "--version"):
            done = subprocess.run(argv + [option], capture_output=True, text=True, timeout=30)
            check(done.returncode == 0 and done.stdout + done.stderr, "%s %s: %s" % (role, option, done))


def unknown_role(d):
    if d.flavour != "moulin":
        return
    for argv in ([MOULIN, "nonsense"], [MOULIN]):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
        check(done.returncode == 1, "%s: exit status %d" % (argv, done.returncode))
        check(done.stderr, "%s says nothing" % argv)
    for option in ("--help", "--version"):
        done = subprocess.run([MOULIN, option], capture_output=True, text=True, timeout=30)
        check(done.returncode == 0 and done.stdout + done.stderr, "%s: %s" % (option, done))


def port_in_use(d):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        taken = "tcp -h 127.0.0.1 -p %d" % port
        words = ("in use",) if d.flavour == "zeroc" else ("in use", str(port))
        refuses(d, "router", "gateway", gateway_properties(d, Glacier2__Client__Endpoints=taken), *words)
        refuses(d, "router", "gateway", gateway_properties(d, Glacier2__Server__Endpoints=taken), *words)
        refuses(d, "registry", "registry", d.registry_properties(IceGrid__Registry__Server__Endpoints=taken), *words)
    d.start_registry()
    d.start_router()


def certificates(d):
    """A certificate, key or CA that is missing, not PEM, or does not fit."""
    with open(d.path("certs", "rubbish.pem"), "w") as f:
        f.write("no certificate\n")
    shutil.copy(d.path("certs", "bob.key"), d.path("certs", "other.key"))
    for key, value in (("IceSSL.CertFile", "nowhere.pem"), ("IceSSL.CertFile", "rubbish.pem"),
                       ("IceSSL.KeyFile", "nowhere.key"), ("IceSSL.KeyFile", "other.key"),
                       ("IceSSL.CAs", "nowhere.pem"), ("IceSSL.CAs", "rubbish.pem")):
        words = () if d.flavour == "zeroc" else (value,)
        # Named in the properties of the role, so that it wins over the deployment's own.
        refuses(d, "router", "gateway", gateway_properties(d, **{key.replace(".", "__"): value}), *words)
        refuses(d, "registry", "registry", d.registry_properties(**{key.replace(".", "__"): value}), *words)


certificates.transport = ("ssl",)


def one_database_two_processes(d):
    d.start_registry()
    session, admin = d.admin(d.communicator())
    admin.addApplication(dd.pool("Pool", 1))
    second = d.registry_properties()
    for adapter in ("Client", "Server", "Internal", "SessionManager", "AdminSessionManager"):
        second["IceGrid.Registry.%s.Endpoints" % adapter] = d.endpoint("second." + adapter)
    refuses(d, "second", "registry", second, d.path("db-Master") if d.flavour == "moulin" else "lock")
    check(admin.getAllApplicationNames() == ["Pool"], "the first registry suffers")
    refuses(d, "third", "registry", d.registry_properties(), lines=None)
    check(admin.getAllApplicationNames() == ["Pool"], "the first registry suffers")
    d.daemons["Master"].kill()
    d.start_registry()
    session, admin = d.admin(d.communicator())
    check(admin.getAllApplicationNames() == ["Pool"], "the database suffers")


def damaged_database(d):
    """Rubbish where the data was: refused with a line, and left alone for whoever repairs it."""
    d.start_registry()
    session, admin = d.admin(d.communicator())
    admin.addApplication(dd.pool("Pool", 1))
    d.daemons["Master"].stop()
    path = d.path("db-Master", "data.mdb")
    good = open(path, "rb").read()
    for damaged in (b"no database at all" * 4000, good[:100], b"\0" * len(good), good[:40] + b"\xff" * 64 + good[104:]):
        with open(path, "wb") as f:
            f.write(damaged)
        if damaged != good:
            words = (d.path("db-Master"),) if d.flavour == "moulin" else ()
            refuses(d, "Master", "registry", d.registry_properties(), *words)
            check(open(path, "rb").read()[:len(damaged)] == damaged, "the damaged file was changed")
    with open(path, "wb") as f:
        f.write(good)
    d.start_registry()
    session, admin = d.admin(d.communicator())
    check(admin.getAllApplicationNames() == ["Pool"], "the repaired database lost its application")


def no_directory(d):
    """A database directory that is a file, or below one."""
    path = d.path("file")
    open(path, "w").close()
    for directory in (path, os.path.join(path, "db")):
        words = ("IceGrid.Registry.LMDB.Path",) if d.flavour == "zeroc" else (directory,)
        refuses(d, "registry", "registry", d.registry_properties(IceGrid__Registry__LMDB__Path=directory), *words)


CASES = [missing_properties, malformed_properties, strict_gateway, documented_properties, absent_verifier, options, unknown_role, port_in_use,
         certificates, one_database_two_processes, damaged_database, no_directory]
