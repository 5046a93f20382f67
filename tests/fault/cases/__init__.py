# SPDX-License-Identifier: Apache-2.0
"""Fault scripts: each has CASES, functions of a fresh Deployment that raise when something is wrong."""


def check(condition, text):
    if not condition:
        raise AssertionError(text)
