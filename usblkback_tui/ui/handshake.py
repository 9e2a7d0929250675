# SPDX-License-Identifier: MIT
"""The life of one disk as two lanes of XenbusState, one column for every transition.  Pure.

time        01:02:03.114      01:02:03.120
frontend    ● Initialising ──────────────────  3 s
xenstore    ▸ 5 keys          ◂ 11 keys
backend     ──────────────────● InitWait ────  3 s
elapsed                       +6.2 ms
next        frontend: write ring-ref and event-channel, then go to Initialised; 3 s of 10 s
health      ...
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from usblkback_tui.engine.snapshot import DiskView, StateChange, StoreWrite
from usblkback_tui.protocol.states import XenbusState
from usblkback_tui.ui import units
from usblkback_tui.ui.palette import SEVERITY_STYLE, SEVERITY_SYMBOL, state_style
from usblkback_tui.ui.text import Line, Span, clean, fit, wrap

LABEL = 10
COLUMN = 15
AGE = 13
"""Cells of the label, of one transition and of the age of a state at the end of a lane."""

_TOGETHER = 0.0005
"""Transitions of both ends closer than this (seconds) share a column: they were one write."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One column: who moved where, at ``time``."""

    time: float
    frontend: XenbusState | None = None
    backend: XenbusState | None = None


def moments(transitions: Sequence[StateChange]) -> list[Moment]:
    """The columns of a list of transitions."""
    result: list[Moment] = []
    for change in transitions:
        last = result[-1] if result else None
        if last is not None and getattr(last, change.end) is None and abs(change.time - last.time) < _TOGETHER:
            result.pop()
            front, back = last.frontend, last.backend
            result.append(
                Moment(
                    last.time,
                    change.new if change.end == "frontend" else front,
                    change.new if change.end == "backend" else back,
                )
            )
        elif change.end == "frontend":
            result.append(Moment(change.time, frontend=change.new))
        else:
            result.append(Moment(change.time, backend=change.new))
    return result


def handshake_lines(
    disk: DiskView, now: float, width: int, height: int = 7, *, store: bool = False, step: int | None = None
) -> list[Line]:
    """The lanes, what is waited for, and how the disk is, in ``height`` lines of ``width`` cells.

    ``store``: with the lane of xenstore writes.  ``step`` is the column to point at; it is always in view.
    """
    columns = moments(disk.transitions)
    room = max((width - LABEL - AGE) // COLUMN, 1)
    first = max(len(columns) - room, 0)
    if step is not None:
        first = min(first, max(step - room // 2, 0))
    shown, hidden = columns[first : first + room], columns[:first]
    pointed = None if step is None else step - first
    lines = [
        _times(shown, len(hidden), pointed),
        _lane("frontend", shown, hidden, disk.frontend_state, _age(disk.frontend_since, now), width),
    ]
    if store:
        lines.append(_store_lane(shown, hidden, disk.writes))
    lines += [
        _lane("backend", shown, hidden, disk.backend_state, _age(disk.backend_since, now), width),
        _steps(shown, hidden),
        next_line(disk, now, width),
    ]
    return lines + _health(disk, width, max(height - len(lines), 1))


def writes_between(writes: Sequence[StoreWrite], after: float | None, until: float) -> list[StoreWrite]:
    """What was written in the store on the way to a transition at ``until``; the one before it was at ``after``."""
    return [one for one in writes if (after is None or one.time > after + _TOGETHER) and one.time <= until + _TOGETHER]


def _store_lane(shown: Sequence[Moment], hidden: Sequence[Moment], writes: Sequence[StoreWrite]) -> Line:
    spans: list[Span] = [_label("xenstore")]
    previous = hidden[-1].time if hidden else None
    for moment in shown:
        here = writes_between(writes, previous, moment.time)
        ends = [one.by for one in here]
        front, others = ends.count("frontend"), len(ends) - ends.count("frontend")
        words = [f"▼{front}"] * bool(front) + [f"▲{others}"] * bool(others)
        keys = "key" if len(here) == 1 else "keys"
        spans.append((fit(f"{' '.join(words)} {keys}" if here else "", COLUMN), "info"))
        previous = moment.time
    return tuple(spans)


def _age(since: float, now: float) -> float:
    """Seconds from ``since`` to ``now``; beyond ten of them whole ones, which turn over together with the clock.

    A screen on which nothing else moves is then painted once a second.
    """
    age = now - since
    return age if age < 10 else math.floor(now) - math.floor(since)


def moment_shown(disk: DiskView, now: float) -> float:
    """What of ``now`` can be seen in the lanes: the same value gives the same lines."""
    return now if now - max(disk.frontend_since, disk.backend_since) < 10 else math.floor(now)


def lanes_made_of(disk: DiskView | None, now: float) -> object:
    """All that :func:`handshake_lines` depends on; counters, which go on all the time, are no part of it."""
    return disk and (
        disk.key,
        disk.transitions,
        disk.writes,
        disk.frontend_state,
        disk.backend_state,
        disk.expected,
        disk.health,
        moment_shown(disk, now),
    )


def _label(text: str) -> Span:
    return fit(text, LABEL), "muted"


def _times(shown: Sequence[Moment], hidden: int, pointed: int | None) -> Line:
    spans: list[Span] = [_label(f"‹ {hidden} more" if hidden else "time")]
    for at, moment in enumerate(shown):
        clock = units.clock(moment.time)
        spans += [(clock, "key slot" if at == pointed else "muted"), (" " * (COLUMN - len(clock)), "")]
    return tuple(spans)


def _lane(
    end: str, shown: Sequence[Moment], hidden: Sequence[Moment], state: XenbusState, age: float, width: int
) -> Line:
    before = next((s for moment in reversed(hidden) if (s := getattr(moment, end)) is not None), None)
    spans: list[Span] = [(fit(end, LABEL), "bold")]
    for moment in shown:
        moved: XenbusState | None = getattr(moment, end)
        if moved is not None:
            spans.append((f"● {moved.word} ".ljust(COLUMN, "─"), state_style(moved)))
            before = moved
        else:
            spans.append(("─" * COLUMN if before is not None else " " * COLUMN, state_style(before or state)))
    style = state_style(state)
    room = max(width - LABEL - COLUMN * len(shown), 0)
    if before is not state:
        spans.append((fit(f"● {state.word} ", room) if room < AGE else f"● {state.word} ", style))
        room -= len(spans[-1][0])
    tail = f"▸ {units.elapsed(age)}"
    if room >= len(tail):
        spans += [("─" * (room - len(tail)), style), (tail, style)]
    return tuple(spans)


def _steps(shown: Sequence[Moment], hidden: Sequence[Moment]) -> Line:
    spans: list[Span] = [_label("elapsed")]
    previous = hidden[-1].time if hidden else None
    for moment in shown:
        text = units.milliseconds(moment.time - previous) if previous is not None else ""
        spans.append((fit(text, COLUMN), "muted"))
        previous = moment.time
    return tuple(spans)


def next_line(disk: DiskView, now: float, width: int) -> Line:
    """Who has to move, how, and how much of the time for it is left."""
    since = max(disk.frontend_since, disk.backend_since)
    waited = _age(since, now)
    if disk.frontend_state is XenbusState.CONNECTED and disk.backend_state is XenbusState.CONNECTED:
        return _label("next"), ("nothing, both ends are Connected", "good"), (f" since {units.clock(since)}", "muted")
    step = disk.expected
    if step is None:
        return _label("next"), (f"nothing is expected; {units.elapsed(waited)} in these states", "muted")
    room = width - LABEL
    head = f"{step.who}: "
    late = step.seconds and waited > step.seconds
    if not step.seconds:
        tail = f"; waiting {units.elapsed(waited)}"
    elif late:
        tail = f"; {units.elapsed(waited - step.seconds)} late"
    else:
        tail = f"; {units.elapsed(waited)} of {units.elapsed(step.seconds)}"
    return (
        _label("next"),
        (head, "bold warning"),
        (fit(step.what, max(room - len(head) - len(tail), 0)).rstrip(), ""),
        (tail, "error" if late else "warning"),
    )


def _health(disk: DiskView, width: int, rows: int) -> list[Line]:
    style = SEVERITY_STYLE[disk.health.severity]
    symbol = SEVERITY_SYMBOL[disk.health.severity]
    pieces = wrap(clean(disk.health.sentence), width - LABEL - 2, style, rows)
    first: Line = (_label("health"), (f"{symbol} ", style), *pieces[0])
    return [first, *(((" " * (LABEL + 2), ""), *piece) for piece in pieces[1:])]
