# SPDX-License-Identifier: MIT
"""What a terminal is shown of bytes that anybody may have written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usblkback_tui.protocol.printable import is_printable, printable


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", ""),
        ("größe 1.img".encode(), "größe 1.img"),
        (b"a\nb\tc", "a\\nb\\tc"),
        (b"\x1b[31mred", "\\x1b[31mred"),
        (b"a\0b\xffc", "a\\x00b\\xffc"),
        (b"back\\slash", "back\\\\slash"),
        ("\u202ebackwards".encode(), "\\u202ebackwards"),
    ],
)
def test_one_harmless_line(data: bytes, shown: str) -> None:
    assert printable(data) == shown
    assert is_printable(data) == (data.decode(errors="replace") == shown)


@given(st.binary())
def test_anything_becomes_printable_and_keeps_its_difference(data: bytes) -> None:
    shown = printable(data)
    assert shown.isprintable()
    assert is_printable(data) == (shown.encode() == data)


@given(st.text())
def test_text_of_any_kind(text: str) -> None:
    assert printable(text).isprintable()


def test_a_limit_ends_in_an_ellipsis() -> None:
    assert printable("abcdef", 4) == "abc…"
    assert printable("abcd", 4) == "abcd"
