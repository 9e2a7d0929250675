# SPDX-License-Identifier: MIT
"""Lines of styled text as plain tuples: what every pane is made of and what tests read.

A span is ``(text, style)``, the style being a name of ``palette.py`` (several words combine).  A line is a tuple of
spans.  Tuples compare fast, so a pane knows which of its lines changed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size

Span = tuple[str, str]
Line = tuple[Span, ...]

_UNPRINTABLE = dict.fromkeys(
    (
        *range(0x20),
        *range(0x7F, 0xA0),
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2060, 0x2070),
        0xFEFF,
    ),
    "\N{MIDDLE DOT}",
)


def clean(text: str) -> str:
    """``text`` without anything that could move the cursor or turn the reading direction.

    Domain names and xenstore values come from guests and from other people's tools.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_UNPRINTABLE)


def cells(text: str) -> int:
    """Terminal cells a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, align: str = "<") -> str:
    """``text`` in exactly ``width`` terminal cells, cut with an ellipsis when it is longer."""
    if width <= 0:
        return ""
    size = cells(text)
    if size > width:
        return set_cell_size(text, width - 1) + "…"
    gap = " " * (width - size)
    return gap + text if align == ">" else text + gap


def fit_path(path: str, width: int) -> str:
    """A path in at most ``width`` cells; what is cut is the beginning, the name being what tells paths apart."""
    if cells(path) <= width:
        return path
    tail = path
    while tail and cells(tail) > width - 1:
        tail = tail[1:]
    return f"…{tail}"


def plain(line: Line) -> str:
    """The characters of a line."""
    return "".join(text for text, _ in line)


def line_width(line: Line) -> int:
    """Terminal cells a line takes."""
    return cells("".join([text for text, _ in line]))


def wrap(text: str, width: int, style: str, rows: int) -> list[Line]:
    """``text`` in at most ``rows`` lines of ``width`` cells, the last one cut with an ellipsis."""
    pieces = textwrap.wrap(text, max(width, 1)) or [""]
    if len(pieces) > rows:
        pieces = [*pieces[: rows - 1], fit(" ".join(pieces[rows - 1 :]), width)]
    return [((piece, style),) for piece in pieces]


def joined(parts: Iterable[Line], gap: str = "  ") -> Line:
    """Several lines as one, with ``gap`` between them."""
    spans: list[Span] = []
    for part in parts:
        if spans:
            spans.append((gap, ""))
        spans.extend(part)
    return tuple(spans)


def changed_cells(old: Line, new: Line) -> tuple[int, int | None] | None:
    """The columns in which two lines differ as ``(first, end)``; None when they are equal.

    ``end`` is None where it is the end of the row.
    """
    if old == new:
        return None
    head, most = 0, min(len(old), len(new))
    while head < most and old[head] == new[head]:
        head += 1
    tail, most = 0, most - head
    while tail < most and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    first = line_width(new[:head])
    width = line_width(new[head : len(new) - tail])
    if line_width(old[head : len(old) - tail]) != width:
        return first, None
    return first, first + width
