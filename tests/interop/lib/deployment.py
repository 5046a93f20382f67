# SPDX-License-Identifier: Apache-2.0
"""Deployments: a master registry, a slave, a router in front of them, as ZeroC's daemons ("zeroc") or ours ("moulin").

Both flavours get the same property files; only the executable differs. A Deployment owns its directory, its ports, its
daemons and the communicators of its clients, and knows the names of its ports, so that results can be compared.
"""

import os
import shutil
import subprocess
import tempfile

from .bindings import Glacier2, Ice, IceGrid

from . import certificates
from .process import Daemon, Failure, free_port, wait_until

# The mixed ones have the named role from us and the other from ZeroC.
FLAVOURS = ("zeroc", "moulin", "moulin-gateway", "moulin-registry")
HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.normpath(os.path.join(HERE, "..", "..", "data"))
MOULIN = os.environ.get("MOULIN") or os.path.normpath(os.path.join(HERE, "../../../build/dev/moulin/moulin"))
PASSWORDS = {"alice": "wonderland", "bob": "builder"}


def command(flavour, role):
    """The argv that starts `role` ("registry", "gateway" or "storm")."""
    if flavour not in ("moulin", "moulin-" + role):
        return {"registry": ["icegridregistry", "--nowarn"], "gateway": ["glacier2router", "--nowarn"],
                "storm": ["icebox"]}[role]
    if not os.access(MOULIN, os.X_OK):
        raise Failure("no executable %s: build the preset dev, or name another one in the environment (MOULIN)" % MOULIN)
    return [MOULIN, role] + ([] if role == "storm" else ["--nowarn"])


class Deployment:
    def __init__(self, flavour, transport="tcp", instance="Demo"):
        self.flavour = flavour
        self.transport = transport
        self.instance = instance
        self.directory = tempfile.mkdtemp(prefix="moulin-" + flavour + "-")
        self.ports = {}
        self.daemons = {}
        self.communicators = []
        self.client_settings = {}  # of every communicator, as {"Ice.Name": value}: encoding and compression variants
        self.daemon_settings = {}  # of every daemon, likewise
        self.extras = {}  # what a script's setup made besides daemons
        self.on_close = []  # called first of all: what would keep a communicator from ending
        if transport in ("ssl", "wss"):
            certificates.make(self.path("certs"))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        for f in self.on_close:
            f()
        for c in self.communicators:
            c.destroy()
        for d in self.daemons.values():
            d.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def logs(self):
        """What the daemons said: printed when a case fails."""
        text = ""
        for name in sorted(os.listdir(self.directory)):
            if name.endswith((".out", ".err")):
                with open(self.path(name), errors="replace") as f:
                    content = f.read()
                if content.strip():
                    text += "--- %s (%s)\n%s" % (name, self.flavour, content[-6000:])
        return text

    # ---- addresses

    def port(self, name):
        if name not in self.ports:
            self.ports[name] = free_port()
        return self.ports[name]

    def endpoint(self, name):
        return "%s -h 127.0.0.1 -p %d" % (self.transport, self.port(name))

    def locator(self, *registries):
        names = registries or ("Master",)
        return "%s/Locator:%s" % (self.instance, ":".join(self.endpoint(n + ".Client") for n in names))

    def router(self, name="router"):
        return "Gate/router:" + self.endpoint(name + ".Client")

    # ---- daemons

    def tls_properties(self, who):
        if self.transport not in ("ssl", "wss"):
            return {}
        return {"Ice.Plugin.IceSSL": "IceSSL:createIceSSL", "IceSSL.DefaultDir": self.path("certs"),
                "IceSSL.CAs": "ca.pem", "IceSSL.CertFile": who + ".pem", "IceSSL.KeyFile": who + ".key",
                "IceSSL.VerifyPeer": "1"}

    def start(self, name, role, properties, ready, options=(), flavour=None, prefix=()):
        """Start a daemon with a property file made of `properties`; wait for its ready line (None: do not wait). It is of
        this deployment's flavour, or of another in a mixed one; prefix is a command that runs it."""
        merged = {"Ice.PrintAdapterReady": "1", "Ice.Default.Host": "127.0.0.1",
                  "Ice.Default.Protocol": self.transport, "Ice.ProgramName": role}
        merged.update(self.tls_properties("server"))
        merged.update(self.daemon_settings)
        if self.flavour == "moulin" and role == "gateway":
            merged["Moulin.Workers"] = os.environ.get("MOULIN_WORKERS", "2")
        merged.update(properties)
        config = self.path(name + ".cfg")
        with open(config, "w") as f:
            for key, value in merged.items():
                f.write("%s=%s\n" % (key, value))
        argv = list(prefix) + command(flavour or self.flavour, role) + list(options) + ["--Ice.Config=" + config]
        daemon = Daemon(name, argv, self.directory)
        self.daemons[name] = daemon
        if ready:
            daemon.await_line(ready)
        return daemon

    def registry_properties(self, replica="Master", **more):
        os.makedirs(self.path("db-" + replica), exist_ok=True)
        null = self.instance + "/NullPermissionsVerifier"
        null_ssl = self.instance + "/NullSSLPermissionsVerifier"
        properties = {
            "IceGrid.InstanceName": self.instance,
            "IceGrid.Registry.LMDB.Path": self.path("db-" + replica),
            "IceGrid.Registry.PermissionsVerifier": null, "IceGrid.Registry.AdminPermissionsVerifier": null,
            "IceGrid.Registry.SSLPermissionsVerifier": null_ssl, "IceGrid.Registry.AdminSSLPermissionsVerifier": null_ssl,
            "IceGrid.Registry.DynamicRegistration": "1", "IceGrid.Registry.Discovery.Enabled": "0",
            "IceGrid.Registry.ReplicaSessionTimeout": "10",
        }
        for adapter in ("Client", "Server", "Internal", "SessionManager", "AdminSessionManager"):
            properties["IceGrid.Registry.%s.Endpoints" % adapter] = self.endpoint(replica + "." + adapter)
        if replica != "Master":
            properties["IceGrid.Registry.ReplicaName"] = replica
            properties["Ice.Default.Locator"] = self.locator("Master")
        for key, value in more.items():
            properties[key.replace("__", ".")] = value
        return {k: v for k, v in properties.items() if v is not None}

    def start_registry(self, replica="Master", options=(), flavour=None, ready="IceGrid.Registry.AdminSessionManager ready",
                       prefix=(), **more):
        """Names in `more` have "__" for ".": IceGrid__Registry__SessionTimeout="10"; None takes a property away."""
        return self.start(replica, "registry", self.registry_properties(replica, **more), ready, options, flavour, prefix)

    def start_router(self, name="router", registries=("Master",), **more):
        properties = {
            "Glacier2.InstanceName": "Gate",
            "Glacier2.Client.Endpoints": self.endpoint(name + ".Client"),
            "Glacier2.Server.Endpoints": self.endpoint(name + ".Server"),
            "Glacier2.PermissionsVerifier": "Gate/NullPermissionsVerifier",
            "Glacier2.SSLPermissionsVerifier": "Gate/NullSSLPermissionsVerifier",
            "Glacier2.Client.ACM.Timeout": "30",
        }
        if registries:
            properties["Ice.Default.Locator"] = self.locator(*registries)
        for key, value in more.items():
            properties[key.replace("__", ".")] = value
        ready = "Glacier2.Server ready" if properties.get("Glacier2.Server.Endpoints") else "Glacier2.Client ready"
        return self.start(name, "gateway", {k: v for k, v in properties.items() if v is not None}, ready)

    def start_node(self, name="node1", registries=("Master",), ready=True, prefix=(), **more):
        """ZeroC's icegridnode, whoever the registries are from."""
        os.makedirs(self.path("node-" + name), exist_ok=True)
        properties = {
            "Ice.PrintAdapterReady": "1", "Ice.Default.Host": "127.0.0.1", "Ice.Default.Protocol": self.transport,
            "Ice.Default.Locator": self.locator(*registries), "IceGrid.InstanceName": self.instance,
            "IceGrid.Node.Name": name, "IceGrid.Node.Data": self.path("node-" + name),
            "IceGrid.Node.Endpoints": self.endpoint(name + ".Node"), "IceGrid.Node.AllowRunningServersAsRoot": "1",
        }
        properties.update(self.tls_properties("server"))
        properties.update({key.replace("__", "."): value for key, value in more.items()})
        config = self.path(name + ".cfg")
        with open(config, "w") as f:
            for key, value in properties.items():
                f.write("%s=%s\n" % (key, value))
        daemon = Daemon(name, list(prefix) + ["icegridnode", "--nowarn", "--Ice.Config=" + config], self.directory)
        self.daemons[name] = daemon
        if ready:
            daemon.await_line("IceGrid.Node ready")
        return daemon

    def await_node(self, admin, name="node1"):
        """Until the registry of that Admin object reaches the node."""
        wait_until(lambda: name in admin.getAllNodeNames() and admin.pingNode(name), "node %s" % name)

    def password_file(self):
        """Hashes of PASSWORDS (sha512-crypt by openssl, which needs no deprecated module)."""
        path = self.path("passwords")
        with open(path, "w") as f:
            for user, password in PASSWORDS.items():
                hashed = subprocess.run(["openssl", "passwd", "-6", "-salt", "moulintest", password],
                                        stdout=subprocess.PIPE, check=True, text=True).stdout
                f.write("%s %s" % (user, hashed))
        return path

    # ---- clients

    def communicator(self, who="alice", **more):
        """A client's communicator with this deployment's transport; "__" in names stands for "."."""
        init = Ice.InitializationData()
        init.properties = Ice.createProperties()
        settings = {"Ice.Default.Host": "127.0.0.1", "Ice.Warn.Connections": "0", "Ice.Warn.Dispatch": "0",
                    "Ice.Default.Protocol": self.transport, "Ice.ThreadPool.Server.Size": "4",
                    "Ice.RetryIntervals": "-1",
                    "Ice.Override.ConnectTimeout": "10000", "Ice.Default.InvocationTimeout": "60000"}
        if self.transport in ("ssl", "wss"):
            settings.update(self.tls_properties(who))
        settings.update(self.client_settings)
        settings.update({key.replace("__", "."): value for key, value in more.items()})
        for key, value in settings.items():
            init.properties.setProperty(key, value)
        c = Ice.initialize([], init)
        self.communicators.append(c)
        return c

    def drop(self, communicator):
        """Close a client as a whole: every connection of it goes away."""
        self.communicators.remove(communicator)
        communicator.destroy()

    def registry_proxy(self, communicator, replica="Master"):
        name = "Registry" if replica == "Master" else "Registry-" + replica
        text = "%s/%s:%s" % (self.instance, name, self.endpoint(replica + ".Client"))
        return IceGrid.RegistryPrx.uncheckedCast(communicator.stringToProxy(text))

    def admin(self, communicator, replica="Master", user="admin"):
        """(session, Admin) on a connection of the communicator, heartbeats on."""
        registry = self.registry_proxy(communicator, replica)
        session = registry.createAdminSession(user, "secret")
        keep_alive(registry.ice_getConnection())
        return session, session.getAdmin()

    def query(self, communicator, replica="Master"):
        return IceGrid.QueryPrx.uncheckedCast(
            communicator.stringToProxy("%s/Query:%s" % (self.instance, self.endpoint(replica + ".Client"))))

    def locator_proxy(self, communicator, replica="Master"):
        return IceGrid.LocatorPrx.uncheckedCast(
            communicator.stringToProxy("%s/Locator:%s" % (self.instance, self.endpoint(replica + ".Client"))))

    def router_proxy(self, communicator, name="router"):
        return Glacier2.RouterPrx.uncheckedCast(communicator.stringToProxy(self.router(name)))


def keep_alive(connection, timeout=30):
    connection.setACM(timeout, Ice.Unset, Ice.ACMHeartbeat.HeartbeatAlways)
