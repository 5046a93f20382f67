# SPDX-License-Identifier: Apache-2.0
"""A private CA with one server and two client certificates, made by the openssl command in a test's own directory."""

import os
import subprocess

SUBJECTS = {
    "server": "/C=US/ST=Florida/O=Test Org/OU=Ice/CN=127.0.0.1",
    "alice": "/C=US/ST=Florida/O=Test Org/OU=Ice/CN=alice/emailAddress=alice@example.org",
    "bob": "/C=US/O=Comma\\, Inc./CN=bob",
}


def _openssl(directory, *arguments):
    done = subprocess.run(["openssl"] + list(arguments), cwd=directory, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError("openssl %s: %s" % (" ".join(arguments), done.stdout))


def make(directory):
    """Fill `directory` with ca.pem, stranger.pem (an unrelated CA) and NAME.pem, NAME.key of every subject."""
    os.makedirs(directory, exist_ok=True)
    for ca in ("ca", "stranger"):
        _openssl(directory, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-days", "30", "-subj", "/O=Test Org/CN=" + ca, "-keyout", ca + ".key", "-out", ca + ".pem")
    for name, subject in SUBJECTS.items():
        _openssl(directory, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", subject, "-keyout", name + ".key", "-out", name + ".csr")
        with open(os.path.join(directory, name + ".ext"), "w") as f:
            f.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        _openssl(directory, "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                 "-CAcreateserial", "-days", "30", "-extfile", name + ".ext", "-out", name + ".pem")
    return directory


def make_chain(directory):
    """Adds middle.pem, a CA below ca.pem, and carol.pem, signed by it and followed by it, with carol.key."""
    for name, subject, issuer, extension in (
            ("middle", "/O=Test Org/CN=middle", "ca", "basicConstraints=critical,CA:TRUE\n"),
            ("carol", "/O=Test Org/CN=carol", "middle", "subjectAltName=email:carol@example.org\n")):
        _openssl(directory, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", subject, "-keyout", name + ".key", "-out", name + ".csr")
        with open(os.path.join(directory, name + ".ext"), "w") as f:
            f.write(extension)
        _openssl(directory, "x509", "-req", "-in", name + ".csr", "-CA", issuer + ".pem", "-CAkey", issuer + ".key",
                 "-CAcreateserial", "-days", "30", "-extfile", name + ".ext", "-out", name + ".pem")
    with open(os.path.join(directory, "middle.pem")) as f, open(os.path.join(directory, "carol.pem"), "a") as to:
        to.write(f.read())
