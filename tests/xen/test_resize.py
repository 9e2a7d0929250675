# SPDX-License-Identifier: MIT
"""A disk that grows under load: the guest sees it without a pause and without an error."""

import pytest

from .engine import Engine
from .lab.dom0 import Dom0
from .lab.guest import Guest

pytestmark = pytest.mark.xen

MIB = 1 << 20
JOB = (
    "fio --name=t --filename=/dev/xvdb --rw=randwrite --bsrange=4k-64k --ioengine=libaio --direct=1 --iodepth=8 "
    "--verify=crc32c --verify_fatal=1"
)
# one verified job after the other until it is told to end, by a file: a signal may not reach a shell's background job
UNTIL_TOLD = (
    f"(until [ -e /tmp/enough ]; do {JOB} --size=2m || break; done >/tmp/load 2>&1; echo $? >/tmp/ended) "
    "</dev/null >/dev/null 2>&1 &"
)


def test_disk_grows_under_load(dom0: Dom0, g1: Guest) -> None:
    dom0.run("truncate -s 8M /tmp/a.img")
    with Engine(dom0) as engine:
        engine.attach("g1", "/tmp/a.img", "xvdb")
        g1.run(UNTIL_TOLD)
        engine.wait_disks(lambda disks: disks[0]["writes"] > 20)

        engine.cli("resize g1 xvdb 12M")
        engine.cli("resize g1 xvdb +4M")
        g1.run(f"until [ $(cat /sys/block/xvdb/size) = {16 * MIB // 512} ]; do sleep 0.1; done")
        assert g1.run("blockdev --getsize64 /dev/xvdb").out == f"{16 * MIB}\n"
        assert engine.disk("g1", "xvdb")["sectors"] == 16 * MIB // 512
        assert dom0.run("stat -c %s /tmp/a.img").out == f"{16 * MIB}\n"
        # what is new can be used, to its end and not beyond
        assert "err= 0" in g1.run(f"{JOB} --offset=10m --size=6m", timeout=180).out
        assert g1.run("dd if=/dev/xvdb of=/dev/null bs=4k skip=4096 count=1 2>&1").out.startswith("0+0 records in")

        before = engine.disk("g1", "xvdb")["writes"]
        engine.wait_disks(lambda disks: disks[0]["writes"] > before)
        g1.run("touch /tmp/enough; until [ -e /tmp/ended ]; do sleep 0.2; done", timeout=180)
        said = g1.run("cat /tmp/ended /tmp/load").out
        assert said.startswith("0\n"), said
        assert said.count("err= 0") >= 1
        assert engine.well("g1", "xvdb")["errors"] == 0
