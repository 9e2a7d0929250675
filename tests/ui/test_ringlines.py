# SPDX-License-Identifier: MIT
"""Slot strips, ring blocks and decoded slots, without an app."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ui.fake import FakeBackend, make_disk
from tests.ui.fake_looks import decoded
from usblkback_tui.engine.snapshot import Counters, RingView
from usblkback_tui.protocol.slots import SlotRequest, SlotState
from usblkback_tui.ui.ringblock import change_of, ring_lines
from usblkback_tui.ui.slotdetail import slot_lines
from usblkback_tui.ui.slotstrip import legend, slots_per_cell, strip_lines
from usblkback_tui.ui.text import Line, line_width, plain


def ring(**changes: int) -> RingView:
    base = RingView(0, 32, 1, "x86_64-abi", "persistent", "io_uring", 17)
    return replace(base, **{"req_prod": 12, "req_cons": 10, "rsp_prod": 4, "req_event": 13, "rsp_event": 3, **changes})  # type: ignore[arg-type]


def text(lines: list[Line]) -> list[str]:
    return [plain(line).rstrip() for line in lines]


def test_a_strip_has_a_cell_for_every_slot_and_letters_under_the_indices() -> None:
    strip, marks = strip_lines(ring(), 70)
    assert plain(strip) == "░░▓▓████████░░░░░░░░░░░░░░░░░░░░"
    assert [style for _, style in strip] == ["faint", "good", "write", "read", "faint"]
    assert plain(marks) == "   rR     C Pq" + " " * 18
    assert plain(legend(ring())).startswith("█ 6 in service   █ 2 unread   ▓ 2 responded   ░ 22 free")


def test_slots_share_cells_where_the_ring_is_longer_than_the_pane() -> None:
    assert [slots_per_cell(slots, 70) for slots in (32, 64, 128, 1024)] == [1, 1, 2, 16]
    strip, _ = strip_lines(ring(slots=1024, req_prod=1024, req_cons=1024, rsp_prod=1023, rsp_event=1024), 70)
    assert plain(strip) == "░" * 63 + "█"


def test_the_slot_under_the_cursor_is_marked() -> None:
    strip, _ = strip_lines(ring(), 70, cursor=5)
    assert ("█", "write slot") in strip
    assert plain(strip) == "░░▓▓████████░░░░░░░░░░░░░░░░░░░░"


@given(st.tuples(*[st.integers(0, 2**32 - 1)] * 5), st.sampled_from([32, 64, 512, 1024]), st.integers(30, 150))
def test_whatever_a_guest_writes_the_strip_keeps_its_size(
    places: tuple[int, int, int, int, int], slots: int, width: int
) -> None:
    names = ("req_prod", "req_cons", "rsp_prod", "req_event", "rsp_event")
    strip, marks = strip_lines(ring(slots=slots, **dict(zip(names, places, strict=True))), width)
    assert line_width(strip) == line_width(marks) == slots // slots_per_cell(slots, width) <= width


def test_a_block_has_rates_of_the_ring_alone() -> None:
    old = Counters(reads=100, writes=10, bytes_read=4096, responses=110, wakeups=50, notifies_sent=20)
    new = replace(
        old,
        reads=300,
        writes=20,
        bytes_read=8192,
        responses=320,
        wakeups=60,
        notifies_sent=30,
        notifies_suppressed=30,
        in_flight=6,
        grants_mapped=412,
        maps=412,
    )
    shown = "\n".join(text(ring_lines(replace(ring(), counters=new), (old, new, 2.0), 130)))
    for expected in (
        "ring 0   8/32 used",
        "io_uring",
        "event channel 17",
        "100 r/s",
        "5 w/s",
        "6 in flight",
        "5 /s   21.0 requests each   75 % of notifications suppressed",
        "412 pages mapped now",
        "P req_prod 12",
        "r rsp_event 3",
    ):
        assert expected in shown, expected


@pytest.mark.parametrize("width", [60, 78, 128])
def test_a_block_is_wrapped_not_cut(width: int) -> None:
    lines = ring_lines(ring(), None, width)
    assert all(line_width(line) <= width for line in lines)
    assert "event channel 17" in "\n".join(text(lines))
    assert "not measured yet" in "\n".join(text(lines))


def test_a_ring_that_claims_more_than_it_has_is_said_to_be_broken() -> None:
    assert "33/32 used" in text(ring_lines(ring(req_prod=4000), None, 120))[0]


def test_a_change_needs_the_ring_at_both_ends() -> None:
    backend = FakeBackend(make_disk(3, "web"))
    first = backend.snapshot()
    backend.advance(2)
    second = backend.snapshot()
    disk = second.disks[0]
    found = change_of(disk, disk.rings[0], (first, second))
    assert found is not None
    assert found[2] == 2
    assert change_of(disk, disk.rings[0], None) is None
    assert change_of(disk, disk.rings[0], (second, first)) is None


def test_a_slot_decoded_as_request_and_as_answer() -> None:
    slots = decoded(ring(), 1_700_000_000.0)
    request = "\n".join(text(slot_lines(slots, 5, 80)))
    assert request.startswith("slot 5 of ring 0   in service")
    assert "write" in request
    assert "41  sectors 0 to 7" in request
    answer = "\n".join(text(slot_lines(slots, 2 + 32, 80)))
    assert answer.startswith("slot 2 of ring 0   responded")
    assert "answer    ok" in answer
    assert "next here req_prod" in "\n".join(text(slot_lines(slots, 12, 80)))


def test_what_is_wrong_with_a_request_is_said() -> None:
    slots = decoded(ring(), 1_700_000_000.0)
    bad = SlotRequest("read", 1, 8, 0, 12, problem="12 pages of data are more than 11")
    broken = replace(slots, slots=(replace(slots.slots[5], index=0, state=SlotState.UNREAD, request=bad),))
    assert "✖ 12 pages of data are more than 11" in "\n".join(text(slot_lines(broken, 0, 80)))
    assert text(slot_lines(replace(slots, slots=()), 0, 80)) == ["The ring has no slots."]
