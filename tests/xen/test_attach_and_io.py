# SPDX-License-Identifier: MIT
"""A disk of a real guest from the command line: it comes, carries a file system, goes, and comes back with its data."""

import pytest

from .engine import Engine, Events
from .lab.dom0 import Dom0
from .lab.guest import Guest
from .leftovers import guest_channels, mapped_grants, vbd_nodes

pytestmark = pytest.mark.xen


def test_disk_comes_goes_and_comes_back_with_its_data(dom0: Dom0, g1: Guest) -> None:
    dom0.run("usblkback-tui image create /tmp/a.img 24M")
    with Engine(dom0) as engine:
        events = Events(dom0)
        open_before = engine.open_files()

        disk = engine.attach("g1", "/tmp/a.img", "xvdb")
        assert (disk["sectors"], disk["mode"], disk["queues"]) == (24 << 11, "w", 1)
        events.wait_for(lambda seen: sum(event["severity"] == "good" for event in seen) == 2)
        assert events.states("backend") == ["Initialising", "InitWait", "Connected"]
        assert events.states("frontend") == ["Initialising", "Initialised", "Connected"]

        g1.run("mkfs.ext4 -q /dev/xvdb && mkdir -p /mnt && mount /dev/xvdb /mnt", timeout=120)
        g1.run("dd if=/dev/urandom of=/mnt/data bs=64k count=40 2>/dev/null", timeout=120)
        job = (
            "fio --name=t --filename=/mnt/fio --size=3m --rw=randwrite --bsrange=4k-64k --ioengine=libaio "
            "--direct=1 --iodepth=8 --fsync=16 --verify=crc32c"
        )
        assert "err= 0" in g1.run(job, timeout=180).out
        files = g1.run("cd /mnt && sha256sum data fio && cd / && umount /mnt", timeout=120).out

        disk = engine.well("g1", "xvdb")
        assert (disk["errors"], disk["in_flight"]) == (0, 0)
        assert disk["bytes_written"] >= (40 * 64 << 10) + (3 << 20)
        assert disk["bytes_read"] >= 3 << 20, "fio read its file back past the guest's cache"
        assert disk["writes"] > 50
        assert disk["reads"] > 50
        assert disk["flushes"] >= 3, "umount and fio's fsync reach the image"

        engine.detach("g1", "xvdb")
        events.wait_text("is detached")
        assert events.states("backend")[3:] == ["Closing", "Closed"]
        assert events.states("frontend")[-1] == "Closed"
        assert "xvdb" not in g1.run("ls /sys/block").out
        assert (engine.disks(), vbd_nodes(dom0), mapped_grants(dom0)) == ([], [], [])
        assert guest_channels(dom0) == [1, 1, 2, 2]
        assert set(engine.open_files()) <= set(open_before), "the image and the Xen handles are closed"

        image = dom0.run("sha256sum < /tmp/a.img").out
        engine.attach("g1", "/tmp/a.img", "xvdb")
        assert g1.run("sha256sum < /dev/xvdb", timeout=120).out == image
        again = g1.run(
            "fsck.ext4 -fn /dev/xvdb >/tmp/fsck 2>&1 && mount /dev/xvdb /mnt && cd /mnt && sha256sum data fio"
        )
        assert again.out == files
        g1.run("cd / && umount /mnt")
