#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of the fuzz targets from the test vectors: seeds.py DIR makes DIR/<target>/*.
What a fuzzing run adds to them is merged into tests/fuzz/corpus (libFuzzer's -merge=1)."""
import json
import os
import sys

VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "vectors")
# Position of the operation among those of its interface, sorted by name (tests/data/Shapes.ice).
CLASSES = ["anything", "base", "bases", "compact", "empty", "intBase", "namedBase", "node", "optC", "tree", "two"]


def load(name):
    with open(os.path.join(VECTORS, name), encoding="utf-8") as f:
        return json.load(f)


def write(out, target, name, data):
    os.makedirs(os.path.join(out, target), exist_ok=True)
    with open(os.path.join(out, target, name), "wb") as f:
        f.write(data)


def class_operation(name):
    for word, op in (("shared", "two"), ("two_same", "two"), ("tree", "tree"), ("empty", "empty"), ("compactid", "compact"),
                     ("chain", "node"), ("cycle", "node"), ("opt", "optC"), ("int_then", "intBase"),
                     ("struct", "namedBase"), ("seq", "bases")):
        if word in name:
            return CLASSES.index(op)
    return CLASSES.index("base")


def main(out):
    for v in load("classes.json"):
        body = bytes.fromhex(v["hex"])
        flags = (body[5] & 1) | (2 if "cycle" in v["name"] else 0)
        write(out, "classes", v["name"], bytes([class_operation(v["name"]), flags]) + body[6:])
    for i, v in enumerate(load("optionals.json")):
        write(out, "classes", v["name"], bytes([0x80 | i, 1]) + bytes.fromhex(v["hex"])[6:])
    for v in load("exceptions.json"):
        body = bytes.fromhex(v["hex"])
        flags = (body[5] & 1) | (2 if "adapternotfound" in v["name"] else 0)
        write(out, "exception", v["name"], bytes([flags]) + body[6:])
    for v in load("proxies.json"):
        write(out, "proxy", v["name"], bytes([v["encoding"] == "1.1"]) + bytes.fromhex(v["hex"]))
    for v in load("messages.json"):
        message = bytes.fromhex(v.get("hex", ""))
        if len(message) > 14 and message[9] < 2:
            write(out, "dispatch", v["name"], message[8:9] + message[14:])
    for i, v in enumerate(load("malformed.json")):
        for j, sent in enumerate(v["sent"]):
            if sent[0] != "(" and len(sent) > 28:
                write(out, "dispatch", "malformed_%d_%d" % (i, j), bytes.fromhex(sent)[8:9] + bytes.fromhex(sent)[14:])
    with open(os.path.join(VECTORS, "icegrid-internal-vectors.txt"), encoding="utf-8") as f:
        lines = [line.rstrip("\n").split("|") for line in f if line[0] != "#"]
    for i, col in enumerate(line for line in lines if len(line) == 7):
        flags = (2 if col[2] == "enc=1.1" else 0) | (col[0] == "rep")
        write(out, "params", "%03d_%s_%s" % (i, col[0], col[1]), col[1].encode() + bytes([0, flags]) + bytes.fromhex(col[6]))
    net(out)
    descriptors(out)


def descriptors(out):
    """Some of what ZeroC's registry was shown."""
    for name, update in (("definitions", False), ("updates", True)):
        with open(os.path.join(VECTORS, "..", "descriptors", name + ".json"), encoding="utf-8") as f:
            cases = json.load(f)["cases"]
        for i, case in enumerate(cases):
            whole = not update or case["sync"]
            if i % (2 if update else 9) == 0 and not case.get("quiet"):
                write(out, "descriptors", "%s_%03d" % (name, i), bytes([not whole]) + bytes.fromhex(case["in"])[6:])


def ws_frame(payload, opcode=2):
    head = bytes([0x80 | opcode, 0x80 | len(payload)]) if len(payload) < 126 else \
        bytes([0x80 | opcode, 0xFE]) + len(payload).to_bytes(2, "big")
    return head + bytes(4) + payload


def net(out):
    """Conversations of one direction for connections, upgrades, distinguished names."""
    talks = {}
    for v in load("messages.json") + load("services.json"):
        if v["type"] == "message" and len(v["hex"]) < 4000:
            talks.setdefault(v["name"].split(".")[0] + v["dir"][0], []).append(bytes.fromhex(v["hex"]))
    for i, (name, messages) in enumerate(sorted(talks.items())):
        if i % 4 == 0:
            write(out, "frames", name + "_tcp", bytes([(i & 15) << 4 | 2 * (i // 4 & 1)]) + b"".join(messages))
        if i % 12 == 1:
            write(out, "frames", name + "_ws", bytes([(i & 15) << 4 | 1]) + b"".join(map(ws_frame, messages)))
    for v in load("malformed.json"):
        if not v["sent"][0].startswith("("):
            write(out, "frames", "bad_" + "".join(c if c.isalnum() else "_" for c in v["name"]),
                  bytes([0xA2]) + bytes.fromhex("".join(v["sent"])))
    hello = bytes.fromhex(next(v["hex"] for v in load("websocket.json") if v["name"] == "ws_handshake_request"))
    control = ws_frame(b"abc", 9) + ws_frame(b"", 10) + ws_frame(b"\x03\xe8", 8)
    write(out, "frames", "ws_session", b"\x53" + hello + control)
    write(out, "frames", "ws_control", b"\x51" + control)
    for v in load("websocket.json"):
        if "handshake" in v["name"]:
            write(out, "ws_http", v["name"], bytes(["response" in v["name"]]) + bytes.fromhex(v["hex"]))
    for i, text in enumerate(["CN=a,O=b;!CN=c\0CN=a,O=b", "CN=\"a, b\"\0CN=a\\, b", "CN=\\61\0CN=a+OU=x"]):
        write(out, "trust", "dn%d" % i, text.encode())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: seeds.py DIR")
    main(sys.argv[1])
