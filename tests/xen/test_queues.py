# SPDX-License-Identifier: MIT
"""What a guest's driver may negotiate: several queues, rings of several pages, large requests; and what is too much."""

import pytest

from .engine import Engine
from .lab.dom0 import Dom0
from .lab.guest import Guest
from .leftovers import mapped_grants

pytestmark = pytest.mark.xen

ON_BOTH_PROCESSORS = (
    "fio --name=t --filename=/dev/xvdb --ioengine=libaio --direct=1 --rw=randrw --verify=crc32c --verify_fatal=1 "
    "--size=4m --offset_increment=16m --numjobs=2 --cpus_allowed=0-1 --cpus_allowed_policy=split"
)
LARGE = "--bssplit=4k/30:16k/20:64k/20:256k/20:1m/10 --iodepth=16"
MANY = "--bssplit=4k/60:16k/25:128k/15 --iodepth=64"
# Parameters of the driver; what each ring becomes: pages, slots, how grants are taken; pages in a request; a load.
# With persistent grants the driver allocates a page for each of slots x pages in a request, and 512 x 256 are more than
# the guest has.
DRIVERS = (
    ("max_ring_page_order=4 max_indirect_segments=256 feature_persistent=0", (16, 512, "copy"), 256, LARGE),
    ("max_ring_page_order=4 max_queues=2", (16, 512, "persistent"), 32, MANY),
    ("", (1, 32, "persistent"), 32, MANY),
)


def test_two_queues_with_large_rings_and_requests_and_with_the_drivers_defaults(dom0: Dom0, g2: Guest) -> None:
    dom0.run("truncate -s 32M /tmp/a.img")
    with Engine(dom0, "[engine]\nmax_queues = 2\n") as engine:
        for parameters, ring, segments, load in DRIVERS:
            g2.run(f"rmmod xen_blkfront && insmod /modules/xen-blkfront {parameters}")
            disk = engine.attach("g2", "/tmp/a.img", "xvdb")
            assert [(one["pages"], one["slots"], one["grant_mode"]) for one in disk["rings"]] == [ring, ring]
            seen = g2.run("cat /sys/block/xvdb/queue/max_segments; ls /sys/block/xvdb/mq").out
            assert seen.split() == [str(segments), "0", "1"]
            assert g2.run(f"{ON_BOTH_PROCESSORS} {load}", timeout=300).out.count("err= 0") == 2
            interrupts = g2.run("grep blkif /proc/interrupts").out.splitlines()
            assert len(interrupts) == 2
            for line in interrupts:
                assert sum(int(word) for word in line.split()[1:3]) > 10, f"nothing came through a queue: {line}"
            disk = engine.well("g2", "xvdb")
            assert (disk["errors"], disk["in_flight"]) == (0, 0)
            engine.detach("g2", "xvdb")
            assert mapped_grants(dom0) == []


def test_frontend_that_asks_for_more_than_it_was_offered(dom0: Dom0, g1: Guest) -> None:
    """No real one does, so its keys are written here; the driver is loaded at the end and is served."""
    dom0.run("truncate -s 16M /tmp/a.img")
    g1.run("rmmod xen_blkfront")
    front, back = f"/local/domain/{g1.domid}/device/vbd/51728", f"/local/domain/0/backend/usblkback/{g1.domid}/51728"
    error = f"/local/domain/0/error/backend/usblkback/{g1.domid}/51728/error"
    with Engine(dom0, "[engine]\nmax_queues = 2\nmax_ring_page_order = 2\n") as engine:
        engine.cli("attach g1 /tmp/a.img xvdb")

        def backend_reaches(state: int) -> None:
            dom0.run(f"until [ $(xenstore-read {back}/state) = {state} ]; do sleep 0.1; done")

        backend_reaches(2)
        offered = [dom0.run(f"xenstore-read {back}/{key}").out for key in ("max-ring-page-order", "max-ring-pages")]
        assert offered == ["2\n", "4\n"]
        for key, value, words in (
            ("ring-page-order", 3, "max-ring-page-order offers at most 2"),
            ("num-ring-pages", 8, "max-ring-pages offers at most 4"),
            ("multi-queue-num-queues", 3, "multi-queue-max-queues offers at most 2"),
        ):
            dom0.run(f"xenstore-write {front}/{key} {value} {front}/state 3")
            dom0.run(f"until xenstore-read {error} 2>/dev/null | grep -q {key}; do sleep 0.1; done")
            said = dom0.run(f"xenstore-read {error}").out
            assert words in said
            assert str(value) in said
            assert words in engine.disk("g1", "xvdb")["health"]["sentence"]
            backend_reaches(5)
            dom0.run(f"xenstore-rm {front}/{key}; xenstore-write {front}/state 6")
            backend_reaches(6)
            dom0.run(f"xenstore-write {front}/state 1")
            backend_reaches(2)
        g1.run("insmod /modules/xen-blkfront && until [ -b /dev/xvdb ]; do sleep 0.2; done")
        g1.run("dd if=/dev/xvdb of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null")
        assert dom0.run(f"xenstore-read {error}", check=False).rc != 0, "what was wrong is not any more"
