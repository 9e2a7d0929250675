# SPDX-License-Identifier: MIT
"""The time axis under charts and heat maps.  Pure."""

from __future__ import annotations

from usblkback_tui.ui.text import Line


def axis_line(cells: int, seconds_per_cell: int, gutter: int, end: str = "now") -> Line:
    """``-3 min`` at the left, ``now`` at the right, the middle where there is room for it."""
    span = cells * seconds_per_cell
    text = list(" " * cells)
    for at, label in ((0, ago(span)), (cells // 2, ago(span // 2)), (cells, end)):
        start = at if at == 0 else at - len(label) if at == cells else at - len(label) // 2
        if at in (0, cells) or cells >= 40:
            text[max(start, 0) : max(start, 0) + len(label)] = label
    return ((" " * (gutter - 1) + "└", "faint"), ("".join(text)[:cells], "faint"))


def ago(seconds: int) -> str:
    """``-90 s``, ``-12 min``, ``-1.5 h``."""
    if seconds < 120:
        return f"-{seconds} s"
    if seconds < 7200:
        return f"-{seconds / 60:.0f} min"
    return f"-{seconds / 3600:.1f} h"
