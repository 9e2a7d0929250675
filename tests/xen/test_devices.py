# SPDX-License-Identifier: MIT
"""Kinds of disk: a CD, and an image that is a block device, past dom0's page cache."""

import pytest

from .engine import Engine
from .lab.dom0 import Dom0
from .lab.guest import Guest

pytestmark = pytest.mark.xen

VDISK_CDROM, VDISK_READONLY = 1, 4
"""Bits of the backend's key `info` (blkif.h)."""


def test_cdrom_is_readonly_and_says_what_it_is(dom0: Dom0, g1: Guest) -> None:
    dom0.run("dd if=/dev/urandom of=/tmp/cd.iso bs=64k count=128 2>/dev/null")
    digest = dom0.run("sha256sum </tmp/cd.iso").out
    with Engine(dom0) as engine:
        engine.cli("attach g1 /tmp/cd.iso xvdb --mode r --device-type cdrom --wait 60", timeout=120)
        disk = engine.disk("g1", "xvdb")
        assert (disk["device_type"], disk["mode"]) == ("cdrom", "r")
        back = f"/local/domain/0/backend/usblkback/{g1.domid}/51728"
        info = int(dom0.run(f"xenstore-read {back}/info").out)
        assert info & (VDISK_CDROM | VDISK_READONLY) == VDISK_CDROM | VDISK_READONLY
        assert dom0.run(f"xenstore-read /local/domain/{g1.domid}/device/vbd/51728/device-type").out == "cdrom\n"
        assert g1.run("cat /sys/block/xvdb/ro").out == "1\n"
        assert g1.run("sha256sum </dev/xvdb").out == digest
        g1.run("blockdev --setrw /dev/xvdb", check=False)
        assert g1.run("dd if=/dev/zero of=/dev/xvdb bs=4k count=16 oflag=direct", check=False).rc != 0
    assert dom0.run("sha256sum </tmp/cd.iso").out == digest


def test_block_device_past_the_page_cache(dom0: Dom0, g1: Guest) -> None:
    """A loop device takes direct I/O and discards; discarded blocks leave the file below it."""
    dom0.run("modprobe loop; dd if=/dev/urandom of=/tmp/below bs=64k count=256 2>/dev/null")
    device = dom0.run("losetup --find --show /tmp/below").out.strip()
    digest = dom0.run("sha256sum </tmp/below").out
    with Engine(dom0) as engine:
        engine.attach("g1", device, "xvdb")
        assert g1.run("sha256sum </dev/xvdb", timeout=120).out == digest
        disk = engine.disk("g1", "xvdb")
        assert disk["direct"] is True
        assert [ring["io_engine"] for ring in disk["rings"]] == ["io_uring"]
        job = (
            "fio --name=t --filename=/dev/xvdb --rw=randrw --bssplit=4k/50:32k/30:128k/20 --size=8m --ioengine=libaio "
            "--direct=1 --iodepth=16 --fsync=32 --verify=crc32c --verify_fatal=1"
        )
        assert "err= 0" in g1.run(job, timeout=240).out

        assert int(dom0.run("stat -c %b /tmp/below").out) * 512 >= 16 << 20
        g1.run("blkdiscard -o 8388608 -l 4194304 /dev/xvdb")
        assert int(dom0.run("stat -c %b /tmp/below").out) * 512 <= 12 << 20
        zeros = g1.run("dd if=/dev/xvdb bs=1M skip=8 count=4 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c").out
        assert zeros == "0\n"
        disk = engine.disk("g1", "xvdb")
        assert disk["discards"] >= 1
        assert (disk["errors"], disk["in_flight"]) == (0, 0)
    dom0.run(f"losetup --detach {device}")
