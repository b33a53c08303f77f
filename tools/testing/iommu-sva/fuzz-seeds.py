#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
fuzz-seeds.py DIR: write the fuzz target's seeds into DIR, one file each.

A seed is a list of actions, as fuzz.c numbers them, and a schedule. In a name, "!" after an action
means: by the main task, not by one of its own.
"""
import os
import sys

ACTIONS = """request request2 request3 bind bind2 unbind exit move drain flush overflow fail_alloc settle
mood munmap zap dma hold_rcu flood stop_marker kill yield""".split()
SERVE, BUS, OOM, RETRY, COMPLETE, WAIT = range(6)
READ, WRITE, PARTIAL = 1 << 3, 2 << 3, 0x80
RW = READ | WRITE
# Address selectors
PAGE0, PAGE1, PAGE2, PAGE3, READ_ONLY, STACK, HOLE, BEYOND = range(8)

SETTLE = ("settle",)


def index(pasid, group=0):
    return pasid | group << 6


SEEDS = {
    "serve": ([("bind!", 0, 0, 0), ("request", 0, index(1), PAGE0 | RW), SETTLE,
               ("dma", 0, 1, PAGE0 | 0x80), ("munmap!", 0, 0), ("dma", 0, 1, PAGE0),
               ("unbind!", 0, 0, 0)], b""),
    "partials": ([("bind!", 0, 0, 0), ("request", 0, index(1, 1), PAGE0 | READ | PARTIAL),
                  ("request", 0, index(1, 2), HOLE | READ | PARTIAL),
                  ("request", 0, index(1, 1), PAGE1 | READ), SETTLE, ("drain!", 0, 1),
                  ("request", 0, index(1, 2), PAGE1 | READ), SETTLE], b""),
    "wrong": ([("bind!", 0, 0, 0), ("request", 0, index(5), PAGE0 | READ),
               ("request", 0, index(8), PAGE0 | READ), ("stop_marker", 0, 1),
               ("request", 0, index(1), BEYOND | READ), ("request", 0, index(1), PAGE0 | 8 << 3),
               ("request", 0, index(1), STACK | RW), ("request", 0, index(1), READ_ONLY | RW)],
              b""),
    "stuck": ([("bind!", 0, 0, 0), ("mood", 0, 0, WAIT), ("request", 0, index(1), PAGE0 | RW),
               ("request", 0, index(1), PAGE1 | RW), SETTLE, ("flush", 0), ("unbind!", 0, 0, 0),
               ("bind!", 0, 0, 1), ("mood", 0, 0, SERVE), SETTLE], b""),
    "exit": ([("bind!", 0, 0, 0), ("bind!", 2, 0, 1), ("request", 0, index(1), PAGE0 | RW),
              ("request", 2, index(1), PAGE0 | RW), ("exit", 0, 0),
              ("request", 0, index(1), PAGE0 | RW), ("unbind", 0, 0, 0), ("unbind", 0, 0, 1)],
             bytes(range(1, 40, 3))),
    "remove": ([("bind!", 0, 0, 0), ("mood", 0, 0, WAIT), ("request", 0, index(1), PAGE0 | RW),
                ("request", 0, index(1, 1), PAGE0 | READ | PARTIAL), SETTLE, ("move", 0),
                ("drain", 0, 1), ("unbind", 0, 0, 0), ("mood", 0, 0, SERVE), ("move", 0)],
               b"\x07\x00\x0b\x01\x05\x00"),
    "overflow": ([("bind!", 0, 0, 0), ("request", 0, index(1, 1), HOLE | READ | PARTIAL),
                  ("overflow", 0), ("request", 0, index(1, 1), PAGE0 | READ), SETTLE,
                  ("flood", 0, index(1), PAGE0 | READ | PARTIAL),
                  ("request", 0, index(1), PAGE0 | READ)], b""),
    "credits": ([("bind!", 0, 0, 0), ("mood", 0, 0, WAIT), ("flood", 0, index(1), PAGE0 | READ),
                 SETTLE, ("request", 1, index(1), PAGE0 | READ), ("mood", 0, 0, SERVE)], b""),
    "failures": ([part for n in range(10) for part in
                  (("fail_alloc", n), ("bind!", n % 3, n % 3, n), ("unbind!", 0, 0, n))], b""),
    "moods": ([("bind!", 0, 0, 0), ("bind!", 1, 1, 1)] +
              [part for mood in (BUS, OOM, RETRY, COMPLETE) for part in
               (("mood", 0, 0, mood), ("request", 0, index(1), PAGE0 | RW), SETTLE)] +
              [("kill", 0, 0), ("mood", 0, 0, OOM), ("request", 0, index(1), PAGE1 | RW)], b""),
    "share": ([("bind", 0, 0, 0), ("bind", 0, 0, 1), ("bind", 1, 0, 2), ("bind", 2, 0, 3),
               ("yield", 5), ("unbind", 0, 0, 0), ("unbind", 0, 0, 1), ("unbind", 0, 0, 2),
               ("unbind", 0, 0, 3)], bytes(range(0, 60, 2))),
    "race": ([("bind!", 0, 0, 0), ("bind!", 1, 0, 1), ("request", 0, index(1), PAGE0 | RW),
              ("request", 1, index(1), PAGE1 | RW), ("munmap", 0, 0), ("drain", 0, 1),
              ("zap", 0, 0, 1), ("unbind", 0, 0, 0), ("hold_rcu", 1), ("bind", 0, 0, 2),
              ("hold_rcu", 0), ("exit", 0, 0), ("dma", 1, 1, PAGE1)], bytes(range(3, 120, 5))),
}


def encode(actions, schedule):
    out = b""
    for name, *args in actions:
        # Adding a multiple of the number of actions sets bit 7 and keeps the remainder.
        which = ACTIONS.index(name.rstrip("!"))
        if name.endswith("!"):
            which += -(-(128 - which) // len(ACTIONS)) * len(ACTIONS)
        out += bytes([which] + (args + [0, 0, 0])[:3])
    return out + schedule[::-1]


def main():
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, seed in SEEDS.items():
        with open(os.path.join(sys.argv[1], name), "wb") as f:
            f.write(encode(*seed))


if __name__ == "__main__":
    main()
