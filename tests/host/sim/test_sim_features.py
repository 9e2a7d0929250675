# SPDX-License-Identifier: MIT
"""What the Linux guest makes of a backend's features: units of discards, secure ones, durable writes, ``info``."""

from __future__ import annotations

import pytest

from tests.host.sim.drive import Attach, MakeGuest, wait, worked
from tests.host.sim.oracle import Features
from usblkback_tui.engine.host.sim import Load
from usblkback_tui.protocol.blkif import Info

KIB = 1024


class TestDiscard:
    @pytest.mark.parametrize("queues", [1, 4])
    @pytest.mark.parametrize(
        ("block", "granularity", "alignment"),
        [
            (4096, 0, 0),
            (4096, 512, 0),
            (4096, 4096, 512),
            (4096, 64 * KIB, 0),
            (4096, 64 * KIB, 5 * 512),
            (4096, 12 * KIB, 4 * KIB),
            (64 * KIB, 4096, 0),
            (64 * KIB, 4096, 1536),
            (64 * KIB, 24 * KIB, 0),
            (1536, 4096, 0),
        ],
    )
    def test_whole_units(
        self, make: MakeGuest, attach: Attach, queues: int, block: int, granularity: int, alignment: int
    ) -> None:
        guest = make(Load(block_bytes=block, discard_every=3, read_percent=20), max_queues=queues)
        oracle = attach(
            guest,
            Features(discard=True, granularity=granularity, alignment=alignment, queues=queues, indirect=32),
        ).serve()
        wait(lambda: guest.disk("xvda").discards >= 10, "ten discards")
        worked(guest, 50)
        report = guest.verify()
        assert report.ok
        assert report.read_back > 0
        assert oracle.counts.bad == []
        assert guest.disk("xvda").discards == oracle.counts.discards
        assert oracle.counts.secure == 0

    def test_a_unit_that_does_not_fit_the_disk(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(discard_every=3, read_percent=20))
        oracle = attach(guest, Features(discard=True, granularity=1 << 30)).serve()
        worked(guest)
        assert guest.verify().ok
        assert oracle.counts.discards == 0

    def test_secure(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(discard_every=2, secure_every=3, read_percent=0, depth=1))
        oracle = attach(guest, Features(discard=True, secure=True)).serve()
        wait(lambda: guest.disk("xvda").discards >= 10, "ten discards")
        guest.stop_load()
        assert oracle.counts.secure == oracle.counts.discards // 3
        assert "discard: enabled, secure" in guest.console[-1]

    def test_secure_is_not_asked_for_where_it_is_not_offered(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(discard_every=2, secure_every=1, read_percent=0))
        oracle = attach(guest, Features(discard=True)).serve()
        wait(lambda: guest.disk("xvda").discards >= 10, "ten discards")
        assert guest.verify().ok
        assert (oracle.counts.secure, oracle.counts.bad) == (0, [])


class TestDurableWrites:
    def test_a_barrier_with_data(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(fua_every=3, read_percent=0, depth=4, block_bytes=44 * KIB))
        oracle = attach(guest, Features(flush=False, barrier=True)).serve()
        worked(guest)
        report = guest.verify()
        assert report.ok
        assert oracle.counts.bad == []
        assert oracle.counts.barriers == report.writes // 3
        assert report.flushes == oracle.counts.flushes == 0

    @pytest.mark.parametrize(("flush", "barrier"), [(True, False), (True, True), (False, True)])
    def test_a_write_and_a_flush(self, make: MakeGuest, attach: Attach, flush: bool, barrier: bool) -> None:
        """Where there are flushes, or the write is too long for a barrier."""
        guest = make(Load(fua_every=3, read_percent=0, depth=4, block_bytes=64 * KIB))
        oracle = attach(guest, Features(indirect=32, flush=flush, barrier=barrier)).serve()
        worked(guest)
        report = guest.verify()
        assert report.ok
        assert (oracle.counts.barriers, oracle.counts.bad) == (0, [])
        assert report.flushes == oracle.counts.flushes > 0

    def test_nothing_to_be_done(self, make: MakeGuest, attach: Attach) -> None:
        guest = make(Load(fua_every=3, read_percent=0))
        oracle = attach(guest, Features(flush=False)).serve()
        worked(guest)
        assert guest.verify().ok
        assert (oracle.counts.barriers, oracle.counts.flushes, oracle.counts.bad) == (0, 0, [])


@pytest.mark.parametrize(
    ("info", "written", "words"),
    [
        (Info.CDROM, False, "cdrom"),
        (Info.REMOVABLE, True, "removable"),
        (Info.READONLY, False, "readonly"),
        (Info.CDROM | Info.REMOVABLE | Info.READONLY, False, "cdrom; removable; readonly"),
    ],
)
def test_info(make: MakeGuest, attach: Attach, info: Info, written: bool, words: str) -> None:
    guest = make(Load(read_percent=0, flush_every=1, discard_every=1))
    attach(guest, Features(info=int(info), discard=True)).serve()
    disk = worked(guest)
    guest.stop_load()
    assert (disk.writes > 0) == written
    assert (disk.reads > 0) != written
    assert f" sectors; {words}; flush: " in guest.console[-1]
