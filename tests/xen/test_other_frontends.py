# SPDX-License-Identifier: MIT
"""Frontends other than a PV Linux: a PVH Linux, and GRUB as 32-bit code with the 32-bit ring."""

import pytest

from .engine import Engine
from .lab.dom0 import Dom0

pytestmark = pytest.mark.xen

GRUB = ('type = "pvh"', 'kernel = "/lab/grub-i386-xen_pvh.bin"', "memory = 128", 'on_poweroff = "preserve"')
GRUB_CONFIG = """
insmod hashsum
insmod test
if cmp (xen/xvda)/noise (xen/xvda)/noise.copy; then echo same-bytes; fi
sha256sum (xen/xvda)/noise
echo all-read
halt
"""
"""At its end it halts and is preserved, disk and all: a GRUB that waits for a key keeps the processor busy."""


def test_grub_reads_through_the_32_bit_ring(dom0: Dom0) -> None:
    dom0.run(
        "mkdir -p /tmp/tree/boot/grub && cd /tmp/tree && dd if=/dev/urandom of=noise bs=64k count=16 2>/dev/null && "
        "cp noise noise.copy"
    )
    dom0.write_file("/tmp/tree/boot/grub/grub.cfg", GRUB_CONFIG)
    dom0.run("truncate -s 16M /tmp/grub.img && mke2fs -q -t ext2 -d /tmp/tree /tmp/grub.img")
    digest = dom0.run("sha256sum </tmp/tree/noise").out.split()[0]
    console = "/var/log/xen/console/guest-grub.log"
    with Engine(dom0) as engine:
        grub = dom0.create_domain("grub", *GRUB, paused=True)
        engine.cli("attach grub /tmp/grub.img xvda")
        dom0.run("xl unpause grub")
        dom0.run(f"until grep -q all-read {console}; do sleep 0.3; done", timeout=180)
        said = dom0.run(f"cat {console}").out
        assert "same-bytes" in said
        assert digest in said
        disk = engine.disk("grub", "xvda")
        assert [(ring["protocol"], ring["pages"]) for ring in disk["rings"]] == [("x86_32-abi", 1)]
        assert (disk["errors"], disk["in_flight"]) == (0, 0)
        assert disk["bytes_read"] >= 2 << 20
        grub.destroy()
        engine.wait_disks(lambda disks: disks == [])


def test_pvh_linux(dom0: Dom0) -> None:
    dom0.run("dd if=/dev/urandom of=/tmp/a.img bs=64k count=64 2>/dev/null")
    digest = dom0.run("sha256sum </tmp/a.img").out
    with Engine(dom0) as engine:
        guest = dom0.create_guest("h1", kind="pvh")
        engine.cli("attach h1 /tmp/a.img xvda")
        guest.wait()
        guest.run("until [ -b /dev/xvda ]; do sleep 0.2; done")
        assert guest.run("cat /sys/hypervisor/guest_type").out == "PVH\n"
        assert [ring["protocol"] for ring in engine.disk("h1", "xvda")["rings"]] == ["x86_64-abi"]
        assert guest.run("sha256sum </dev/xvda", timeout=120).out == digest
        job = (
            "fio --name=t --filename=/dev/xvda --rw=randwrite --bsrange=4k-128k --size=2m --ioengine=libaio --direct=1 "
            "--iodepth=16 --verify=crc32c --verify_fatal=1"
        )
        assert "err= 0" in guest.run(job, timeout=180).out
        assert engine.disk("h1", "xvda")["errors"] == 0
        guest.destroy()
        engine.wait_disks(lambda disks: disks == [])
