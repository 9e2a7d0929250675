# SPDX-License-Identifier: MIT
"""The latency heat map: time to the right, latency upwards, brighter where more requests ended.  Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from operator import add

from usblkback_tui.ui import units
from usblkback_tui.ui.axis import axis_line
from usblkback_tui.ui.heat import ROWS, Heat, row_floor
from usblkback_tui.ui.palette import HEAT_SHADES
from usblkback_tui.ui.text import Line, Span, fit

GUTTER = 7
"""Cells of the scale at the left."""

OPERATIONS = ("both", "read", "write")


def heat_lines(
    columns: Sequence[Heat | None],
    operation: str,
    seconds: int,
    width: int,
    height: int,
    cursor: int = 0,
    end: str = "now",
) -> list[Line]:
    """``height`` lines: the map with its scale, and a time axis.

    ``columns`` are oldest first, ``seconds`` to each; ``cursor`` marks the column so many before the last.
    """
    cells, room = max(width - GUTTER, 2), max(height - 1, 1)
    shown = [_counts(column, operation) for column in columns[-cells:]]
    bands = _bands(shown, room)
    drawn = [None if counts is None else _banded(counts, bands) for counts in shown]
    most = max((max(counts) for counts in drawn if counts is not None), default=0)
    lead = cells - len(shown)
    lines: list[Line] = []
    marked = cells - 1 - cursor if 0 < cursor < cells else None
    for band, (low, _) in enumerate(bands):
        spans: list[Span] = [(fit(units.latency(row_floor(low)), GUTTER - 1, ">") + "┤", "faint")]
        spans += _row(drawn, band, most, lead, marked)
        lines.append(tuple(spans))
    lines += [()] * (room - len(lines))
    return [*lines[:room], axis_line(cells, seconds, GUTTER, end)]


def column_text(column: Heat | None, operation: str) -> str:
    """What one column holds, in words: the total and the slowest row."""
    counts = _counts(column, operation)
    if counts is None or not any(counts):
        return "no requests"
    slowest = max(row for row in range(ROWS) if counts[row])
    top = units.latency(row_floor(slowest + 1)) if slowest + 1 < ROWS else "more"
    return f"{units.whole(sum(counts))} requests, the slowest within {top}"


def _counts(column: Heat | None, operation: str) -> Sequence[int] | None:
    if column is None:
        return None
    if operation == "both":
        return list(map(add, column.read, column.write))
    return column.read if operation == "read" else column.write


def _bands(columns: Sequence[Sequence[int] | None], room: int) -> list[tuple[int, int]]:
    """What each line of the map counts, slowest first, as (first row, end): those with something in them in the middle.

    Where there is too little room several rows share a line.
    """
    present = [counts for counts in columns if counts is not None]
    used = [row for row, counts in enumerate(zip(*present, strict=True)) if any(counts)]
    low, high = (used[0], used[-1]) if used else (3, 10)
    share = -(-(high - low + 1) // room)
    while high - low + 1 < room * share and (low > 0 or high < ROWS - 1):
        low, high = max(low - 1, 0), min(high + 1, ROWS - 1)
    ends = range(high + 1, low, -share)
    return [(max(end - share, low), end) for end in ends][:room]


def _banded(counts: Sequence[int], bands: Sequence[tuple[int, int]]) -> Sequence[int]:
    if bands[0][1] - bands[0][0] == 1:  # a line to each row
        return counts[bands[-1][0] : bands[0][1]][::-1]
    return [sum(counts[low:high]) for low, high in bands]


def _row(columns: Sequence[Sequence[int] | None], row: int, most: int, lead: int, marked: int | None) -> list[Span]:
    """One row of the map as spans of equal shade."""
    spans: list[Span] = []
    text, style = " " * lead, ""
    for at, counts in enumerate(columns, lead):
        here = heat_style(counts[row] if counts is not None else 0, most)
        cell = "█" if here else " "
        if at == marked:
            cell, here = ("▒", here) if here else ("│", "faint")
        if here != style:
            if text:
                spans.append((text, style))
            text, style = "", here
        text += cell
    spans.append((text, style))
    return spans


@lru_cache(maxsize=4096)
def heat_style(count: int, most: int) -> str:
    """The shade of a cell: by the logarithm, so that a single slow request still shows; empty for none."""
    if count <= 0 or most <= 0:
        return ""
    if most == 1:
        return f"heat{HEAT_SHADES - 1}"
    return f"heat{round(math.log(count) / math.log(most) * (HEAT_SHADES - 1))}"
