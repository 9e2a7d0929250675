# SPDX-License-Identifier: MIT
"""A handshake step by step, downwards: who moved, what was written on the way, and why.  Pure.

  TIME           STEP       FRONTEND         XENSTORE                                       BACKEND
▸ 01:02:03.120   +6.2 ms    │                ◂ feature-persistent=1 feature-flush-cache=1   ● InitWait
"""

from __future__ import annotations

from collections.abc import Sequence

from usblkback_tui.engine.snapshot import DiskView, StoreWrite
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.transitions import decide
from usblkback_tui.ui import units
from usblkback_tui.ui.handshake import Moment, moments, writes_between
from usblkback_tui.ui.palette import state_style
from usblkback_tui.ui.text import Line, Span, clean, fit, wrap

_TIME, _STEP, _STATE = 15, 11, 15
HEAD = 1
"""Lines above the first step."""


def sequence_lines(disk: DiskView, width: int, step: int | None) -> list[Line]:
    """A heading and a line for each step; ``step`` is under the cursor."""
    middle = max(width - 2 - _TIME - _STEP - 2 * _STATE - 2, 12)
    lines: list[Line] = [
        (
            (fit("", 2), ""),
            (fit("TIME", _TIME) + fit("STEP", _STEP), "muted"),
            (fit("FRONTEND", _STATE), "bold"),
            (fit("XENSTORE", middle) + "  ", "muted"),
            (fit("BACKEND", _STATE), "bold"),
        )
    ]
    previous: float | None = None
    front = back = S.UNKNOWN
    for at, moment in enumerate(moments(disk.transitions)):
        here = writes_between(disk.writes, previous, moment.time)
        front, back = moment.frontend or front, moment.backend or back
        passed = "" if previous is None else units.milliseconds(moment.time - previous)
        lines.append(
            (
                ("▸ " if at == step else "  ", "key"),
                (fit(units.clock(moment.time), _TIME), "" if at == step else "muted"),
                (fit(passed, _STEP), "muted"),
                _end(moment.frontend, front),
                (fit(_written(here), middle) + "  ", "info"),
                _end(moment.backend, back),
            )
        )
        previous = moment.time
    if len(lines) == HEAD:
        lines.append((("  No transition was seen yet.", "muted"),))
    return lines


def step_lines(disk: DiskView, step: int, width: int) -> list[Line]:
    """One step in full: states, the reason, and every key that was written."""
    found = moments(disk.transitions)
    if not 0 <= step < len(found):
        return [(("Nothing to explain yet.", "muted"),)]
    previous = found[step - 1].time if step else None
    front, back = _states(found[: step + 1])
    lines: list[Line] = [
        (
            (f"step {step + 1} of {len(found)}", "bold"),
            (f"  {units.clock(found[step].time)}", "muted"),
            ("   frontend ", "muted"),
            (front.word, state_style(front)),
            ("   backend ", "muted"),
            (back.word, state_style(back)),
        )
    ]
    cell = decide(front, back, online=disk.online)
    lines += _labelled("then", f"{cell.turn.value}: {cell.reason}", width)
    here = writes_between(disk.writes, previous, found[step].time)
    for one in here:
        lines.append(
            (
                (fit(one.by, 10), "muted"),
                (fit(f"{one.end}/{one.path}", 44), ""),
                (f"= {clean(one.value)}", "good"),
            )
        )
    if not here:
        lines.append((("No write in the store is known of this step.", "faint"),))
    return lines


def steps_of(disk: DiskView | None) -> int:
    """How many there are."""
    return len(moments(disk.transitions)) if disk else 0


def _states(found: Sequence[Moment]) -> tuple[S, S]:
    front = back = S.UNKNOWN
    for moment in found:
        front, back = moment.frontend or front, moment.backend or back
    return front, back


def _end(moved: S | None, state: S) -> Span:
    if moved is not None:
        return fit(f"● {moved.word}", _STATE), state_style(moved)
    return fit("│", _STATE), state_style(state) if state is not S.UNKNOWN else "faint"


def _written(writes: Sequence[StoreWrite]) -> str:
    """The writes of one step with an arrow from who made them; the state, which the lanes show, comes last."""
    if not writes:
        return ""
    ordered = sorted(writes, key=lambda one: one.path == "state")
    by = {one.by for one in writes}
    arrow = "▸" if by == {"frontend"} else "◂" if by == {"backend"} else "◂▸"
    return f"{arrow} " + " ".join(f"{one.path}={clean(one.value)}" for one in ordered)


def _labelled(label: str, text: str, width: int) -> list[Line]:
    first, *rest = wrap(text, max(width - 10, 10), "", 3)
    return [((f"{label:<10}", "muted"), *first), *(((" " * 10, ""), *line) for line in rest)]
