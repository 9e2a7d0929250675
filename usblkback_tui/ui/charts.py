# SPDX-License-Identifier: MIT
"""IOPS and throughput over time: reads upwards, writes downwards, on one scale.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from usblkback_tui.ui import units
from usblkback_tui.ui.braille import ceiling, mirror
from usblkback_tui.ui.history import LEVELS, Track
from usblkback_tui.ui.text import Line, Span, fit

GUTTER = 6
"""Cells of the scale at the left."""


def iops_lines(track: Track, level: int, width: int, height: int) -> list[Line]:
    """Requests a second."""
    return _chart(
        track.reads.last(2 * width, level),
        track.writes.last(2 * width, level),
        "IOPS",
        units.count,
        level,
        width,
        height,
    )


def throughput_lines(track: Track, level: int, width: int, height: int) -> list[Line]:
    """Bytes a second."""
    up, down = track.read_bytes.last(2 * width, level), track.written_bytes.last(2 * width, level)
    return _chart(up, down, "Throughput", units.throughput, level, width, height)


def side_by_side(left: Sequence[Line], right: Sequence[Line]) -> list[Line]:
    """Two charts next to each other, two blanks between them."""
    return [(*a, ("  ", ""), *b) for a, b in zip(left, right, strict=True)]


def _chart(
    up: Sequence[float],
    down: Sequence[float],
    name: str,
    unit: Callable[[float], str],
    level: int,
    width: int,
    height: int,
) -> list[Line]:
    """A heading, ``height - 2`` rows of chart with their scale, and a time axis."""
    cells, rows = max(width - GUTTER, 2), max(height - 2, 2)
    up, down = up[-2 * cells :], down[-2 * cells :]
    top = ceiling(max((*up, *down, 0.0)))
    upper = rows - rows // 2
    scale = {0: units.count(top), upper - 1: "0", rows - 1: units.count(top)}
    if rows < 4:
        scale.pop(upper - 1, None)
        scale[0] = units.count(top)
    lines: list[Line] = [_heading(name, unit, up, down, width)]
    for row, drawn in enumerate(mirror(up, down, top, cells, rows)):
        tick = "┤" if row in scale else "│"
        lines.append(((fit(scale.get(row, ""), GUTTER - 1, ">") + tick, "faint"), *drawn))
    lines.append(_axis(cells, level))
    return lines


def _heading(name: str, unit: Callable[[float], str], up: Sequence[float], down: Sequence[float], width: int) -> Line:
    read = unit(up[-1]) if up else "-"
    written = unit(down[-1]) if down else "-"
    words = ("read ", "write ") if width >= 48 else ("", "")
    spans: list[Span] = [
        (f" {name}  ", "bold"),
        ("▲ ", "read"),
        (words[0], "muted"),
        (f"{read:<8} ", "bold read"),
        ("▼ ", "write"),
        (words[1], "muted"),
        (f"{written:<8}", "bold write"),
    ]
    used = sum(len(text) for text, _ in spans)
    return (*spans, (" " * max(width - used, 0), ""))


def _axis(cells: int, level: int) -> Line:
    """``-3 min`` at the left, ``now`` at the right, the middle where there is room for it."""
    span = 2 * cells * LEVELS[level]
    text = list(" " * cells)
    for at, label in ((0, _ago(span)), (cells // 2, _ago(span // 2)), (cells, "now")):
        start = at if at == 0 else at - len(label) if at == cells else at - len(label) // 2
        if at in (0, cells) or cells >= 40:
            text[start : start + len(label)] = label
    return ((" " * (GUTTER - 1) + "└", "faint"), ("".join(text)[:cells], "faint"))


def _ago(seconds: int) -> str:
    if seconds < 120:
        return f"-{seconds} s"
    if seconds < 7200:
        return f"-{seconds / 60:.0f} min"
    return f"-{seconds / 3600:.1f} h"
