# SPDX-License-Identifier: MIT
"""What a guest may and may not change in an image: read-only disks, discarded blocks."""

import pytest

from .engine import Engine
from .lab.dom0 import Dom0
from .lab.guest import Guest

pytestmark = pytest.mark.xen


def test_readonly_disk_cannot_be_written_even_by_force(dom0: Dom0, g1: Guest) -> None:
    dom0.run("dd if=/dev/urandom of=/tmp/a.img bs=64k count=128 2>/dev/null")
    digest = dom0.run("sha256sum < /tmp/a.img").out
    with Engine(dom0) as engine:
        engine.attach("g1", "/tmp/a.img", "xvdb", mode="r")
        assert g1.run("cat /sys/block/xvdb/ro").out == "1\n"
        assert g1.run("sha256sum < /dev/xvdb").out == digest
        write = "dd if=/dev/zero of=/dev/xvdb bs=4k count=16 oflag=direct"
        assert g1.run(write, check=False).rc != 0
        assert engine.disk("g1", "xvdb")["writes"] == 0, "the guest's kernel did not even ask"

        g1.run("blockdev --setrw /dev/xvdb && cat /sys/block/xvdb/ro", check=False)
        assert g1.run(write, check=False).rc != 0
        assert dom0.run("sha256sum < /tmp/a.img").out == digest
        assert g1.run("dd if=/dev/xvdb bs=64k iflag=direct 2>/dev/null | sha256sum").out == digest


def test_discarded_blocks_leave_the_image(dom0: Dom0, g1: Guest) -> None:
    dom0.run("dd if=/dev/urandom of=/tmp/a.img bs=64k count=256 2>/dev/null")

    def allocated() -> int:
        return int(dom0.run("stat -c %b /tmp/a.img").out) * 512

    assert allocated() >= 16 << 20
    with Engine(dom0) as engine:
        engine.attach("g1", "/tmp/a.img", "xvdb")
        assert int(g1.run("cat /sys/block/xvdb/queue/discard_max_bytes").out) > 0
        g1.run("mkfs.ext4 -q -E discard /dev/xvdb", timeout=120)
        assert allocated() < 4 << 20, "mkfs.ext4 discards the whole device first"
        g1.run("mkdir -p /mnt && mount -o discard /dev/xvdb /mnt && dd if=/dev/urandom of=/mnt/f bs=64k count=96; sync")
        filled = allocated()
        assert filled > 6 << 20
        g1.run("rm /mnt/f && sync && umount /mnt")
        assert allocated() < filled - (5 << 20)
        disk = engine.disk("g1", "xvdb")
        assert disk["discards"] >= 2
        assert disk["errors"] == 0
        g1.run("fsck.ext4 -fn /dev/xvdb")
    # what was discarded reads as zeros, here as in the guest
    assert dom0.run("stat -c %s /tmp/a.img").out == f"{16 << 20}\n"
