# SPDX-License-Identifier: MIT
"""Guests that end, begin again, or let go of their disk by themselves; the engine goes on."""

import pytest

from .engine import Engine, Json, connected
from .lab.dom0 import Dom0
from .lab.guest import Guest
from .leftovers import guest_channels, mapped_grants, vbd_nodes

pytestmark = pytest.mark.xen

LOAD = (
    "fio --name=load --filename=/dev/xvdb --size=8m --rw=randrw --bsrange=4k-64k --ioengine=libaio --direct=1 "
    "--iodepth=16 --time_based --runtime=600"
)


def busy(disks: list[Json]) -> bool:
    return all(disk["reads"] > 100 and disk["writes"] > 100 for disk in disks)


def test_destroyed_guest_under_load_leaves_nothing_and_the_engine_goes_on(dom0: Dom0, g1: Guest, g2: Guest) -> None:
    dom0.run("truncate -s 16M /tmp/a.img /tmp/b.img")
    with Engine(dom0) as engine:
        open_before = engine.open_files()
        engine.attach("g1", "/tmp/a.img", "xvdb")
        g1.start(LOAD)
        engine.wait_disks(busy)
        g1.destroy()
        engine.wait_disks(lambda disks: disks == [])
        assert "domain g1 (1) has ended" in engine.process.out
        assert (vbd_nodes(dom0), mapped_grants(dom0), guest_channels(dom0)) == ([], [], [2, 2])
        assert set(engine.open_files()) <= set(open_before)

        engine.attach("g2", "/tmp/a.img", "xvdb")
        g2.run("dd if=/dev/xvdb of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null")


def test_rebooted_guest_gets_its_disk_back_with_its_data(dom0: Dom0, g1: Guest) -> None:
    dom0.run("truncate -s 16M /tmp/a.img")
    with Engine(dom0) as engine:
        first = engine.attach("g1", "/tmp/a.img", "xvdb")
        g1.run(
            "dd if=/dev/urandom of=/tmp/data bs=64k count=32 2>/dev/null && dd if=/tmp/data of=/dev/xvdb bs=64k && sync"
        )
        digest = g1.run("sha256sum < /tmp/data").out
        g1.start("reboot -f")
        engine.wait_disks(
            lambda disks: any(disk["domid"] != first["domid"] and connected(disk) for disk in disks), seconds=180
        )
        assert [disk["domain"] for disk in engine.disks()] == ["g1"], "the old domain's disk is gone"
        again = Guest(dom0, "g1")
        again.wait()
        assert again.run("dd if=/dev/xvdb bs=64k count=32 2>/dev/null | sha256sum").out == digest

        again.start("poweroff -f")
        engine.wait_disks(lambda disks: disks == [], seconds=120)
        assert vbd_nodes(dom0) == []


def test_driver_that_lets_go_gives_everything_back(dom0: Dom0, g1: Guest) -> None:
    dom0.run("truncate -s 16M /tmp/a.img")
    with Engine(dom0) as engine:
        disk = engine.attach("g1", "/tmp/a.img", "xvdb")
        g1.run("dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null; dd if=/tmp/data of=/dev/xvdb bs=64k; sync")
        digest = g1.run("sha256sum < /tmp/data").out

        g1.run("echo vbd-51728 >/sys/bus/xen/drivers/vbd/unbind")
        engine.wait_disks(lambda disks: disks[0]["frontend_state"] == disks[0]["backend_state"] == "Closed")
        assert (mapped_grants(dom0), guest_channels(dom0)) == ([], [1, 1, 2, 2])

        # Linux leaves its end at Closed even when the driver is bound again.  What a driver does that starts anew is to
        # go to Initialising, so that much is done here in its place.
        dom0.run(f"xenstore-write /local/domain/{disk['domid']}/device/vbd/51728/state 1")
        engine.wait_disks(lambda disks: disks[0]["backend_state"] == "InitWait")

        engine.detach("g1", "xvdb")
        engine.attach("g1", "/tmp/a.img", "xvdb")
        assert g1.run("dd if=/dev/xvdb bs=64k count=16 2>/dev/null | sha256sum").out == digest
