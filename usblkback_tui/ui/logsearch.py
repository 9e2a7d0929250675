# SPDX-License-Identifier: MIT
"""Searching the event log: which lines match, which of them one stands on, and how a match is drawn.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from usblkback_tui.engine.snapshot import Event, Severity
from usblkback_tui.ui.filtering import pattern
from usblkback_tui.ui.text import Line, Span, plain

LEVELS: dict[str, frozenset[Severity]] = {
    "": frozenset(Severity),
    "warnings and errors": frozenset({Severity.WARNING, Severity.ERROR}),
    "errors": frozenset({Severity.ERROR}),
}
"""What the severity filter shows, by its name."""


def at_level(events: Sequence[Event], level: str) -> Sequence[Event]:
    """The events that the severity filter lets through."""
    return [event for event in events if event.severity in LEVELS[level]] if level else events


def matching(lines: Sequence[Line], words: str) -> list[int]:
    """The numbers of the lines in which a regular expression is found; none for an empty one."""
    if not words:
        return []
    look = pattern(words)
    return [number for number, line in enumerate(lines) if look.search(plain(line))]


def step(matches: Sequence[int], at: int | None, by: int) -> int | None:
    """The match ``by`` matches after line ``at``, around the end; the last one when one stands nowhere."""
    if not matches:
        return None
    if at is None:
        return matches[-1]
    after = sum(number <= at for number in matches) - 1
    if by < 0 and at not in matches:
        after += 1
    return matches[(after + by) % len(matches)]


def marked(line: Line, words: str, style: str = "found") -> Line:
    """A line with what the expression finds in it marked."""
    found = [match.span() for match in pattern(words).finditer(plain(line)) if match.end() > match.start()]
    if not found:
        return line
    spans: list[Span] = []
    begin = 0
    for text, usual in line:
        end, here = begin + len(text), begin
        for first, last in found:
            low, high = max(first, here), min(last, end)
            if low < high:
                spans += [(text[here - begin : low - begin], usual), (text[low - begin : high - begin], style)]
                here = high
        spans.append((text[here - begin :], usual))
        begin = end
    return tuple(span for span in spans if span[0])
