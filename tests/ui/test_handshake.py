# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ui.fake import START, make_disk, transitions
from usblkback_tui.engine.snapshot import Health, Severity, StateChange
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.ui.handshake import handshake_lines, moment_shown, moments
from usblkback_tui.ui.nextstep import next_step
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
    assert lines[4] == ("next      frontend → Initialised: publish its ring references and event channel; waiting 42 s")
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


@pytest.mark.parametrize(
    ("front", "back", "end", "state"),
    [
        (S.INITIALISING, S.INITIALISING, "backend", S.INIT_WAIT),
        (S.INITIALISING, S.INIT_WAIT, "frontend", S.INITIALISED),
        (S.INITIALISED, S.INIT_WAIT, "backend", S.CONNECTED),
        (S.CONNECTED, S.INIT_WAIT, "backend", S.CONNECTED),
        (S.INITIALISED, S.CONNECTED, "frontend", S.CONNECTED),
        (S.CLOSING, S.CONNECTED, "backend", S.CLOSING),
        (S.CONNECTED, S.CLOSING, "frontend", S.CLOSING),
        (S.CLOSED, S.CLOSING, "backend", S.CLOSED),
        (S.CLOSED, S.CLOSED, "frontend", S.INITIALISING),
        (S.INITIALISING, S.CLOSED, "backend", S.INIT_WAIT),
    ],
)
def test_next_step(front: S, back: S, end: str, state: S) -> None:
    step = next_step(front, back)
    assert step is not None
    assert (step.end, step.state) == (end, state)


def test_nothing_is_next_when_connected_or_closed_for_good() -> None:
    assert next_step(S.CONNECTED, S.CONNECTED) is None
    assert next_step(S.CLOSED, S.CLOSED, online=False) is None
