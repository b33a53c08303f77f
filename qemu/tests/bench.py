# SPDX-License-Identifier: GPL-2.0-only
"""What the tests of QEMU's models share: a QEMU without a CPU, driven over the qtest protocol; the
registers of sva-dma; the report."""
import json
import os
import re
import socket
import subprocess
import sys
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PAGE = 4096
VA = 0x7f0000000000
LAST_PAGE = 0xfffffffffffff000


def header():
    """The constants of the register header, by name without SVA_DMA_."""
    with open(os.path.join(TOP, "include/uapi/misc/uacce/sva_dma.h")) as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    names = {m[0]: int(m[1], 0) for m in re.findall(r"#define\s+SVA_DMA_(\w+)\s+(0x[0-9a-f]+|\d+)\b", text)}
    for body in re.findall(r"enum \w+ \{(.*?)\}", text, flags=re.S):
        names.update({n: i for i, n in enumerate(re.findall(r"SVA_DMA_(\w+)", body))})
    return names


R = header()

# Capabilities, extended ones, codes of page group responses
PM, EXPRESS = 0x01, 0x10
PASID_CAP, ATS_CAP, PRI_CAP, SRIOV_CAP = 0x1b, 0x0f, 0x13, 0x10
SUCCESS, INVALID, FAILURE = 0, 1, 15


class Qemu:
    """QEMU with an sva-dma endpoint. A subclass says where its registers (@bar) and the configuration
    space (@ecam) are, and brings up the machine's IOMMU."""

    folder = None       # of the programs
    program = ecam = bar = None
    sid = 0x100         # the endpoint's requester ID

    def __init__(self, *args):
        ours, theirs = socket.socketpair()
        self.qemu = subprocess.Popen(
            [os.path.join(self.folder, self.program), "-m", "64M", "-accel", "qtest", "-qtest", "stdio", "-qtest-log",
             "/dev/null", "-nodefaults", "-display", "none", "-chardev", f"socket,id=qmp,fd={theirs.fileno()}",
             "-mon", "qmp,mode=control", *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            pass_fds=(theirs.fileno(),))
        theirs.close()
        self.monitor = ours.makefile("rw")
        ours.close()
        self.negotiated = False

    def close(self):
        self.monitor.close()
        self.qemu.stdin.close()
        self.qemu.stdout.close()
        self.qemu.kill()
        self.qemu.wait()

    # The qtest protocol

    def command(self, *words):
        self.qemu.stdin.write(" ".join(hex(w) if isinstance(w, int) else w for w in words) + "\n")
        self.qemu.stdin.flush()
        while True:
            line = self.qemu.stdout.readline()
            if not line:
                raise RuntimeError("QEMU has ended")
            if line.startswith("OK"):
                return line[2:].strip()
            if not line.startswith("IRQ"):
                raise RuntimeError(f"{words}: {line}")

    def read32(self, addr):
        return int(self.command("readl", addr), 0)

    def write32(self, addr, val):
        self.command("writel", addr, val)

    def read64(self, addr):
        return int(self.command("readq", addr), 0)

    def write64(self, addr, val):
        self.command("writeq", addr, val)

    def read(self, addr, size):
        return bytes.fromhex(self.command("read", addr, size)[2:])

    def write(self, addr, data):
        self.command("write", addr, len(data), "0x" + data.hex())

    def qmp(self, command, **arguments):
        """A command of QEMU's monitor; its result. Events are not looked at."""
        if not self.negotiated:
            self.negotiated = True
            self.qmp("qmp_capabilities")
        self.monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.monitor.flush()
        while True:
            line = self.monitor.readline()
            if not line:
                raise RuntimeError("QEMU has ended")
            answer = json.loads(line)
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    # PCI

    def config(self, bdf, offset):
        return self.ecam + (bdf << 12) + offset

    def set_up_endpoint(self):
        self.write32(self.config(self.sid, 0x10), self.bar)
        self.write32(self.config(self.sid, 0x14), 0)
        self.write32(self.config(self.sid, 0x18), self.bar + 0x400000)
        self.write32(self.config(self.sid, 0x04), 6)
        self.find_capabilities()
        self.enable_functions()

    def find_capabilities(self):
        self.caps = {}
        at = 0x100
        while at:
            word = self.read32(self.config(self.sid, at))
            self.caps[word & 0xffff] = at
            at = word >> 20

    def enable_functions(self, allocation=64):
        for cap, offset, val in ((PASID_CAP, 6, 7), (ATS_CAP, 6, 0x8000)):
            if cap in self.caps:
                self.cap_write(cap, offset, val)
        if PRI_CAP in self.caps:
            self.write32(self.config(self.sid, self.caps[PRI_CAP] + 12), allocation)
            self.cap_write(PRI_CAP, 4, 1)
        self.reg_write("REG_CTRL", R["CTRL_ENABLE"])

    def cap_write(self, cap, offset, val):
        self.write16(self.config(self.sid, self.caps[cap] + offset), val)

    def pri_status(self):
        return self.read16(self.config(self.sid, self.caps[PRI_CAP] + 6))

    def capability(self, wanted, bdf=None):
        """Where a capability of the endpoint, or of @bdf, is in memory."""
        bdf = self.sid if bdf is None else bdf
        at = self.read32(self.config(bdf, 0x34)) & 0xff
        while self.read32(self.config(bdf, at)) & 0xff != wanted:
            at = self.read32(self.config(bdf, at)) >> 8 & 0xff
        return self.config(bdf, at)

    def read16(self, addr):
        return int(self.command("readw", addr), 0)

    def write16(self, addr, val):
        self.command("writew", addr, val)

    def sleep_and_wake(self):
        """S3 of a q35: all lose their power but memory. Firmware has to give back what is behind PCIEXBAR."""
        for reg, val in ((0x40, 0x601), (0x44, 0x80)):      # PMBASE, ACPI_CNTL of the LPC bridge
            self.command("outl", 0xcf8, 0x8000f800 | reg)
            self.command("outl", 0xcfc, val)
        self.command("outw", 0x604, 1 << 13 | 1 << 10)
        self.wait_until("suspended")
        self.qmp("system_wakeup")
        self.wait_until("running")

    def wait_until(self, status):
        end = time.monotonic() + 600
        while self.qmp("query-status")["status"] != status:
            if time.monotonic() > end:
                raise RuntimeError(f"the machine is not {status}")

    def function_level_reset(self):
        self.write16(self.capability(EXPRESS) + 8, 0x8000)

    def set_power_state(self, state):
        self.write16(self.capability(PM) + 4, state)

    # The endpoint

    def reg_write(self, name, val):
        self.write32(self.bar + R[name], val)

    def reg(self, name):
        return self.read32(self.bar + R[name])

    def counter(self, name):
        return self.read64(self.bar + R["REG_COUNTERS"] + 8 * R["CNT_" + name])

    def channel_at(self, channel):
        return self.bar + R["CHAN_BASE"] + channel * R["CHAN_STRIDE"]

    def open(self, channel=0, pasid=1, flags=0):
        at = self.channel_at(channel)
        self.write32(at + R["CHAN_PASID"], pasid)
        self.write32(at + R["CHAN_CTRL"], R["CHAN_ENABLE"] | flags)

    def stop(self, channel=0):
        self.write32(self.channel_at(channel) + R["CHAN_CTRL"], R["CHAN_STOP"])
        return self.channel_status(channel)

    def channel_status(self, channel=0):
        return self.read32(self.channel_at(channel) + R["CHAN_STATUS"])

    def fault_entry(self):
        """The oldest entry of the fault log: (channel, PASID, address, access, tag); None if it is empty."""
        info = self.reg("REG_LOG_INFO")
        if not info & R["LOG_VALID"]:
            return None
        return (info & R["LOG_CHANNEL"], self.reg("REG_LOG_PASID"), self.read64(self.bar + R["REG_LOG_ADDR"]),
                info & 0xf00, info & R["LOG_TAG"])

    def take_fault(self):
        entry = self.fault_entry()
        self.reg_write("REG_LOG_TAKE", 1)
        return entry

    def resume(self, entry, fail=0):
        """The end of the wait for @entry's page; the channel's status."""
        self.write32(self.channel_at(entry[0]) + R["CHAN_RESUME"], entry[4] | fail)
        return self.run(entry[0])

    def behave(self, *names):
        bits = 0
        for name in names:
            bits |= R[name]
        self.reg_write("REG_BEHAVIOUR", bits)

    def job_at(self, channel):
        return self.bar + R["JOB_BASE"] + channel * R["JOB_STRIDE"]

    def start(self, op, channel=0, group=0, steps=20, **params):
        at = self.job_at(channel)
        for name in ("SRC", "DST", "LEN", "ARG0", "ARG1", "STEP"):
            self.write64(at + R["JOB_" + name], params.get(name.lower(), 0))
        self.write32(at + R["JOB_REPEAT"], params.get("repeat", 0))
        self.write32(at + R["JOB_PACE"], 0)
        self.write32(at + R["JOB_OP"], R["OP_" + op] | group << 16 | params.get("flags", 0))
        self.write32(at + R["JOB_START"], 1)
        return self.run(channel, steps)

    def run(self, channel=0, steps=20):
        self.command("clock_step", steps * 5000)
        return self.status(channel)

    def status(self, channel=0):
        return self.read32(self.job_at(channel) + R["JOB_STATUS"])

    def job(self, name, channel=0):
        return self.read64(self.job_at(channel) + R["JOB_" + name])

    def raw(self, prgi, flags, va=VA, pasid=1):
        self.write64(self.bar + R["REG_RAW_ADDR"], va)
        self.reg_write("REG_RAW_PASID", pasid)
        self.reg_write("REG_RAW_SEND", prgi | flags)
        return self.reg("REG_RAW_STATUS")


def fnv1a(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 & (1 << 64) - 1
    return h


class Base(unittest.TestCase):
    """A test with a machine and channel 0 open for PASID 1."""

    machine = None

    def setUp(self):
        self.m = self.new_machine()
        self.addCleanup(self.m.close)
        self.m.open()

    def new_machine(self):
        return self.machine()

    def status_is(self, name, got):
        names = [n for n in R if R[n] == got and (n.startswith("ERR_") or n in ("IDLE", "RUNNING", "DONE"))]
        self.assertEqual(R[name], got, f"status is {names}")


class Ktap(unittest.TestResult):
    def __init__(self, total):
        super().__init__()
        print(f"KTAP version 1\n1..{total}", flush=True)

    def report(self, test, word, why=""):
        for line in why.splitlines():
            print("#", line)
        print(f"{word} {self.testsRun} {test.id().replace('__main__.', '')}", flush=True)

    def addSuccess(self, test):
        self.report(test, "ok")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.report(test, "not ok", self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.report(test, "not ok", self.errors[-1][1])


def main(doc, target):
    """Run the tests of the calling program on QEMU for @target."""
    args = sys.argv[1:]
    if args and args[0].startswith("-h"):
        sys.exit(doc)
    if args and args[0] != "--":
        Qemu.folder = args.pop(0)
    else:
        done = subprocess.run([os.path.join(TOP, "scripts/build/qemu-build"), "--target", target], stdout=subprocess.PIPE,
                              text=True)
        if done.returncode:
            sys.exit(done.returncode)
        Qemu.folder = done.stdout.split()[-1]
    loader = unittest.defaultTestLoader
    tests = sys.modules["__main__"]
    suite = loader.loadTestsFromNames(args[1:], tests) if args[1:] else loader.loadTestsFromModule(tests)
    start = time.monotonic()
    result = Ktap(suite.countTestCases())
    suite.run(result)
    bad = len(result.failures) + len(result.errors)
    print(f"# {result.testsRun - bad} passed, {bad} failed in {time.monotonic() - start:.1f} s")
    sys.exit(bad != 0)
