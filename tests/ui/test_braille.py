# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usblkback_tui.ui.braille import area, ceiling, mirror
from usblkback_tui.ui.text import plain


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (-5, 1), (float("nan"), 1), (1, 1), (1.1, 2), (3, 5), (7, 10), (4321, 5000), (2000, 2000)],
)
def test_ceiling(value: float, top: float) -> None:
    assert ceiling(value) == top


@given(st.floats(1, 1e15))
def test_the_ceiling_holds_the_value_and_wastes_little(value: float) -> None:
    assert value <= ceiling(value) * (1 + 1e-6)
    assert ceiling(value) <= 2.5 * value * (1 + 1e-6)


def test_area_grows_from_the_bottom() -> None:
    assert area([1, 2, 3, 4], 4, 2, 1) == ["⣠⣾"]
    assert area([4, 8], 8, 1, 2) == ["⢸", "⣿"]


def test_area_downwards_grows_from_the_top() -> None:
    assert area([1, 2, 3, 4], 4, 2, 1, down=True) == ["⠙⢿"]
    assert area([4, 8], 8, 1, 2, down=True) == ["⣿", "⢸"]


def test_a_small_value_still_shows_and_no_past_is_blank() -> None:
    assert area([0.0001], 1000, 2, 1) == ["⠀⢀"]
    assert area([0], 1000, 2, 1) == ["⠀⠀"]
    assert area([], 1000, 2, 2) == ["⠀⠀", "⠀⠀"]


@given(st.lists(st.floats(0, 1e9), max_size=60), st.integers(1, 20), st.integers(1, 8))
def test_dots_are_proportional_and_stay_inside(values: list[float], width: int, height: int) -> None:
    top = ceiling(max(values, default=0))
    rows = area(values, top, width, height)
    assert [len(row) for row in rows] == [width] * height
    shown = values[-2 * width :]
    expected = sum(0 if v <= 0 else max(1, min(4 * height, round(v / top * 4 * height))) for v in shown)
    assert sum((ord(char) - 0x2800).bit_count() for row in rows for char in row) == expected


def test_mirror_has_reads_above_and_writes_below_shaded_towards_the_tips() -> None:
    lines = mirror([8, 8], [4, 4], 8, 1, 4)
    assert [plain(line) for line in lines] == ["⣿", "⣿", "⣿", "⠀"]
    assert [line[0][1] for line in lines] == ["read5", "read0", "write0", "write5"]
