# SPDX-License-Identifier: MIT
"""Area charts out of braille characters: two dots wide and four high to a cell.  Pure.

``mirror`` draws one series upwards and one downwards from a common zero line, so reads and writes share a chart
without hiding each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from usblkback_tui.ui.palette import SHADES
from usblkback_tui.ui.text import Line

_UP = ((0x00, 0x40, 0x44, 0x46, 0x47), (0x00, 0x80, 0xA0, 0xB0, 0xB8))
_DOWN = ((0x00, 0x01, 0x03, 0x07, 0x47), (0x00, 0x08, 0x18, 0x38, 0xB8))
"""Dots of the left and the right half of a cell with 0..4 of them set, from the bottom and from the top."""


def ceiling(value: float) -> float:
    """The top of a scale that holds ``value``: 1, 2 or 5 times a power of ten, so it moves rarely; 1 at least."""
    if value <= 1 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if value <= step * power * (1 + 1e-9))


def area(values: Sequence[float], top: float, width: int, height: int, *, down: bool = False) -> list[str]:
    """``height`` rows of ``width`` braille characters, the newest value at the right, blank where there is no past.

    A value above zero always shows a dot; one above ``top`` is cut.
    """
    dots = [_dots(value, top, 4 * height) for value in values[-2 * width :]]
    dots = [0] * (2 * width - len(dots)) + dots
    columns = [_column(dots[x], dots[x + 1], height, down) for x in range(0, 2 * width, 2)]
    return ["".join(row) for row in zip(*columns, strict=True)]


def mirror(
    up: Sequence[float],
    down: Sequence[float],
    top: float,
    width: int,
    height: int,
    styles: tuple[str, str] = ("read", "write"),
) -> list[Line]:
    """Two series around a zero line in ``height`` rows (the upper half gets the odd one), shaded towards the tips."""
    upper = height - height // 2
    lower = height // 2
    rows: list[Line] = []
    for row, text in enumerate(area(up, top, width, upper)):
        rows.append(((text, f"{styles[0]}{shade(upper - 1 - row, upper)}"),))
    for row, text in enumerate(area(down, top, width, lower, down=True)):
        rows.append(((text, f"{styles[1]}{shade(row, lower)}"),))
    return rows


@lru_cache(maxsize=4096)
def _column(left: int, right: int, height: int, down: bool) -> str:
    """One column of cells from the top, by the dots of its two halves: a chart has few different ones."""
    lefts, rights = _DOWN if down else _UP
    below = range(0, 4 * height, 4) if down else range(4 * height - 4, -1, -4)
    return "".join(chr(0x2800 | lefts[_filled(left, dots)] | rights[_filled(right, dots)]) for dots in below)


def _dots(value: float, top: float, most: int) -> int:
    if not value > 0:
        return 0
    return max(1, min(most, round(value / top * most)))


def _filled(dots: int, below: int) -> int:
    return max(0, min(4, dots - below))


def shade(distance: int, rows: int) -> int:
    """The shade of a row so far from the zero line: brighter towards the tips."""
    return SHADES - 1 if rows < 2 else round(distance / (rows - 1) * (SHADES - 1))
