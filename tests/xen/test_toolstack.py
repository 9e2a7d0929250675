# SPDX-License-Identifier: MIT
"""Disks that xl attaches and detaches: kind vbd, with our hotplug script."""

import pytest

from .engine import Engine, connected
from .lab.dom0 import Dom0
from .lab.guest import Guest

pytestmark = pytest.mark.xen

INSTALL = (
    "package=$(python3 -c 'import usblkback_tui; print(usblkback_tui.__path__[0])') && "
    "install -m 755 $package/hotplug/block-usblkback /etc/xen/scripts/"
)
DISK = "format=raw,vdev={},access={},script=block-usblkback,target={}"


def test_xl_attaches_and_detaches(dom0: Dom0, g1: Guest) -> None:
    dom0.run(INSTALL)
    dom0.run("truncate -s 16M /tmp/a.img /tmp/b.img")
    with Engine(dom0, '[engine]\nkinds = ["usblkback", "vbd"]\n') as engine:
        dom0.run(f"xl block-attach g1 '{DISK.format('xvdc', 'rw', '/tmp/a.img')}'", timeout=120)
        disk = engine.wait_disks(lambda disks: len(disks) == 1 and connected(disks[0]))[0]
        assert (disk["kind"], disk["vdev"], disk["mode"], disk["image"]) == ("vbd", "xvdc", "w", "/tmp/a.img")
        back = f"/local/domain/0/backend/vbd/{disk['domid']}/{disk['devid']}"
        assert dom0.run(f"xenstore-read {back}/hotplug-status").out == "connected\n"
        job = (
            "fio --name=t --filename=/dev/xvdc --size=2m --rw=randwrite --bsrange=4k-64k --ioengine=libaio --direct=1 "
            "--iodepth=8 --verify=crc32c"
        )
        assert "err= 0" in g1.run(job, timeout=180).out

        # beside it one of our own kind
        engine.attach("g1", "/tmp/b.img", "xvdd")
        assert [line.split()[0] for line in dom0.run("xl block-list g1").out.splitlines()[1:]] == [str(disk["devid"])]
        engine.detach("g1", "xvdd")

        dom0.run("xl block-detach g1 xvdc", timeout=120)
        engine.wait_disks(lambda disks: disks == [])
        assert "xvdc" not in g1.run("ls /sys/block").out


def test_xl_is_told_why_an_image_cannot_be_had(dom0: Dom0, g1: Guest) -> None:
    dom0.run(INSTALL)
    with Engine(dom0, '[engine]\nkinds = ["usblkback", "vbd"]\n') as engine:
        attach = f"xl block-attach g1 '{DISK.format('xvdc', 'rw', '/tmp/none.img')}'"
        refused = dom0.run(attach, check=False, timeout=120)
        assert refused.rc != 0
        back = f"/local/domain/0/backend/vbd/{g1.domid}/51744"
        sentence = dom0.run(f"xenstore-read {back}/hotplug-error").out
        assert "/tmp/none.img does not exist" in sentence
        assert dom0.run(f"xenstore-read {back}/hotplug-status").out == "error\n"
        assert "/tmp/none.img does not exist" in engine.disk("g1", "xvdc")["health"]["sentence"]

        # xl leaves what it could not attach; it is gone after a detach, and the vdev is free
        dom0.run("xl block-detach g1 xvdc", timeout=120)
        engine.wait_disks(lambda disks: disks == [])
        dom0.run("truncate -s 16M /tmp/none.img")
        dom0.run(f"xl block-attach g1 '{DISK.format('xvdc', 'ro', '/tmp/none.img')}'", timeout=120)
        engine.wait_disks(lambda disks: len(disks) == 1 and connected(disks[0]))
        assert g1.run("cat /sys/block/xvdc/ro").out == "1\n"
        dom0.run("xl block-detach g1 xvdc", timeout=120)
        engine.wait_disks(lambda disks: disks == [])
