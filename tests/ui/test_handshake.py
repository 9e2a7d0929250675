# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ui.fake import make_disk, transitions
from tests.ui.fake_looks import START
from usblkback_tui.engine.snapshot import Health, Severity, StateChange
from usblkback_tui.protocol.expected import expected_step
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.ui.handshake import handshake_lines, moment_shown, moments, next_line
from usblkback_tui.ui.text import changed_cells, line_width, plain


def text(lines: list[tuple[tuple[str, str], ...]]) -> list[str]:
    return [plain(line).rstrip() for line in lines]


def test_a_finished_handshake_in_two_lanes() -> None:
    disk = make_disk(3, "web", since=START)
    assert text(handshake_lines(disk, START + 3.05, 100)) == [
        "time      22:13:20.000   22:13:20.006   22:13:20.037   22:13:20.046   22:13:20.058",
        "frontend  ● Initialising ───────────────● Initialised ────────────────● Connected ───────────▸ 3.0 s",
        "backend   ● Initialising ● InitWait ───────────────────● Connected ──────────────────────────▸ 3.0 s",
        "elapsed                  +6.2 ms        +31.0 ms       +9.4 ms        +11.5 ms",
        "next      nothing, both ends are Connected since 22:13:20.058",
        "health    ● ok",
    ]


def test_beyond_ten_seconds_an_age_turns_over_with_the_clock() -> None:
    disk = make_disk(3, "web", since=START - 0.3)
    before, after = (handshake_lines(disk, START + 40 + part, 100) for part in (0.01, 0.99))
    assert before == after
    assert before != handshake_lines(disk, START + 41, 100)
    assert moment_shown(disk, START + 40.01) == moment_shown(disk, START + 40.99) != moment_shown(disk, START + 41)
    assert moment_shown(disk, START + 8.1) != moment_shown(disk, START + 8.3)
    assert [plain(line).endswith("▸ 41 s") for line in before[1:3]] == [True, True]


def test_an_age_that_grows_changes_nothing_but_its_own_cells() -> None:
    disk = make_disk(3, "web", since=START)
    old, new = (handshake_lines(disk, START + seconds, 100) for seconds in (40, 41))
    assert [changed_cells(was, now) for was, now in zip(old, new, strict=True)] == [
        None,
        (94, 100),
        (94, 100),
        None,
        None,
        None,
    ]


def test_what_does_not_fit_is_counted_and_its_lane_goes_on() -> None:
    disk = make_disk(3, "web", since=START)
    lines = text(handshake_lines(disk, START + 3.05, 60))
    assert lines[0].startswith("‹ 3 more  22:13:20.046   22:13:20.058")
    assert lines[1].startswith("frontend  ───────────────● Connected")
    assert lines[3].startswith("elapsed   +9.4 ms        +11.5 ms")


def test_waiting_names_who_has_to_move_and_for_how_long() -> None:
    disk = make_disk(
        7, "win", steps=3, since=START, health=Health(Severity.ERROR, "stuck: no ring-ref; load the driver")
    )
    lines = text(handshake_lines(disk, START + 42, 110))
    assert lines[4] == ("next      frontend: write ring-ref and event-channel, then go to Initialised; 32 s late")
    assert lines[5] == "health    ✖ stuck: no ring-ref; load the driver"


@pytest.mark.parametrize("width", [40, 58, 80, 105, 158, 300])
def test_no_line_is_wider_than_the_pane(width: int) -> None:
    disk = make_disk(3, "web", since=START, health=Health(Severity.WARNING, "a rather long sentence " * 9))
    many = tuple(change for n in range(9) for change in transitions(START + n))
    for one in (disk, replace(disk, transitions=many), replace(disk, transitions=())):
        lines = handshake_lines(one, START + 99_999, width, 9)
        assert max(line_width(line) for line in lines[:4]) <= max(width, 38)
        assert all(line_width(line) <= width for line in lines[5:])
        assert len(lines) <= 9


def test_without_transitions_the_lanes_still_say_where_the_ends_are() -> None:
    disk = replace(make_disk(3, "web", since=START), transitions=())
    lines = text(handshake_lines(disk, START + 5, 80))
    assert lines[1].startswith("frontend  ● Connected ──")
    assert lines[2].startswith("backend   ● Connected ──")


def test_both_ends_in_one_write_share_a_moment() -> None:
    pair = (
        StateChange(1.0, "frontend", S.UNKNOWN, S.INITIALISING),
        StateChange(1.0001, "backend", S.UNKNOWN, S.INITIALISING),
        StateChange(1.0002, "backend", S.INITIALISING, S.INIT_WAIT),
    )
    found = moments(pair)
    assert [(m.frontend, m.backend) for m in found] == [(S.INITIALISING, S.INITIALISING), (None, S.INIT_WAIT)]


def test_the_lane_of_the_store_says_who_wrote_how_much() -> None:
    disk = make_disk(3, "web", since=START)
    lines = text(handshake_lines(disk, START + 3.05, 100, store=True))
    assert lines[2] == "xenstore  ▼1 ▲1 keys     ▲4 keys        ▼4 keys        ▲4 keys        ▼1 key"
    assert lines[3].startswith("backend   ● Initialising")


def test_a_step_that_is_pointed_at_is_in_view() -> None:
    disk = make_disk(3, "web", since=START)
    many = replace(disk, transitions=tuple(change for n in range(9) for change in transitions(START + n)))
    lines = handshake_lines(many, START + 99, 100, step=2)
    pointed = [span for span in lines[0] if span[1] == "key slot"]
    assert pointed == [("22:13:20.037", "key slot")]


@pytest.mark.parametrize(
    ("waited", "tail"),
    [(4.0, "; 4.0 s of 10 s"), (9.9, "; 9.9 s of 10 s"), (15.0, "; 5.0 s late")],
)
def test_the_time_that_is_left_for_a_step(waited: float, tail: str) -> None:
    disk = make_disk(7, "win", steps=3, since=START)
    moved = max(disk.frontend_since, disk.backend_since)
    line = plain(next_line(replace(disk, backend_since=START, frontend_since=START), START + waited, 120))
    assert moved >= START
    assert line.endswith(tail)


def test_what_nobody_limits_only_waits() -> None:
    disk = replace(make_disk(7, "win"), frontend_state=S.CLOSED, backend_state=S.CLOSED)
    closed = replace(disk, expected=expected_step(S.CLOSED, S.CLOSED), frontend_since=START, backend_since=START)
    assert plain(next_line(closed, START + 5, 120)).endswith("; waiting 5.0 s")
    assert "nothing is expected" in plain(next_line(replace(closed, expected=None), START + 5, 120))
