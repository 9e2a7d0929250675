# SPDX-License-Identifier: MIT
"""What is different between two snapshots."""

from __future__ import annotations

from dataclasses import replace

from tests.engine.control.fake_backend import a_disk
from tests.engine.recording.made import snapshot
from usblkback_tui.engine.recording.changes import Changed, changes
from usblkback_tui.protocol.states import XenbusState as S


def test_nothing_but_time() -> None:
    assert changes(snapshot(0.0), snapshot(5.0)) == ()


def test_field_by_field() -> None:
    was = a_disk()
    (ring,) = was.rings
    now = replace(was, backend_state=S.CLOSING, rings=(replace(ring, req_cons=3),))
    now = replace(now, counters=replace(now.counters, reads=71))
    assert changes(snapshot(0.0, was), replace(snapshot(1.0, now), max_disks=8)) == (
        Changed(None, "max_disks", 64, 8),
        Changed(was.key, "backend_state", S.CONNECTED, S.CLOSING),
        Changed(was.key, "counters.reads", 70, 71),
        Changed(was.key, "rings[0].req_cons", 0, 3),
    )


def test_disks_that_come_and_go() -> None:
    one, two, three = a_disk(1), a_disk(2), a_disk(3)
    found = changes(snapshot(0.0, one, two), snapshot(1.0, two, three))
    assert found == (Changed(one.key, "", one, None), Changed(three.key, "", None, three))


def test_tuples_of_another_length_are_told_whole() -> None:
    was, now = a_disk(), a_disk(rings=())
    assert changes(snapshot(0.0, was), snapshot(1.0, now)) == (Changed(was.key, "rings", was.rings, ()),)
