# SPDX-License-Identifier: MIT
"""Verified load in every way a guest may hand its pages over, from two guests at once, and what ends it."""

import pytest

from .engine import Engine
from .lab.dom0 import Dom0
from .lab.guest import Guest
from .leftovers import assert_nothing_left, mapped_grants

pytestmark = pytest.mark.xen


def verified(disk: str, *, size: str = "3m", blocks: str = "4k-64k", depth: int = 8) -> str:
    """A fio command: random writes, then everything read back and compared."""
    return (
        f"fio --name=t --filename=/dev/{disk} --size={size} --rw=randwrite --bsrange={blocks} --ioengine=libaio "
        f"--direct=1 --iodepth={depth} --verify=crc32c --verify_fatal=1"
    )


def test_two_guests_with_two_disks_each(dom0: Dom0, g1: Guest, g2: Guest) -> None:
    dom0.run("truncate -s 8M /tmp/1b /tmp/1c /tmp/2b /tmp/2c")
    with Engine(dom0) as engine:
        for guest, vdev in (("g1", "xvdb"), ("g1", "xvdc"), ("g2", "xvdb"), ("g2", "xvdc")):
            engine.attach(guest, f"/tmp/{guest[1]}{vdev[3]}", vdev)
        both = "({}) >/tmp/1 2>&1 & ({}) >/tmp/2 2>&1; r=$?; wait $! && cat /tmp/1 /tmp/2 && (exit $r)"
        loads = [guest.start(both.format(verified("xvdb"), verified("xvdc"))) for guest in (g1, g2)]
        for load in loads:
            assert load.wait(300).out.count("err= 0") == 2
        for seen in engine.disks():
            disk = engine.well(seen["domain"], seen["vdev"])
            assert (disk["errors"], disk["in_flight"]) == (0, 0), disk
            assert disk["bytes_written"] >= 3 << 20


@pytest.mark.parametrize("grant_copy", ["true", "false"], ids=["copy", "map"])
def test_frontend_without_persistent_grants(dom0: Dom0, g1: Guest, grant_copy: str) -> None:
    dom0.run("truncate -s 16M /tmp/a.img")
    g1.run("rmmod xen_blkfront && insmod /modules/xen-blkfront feature_persistent=0")
    with Engine(dom0, f"[engine]\ngrant_copy = {grant_copy}\n") as engine:
        engine.attach("g1", "/tmp/a.img", "xvdb")
        front = f"/local/domain/{g1.domid}/device/vbd/51728"
        assert dom0.run(f"xenstore-read {front}/feature-persistent").out == "0\n"
        assert "err= 0" in g1.run(verified("xvdb"), timeout=180).out
        # more than the 11 pages of a plain request: indirect ones
        assert "err= 0" in g1.run(verified("xvdb", size="8m", blocks="256k-512k", depth=4), timeout=180).out
        # nothing stays mapped between requests but the ring page
        assert len(mapped_grants(dom0)) == 1
        assert engine.disk("g1", "xvdb")["errors"] == 0


def test_persistent_grants_and_large_requests(dom0: Dom0, g2: Guest) -> None:
    dom0.run("truncate -s 16M /tmp/a.img")
    g2.run("rmmod xen_blkfront && insmod /modules/xen-blkfront max_indirect_segments=256")
    with Engine(dom0) as engine:
        engine.attach("g2", "/tmp/a.img", "xvdb")
        assert int(g2.run("cat /sys/block/xvdb/queue/max_segments").out) == 256
        assert "err= 0" in g2.run(verified("xvdb", size="16m", blocks="512k-1m", depth=4), timeout=240).out
        assert len(mapped_grants(dom0)) > 100, "pages stay mapped for the next requests"
        digest = g2.run("sha256sum < /dev/xvdb", timeout=120).out
        assert dom0.run("sha256sum < /tmp/a.img").out == digest


def test_engine_told_to_end_under_load_takes_the_disk_away_in_time(dom0: Dom0, g1: Guest) -> None:
    dom0.run("truncate -s 16M /tmp/a.img")
    engine = Engine(dom0, "[engine]\ndetach_seconds = 10\n")
    engine.attach("g1", "/tmp/a.img", "xvdb")
    load = g1.start(
        "fio --name=t --filename=/dev/xvdb --size=8m --rw=randrw --ioengine=libaio --direct=1 --iodepth=8 "
        "--time_based --runtime=600"
    )
    engine.wait_disks(lambda disks: disks[0]["writes"] > 100)
    engine.process.kill(15)
    assert engine.process.wait(40).rc == 0
    assert_nothing_left(dom0)
    assert load.wait(60, check=False).rc != 0, "the guest's load ends with an error: its disk is gone"
    assert "xvdb" not in g1.run("ls /sys/block").out
