# SPDX-License-Identifier: MIT
"""Frontends with several queues and large rings: every byte through every ring, and what is refused."""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.rig import MIB, rig, wait_for
from tests.engine.test_engine_io import run_load
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.attaching import attach_commit
from usblkback_tui.engine.engine import Engine
from usblkback_tui.engine.host.sim.domains import GRANT_PAGES, SimDomain
from usblkback_tui.engine.host.sim.host import SimHost
from usblkback_tui.engine.host.sim.load import GuestOptions, Load
from usblkback_tui.engine.offering import LEAST_PAGES
from usblkback_tui.engine.options import identity_of
from usblkback_tui.engine.settings import DirectIo, DiskOptions, IoChoice, Settings
from usblkback_tui.engine.snapshot import Severity
from usblkback_tui.engine.totals import add_counters
from usblkback_tui.protocol.blkif import PAGE
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.states import XenbusState as S


@pytest.mark.parametrize("keys", ["order", "pages"])
@pytest.mark.parametrize(("queues", "order"), [(1, 4), (2, 0), (4, 4), (3, 1)])
def test_every_byte_comes_back_through_every_queue(tmp_path: Path, queues: int, order: int, keys: str) -> None:
    with rig(tmp_path, max_queues=4) as r:
        options = GuestOptions(
            autostart=False, max_queues=queues, ring_order=order, ring_keys=keys, max_segments=64, memory_mib=128
        )
        guest = r.guest(load=Load(block_bytes=64 * 1024, depth=16, span_bytes=8 * MIB), options=options)
        disk = r.attach("g1", r.image(), "xvda")
        assert [ring.index for ring in disk.rings] == list(range(queues))
        assert {ring.pages for ring in disk.rings} == {1 << order}
        assert len({ring.event_channel for ring in disk.rings}) == queues
        assert disk.limits.queues == 4
        run_load(guest, 400)
        wait_for(lambda: (d := r.disk("g1", "xvda")) is not None and d.counters.in_flight == 0)
        disk = r.engine.snapshot().disks[0]
        assert all(ring.counters.responses > 0 for ring in disk.rings)
        assert disk.counters == add_counters(*(ring.counters for ring in disk.rings))
        assert sum(disk.latency.read.counts) == disk.counters.reads
        assert sum(disk.latency.write.counts) == disk.counters.writes
        assert disk.counters.errors == 0
        assert disk.health.severity is Severity.GOOD
        r.engine.detach("g1", "xvda")
        assert guest.mapped == 0


@pytest.mark.parametrize("copy", [True, False])
def test_several_queues_without_persistent_grants(tmp_path: Path, copy: bool) -> None:
    with rig(tmp_path, max_queues=2, grant_copy=copy) as r:
        options = GuestOptions(autostart=False, max_queues=2, ring_order=2, persistent=False)
        guest = r.guest(options=options)
        disk = r.attach("g1", r.image(), "xvda")
        assert {ring.grant_mode for ring in disk.rings} == {"copy" if copy else "map"}
        run_load(guest, 200)


def test_a_disk_of_its_own_limits(tmp_path: Path) -> None:
    with rig(tmp_path, max_queues=4) as r:
        guest = r.guest(options=GuestOptions(autostart=False, max_queues=4, ring_order=4, max_segments=256))
        own = DiskOptions(max_queues=2, max_ring_page_order=1, indirect_segments=16, persistent_pages=64)
        disk = r.engine.attach(AttachRequest("g1", str(r.image()), "xvda", options=own), wait=60.0)
        assert disk.options == own
        assert [ring.pages for ring in disk.rings] == [2, 2]
        run_load(guest, 200)
        assert r.engine.snapshot().disks[0].counters.grants_mapped <= 64
        other = r.attach("g1", r.image("b.img"), "xvdb")
        assert [ring.pages for ring in other.rings] == [16] * 4


def test_the_process_budget_is_shared_by_all_disks(tmp_path: Path) -> None:
    with rig(tmp_path, max_queues=2, grant_budget=48) as r:
        guest = r.guest(
            load=Load(block_bytes=64 * 1024, depth=8, span_bytes=4 * MIB),
            options=GuestOptions(autostart=False, max_queues=2, memory_mib=128),
        )
        for vdev in ("xvda", "xvdb"):
            r.attach("g1", r.image(vdev), vdev)
        run_load(guest)
        disks = r.engine.snapshot().disks
        assert sum(disk.counters.grants_mapped for disk in disks) <= 48
        assert all(disk.counters.errors == 0 for disk in disks)


def test_a_rebooted_guest_finds_its_disk_with_the_options_it_had(tmp_path: Path) -> None:
    with rig(tmp_path, max_queues=4) as r:
        guest = r.guest(options=GuestOptions(autostart=False, max_queues=4, ring_order=4))
        own = DiskOptions(max_queues=3, max_ring_page_order=1, io_engine=IoChoice.SYNC)
        first = r.engine.attach(AttachRequest("g1", str(r.image()), "xvda", options=own), wait=60.0)
        assert [ring.pages for ring in first.rings] == [2] * 3
        guest.reboot()
        wait_for(lambda: (d := r.disk("g1", "xvda")) is not None and d.domid != first.domid and d.rings != (), 60)
        disk = r.disk("g1", "xvda")
        assert disk is not None
        assert disk.options == own
        assert [ring.pages for ring in disk.rings] == [2] * 3


def test_the_next_engine_serves_a_disk_with_the_options_it_had(tmp_path: Path) -> None:
    host = SimHost()
    host.open()
    image = tmp_path / "a.img"
    image.write_bytes(bytes(MIB))
    domain = host.hypervisor.create("g1")
    own = DiskOptions(max_queues=3, direct_io=DirectIo.NO, device_type="cdrom")
    identity = identity_of(domain.domid, 51712, str(image), "w", own)
    host.commit(attach_commit(0, "usblkback", identity))
    engine = Engine(host, Settings())
    try:
        engine.start()
        wait_for(lambda: [d.backend_state for d in engine.snapshot().disks] == [S.INIT_WAIT], 60)
        disk = engine.snapshot().disks[0]
        assert disk.options == own
        assert (disk.mode, disk.device_type, disk.limits.queues) == ("r", "cdrom", 3)
    finally:
        engine.stop(force_after=0.0)
        host.close()


class TwoQueues:
    """A frontend with two queues, played by hand in a domain without a driver."""

    def __init__(self, domain: SimDomain) -> None:
        self.memory = mmap.mmap(domain.memory, domain.pages * PAGE)
        self.frames = (GRANT_PAGES, GRANT_PAGES + 1)
        self.ports = [domain.alloc_unbound(0) for _ in self.frames]
        self.keys = {"multi_queue_num_queues": "2"}
        for queue, frame in enumerate(self.frames):
            ref = 8 + queue
            self.memory[ref * 8 : ref * 8 + 8] = struct.pack("<HHI", 1, 0, frame)  # permit_access to domain 0
            self.memory[frame * PAGE : frame * PAGE + 16] = struct.pack("<4I", 0, 1, 0, 1)
            self.keys[f"queue-{queue}/ring-ref"] = str(ref)
            self.keys[f"queue-{queue}/event-channel"] = str(self.ports[queue][0])

    def claim(self, queue: int, req_prod: int) -> None:
        """Say that so many requests are there, and send an event."""
        at = self.frames[queue] * PAGE
        self.memory[at : at + 4] = struct.pack("<I", req_prod)
        os.eventfd_write(self.ports[queue][1].to_backend, 1)


@pytest.mark.parametrize("queue", [0, 1])
def test_one_queue_that_breaks_the_protocol_ends_the_others_and_is_named(tmp_path: Path, queue: int) -> None:
    with rig(tmp_path, max_queues=2) as r:
        domain = r.bare_domain()
        r.engine.attach(AttachRequest("evil", str(r.image()), "xvda"), wait=0)
        wait_for(lambda: r.engine.snapshot().disks[0].backend_state is S.INIT_WAIT, 60)
        front = f"/local/domain/{domain.domid}/device/vbd/51712"
        two = TwoQueues(domain)
        try:
            r.write(domain.domid, front, **two.keys, state="3")
            wait_for(lambda: r.engine.snapshot().disks[0].backend_state is S.CONNECTED, 60)
            assert len(r.engine.snapshot().disks[0].rings) == 2
            two.claim(queue, 1000)
            wait_for(lambda: r.engine.snapshot().disks[0].backend_state is S.CLOSING, 60)
            disk = r.engine.snapshot().disks[0]
            assert disk.rings == ()
            assert disk.health.severity is Severity.ERROR
            assert disk.health.sentence.startswith(
                f"queue {queue}: the guest claims more requests than its ring has slots"
            )
            path = f"/local/domain/0/error/backend/usblkback/{domain.domid}/51712/error"
            assert f"queue {queue}: " in r.store(path)[path]
            assert domain.mapped == 0
            assert r.texts().count("claims more requests") == 1
        finally:
            two.memory.close()


def test_a_host_that_maps_a_page_once_offers_one_queue(tmp_path: Path) -> None:
    with rig(tmp_path, max_queues=4, max_disks=2) as r:
        r.host.caps = replace(r.host.caps, single_map=True, max_grant_pages=4096)
        guest = r.guest(options=GuestOptions(autostart=False, max_queues=4, ring_order=4, max_segments=256))
        disk = r.attach("g1", r.image(), "xvda")
        assert len(disk.rings) == 1
        assert disk.limits.segments == 32
        assert disk.rings[0].pages == disk.limits.ring_pages == 1
        run_load(guest, 200)
        assert r.engine.snapshot().disks[0].counters.grants_mapped <= 2048


def test_a_host_without_room_for_one_more_disk_says_so(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.host.caps = replace(r.host.caps, max_grant_pages=LEAST_PAGES)
        r.guest()
        r.attach("g1", r.image(), "xvda")
        with pytest.raises(UserError, match=f"can map {LEAST_PAGES} pages of guests at a time.*; detach one"):
            r.engine.attach(AttachRequest("g1", str(r.image("b.img")), "xvdb"))


def test_idle_pages_are_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usblkback_tui.engine.engine.TRIM_SECONDS", 0.05)
    monkeypatch.setattr("usblkback_tui.engine.engine.RESCAN", 0.05)
    with rig(tmp_path, max_queues=2, persistent_idle_seconds=5.0) as r:
        guest = r.guest(options=GuestOptions(autostart=False, max_queues=2))
        r.attach("g1", r.image(), "xvda")
        run_load(guest, 100)
        wait_for(lambda: (d := r.disk("g1", "xvda")) is not None and d.counters.grants_mapped == 0, 60)
        disk = r.disk("g1", "xvda")
        assert disk is not None
        assert disk.counters.idle_releases > 0
        run_load(guest, 100)


def test_pages_may_be_kept_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usblkback_tui.engine.engine.TRIM_SECONDS", 0.01)
    monkeypatch.setattr("usblkback_tui.engine.engine.RESCAN", 0.01)
    with rig(tmp_path, persistent_idle_seconds=0.0) as r:
        guest = r.guest()
        r.attach("g1", r.image(), "xvda")
        run_load(guest, 100)
        assert r.engine.snapshot().disks[0].counters.idle_releases == 0
        assert r.engine.snapshot().disks[0].counters.grants_mapped > 0


FRONT = {"event_channel": "5", "protocol": "x86_64-abi"}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"ring_ref": "8", "multi_queue_num_queues": "5"},
            "multi-queue-num-queues is 5; multi-queue-max-queues offers",
        ),
        ({"ring_ref": "8", "multi_queue_num_queues": "0"}, "multi-queue-num-queues is 0"),
        ({"ring_ref": "8", "num_ring_pages": "3"}, "num-ring-pages is 3; it must be a power of two"),
        ({"ring_ref": "8", "num_ring_pages": "2", "ring_page_order": "2"}, "ring-page-order 2 means 4"),
        ({"ring_page_order": "1", "ring_ref0": "8"}, "ring-ref1 is missing"),
        ({"ring_page_order": "1", "ring_ref0": "8", "ring_ref1": "8"}, "ring-ref0 is the same"),
        ({"multi_queue_num_queues": "2", "queue-0/ring-ref": "8"}, "queue-0/event-channel is missing"),
        (
            {
                "multi_queue_num_queues": "2",
                "queue-0/ring-ref": "8",
                "queue-0/event-channel": "5",
                "queue-1/ring-ref": "9",
                "queue-1/event-channel": "6",
            },
            "queue-0/ring-ref 8 of domain",
        ),
    ],
)
def test_what_cannot_be_served_ends_in_a_sentence_everywhere(tmp_path: Path, keys: dict[str, str], words: str) -> None:
    with rig(tmp_path, max_queues=4) as r:
        domain = r.bare_domain()
        r.engine.attach(AttachRequest("evil", str(r.image()), "xvda"), wait=0)
        wait_for(lambda: (d := r.disk("evil", "xvda")) is not None and d.backend_state is S.INIT_WAIT)
        r.write(domain.domid, f"/local/domain/{domain.domid}/device/vbd/51712", **FRONT, **keys, state="3")
        wait_for(lambda: (d := r.disk("evil", "xvda")) is not None and d.backend_state is S.CLOSING)
        disk = r.disk("evil", "xvda")
        assert disk is not None
        assert disk.health.severity is Severity.ERROR
        assert words in disk.health.sentence
        path = f"/local/domain/0/error/backend/usblkback/{domain.domid}/51712/error"
        assert words in r.store(path)[path]
        assert domain.mapped == 0
