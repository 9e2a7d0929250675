# SPDX-License-Identifier: MIT
"""The life of one disk as two lanes of XenbusState, one column for every transition.  Pure.

time        01:02:03.114      01:02:03.120
frontend    ● Initialising ──────────────────  3 s
backend     ──────────────────● InitWait ────  3 s
elapsed                       +6.2 ms
next        frontend → Initialised: publish its ring references and event channel; 3 s so far
health      ...
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from usblkback_tui.engine.snapshot import DiskView, StateChange
from usblkback_tui.protocol.states import XenbusState
from usblkback_tui.ui import units
from usblkback_tui.ui.nextstep import next_step
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


def handshake_lines(disk: DiskView, now: float, width: int, height: int = 7) -> list[Line]:
    """The lanes, what is waited for, and how the disk is, in ``height`` lines of ``width`` cells."""
    columns = moments(disk.transitions)
    shown = columns[-max((width - LABEL - AGE) // COLUMN, 1) :]
    hidden = columns[: len(columns) - len(shown)]
    lines = [
        _times(shown, len(hidden)),
        _lane("frontend", shown, hidden, disk.frontend_state, _age(disk.frontend_since, now), width),
        _lane("backend", shown, hidden, disk.backend_state, _age(disk.backend_since, now), width),
        _steps(shown, hidden),
        _next(disk, now, width),
    ]
    return lines + _health(disk, width, max(height - len(lines), 1))


def _age(since: float, now: float) -> float:
    """Seconds from ``since`` to ``now``; beyond ten of them whole ones, which turn over together with the clock.

    A screen on which nothing else moves is then painted once a second.
    """
    age = now - since
    return age if age < 10 else math.floor(now) - math.floor(since)


def moment_shown(disk: DiskView, now: float) -> float:
    """What of ``now`` can be seen in the lanes: the same value gives the same lines."""
    return now if now - max(disk.frontend_since, disk.backend_since) < 10 else math.floor(now)


def _label(text: str) -> Span:
    return fit(text, LABEL), "muted"


def _times(shown: Sequence[Moment], hidden: int) -> Line:
    label = _label(f"‹ {hidden} more" if hidden else "time")
    return (label, *((fit(units.clock(moment.time), COLUMN), "muted") for moment in shown))


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


def _next(disk: DiskView, now: float, width: int) -> Line:
    step = next_step(disk.frontend_state, disk.backend_state, online=disk.online)
    since = max(disk.frontend_since, disk.backend_since)
    waited = units.elapsed(_age(since, now))
    if disk.frontend_state is XenbusState.CONNECTED and disk.backend_state is XenbusState.CONNECTED:
        return _label("next"), ("nothing, both ends are Connected", "good"), (f" since {units.clock(since)}", "muted")
    if step is None:
        return _label("next"), (f"nothing is expected; {waited} in these states", "muted")
    room = width - LABEL
    head = f"{step.end} → {step.state.word}: "
    tail = f"; waiting {waited}"
    if len(head) + len(step.action) + len(tail) > room:
        tail = f" {waited}"
    return (
        _label("next"),
        (head, "bold warning"),
        (fit(step.action, max(room - len(head) - len(tail), 0)).rstrip(), ""),
        (tail, "warning"),
    )


def _health(disk: DiskView, width: int, rows: int) -> list[Line]:
    style = SEVERITY_STYLE[disk.health.severity]
    symbol = SEVERITY_SYMBOL[disk.health.severity]
    pieces = wrap(clean(disk.health.sentence), width - LABEL - 2, style, rows)
    first: Line = (_label("health"), (f"{symbol} ", style), *pieces[0])
    return [first, *(((" " * (LABEL + 2), ""), *piece) for piece in pieces[1:])]
