# SPDX-License-Identifier: MIT
"""Columns, units and colours."""

from __future__ import annotations

import io

import pytest

from usblkback_tui.cli.output import bytes_text, clock, count_text, one_line, paint, table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_line_up() -> None:
    rows = [("A", "BBB", "C"), ("11", "2", "tail"), ("1", "2222", "")]
    assert table(rows, right=frozenset({0})) == [" A  BBB   C", "11  2     tail", " 1  2222"]
    assert table([]) == []


def test_control_characters_never_reach_a_terminal() -> None:
    assert one_line("a\x1b[31m\nb\x7f\u202e é") == "a\\x1b[31m\\x0ab\\x7f\\x202e é"
    assert table([("a\nb", "c")]) == ["a\\x0ab  c"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (64 << 20, "64.0 MiB"), (5 << 50, "5120.0 TiB")],
)
def test_bytes(count: int, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (999, "999"), (12345, "12.3k"), (4.5e6, "4.5M"), (7e12, "7000.0G")]
)
def test_counts(count: float, text: str) -> None:
    assert count_text(count) == text


def test_the_clock_is_local_with_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert clock(1_000_000_000.0625).endswith(".062")
    assert len(clock(0.0)) == 23


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert paint("bad", "error", Terminal()) == "\x1b[31mbad\x1b[0m"
    assert paint("bad", "error", io.StringIO()) == "bad"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("bad", "error", Terminal()) == "bad"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert paint("bad", "error", Terminal()) == "bad"
