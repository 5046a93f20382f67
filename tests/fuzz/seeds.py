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
    with open(os.path.join(VECTORS, "icegrid-internal-vectors.txt"), encoding="utf-8") as f:
        lines = [line.rstrip("\n").split("|") for line in f if line[0] != "#"]
    for i, col in enumerate(line for line in lines if len(line) == 7):
        flags = (2 if col[2] == "enc=1.1" else 0) | (col[0] == "rep")
        write(out, "params", "%03d_%s_%s" % (i, col[0], col[1]), col[1].encode() + bytes([0, flags]) + bytes.fromhex(col[6]))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: seeds.py DIR")
    main(sys.argv[1])
