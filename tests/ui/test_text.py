# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from usblkback_tui.ui.text import Line, changed_cells, clean, fit, fit_path, joined, line_width, plain, wrap


def test_clean_disarms_escape_sequences_and_direction_marks() -> None:
    assert clean("web\x1b[2J\x07-01") == "web·[2J·-01"
    assert clean("a\u202eb\u200dc\x9bd\ne") == "a·b·c·d·e"
    assert clean("plain name äöü 東京") == "plain name äöü 東京"


@given(st.text(), st.integers(0, 40), st.sampled_from("<>"))
def test_fit_is_exactly_as_wide_as_asked(text: str, width: int, align: str) -> None:
    assert cell_len(fit(clean(text), width, align)) == width


@pytest.mark.parametrize(
    ("text", "width", "align", "shown"),
    [
        ("abc", 5, "<", "abc  "),
        ("abc", 5, ">", "  abc"),
        ("abcdef", 5, "<", "abcd…"),
        ("東京都庁", 5, "<", "東京…"),
        ("abc", 0, "<", ""),
    ],
)
def test_fit(text: str, width: int, align: str, shown: str) -> None:
    assert fit(text, width, align) == shown


def test_fit_path_keeps_the_name() -> None:
    assert fit_path("/srv/images/web.img", 40) == "/srv/images/web.img"
    assert fit_path("/srv/images/web.img", 12) == "…ges/web.img"


def test_wrap_keeps_to_its_rows() -> None:
    lines = wrap("one two three four five six", 9, "error", 2)
    assert [plain(line) for line in lines] == ["one two", "three fo…"]
    assert wrap("", 9, "", 2) == [(("", ""),)]


def test_joined() -> None:
    assert plain(joined([(("a", ""),), (("b", ""),)])) == "a  b"


SPANS = st.lists(st.tuples(st.sampled_from(["a", "bb", "ccc", "東"]), st.sampled_from(["", "good"])), max_size=6)


@given(SPANS, SPANS)
def test_outside_the_changed_cells_two_lines_are_the_same(a: list[tuple[str, str]], b: list[tuple[str, str]]) -> None:
    old: Line = tuple(a)
    new: Line = tuple(b)
    cells = changed_cells(old, new)
    if cells is None:
        assert old == new
        return
    first, end = cells

    def painted(line: Line) -> list[tuple[str, str]]:
        return [(char, style) for text, style in line for char in text for _ in range(cell_len(char))]

    assert painted(old)[:first] == painted(new)[:first]
    if end is not None:
        assert line_width(old) == line_width(new)
        assert painted(old)[end:] == painted(new)[end:]
