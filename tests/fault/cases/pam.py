# SPDX-License-Identifier: Apache-2.0
"""Logins through PAM with real modules: pam_unix with a system account of the test, pam_matrix of pam_wrapper, pam_exec.
The service files are in the deployment's directory."""

import os
import signal
import subprocess
import threading
import time

from lib.bindings import Glacier2
from lib.process import wait_until

from . import check

UNIX = "auth required pam_unix.so\naccount required pam_unix.so\n"


def write(path, text, mode=0o644):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def modules():
    """Where pam_wrapper's modules are."""
    return subprocess.run(["pkg-config", "--variable=modules", "pam_wrapper"], capture_output=True, text=True,
                          check=True).stdout.strip()


def start(d, service, text, **more):
    os.makedirs(d.path("pam"), exist_ok=True)
    write(d.path("pam", service), text)
    properties = {"Glacier2__PermissionsVerifier": None, "Moulin__Gateway__PamService": service,
                  "Moulin__Gateway__PamDirectory": d.path("pam"), "Glacier2__Trace__Session": "1"}
    properties.update(more)
    return d.start_router(registries=(), **properties)


def log_in(d, user, password):
    """"" when it was let in, else the reason."""
    c = d.communicator()
    try:
        d.router_proxy(c).createSession(user, password)
        return ""
    except Glacier2.PermissionDeniedException as ex:
        return ex.reason
    finally:
        d.drop(c)


def denied(d, user, password, reason="permission denied"):
    said = log_in(d, user, password)
    check(said == reason, "%s was told `%s', not `%s'" % (user, said, reason))


def accepted(d, user, password):
    said = log_in(d, user, password)
    check(said == "", "%s was refused: %s" % (user, said))


def ended_well(d):
    check(d.daemons["router"].stop() == 0, "it did not end well")
    said = d.daemons["router"].stderr()
    check("Sanitizer" not in said and "runtime error" not in said, said)
    return said


class Account:
    """A user of this system, for as long as the test runs. Only root can make one."""

    def __init__(self, password):
        self.name = "moulin-test-%d" % os.getpid()
        hashed = subprocess.run(["openssl", "passwd", "-6", password], capture_output=True, text=True, check=True).stdout
        self.run("useradd", "-M", "-N", "-d", "/nonexistent", "-s", "/bin/false", "-p", hashed.strip())

    def run(self, program, *arguments):
        subprocess.run(["/usr/sbin/" + program if program != "chage" else "/usr/bin/chage", *arguments, self.name],
                       check=True, capture_output=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.run("userdel")


def system_accounts(d):
    """pam_unix: right and wrong passwords, and in PAM's words why an account that expired is refused."""
    start(d, "unix", UNIX)
    denied(d, "no-such-user-here", "x")
    denied(d, "da\nemon", "x")
    if os.geteuid() == 0:  # nobody else can make accounts, nor check others' with pam_unix
        denied(d, "daemon", "")
        with Account("correct horse") as account:
            accepted(d, account.name, "correct horse")
            denied(d, account.name, "wrong horse")
            denied(d, account.name, "")
            delays = []
            for _ in range(3):
                begin = time.monotonic()
                denied(d, account.name, "wrong horse")
                delays.append(time.monotonic() - begin)
            check(min(delays) < 0.9, "PAM sleeps after a wrong password, and who waits for it too: %s" % delays)
            account.run("chage", "-d", "0")
            said = log_in(d, account.name, "correct horse")
            check("required to change your password" in said, "expired password: " + said)
            denied(d, account.name, "wrong horse")
            account.run("usermod", "-e", "2020-01-01")
            said = log_in(d, account.name, "correct horse")
            check("account has expired" in said, "expired account: " + said)
        denied(d, account.name, "correct horse")
    said = ended_well(d)
    check("horse" not in said, "a password was logged")


def where_from(d):
    """Modules are told the client's address; what they say to the user is the reason."""
    write(d.path("script"), "#!/bin/sh\necho \"$PAM_USER from $PAM_RHOST for $PAM_SERVICE\"\nexit 1\n", 0o755)
    start(d, "where", "auth required pam_exec.so quiet stdout %s\n" % d.path("script"))
    denied(d, "alice", "x", "alice from 127.0.0.1 for where")
    ended_well(d)


def in_order(d):
    """The password file first, then PAM: users of both get in, and SIGHUP reaches the file behind the chain."""
    passwords = d.password_file()
    write(d.path("passdb"), "carol:kings:both\nalice:other:both\n")
    matrix = modules() + "/pam_matrix.so verbose passdb=" + d.path("passdb")
    start(d, "both", "auth required %s\naccount required %s\n" % (matrix, matrix),
          Glacier2__CryptPasswords=passwords, Moulin__Gateway__Verifiers="file,pam")
    accepted(d, "alice", "wonderland")
    accepted(d, "alice", "other")
    accepted(d, "carol", "kings")
    denied(d, "carol", "wonderland", "Authentication failed")
    write(passwords, "")
    d.daemons["router"].process.send_signal(signal.SIGHUP)
    wait_until(lambda: log_in(d, "bob", "builder"), "bob is gone from the file")
    accepted(d, "carol", "kings")
    ended_well(d)


def broken(d):
    """No such service: nobody gets in by PAM's fallback `other', the log says once (each worker does) what to correct."""
    os.makedirs(d.path("pam"))
    write(d.path("pam", "other"), "auth required pam_permit.so\naccount required pam_permit.so\n")
    start(d, "misspelt", "", Moulin__Workers="1")
    os.unlink(d.path("pam", "misspelt"))
    for _ in range(3):
        denied(d, "alice", "x", "internal server error")
    write(d.path("pam", "misspelt"), "auth required pam_permit.so\naccount required pam_permit.so\n")
    accepted(d, "alice", "x")
    said = ended_well(d)
    errors = [line for line in said.splitlines() if "cannot tell who may log in" in line]
    check(len(errors) == 1 and d.path("pam", "misspelt") in errors[0], "errors: %s" % errors)


def stuck(d):
    """A module that hangs: file users log in meanwhile, the hanging login gets an answer, its process is gone."""
    os.mkfifo(d.path("pipe"))
    start(d, "stuck", "auth required pam_exec.so quiet /bin/sh -c read<%s\n" % d.path("pipe"),
          Glacier2__CryptPasswords=d.password_file(), Moulin__Gateway__Verifiers="file,pam",
          Moulin__Gateway__AuthTimeout="4")
    accepted(d, "alice", "wonderland")  # the hashing helper runs
    said = []
    threads = [threading.Thread(target=lambda: said.append(log_in(d, "mallory", "x"))) for _ in range(3)]
    for t in threads:
        t.start()
    wait_until(lambda: len(helpers(d, "moulin-pam")) == 2, "two PAM helpers")
    children = helpers(d, "moulin-pam")
    begin = time.monotonic()
    accepted(d, "alice", "wonderland")
    check(time.monotonic() - begin < 3, "a login waited behind PAM")
    check(not said, "nothing hung: %s" % said)
    for t in threads:
        t.join()
    check(said == ["permission denied"] * 3, "they were told %s" % said)
    wait_until(lambda: not set(children) & set(helpers(d, "moulin-pam")), "the hung helpers are killed")
    os.close(os.open(d.path("pipe"), os.O_RDWR | os.O_NONBLOCK))  # lets the shells go
    ended_well(d)


def status(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def helpers(d, name):
    """Children of the gateway that call themselves so."""
    gateway, found = d.daemons["router"].pid, []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            s = status(int(pid))
        except OSError:
            continue
        if s["PPid"] == str(gateway) and s["Name"] == name and not s["State"].startswith("Z"):
            found.append(int(pid))
    return found


def what_the_processes_are(d):
    """docs/security.md, seen from outside: who the helpers are and what they gave up."""
    start(d, "permit", "auth required pam_permit.so\naccount required pam_permit.so\n",
          Glacier2__CryptPasswords=d.password_file(), Moulin__Gateway__Verifiers="file,pam")
    accepted(d, "mallory", "x")
    [hashing], [pam] = helpers(d, "moulin-auth"), helpers(d, "moulin-pam")
    s = status(hashing)
    check(s["NoNewPrivs"] == "1" and s["Seccomp"] == "2", str(s))
    own = os.geteuid()
    check(s["Uid"].split()[1] == ("65534" if own == 0 else str(own)), str(s))
    check(own != 0 or not s["Groups"].strip(), str(s))
    check(status(pam)["Uid"].split()[1] == str(own), str(status(pam)))
    for pid in (hashing, pam):
        with open("/proc/%d/limits" % pid) as f:
            core = [line.split() for line in f if line.startswith("Max core")][0]
        check(core[4:6] == ["0", "0"], str(core))
        try:
            with open("/proc/%d/environ" % pid, "rb") as f:
                check(f.read().strip(b"\0") == b"", "it has an environment")
        except PermissionError:
            continue  # only who may trace everybody sees more of a process that cannot be dumped
        files = {os.readlink("/proc/%d/fd/%s" % (pid, fd)).split(":")[0] for fd in os.listdir("/proc/%d/fd" % pid)}
        check(files <= {"/dev/null", "socket", d.path("router.err")}, "%s has %s" % (pid, files))
    ended_well(d)


def registry(d):
    """The registry's client and administrator sessions, with services of their own."""
    os.makedirs(d.path("pam"))
    for name in ("users", "admins"):
        write(d.path(name), "%s:secret:%s\n" % (name, name))
        matrix = modules() + "/pam_matrix.so passdb=" + d.path(name)
        write(d.path("pam", name), "auth required %s\naccount required %s\n" % (matrix, matrix))
    d.start_registry(IceGrid__Registry__PermissionsVerifier=None, IceGrid__Registry__AdminPermissionsVerifier=None,
                     Moulin__Registry__PamService="users", Moulin__Registry__PamDirectory=d.path("pam"),
                     Moulin__Registry__AdminPamService="admins", Moulin__Registry__AdminPamDirectory=d.path("pam"))
    proxy = d.registry_proxy(d.communicator())
    proxy.createSession("users", "secret").destroy()
    proxy.createAdminSession("admins", "secret").destroy()
    for create, user in ((proxy.createSession, "admins"), (proxy.createAdminSession, "users")):
        try:
            create(user, "secret")
            check(False, "%s was let in" % user)
        except Exception as ex:
            check(type(ex).__name__ == "PermissionDeniedException", repr(ex))


CASES = [system_accounts, where_from, in_order, broken, stuck, what_the_processes_are, registry]
