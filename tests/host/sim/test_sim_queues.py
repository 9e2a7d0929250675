# SPDX-License-Identifier: MIT
"""The Linux guest with several queues, rings of several pages and large requests, against the oracle."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.host.sim.drive import Attach, MakeGuest, flip, full, wait, worked
from tests.host.sim.oracle import Features, Oracle
from usblkback_tui.engine.host.seam import HostError, Put
from usblkback_tui.engine.host.sim import Load, SimGuest, SimHost
from usblkback_tui.protocol.states import XenbusState

BLOCK = 4096


def all_worked(guest: SimGuest, requests: int = 40) -> None:
    """Wait until every queue it is connected with has done so much more."""
    before = dict(enumerate(guest.disk("xvda").by_queue))

    def more() -> bool:
        disk = guest.disk("xvda")
        now = enumerate(disk.by_queue[: disk.queues])
        return disk.queues > 0 and all(count >= before.get(queue, 0) + requests for queue, count in now)

    wait(more, f"{requests} requests on every queue")


def keys(host: SimHost, oracle: Oracle) -> set[str]:
    """What the frontend wrote, below its directory."""
    return {path.removeprefix(f"{oracle.front}/") for path in host.hypervisor.store.dump(oracle.front)}


@pytest.mark.parametrize(
    ("queues", "order", "protocol"),
    [
        *((queues, order, "x86_64-abi") for queues in (2, 4) for order in range(5)),
        *((queues, order, "x86_32-abi") for queues, order in ((2, 0), (4, 1), (2, 4))),
    ],
)
def test_every_slot_of_every_queue(
    host: SimHost, make: MakeGuest, attach: Attach, queues: int, order: int, protocol: str
) -> None:
    depth = queues * (32 << order)
    guest = make(
        Load(block_bytes=512, depth=depth, read_percent=50, flush_every=10),
        max_queues=queues,
        ring_order=order,
        protocol=protocol,
    )
    oracle = attach(guest, Features(queues=queues, ring_order=order, persistent=order % 2 == 1)).serve()
    assert len(oracle.queues) == queues
    assert oracle.slots == 32 << order
    assert oracle.x86_32 == (protocol == "x86_32-abi")
    all_worked(guest, 20)
    full(guest, oracle, depth)
    oracle.hold.clear()
    worked(guest, depth + 50)
    guest.stop_load()
    wrote = [queue.wrote for queue in oracle.queues]
    assert len(set.union(*wrote)) == sum(map(len, wrote)), "two queues wrote one block"
    report = guest.verify()
    disk = report.disks[0]
    assert report.ok
    assert report.read_back == len(set.union(*wrote))
    assert oracle.counts.bad == []
    assert disk.queues == queues
    assert disk.by_queue == tuple(queue.requests for queue in oracle.queues)
    assert sum(disk.by_queue) == disk.reads + disk.writes + disk.flushes == oracle.counts.requests
    assert disk.flushes == oracle.counts.flushes > 0
    assert (disk.persistent > 0) == oracle.keeps
    oracle.detach()
    assert host.hypervisor.mapped == 0
    wait(lambda: not host.list(f"/local/domain/{guest.domid}/device/vbd"), "the removal")
    guest.stop_load()
    assert not any("still in use" in line for line in guest.console)


class TestKeys:
    def published(self, host: SimHost, oracle: Oracle) -> set[str]:
        oracle.attach()
        oracle.wait_front("3")
        return keys(host, oracle) - {
            "",
            *("backend", "backend-id", "virtual-device", "state", "protocol", "feature-persistent"),
            oracle.front,
        }

    def test_one_queue_is_at_the_top(self, host: SimHost, make: MakeGuest, attach: Attach) -> None:
        oracle = attach(make(max_queues=4), Features())
        assert self.published(host, oracle) == {"ring-ref", "event-channel"}

    def test_one_of_many_is_at_the_top(self, host: SimHost, make: MakeGuest, attach: Attach) -> None:
        oracle = attach(make(ring_order=1), Features(queues=4, ring_order=4))
        assert self.published(host, oracle) == {"ring-page-order", "ring-ref0", "ring-ref1", "event-channel"}

    def test_several_have_directories(self, host: SimHost, make: MakeGuest, attach: Attach) -> None:
        oracle = attach(make(max_queues=2), Features(queues=4, ring_order=4))
        assert self.published(host, oracle) == {
            "multi-queue-num-queues",
            *(f"queue-{i}{key}" for i in (0, 1) for key in ("", "/ring-ref", "/event-channel")),
        }
        assert oracle.key("multi-queue-num-queues") == "2"

    def test_several_of_several_pages(self, host: SimHost, make: MakeGuest, attach: Attach) -> None:
        oracle = attach(make(max_queues=4, ring_order=1), Features(queues=2, ring_order=4, ring_pages=16))
        assert self.published(host, oracle) == {
            *("multi-queue-num-queues", "ring-page-order"),
            *(f"queue-{i}{key}" for i in (0, 1) for key in ("", "/ring-ref0", "/ring-ref1", "/event-channel")),
        }
        assert oracle.key("ring-page-order") == "1"

    def test_never_more_than_processors(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(max_queues=8, vcpus=2)
        oracle = attach(guest, Features(queues=16)).serve()
        assert len(oracle.queues) == 2
        assert "xen_blkfront: Invalid max_queues (8), will use default max: 2" in guest.console

    @pytest.mark.parametrize(("offered", "used"), [(16, 8), (6, 4), (1, 1), (0, 1)])
    def test_pages_counted(self, make: MakeGuest, attach: Attach, offered: int, used: int) -> None:
        guest = make(ring_order=3, ring_keys="pages")
        oracle = attach(guest, Features(ring_pages=offered, ring_order=4)).serve()
        assert oracle.key("num-ring-pages") == (str(used) if used > 1 else None)
        assert oracle.key("ring-page-order") is None
        assert oracle.slots == 32 * used
        worked(guest)
        assert guest.verify().ok

    def test_pages_counted_in_several_queues(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(depth=32), ring_order=4, ring_keys="pages", max_queues=4)
        oracle = attach(guest, Features(ring_pages=16, queues=4)).serve()
        assert (oracle.key("num-ring-pages"), oracle.slots) == ("16", 512)
        all_worked(guest)
        assert guest.verify().ok

    def test_a_scheme_that_is_not_offered(self, make: MakeGuest, attach: Attach) -> None:
        oracle = attach(make(ring_order=4), Features(ring_pages=16)).serve()
        assert oracle.slots == 32


class TestSegments:
    @pytest.mark.parametrize(
        ("segments", "queues", "persistent", "protocol"),
        [
            (512, 1, False, "x86_64-abi"),
            (512, 2, True, "x86_32-abi"),
            (513, 1, True, "x86_64-abi"),
            (4096, 1, True, "x86_32-abi"),
            (4096, 2, False, "x86_64-abi"),
        ],
    )
    def test_so_many(
        self,
        make: MakeGuest,
        attach: Attach,
        image: Path,
        segments: int,
        queues: int,
        persistent: bool,
        protocol: str,
    ) -> None:
        block = segments * BLOCK
        with image.open("r+b") as file:
            file.truncate(4 * block)
        guest = make(
            Load(block_bytes=block, depth=queues, read_percent=50, span_bytes=2 * block),
            max_segments=4096,
            max_queues=queues,
            persistent=persistent,
            protocol=protocol,
        )
        oracle = attach(guest, Features(indirect=4096, queues=4, persistent=True)).serve()
        all_worked(guest, 4)
        wait(lambda: min(guest.disk("xvda").reads, guest.disk("xvda").writes) >= 2, "reads and writes")
        guest.stop_load(timeout=60)
        disk = guest.disk("xvda")
        assert disk.bytes_written == disk.writes * block > 0
        assert oracle.counts.most_segments == segments
        report = guest.verify()
        assert report.ok
        assert report.read_back >= segments
        assert oracle.counts.bad == []

    def test_a_wrong_page_far_in_a_request_is_found(self, make: MakeGuest, attach: Attach, image: Path) -> None:
        guest = make(
            Load(block_bytes=1024 * BLOCK, depth=1, read_percent=0, sequential=True),
            max_segments=1024,
        )
        attach(guest, Features(indirect=1024)).serve()
        worked(guest, 2)
        guest.stop_load(timeout=60)
        flip(image, 1000 * BLOCK + 7)
        assert guest.verify().mismatches == 1
        assert guest.disk("xvda").bad_sector == 8000

    def test_memory_is_taken_as_it_is_needed(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(depth=256), memory_mib=16, max_segments=4096, ring_order=4, max_queues=4)
        attach(guest, Features(indirect=4096, ring_order=4, queues=4)).serve()
        all_worked(guest)
        assert guest.verify().ok

    def test_without_enough_memory_there_is_no_load(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(block_bytes=4096 * BLOCK, depth=4), memory_mib=16, max_segments=4096, max_queues=2)
        oracle = attach(guest, Features(indirect=4096, queues=2)).serve()
        wait(lambda: any("no load: " in line for line in guest.console), "the complaint")
        guest.stop_load(timeout=60)
        guest.set_load(Load(depth=2))
        guest.start_load()
        all_worked(guest)
        assert guest.verify().ok
        assert oracle.counts.indirect == 0

    def test_loads_of_other_sizes_one_after_another(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(depth=16), max_segments=512, max_queues=2)
        oracle = attach(guest, Features(indirect=512, queues=2)).serve()
        for blocks, depth in ((1, 64), (16, 32), (128, 2), (2, 64), (512, 4)):
            guest.stop_load(timeout=60)
            guest.set_load(Load(block_bytes=blocks * BLOCK, depth=depth, read_percent=50))
            guest.start_load()
            worked(guest, 8)
        assert guest.verify().ok
        assert oracle.counts.bad == []


class TestStripes:
    def test_every_block_is_some_queues(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(read_percent=0, span_bytes=61 * BLOCK, depth=4, sequential=True), max_queues=4)
        oracle = attach(guest, Features(queues=4)).serve()
        all_worked(guest, 32)
        guest.stop_load()
        assert set.union(*(queue.wrote for queue in oracle.queues)) == {8 * i for i in range(61)}
        assert guest.verify().read_back == 61

    def test_less_depth_than_queues(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(read_percent=0, span_bytes=16 * BLOCK, depth=3, sequential=True), max_queues=4)
        oracle = attach(guest, Features(queues=4)).serve()
        wait(lambda: min(guest.disk("xvda").by_queue[:3], default=0) > 16, "work on three queues")
        guest.stop_load()
        assert oracle.queues[3].requests == 0
        assert guest.verify().read_back == 16
        assert oracle.queues[3].requests > 0, "all of them read back"

    def test_the_rate_is_that_of_all(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(rate=400, depth=8), max_queues=4)
        attach(guest, Features(queues=4)).serve()
        all_worked(guest, 5)
        began, before = time.monotonic(), guest.disk("xvda")
        disk = worked(guest, 200)
        took = time.monotonic() - began
        # Each queue may have had its depth under way before, and makes up for it once after a stall.
        assert disk.reads + disk.writes - before.reads - before.writes <= 400 * took + 2 * 8 + 4

    def test_the_disk_grows_under_load(self, host: SimHost, make: MakeGuest, attach: Attach, image: Path) -> None:
        guest = make(Load(sequential=True, read_percent=0, depth=8), max_queues=4)
        small = 2 * BLOCK  # two queues have no block at all
        oracle = attach(guest, Features(sectors=small // 512, queues=4)).serve()
        worked(guest, 50)
        assert not any(image.read_bytes()[small:])
        sectors = image.stat().st_size // 512
        host.commit([Put(f"{oracle.back}/sectors", str(sectors)), Put(f"{oracle.back}/state", "4")])
        wait(lambda: all(len(queue.wrote) > 2 for queue in oracle.queues), "writes by every queue")
        wait(lambda: any(f"setting capacity to {sectors}" in line for line in guest.console), "the message")
        assert guest.verify().ok
        assert oracle.counts.bad == []

    def test_corruption_is_found_on_each_queue(self, make: MakeGuest, attach: Attach, image: Path) -> None:
        guest = make(Load(read_percent=0, span_bytes=64 * BLOCK, depth=8, sequential=True), max_queues=4)
        oracle = attach(guest, Features(queues=4)).serve()
        all_worked(guest, 20)
        guest.stop_load()
        victims = [max(queue.wrote) for queue in oracle.queues]
        assert len(set(victims)) == 4
        for number, sector in enumerate(victims, 1):
            flip(image, sector * 512 + 100)
            assert guest.verify().mismatches == number
            assert guest.disk("xvda").bad_sector == sector
            flip(image, sector * 512 + 100)
        for sector in victims:
            flip(image, sector * 512 + 100)
        report = guest.verify()
        assert report.mismatches == 8
        assert report.read_back == 64


class TestEnds:
    def test_a_queue_that_breaks_ends_all(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(depth=8), max_queues=4)
        oracle = attach(guest, Features(queues=4))
        oracle.tamper = lambda rsp, n: (1 << 40).to_bytes(8, "little") + rsp[8:] if n == 200 else rsp
        oracle.serve()
        wait(lambda: any("disabled for further use" in line for line in guest.console), "the complaint")
        assert str(1 << 40) in guest.disk("xvda").fault
        guest.stop_load()
        done = guest.disk("xvda").by_queue
        with pytest.raises(HostError, match="cannot read back"):
            guest.verify()
        guest.start_load()
        guest.stop_load()
        assert guest.disk("xvda").by_queue == done
        assert sum("disabled for further use" in line for line in guest.console) == 1

    def test_a_reset_with_writes_under_way(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(read_percent=0, span_bytes=64 * BLOCK, depth=16, sequential=True), max_queues=4)
        oracle = attach(guest, Features(queues=4)).serve()
        all_worked(guest, 32)
        full(guest, oracle, 16)
        guest.reboot(clean=False)
        oracle.close()
        guest.set_load(replace(Load(), read_percent=100))
        attach(guest, Features(queues=4)).serve()
        all_worked(guest)
        report = guest.verify()
        assert report.ok
        assert report.read_back == 64

    @pytest.mark.parametrize("queues", [1, 2, 3])
    def test_another_number_of_queues_after_a_reboot(self, make: MakeGuest, attach: Attach, queues: int) -> None:
        guest = make(Load(read_percent=0, span_bytes=64 * BLOCK, depth=8), max_queues=4, ring_order=2)
        oracle = attach(guest, Features(queues=4, ring_order=2)).serve()
        all_worked(guest)
        before = guest.disk("xvda").writes
        guest.reboot(clean=False)
        oracle.close()
        guest.set_load(Load(read_percent=50, span_bytes=64 * BLOCK, depth=8))
        again = attach(guest, Features(queues=queues))
        again.serve()
        worked(guest)
        report = guest.verify()
        assert report.ok
        assert report.disks[0].queues == queues
        assert report.writes > before, "counters go on"
        assert again.counts.bad == []

    def test_closed_and_connected_again(self, host: SimHost, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(depth=16), max_queues=4)
        oracle = attach(guest, Features(queues=4, persistent=True)).serve()
        all_worked(guest)
        oracle.set_state(5)
        guest.wait_state("xvda", XenbusState.CLOSED, timeout=60)
        oracle.disconnect()
        assert host.hypervisor.mapped == 0
        oracle.set_state(6)
        host.commit([Put(f"{oracle.front}/state", "1"), Put(f"{oracle.back}/state", "2")])
        oracle.connect()
        all_worked(guest)
        assert guest.verify().ok

    def test_a_backend_dies_with_every_queue_full(self, host: SimHost, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(read_percent=50, depth=4 * 64, flush_every=20), max_queues=4, ring_order=1)
        oracle = attach(guest, Features(queues=4, ring_order=1, persistent=True)).serve()
        for _ in range(3):
            all_worked(guest, 70)
            full(guest, oracle, 4 * 64)
            oracle.disconnect()
            assert host.hypervisor.mapped == 0
            assert guest.state("xvda") is XenbusState.CONNECTED
            oracle.reconnect()
        all_worked(guest, 70)
        report = guest.verify()
        assert report.ok
        assert report.read_back > 0
        assert oracle.counts.bad == []
