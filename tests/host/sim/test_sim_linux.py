# SPDX-License-Identifier: MIT
"""The Linux guest end to end against the oracle: it negotiates, loads, checks and complains as blkfront does."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.host.sim.drive import Attach, MakeGuest, flip, full, opened, wait, worked
from tests.host.sim.oracle import ERROR, FLUSH, Features
from usblkback_tui.engine.host.seam import HostError, Put, Remove
from usblkback_tui.engine.host.sim import GuestOptions, Load, SimGuest, SimHost
from usblkback_tui.protocol.states import XenbusState

CASES = {
    "plain": (GuestOptions(persistent=False), Features(), 4096),
    "small": (GuestOptions(persistent=False), Features(), 512),
    "odd": (GuestOptions(), Features(persistent=True), 1536),
    "eleven": (GuestOptions(), Features(), 11 * 4096),
    "cut": (GuestOptions(max_segments=0), Features(indirect=256), 128 * 1024),
    "persistent": (GuestOptions(), Features(persistent=True), 4096),
    "frontend-only": (GuestOptions(persistent=True), Features(persistent=False), 4096),
    "backend-only": (GuestOptions(persistent=False), Features(persistent=True), 4096),
    "indirect": (GuestOptions(persistent=False), Features(indirect=256), 64 * 1024),
    "indirect-persistent": (GuestOptions(), Features(persistent=True, indirect=16), 64 * 1024),
    "x86_32": (GuestOptions(protocol="x86_32-abi", persistent=False), Features(), 8192),
    "x86_32-indirect": (GuestOptions(protocol="x86_32-abi"), Features(persistent=True, indirect=64), 64 * 1024),
    "no-protocol-key": (GuestOptions(protocol=""), Features(), 4096),
    "large": (GuestOptions(max_segments=256), Features(indirect=256), 1024 * 1024),
    "ring-of-4-pages": (GuestOptions(ring_order=2), Features(ring_order=3), 4096),
    "ring-of-1-page": (GuestOptions(ring_order=2), Features(), 4096),
    "x86_32-ring-of-2-pages": (GuestOptions(ring_order=2, protocol="x86_32-abi"), Features(ring_order=1), 4096),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_is_read_back(host: SimHost, make: MakeGuest, attach: Attach, case: str) -> None:
    options, features, block = CASES[case]
    depth = 64 if features.ring_order else 8
    guest = make(
        Load(block_bytes=block, read_percent=50, flush_every=50, depth=depth),
        **{name: getattr(options, name) for name in GuestOptions.__slots__},
    )
    oracle = attach(guest, features).serve()
    worked(guest, 30 if block > 65536 else 150)
    report = guest.verify()
    disk = report.disks[0]
    assert report.ok
    assert report.read_back > 0
    assert disk.verified >= report.read_back
    assert disk.in_flight == 0
    assert oracle.counts.bad == []
    segments = features.indirect if options.max_segments else 0
    biggest = max(11, min(options.max_segments, segments)) * 4096
    assert disk.bytes_written == disk.writes * min(block, biggest)
    assert (oracle.counts.indirect > 0) == (min(block, biggest) > 11 * 4096)
    assert (disk.persistent > 0) == (options.persistent and features.persistent)
    assert disk.flushes == oracle.counts.flushes
    assert oracle.slots == (32 << min(options.ring_order, features.ring_order))
    oracle.detach()
    assert host.hypervisor.mapped == 0
    wait(lambda: not host.list(f"/local/domain/{guest.domid}/device/vbd"), "the removal")
    guest.stop_load()
    assert not any("still in use" in line for line in guest.console)


def test_a_flipped_byte_is_found(make: MakeGuest, attach: Attach, image: Path) -> None:
    guest = make(Load(read_percent=0))
    attach(guest).serve()
    worked(guest)
    guest.stop_load()
    before = guest.disk("xvda")
    data = image.read_bytes()
    where = next(i for i in range(0, len(data), 4096) if any(data[i : i + 4096])) + 1000
    flip(image, where)
    report = guest.verify()
    assert not report.ok
    assert report.mismatches == 1
    assert report.disks[0].bad_sector == where // 512
    assert report.read_back > 1
    assert report.verified - before.verified == report.read_back - 1


def test_an_old_block_is_found(make: MakeGuest, attach: Attach, image: Path) -> None:
    guest = make(Load(read_percent=0, span_bytes=16 * 4096, sequential=True))
    attach(guest).serve()
    worked(guest)
    guest.stop_load()
    old = image.read_bytes()
    guest.start_load()
    worked(guest)
    guest.stop_load()
    with opened(image) as fd:
        os.pwrite(fd, old[4096:8192], 4096)
    assert guest.verify().mismatches == 1


def test_a_block_of_another_place_is_found(make: MakeGuest, attach: Attach, image: Path) -> None:
    guest = make(Load(read_percent=0, span_bytes=16 * 4096, sequential=True))
    attach(guest).serve()
    worked(guest)
    guest.stop_load()
    data = image.read_bytes()
    with opened(image) as fd:
        os.pwrite(fd, data[4096:8192], 8192)
        os.pwrite(fd, data[8192:12288], 4096)
    assert guest.verify().mismatches == 2


def test_discard(make: MakeGuest, attach: Attach) -> None:
    guest = make(Load(discard_every=5, read_percent=30))
    oracle = attach(guest, Features(discard=True)).serve()
    worked(guest)
    assert guest.verify().ok
    assert guest.disk("xvda").discards == oracle.counts.discards > 0


def test_no_discard_unless_offered(make: MakeGuest, attach: Attach) -> None:
    guest = make(Load(discard_every=2))
    oracle = attach(guest).serve()
    worked(guest)
    assert oracle.counts.discards == guest.disk("xvda").unsupported == 0


def test_a_discard_that_is_not_supported_is_given_up(make: MakeGuest, attach: Attach) -> None:
    guest = make(Load(discard_every=2, read_percent=0, depth=1))
    oracle = attach(guest, Features(discard=True))
    oracle.serve()
    oracle.features.discard = False
    worked(guest)
    assert guest.verify().ok
    assert guest.disk("xvda").unsupported == oracle.counts.discards - guest.disk("xvda").discards == 1


def test_barriers_where_there_is_no_flush(make: MakeGuest, attach: Attach) -> None:
    guest = make(Load(flush_every=5))
    oracle = attach(guest, Features(flush=False, barrier=True)).serve()
    worked(guest)
    assert guest.verify().ok
    assert oracle.counts.flushes > 0
    assert "flush: barrier" in guest.console[-1]


def test_a_failed_flush_is_the_last(make: MakeGuest, attach: Attach) -> None:
    guest = make(Load(flush_every=5, read_percent=0, depth=1))
    oracle = attach(guest)
    oracle.tamper = lambda rsp, n: (
        rsp[:10] + ERROR.to_bytes(2, "little", signed=True) + rsp[12:] if rsp[8] == FLUSH else rsp
    )
    oracle.serve()
    worked(guest)
    guest.stop_load()
    assert (guest.disk("xvda").errors, oracle.counts.flushes) == (1, 1)


def test_read_only_disks_are_only_read(make: MakeGuest, attach: Attach) -> None:
    guest = make(Load(read_percent=0))
    oracle = attach(guest)
    oracle.attach(mode="r")
    oracle.connect()
    assert worked(guest).writes == 0


def test_the_rate_is_kept(make: MakeGuest, attach: Attach) -> None:
    guest = make(Load(rate=400, depth=4))
    attach(guest).serve()
    worked(guest, 20)
    began, before = time.monotonic(), guest.disk("xvda")
    disk = worked(guest, 200)
    took = time.monotonic() - began
    done = disk.reads + disk.writes - before.reads - before.writes
    # What was under way before counts as done after, and a stall is made up for by one full depth.
    assert done <= 400 * took + 2 * 4 + 1


def test_sequential(make: MakeGuest, attach: Attach, image: Path) -> None:
    guest = make(Load(sequential=True, read_percent=0, depth=1))
    attach(guest).serve()
    worked(guest, 100)
    guest.stop_load()
    count = guest.disk("xvda").writes
    data = image.read_bytes()
    written = [any(data[i : i + 4096]) for i in range(0, len(data), 4096)]
    assert written == [i < count for i in range(len(written))]


def test_spinning(make: MakeGuest, attach: Attach) -> None:
    guest = make(Load(spin=True, depth=2))
    attach(guest).serve()
    worked(guest)
    assert guest.verify().ok
    assert guest.disk("xvda").verified > 0


class TestBadBackends:
    """What makes blkfront say "disabled for further use"."""

    def broken(self, guest: SimGuest) -> str:
        wait(lambda: bool(guest.disk("xvda").fault), "the fault")
        wait(lambda: any("disabled for further use" in line for line in guest.console), "the complaint")
        with pytest.raises(HostError, match="cannot read back"):
            guest.verify()
        assert not guest.stats().ok
        return guest.disk("xvda").fault

    def test_an_id_beyond_the_ring(self, make: MakeGuest, attach: Attach) -> None:
        guest = make()
        oracle = attach(guest)
        oracle.tamper = lambda rsp, n: (1 << 40).to_bytes(8, "little") + rsp[8:] if n == 20 else rsp
        oracle.serve()
        assert str(1 << 40) in self.broken(guest)
        assert guest.disk("xvda").reads + guest.disk("xvda").writes + guest.disk("xvda").flushes == 20

    def test_an_id_that_is_not_under_way(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(depth=2))
        oracle = attach(guest)
        oracle.tamper = lambda rsp, n: (31 if n == 20 else rsp[0]).to_bytes(8, "little") + rsp[8:]
        oracle.serve()
        assert self.broken(guest) == "a response to id 31, which is not under way"

    def test_another_operation(self, make: MakeGuest, attach: Attach) -> None:
        guest = make()
        oracle = attach(guest)
        oracle.tamper = lambda rsp, n: rsp[:8] + b"\x07" + rsp[9:] if n == 20 else rsp
        oracle.serve()
        assert "operation 7" in self.broken(guest)

    def test_indirect_is_answered_with_the_operation_inside(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(block_bytes=65536))
        oracle = attach(guest, Features(indirect=32))
        oracle.tamper = lambda rsp, n: rsp[:8] + b"\x06" + rsp[9:] if n == 20 else rsp
        oracle.serve()
        assert "operation 6" in self.broken(guest)

    def test_more_responses_than_requests(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(depth=1))
        oracle = attach(guest)

        def jump(rsp: bytes, n: int) -> bytes:
            if n == 20:
                queue = oracle.queues[0]
                queue.set_index(8, queue.index(8) + 5)
                queue.set_index(12, queue.index(8) + 1)  # so that the guest is told
            return rsp

        oracle.tamper = jump
        oracle.serve()
        assert "more than there are requests" in self.broken(guest)

    def test_a_grant_that_is_kept_without_leave(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(persistent=False)
        oracle = attach(guest)
        oracle.map_page = lambda queue, ref, writable: queue.kept.setdefault(  # type: ignore[method-assign]
            ref, queue.grants.map([ref], writable=writable) if ref not in queue.kept else 0
        )
        oracle.unmap_page = lambda queue, address: None  # type: ignore[method-assign]
        oracle.serve()
        assert "not unmapped a grant" in self.broken(guest)


class TestHandshake:
    def test_it_waits_for_init_wait(self, host: SimHost, make: MakeGuest, attach: Attach) -> None:
        guest = make()
        oracle = attach(guest)
        oracle.attach()
        guest.wait_state("xvda", XenbusState.INITIALISED)
        front = oracle.front
        assert host.read(f"{front}/protocol") == "x86_64-abi"
        assert host.read(f"{front}/feature-persistent") == "1"
        assert host.read(f"{front}/ring-page-order") is None
        assert (host.read(f"{front}/ring-ref") or "").isdecimal()
        assert (host.read(f"{front}/event-channel") or "").isdecimal()
        oracle.set_state(3)
        time.sleep(0.05)
        assert guest.state("xvda") is XenbusState.INITIALISED
        oracle.bind()
        oracle.set_state(4)
        guest.wait_state("xvda")

    @pytest.mark.parametrize("state", [1, 3, 0])
    def test_a_backend_that_is_not_ready(self, make: MakeGuest, attach: Attach, state: int) -> None:
        guest = make()
        oracle = attach(guest)
        oracle.attach(state=state)
        time.sleep(0.05)
        assert guest.state("xvda") is XenbusState.INITIALISING
        oracle.set_state(2)
        oracle.connect()
        guest.wait_state("xvda")

    def test_a_backend_that_is_connected_at_once(self, make: MakeGuest, attach: Attach) -> None:
        guest = make()
        oracle = attach(guest)
        oracle.attach(state=4)
        guest.wait_state("xvda")
        oracle.bind()
        worked(guest)

    @pytest.mark.parametrize("key", ["sectors", "info", "sector-size"])
    def test_a_missing_key_is_fatal(self, host: SimHost, make: MakeGuest, attach: Attach, key: str) -> None:
        guest = make()
        oracle = attach(guest, Features(omit=(key,)))
        oracle.attach()
        oracle.connect()
        guest.wait_state("xvda", XenbusState.CLOSING)
        error = host.read(f"/local/domain/{guest.domid}/error/device/vbd/{oracle.devid}/error")
        assert error is not None
        assert key in error

    def test_the_size_changes_under_load(self, host: SimHost, make: MakeGuest, attach: Attach, image: Path) -> None:
        guest = make(Load(sequential=True, read_percent=0))
        half = image.stat().st_size // 2
        oracle = attach(guest, Features(sectors=half // 512)).serve()
        worked(guest, half // 4096 + 10)
        assert not any(image.read_bytes()[half:])
        host.commit([Put(f"{oracle.back}/sectors", str(half // 256)), Put(f"{oracle.back}/state", "4")])
        wait(lambda: any(image.read_bytes()[half:]), "a write beyond the old end")
        wait(lambda: any("setting capacity" in line for line in guest.console), "the message")
        assert guest.verify().ok
        assert oracle.counts.bad == []

    def test_again_when_the_toolstack_writes_1(self, host: SimHost, make: MakeGuest, attach: Attach) -> None:
        guest = make()
        oracle = attach(guest).serve()
        worked(guest)
        oracle.set_state(5)
        guest.wait_state("xvda", XenbusState.CLOSED)
        oracle.disconnect()
        oracle.set_state(2)
        time.sleep(0.05)
        assert guest.state("xvda") is XenbusState.CLOSED
        host.commit([Put(f"{oracle.front}/state", "1")])
        guest.wait_state("xvda", XenbusState.INITIALISED)
        oracle.connect()
        worked(guest)
        assert guest.verify().ok


class TestClosing:
    def test_dead(self, host: SimHost, make: MakeGuest, attach: Attach) -> None:
        guest = make()
        oracle = attach(guest).serve()
        worked(guest)
        full(guest, oracle, 8)
        oracle.set_state(5)
        guest.wait_state("xvda", XenbusState.CLOSED)
        assert guest.disk("xvda").in_flight == 8
        oracle.close()
        assert host.hypervisor.mapped == 0
        again = attach(guest)
        again.serve()
        worked(guest)
        assert guest.verify().ok, "the writes that were under way are old or new"

    def test_busy_refuses_until_the_load_ends(self, host: SimHost, make: MakeGuest, attach: Attach) -> None:
        guest = make(closing="busy")
        oracle = attach(guest).serve()
        worked(guest)
        oracle.set_state(5)
        guest.wait_state("xvda", XenbusState.CLOSING)
        worked(guest)
        assert any("Device in use; refusing to close" in line for line in guest.console)
        error = host.read(f"/local/domain/{guest.domid}/error/device/vbd/{oracle.devid}/error")
        assert error == "16 Device in use; refusing to close"
        guest.stop_load()
        guest.wait_state("xvda", XenbusState.CLOSED)
        assert guest.disk("xvda").in_flight == 0

    def test_unmounted_answers_everything_first(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(closing="unmounted")
        oracle = attach(guest).serve()
        worked(guest)
        oracle.set_state(5)
        guest.wait_state("xvda", XenbusState.CLOSED)
        assert guest.disk("xvda").in_flight == 0

    def test_surprise_removal_and_a_new_disk(self, make: MakeGuest, attach: Attach, image: Path) -> None:
        guest = make(Load(read_percent=50))
        oracle = attach(guest).serve()
        worked(guest)
        oracle.close()
        again = attach(guest)
        again.serve()
        worked(guest)
        report = guest.verify()
        assert report.ok
        assert report.read_back > 0
        assert again.counts.bad == []

    def test_pages_the_backend_keeps_are_reported(self, host: SimHost, make: MakeGuest, attach: Attach) -> None:
        guest = make()
        oracle = attach(guest, Features(persistent=True)).serve()
        worked(guest)
        guest.stop_load()
        assert guest.disk("xvda").persistent == 8
        host.commit([Remove(oracle.front)])
        wait(lambda: any("still in use" in line for line in guest.console), "the warning")
        oracle.disconnect()


class TestBackendDeath:
    def test_a_new_backend_goes_on_with_the_old_ring(self, host: SimHost, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(read_percent=50))
        oracle = attach(guest, Features(persistent=True)).serve()
        for _ in range(3):
            worked(guest)
            oracle.disconnect()
            assert host.hypervisor.mapped == 0
            assert guest.state("xvda") is XenbusState.CONNECTED
            oracle.reconnect()
        worked(guest)
        assert guest.verify().ok
        assert oracle.counts.bad == []

    def test_writes_under_way_may_be_old_or_new_but_nothing_else(
        self, make: MakeGuest, attach: Attach, image: Path
    ) -> None:
        # In turn, so that every block was written before.
        guest = make(Load(read_percent=0, span_bytes=64 * 4096, depth=16, sequential=True))
        oracle = attach(guest).serve()
        worked(guest, 300)
        full(guest, oracle, 16)
        guest.reboot(clean=False)
        oracle.close()
        guest.set_load(replace(Load(), read_percent=100))
        again = attach(guest)
        again.serve()
        worked(guest)
        report = guest.verify()
        assert report.ok
        assert report.read_back == 64


@pytest.mark.parametrize("number", [0, -1])
def test_an_error_is_counted(make: MakeGuest, attach: Attach, number: int) -> None:
    guest = make(Load(read_percent=100))
    oracle = attach(guest)
    oracle.tamper = lambda rsp, n: rsp[:10] + number.to_bytes(2, "little", signed=True) + rsp[12:] if n == 9 else rsp
    oracle.serve()
    worked(guest, 50)
    assert guest.disk("xvda").errors == -number
