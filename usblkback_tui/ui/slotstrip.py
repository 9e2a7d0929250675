# SPDX-License-Identifier: MIT
"""A ring as a strip of its slots, with the five indices that move along it.  Pure.

A guest can write any index it likes; whatever it is, no more slots are drawn than there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from usblkback_tui.engine.snapshot import RingView
from usblkback_tui.protocol.ring import MASK
from usblkback_tui.protocol.slots import SlotState, slot_states
from usblkback_tui.ui.text import Line, Span

_CELLS = {
    SlotState.FREE: ("░", "faint"),
    SlotState.SERVICE: ("█", "write"),
    SlotState.UNREAD: ("█", "read"),
    SlotState.RESPONDED: ("▓", "good"),
}
_IMPORTANCE = (SlotState.FREE, SlotState.RESPONDED, SlotState.UNREAD, SlotState.SERVICE)
"""Where several slots share a cell, the last of these that is among them is shown."""

MARKS = (("req_prod", "P"), ("req_cons", "C"), ("rsp_prod", "R"), ("req_event", "q"), ("rsp_event", "r"))
"""Index and the letter that marks it under the strip."""


def states_of(ring: RingView) -> tuple[SlotState, ...]:
    """Who has each slot, by its number."""
    return slot_states(
        req_prod=ring.req_prod,
        req_cons=ring.req_cons,
        rsp_prod=ring.rsp_prod,
        rsp_event=ring.rsp_event,
        slots=ring.slots,
    )


def slots_per_cell(slots: int, width: int) -> int:
    """How many slots share a cell: the smallest power of two that fits."""
    share = 1
    while width > 0 and slots > share * width:
        share *= 2
    return share


def strip_lines(ring: RingView, width: int, cursor: int | None = None) -> list[Line]:
    """The strip and the line of marks under it; ``cursor`` is the number of the slot to point at."""
    share = slots_per_cell(ring.slots, width)
    states = states_of(ring)
    cells = [_cell(states[at : at + share]) for at in range(0, ring.slots, share)]
    spans: list[Span] = []
    for at, (char, style) in enumerate(cells):
        if cursor is not None and cursor // share == at:
            style = f"{style} slot"
        if spans and spans[-1][1] == style:
            spans[-1] = (spans[-1][0] + char, style)
        else:
            spans.append((char, style))
    return [tuple(spans), _marks(ring, share, len(cells))]


def _cell(states: Sequence[SlotState]) -> Span:
    return _CELLS[max(states, key=_IMPORTANCE.index)]


def _marks(ring: RingView, share: int, cells: int) -> Line:
    """A letter under the slot each index points at; those that meet share a cell, the first of MARKS is seen."""
    row = [" "] * cells
    for name, letter in reversed(MARKS):
        if ring.slots:
            row[getattr(ring, name) % ring.slots // share] = letter
    return (("".join(row), "key"),)


def legend(ring: RingView) -> Line:
    """The colours with how many slots have them."""
    states = states_of(ring)
    spans: list[Span] = []
    for state in reversed(_IMPORTANCE):
        char, style = _CELLS[state]
        spans += [(f"{char} ", style), (f"{states.count(state)}", ""), (f" {state.value}   ", "muted")]
    return tuple(spans)


def index_spans(ring: RingView) -> Line:
    """The indices with the letters that mark them."""
    spans: list[Span] = []
    for name, letter in MARKS:
        value = getattr(ring, name) & MASK
        spans += [(f"{letter} ", "key"), (f"{name} ", "muted"), (f"{value:,}   ", "")]
    return tuple(spans)
