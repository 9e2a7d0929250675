# SPDX-License-Identifier: MIT
"""Finished requests, ring slots and writes of real disks on the embedded host."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

import pytest

from tests.engine.rig import MIB, Rig, rig, wait_for
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.datapath.ring import RingServer, TraceEntry
from usblkback_tui.engine.host.sim.load import GuestOptions, Load
from usblkback_tui.engine.inspection import RequestView
from usblkback_tui.engine.requests import recent_requests
from usblkback_tui.engine.snapshot import DiskView, StoreWrite
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.slots import SlotState
from usblkback_tui.protocol.states import XenbusState as S

SECONDS = 60.0


def newest(requests: tuple[RequestView, ...], ring: int = 0) -> int:
    return max((request.seq for request in requests if request.ring == ring), default=0)


def connected(r: Rig, domain: str, vdev: str) -> DiskView | None:
    disk = r.disk(domain, vdev)
    return disk if disk and disk.rings and disk.frontend_state is disk.backend_state is S.CONNECTED else None


def test_finished_requests_are_told_once_each(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest = r.guest(load=Load(depth=4, read_percent=50, span_bytes=4 * MIB, flush_every=8))
        disk = r.attach("g1", r.image(), "xvdb")
        assert r.engine.requests(*disk.key) == ()
        guest.start_load()
        wait_for(lambda: guest.stats().flushes > 3, SECONDS)
        guest.stop_load()
        everything = r.engine.requests(*disk.key, limit=4096)
        assert {request.op for request in everything} == {"read", "write", "flush"}
        assert {request.status for request in everything} == {"ok"}
        assert [request.time for request in everything] == sorted(request.time for request in everything)
        for request in everything:
            assert abs(request.time - disk.backend_since) < 3600, "wall time, not the clock of the ring"
            assert request.latency_ns > 0
            assert (request.sectors, request.segments) == ((0, 0) if request.op == "flush" else (8, 1))
            assert 0 <= request.sector <= 4 * MIB // 512
        seqs = [request.seq for request in everything]
        assert seqs == list(range(seqs[0], seqs[-1] + 1))
        assert r.engine.requests(*disk.key, after=(seqs[-1],)) == ()
        assert [request.seq for request in r.engine.requests(*disk.key, after=(seqs[-3],))] == seqs[-2:]
        assert [request.seq for request in r.engine.requests(*disk.key, limit=3)] == seqs[-3:]
        assert r.engine.requests(*disk.key, limit=0) == ()


class FakeRing:
    """The trace of a ring that answered ``count`` requests, one each ``step`` nanoseconds."""

    def __init__(self, count: int, step: int) -> None:
        self.entries = [
            TraceEntry(seq, seq * step, 1, 0, 8, 8, 1, -1 if seq == 2 else 0, 9, False) for seq in range(1, count + 1)
        ]

    def trace(self, after: int = 0, limit: int = 1024) -> tuple[TraceEntry, ...]:
        return tuple([entry for entry in self.entries if entry.seq > after][-limit:])


def rings(*fakes: FakeRing) -> list[RingServer]:
    return cast(list[RingServer], list(fakes))


def test_sequence_numbers_go_on_over_a_reconnect() -> None:
    """Rings of earlier connections answered 100 requests; the present ones begin with seq 1 again."""
    two = rings(FakeRing(3, 1000), FakeRing(2, 1200))
    found = recent_requests(two, 100, (), 10)
    assert [(request.ring, request.seq) for request in found] == [(0, 101), (1, 101), (0, 102), (1, 102), (0, 103)]
    assert [(request.op, request.status) for request in found[:3:2]] == [("op 9", "ok"), ("op 9", "error")]
    last = (newest(found, 0), newest(found, 1))
    assert recent_requests(two, 100, last, 10) == ()
    assert [request.seq for request in recent_requests(two, 100, (102, 102), 10)] == [103]
    assert [request.seq for request in recent_requests(two, 105, last, 10)] == [106, 106, 107, 107, 108], "reconnected"
    assert [request.seq for request in recent_requests(two, 100, (), 2)] == [102, 103]
    assert len(recent_requests(two, 100, (), -1)) == 0
    assert len(recent_requests(two, 100, (), 10**9)) == 5


def test_slots_of_a_ring_at_rest_and_at_work(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest = r.guest()
        disk = r.attach("g1", r.image(), "xvdb")
        fresh = r.engine.ring_slots(*disk.key, 0)
        assert len(fresh.slots) == disk.rings[0].slots
        assert {slot.state for slot in fresh.slots} == {SlotState.FREE}
        assert [slot.index for slot in fresh.slots] == list(range(len(fresh.slots)))
        guest.start_load()
        wait_for(lambda: guest.stats().writes > 100, SECONDS)
        busy = r.engine.ring_slots(*disk.key, 0)
        for slot in busy.slots:
            assert (slot.request is not None) == (slot.state in (SlotState.UNREAD, SlotState.SERVICE))
        guest.stop_load()
        rest = r.engine.ring_slots(*disk.key, 0)
        assert rest.req_prod == rest.req_cons == rest.rsp_prod
        assert not any(slot.request for slot in rest.slots)
        answers = [slot.response for slot in rest.slots if slot.response]
        assert answers
        assert {(answer.op, answer.status) for answer in answers} <= {("read", "ok"), ("write", "ok"), ("flush", "ok")}
        for ring in (1, -1):
            with pytest.raises(UserError, match=f"serves no ring {ring}; it has rings 0 to 0"):
                r.engine.ring_slots(*disk.key, ring)


def test_every_queue_of_a_disk(tmp_path: Path) -> None:
    with rig(tmp_path, max_queues=2) as r:
        guest = r.guest(options=GuestOptions(autostart=False, vcpus=2, max_queues=2, ring_order=1))
        disk = r.attach("g1", r.image(), "xvdb")
        guest.start_load()
        wait_for(lambda: {one.ring for one in r.engine.requests(*disk.key)} == {0, 1}, SECONDS)
        guest.stop_load()
        found = r.engine.requests(*disk.key, limit=4096)
        assert r.engine.requests(*disk.key, after=(newest(found, 0), newest(found, 1))) == ()
        assert {one.ring for one in r.engine.requests(*disk.key, after=(newest(found, 0),))} == {1}
        for ring in (0, 1):
            slots = r.engine.ring_slots(*disk.key, ring)
            assert slots.ring == ring
            assert len(slots.slots) == disk.rings[ring].slots == 64
            assert any(slot.response for slot in slots.slots)
        with pytest.raises(UserError, match="serves no ring 2; it has rings 0 to 1"):
            r.engine.ring_slots(*disk.key, 2)
        view = connected(r, "g1", "xvdb")
        assert view is not None
        theirs = keys(view.writes, "frontend", "frontend")
        assert theirs["multi-queue-num-queues"] == "2"
        assert {"queue-0/event-channel", "queue-1/event-channel", "queue-1/ring-ref0"} <= theirs.keys()


def test_a_disk_that_is_not_there_or_not_connected(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        domain = r.bare_domain()
        with pytest.raises(UserError, match="xvdb of domain 77 is not attached here"):
            r.engine.requests(77, 51728)
        disk = r.engine.attach(_request(domain.name, r.image()))
        assert r.engine.requests(*disk.key) == ()
        with pytest.raises(UserError, match="serves no ring 0; wait until both ends are Connected"):
            r.engine.ring_slots(*disk.key, 0)


def test_looking_while_disks_come_and_go(tmp_path: Path) -> None:
    """The ring's memory is unmapped on the control thread; whoever looks meanwhile gets an answer or a sentence."""
    with rig(tmp_path) as r:
        guest = r.guest()
        image = r.image()
        done, problems, looks = threading.Event(), [], [0]
        devid = r.attach("g1", image, "xvdb").devid

        def look() -> None:
            while not done.is_set():
                try:
                    r.engine.ring_slots(guest.domid, devid, 0)
                    r.engine.requests(guest.domid, devid)
                    looks[0] += 1
                except UserError:
                    pass
                except Exception as error:
                    problems.append(error)
                    return

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            for _ in range(5):
                guest.start_load()
                r.engine.detach("g1", "xvdb", force=True, wait=SECONDS)
                r.attach("g1", image, "xvdb")
            wait_for(lambda: looks[0] or problems, SECONDS)
        finally:
            done.set()
            watcher.join(SECONDS)
        assert problems == []


# writes -----------------------------------------------------------------------------------------------------------


def keys(writes: tuple[StoreWrite, ...], end: str, by: str) -> dict[str, str]:
    return {write.path: write.value for write in writes if (write.end, write.by) == (end, by)}


def test_the_writes_of_a_whole_handshake(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest = r.guest()
        r.attach("g1", r.image(), "xvdb")
        wait_for(
            lambda: (d := connected(r, "g1", "xvdb")) and "4" in keys(d.writes, "frontend", "frontend")["state"],
            SECONDS,
        )
        disk = connected(r, "g1", "xvdb")
        assert disk is not None
        ours = keys(disk.writes, "backend", "backend")
        assert ours["frontend-id"] == str(guest.domid)
        assert ours["sectors"] == str(16 * MIB // 512)
        assert ours["state"] == "4"
        assert keys(disk.writes, "frontend", "backend")["virtual-device"] == "51728"
        theirs = keys(disk.writes, "frontend", "frontend")
        assert theirs["event-channel"].isdecimal()
        assert any(path.startswith("ring-ref") for path in theirs)
        assert theirs["feature-persistent"] == "1"
        assert keys(disk.writes, "backend", "toolstack") == {}
        times = [write.time for write in disk.writes]
        assert times == sorted(times)
        states = [write.value for write in disk.writes if (write.end, write.path) == ("backend", "state")]
        assert states == ["1", "2", "4"]
        assert disk.expected is None


def test_what_a_toolstack_writes_is_told_from_our_own(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        domain = r.bare_domain()
        disk = r.engine.attach(_request(domain.name, r.image()))
        path = f"/local/domain/0/backend/usblkback/{disk.domid}/{disk.devid}"
        wait_for(lambda: (d := r.disk("evil", "xvdb")) and d.backend_state is S.INIT_WAIT, SECONDS)
        r.write(0, path, state="8")
        wait_for(lambda: keys(_disk(r).writes, "backend", "toolstack") == {"state": "8"}, SECONDS)


def _disk(r: Rig) -> DiskView:
    disk = r.disk("evil", "xvdb")
    assert disk is not None
    return disk


def test_what_is_expected_of_a_guest_without_a_driver(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        domain = r.bare_domain()
        r.engine.attach(_request(domain.name, r.image()))
        wait_for(lambda: _disk(r).backend_state is S.INIT_WAIT, SECONDS)
        step = _disk(r).expected
        assert step is not None
        assert (step.who, step.seconds) == ("frontend", 10.0)
        assert "ring-ref" in step.what


def test_a_guest_that_floods_fills_nothing(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        domain = r.bare_domain()
        disk = r.engine.attach(_request(domain.name, r.image()))
        front = f"/local/domain/{domain.domid}/device/vbd/{disk.devid}"
        for round_ in range(60):
            names = {f"feature_{round_}_{number}": "x" * 1000 + "\n" for number in range(8)}
            r.write(domain.domid, front, **names, protocol="nonsense", state="3")
            r.write(domain.domid, front, state="1")
        r.write(domain.domid, front, state="6")
        wait_for(lambda: _disk(r).frontend_state is S.CLOSED, SECONDS)
        writes = _disk(r).writes
        assert len(writes) <= 64
        assert all(len(write.value) <= 120 and write.value.isprintable() for write in writes)


def _request(domain: str, image: Path) -> AttachRequest:
    return AttachRequest(domain, str(image), "xvdb")
