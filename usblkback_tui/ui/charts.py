# SPDX-License-Identifier: MIT
"""IOPS, throughput and queue depth over time.  Pure.

Reads go upwards and writes downwards on one scale.  A time cursor, dots before the end, is a line through all charts,
and the headings then say what was there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from usblkback_tui.ui import units
from usblkback_tui.ui.axis import axis_line
from usblkback_tui.ui.braille import area, ceiling, mirror, shade
from usblkback_tui.ui.history import LEVELS, Track
from usblkback_tui.ui.text import Line, Span, fit

GUTTER = 6
"""Cells of the scale at the left."""
LEAST_HEIGHT = 4


@dataclass(frozen=True, slots=True)
class Look:
    """Which part of a track is drawn: zoom level, seconds left out at the end, and the time cursor in dots."""

    level: int = 0
    back: int = 0
    cursor: int = 0
    end: str = "now"
    """What the time axis ends with."""


def iops_lines(track: Track, look: Look, width: int, height: int) -> list[Line]:
    """Requests a second."""
    up, down = (series.last(2 * width, look.level, look.back) for series in (track.reads, track.writes))
    return _mirrored(up, down, "IOPS", units.count, look, width, height)


def throughput_lines(track: Track, look: Look, width: int, height: int) -> list[Line]:
    """Bytes a second."""
    up, down = (series.last(2 * width, look.level, look.back) for series in (track.read_bytes, track.written_bytes))
    return _mirrored(up, down, "Throughput", units.throughput, look, width, height)


def depth_lines(track: Track, look: Look, width: int, height: int) -> list[Line]:
    """Requests in flight."""
    cells, rows = max(width - GUTTER, 2), max(height - 2, 2)
    values = track.depth.last(2 * cells, look.level, look.back)
    top = ceiling(max((*values, 0.0)))
    now = _at(values, look.cursor)
    heading: list[Span] = [(" Queue depth  ", "bold"), ("-" if now is None else units.count(now), "bold good")]
    lines: list[Line] = [_filled(heading, width)]
    scale = {0: units.count(top), rows - 1: "0"}
    for row, text in enumerate(area(values, top, cells, rows)):
        lines.append((_tick(scale, row), *_marked((text, f"read{shade(rows - 1 - row, rows)}"), cells, look.cursor)))
    lines.append(axis_line(cells, 2 * LEVELS[look.level], GUTTER, look.end))
    return lines


def side_by_side(*charts: Sequence[Line]) -> list[Line]:
    """Charts next to each other, two blanks between them."""
    rows = []
    for parts in zip(*charts, strict=True):
        spans: list[Span] = []
        for part in parts:
            if spans:
                spans.append(("  ", ""))
            spans.extend(part)
        rows.append(tuple(spans))
    return rows


def _mirrored(
    up: Sequence[float],
    down: Sequence[float],
    name: str,
    unit: Callable[[float], str],
    look: Look,
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
    lines: list[Line] = [_heading(name, unit, _at(up, look.cursor), _at(down, look.cursor), width)]
    for row, drawn in enumerate(mirror(up, down, top, cells, rows)):
        lines.append((_tick(scale, row), *_marked(drawn[0], cells, look.cursor)))
    lines.append(axis_line(cells, 2 * LEVELS[look.level], GUTTER, look.end))
    return lines


def _tick(scale: dict[int, str], row: int) -> Span:
    return fit(scale.get(row, ""), GUTTER - 1, ">") + ("┤" if row in scale else "│"), "faint"


def _marked(drawn: Span, cells: int, cursor: int) -> Line:
    """A row of a chart with the time cursor in it."""
    at = cells - 1 - cursor // 2
    if cursor <= 0 or at < 0:
        return (drawn,)
    text, style = drawn
    mark: Span = ("┊", "key") if text[at] == "\u2800" else (text[at], "key")
    return (text[:at], style), mark, (text[at + 1 :], style)


def _at(values: Sequence[float], cursor: int) -> float | None:
    return values[-1 - cursor] if cursor < len(values) else None


def _heading(name: str, unit: Callable[[float], str], up: float | None, down: float | None, width: int) -> Line:
    read = "-" if up is None else unit(up)
    written = "-" if down is None else unit(down)
    words = ("read ", "write ") if width >= 48 else ("", "")
    if width < 36:
        name = name if len(name) < 8 else "MB/s"
        return _filled(
            [(f" {name} ", "bold"), ("▲ ", "read"), (read, "bold read"), ("  ▼ ", "write"), (written, "bold write")],
            width,
        )
    return _filled(
        [
            (f" {name}  ", "bold"),
            ("▲ ", "read"),
            (words[0], "muted"),
            (f"{read:<8} ", "bold read"),
            ("▼ ", "write"),
            (words[1], "muted"),
            (f"{written:<8}", "bold write"),
        ],
        width,
    )


def _filled(spans: list[Span], width: int) -> Line:
    used = sum(len(text) for text, _ in spans)
    return (*spans, (" " * max(width - used, 0), ""))
