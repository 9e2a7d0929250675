# SPDX-License-Identifier: MIT
"""One slot of a ring, decoded: the request or the answer that lies in it.  Pure."""

from __future__ import annotations

from usblkback_tui.engine.inspection import RingSlots, SlotView
from usblkback_tui.protocol.slots import SlotRequest, SlotResponse, SlotState
from usblkback_tui.ui import units
from usblkback_tui.ui.text import Line, clean, wrap

LABEL = 10
_STATE_STYLE = {
    SlotState.FREE: "muted",
    SlotState.SERVICE: "write",
    SlotState.UNREAD: "read",
    SlotState.RESPONDED: "good",
}


def slot_lines(ring: RingSlots, number: int, width: int) -> list[Line]:
    """Everything about one slot; ``number`` is taken modulo the ring's size."""
    if not ring.slots:
        return [(("The ring has no slots.", "muted"),)]
    slot = ring.slots[ring.at(number)]
    lines: list[Line] = [
        (
            (f"slot {slot.index} of ring {ring.ring}", "bold"),
            ("   ", ""),
            (slot.state.value, _STATE_STYLE[slot.state]),
            (f"   as it was at {units.clock(ring.time)}, {ring.protocol}", "muted"),
        )
    ]
    marks = [name for name in ("req_prod", "req_cons", "rsp_prod") if ring.at(getattr(ring, name)) == slot.index]
    if marks:
        lines.append(_row("next here", ", ".join(marks), "key"))
    lines += _content(slot, width)
    return lines


def _content(slot: SlotView, width: int) -> list[Line]:
    if slot.request is not None:
        return _request(slot.request, width)
    if slot.response is not None:
        return _response(slot.response)
    return [(("Never used since the ring was made.", "muted"),)]


def _request(request: SlotRequest, width: int) -> list[Line]:
    op = f"{request.op} of {request.indirect}" if request.indirect else request.op
    lines = [
        _row("request", op + (", secure" if request.secure else ""), "bold"),
        _row("id", f"{request.id:#x}"),
        _row("sectors", f"{request.sector:,} and {request.sectors:,} of them, {units.capacity(request.sectors)}"),
        _row("pages", f"{request.segments} of data"),
    ]
    for at, (gref, first, last) in enumerate(request.pages):
        lines.append(_row("" if at else "grants", f"{gref:>8}  sectors {first} to {last}"))
    if request.indirect_pages:
        lines.append(_row("indirect", " ".join(str(gref) for gref in request.indirect_pages)))
    if request.problem:
        first_line, *rest = wrap(f"✖ {clean(request.problem)}", width - LABEL, "error", 3)
        lines += [((f"{'problem':<{LABEL}}", "muted"), *first_line), *rest]
    return lines


def _response(response: SlotResponse) -> list[Line]:
    return [
        _row("answer", response.status, "good" if response.status == "ok" else "bold error"),
        _row("to", response.op),
        _row("id", f"{response.id:#x}"),
    ]


def _row(label: str, text: str, style: str = "") -> Line:
    return (f"{label:<{LABEL}}", "muted"), (text, style)
