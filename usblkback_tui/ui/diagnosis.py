# SPDX-License-Identifier: MIT
"""What is wrong with a disk, in full: the sentence, whose turn it is, what to try, and the evidence.  Pure.

✖ FE-NO-RING    frontend key ring-ref is missing
waits for       frontend
try             the frontend must write it before its state
evidence        frontend/state  3 Initialised
"""

from __future__ import annotations

from collections.abc import Iterator

from usblkback_tui.engine.snapshot import DiskView, Finding
from usblkback_tui.ui import units
from usblkback_tui.ui.palette import SEVERITY_STYLE, SEVERITY_SYMBOL
from usblkback_tui.ui.text import Line, clean, wrap

LABEL = 18
_KEY = 24
_ROWS = 4


def diagnosis_lines(disk: DiskView, width: int) -> list[Line]:
    """Every finding, the most important first."""
    lines: list[Line] = []
    for finding in disk.findings:
        if lines:
            lines.append(())
        lines += _finding(finding, width)
    return lines or [(("Nothing is wrong with it.", "good"),)]


def _finding(finding: Finding, width: int) -> Iterator[Line]:
    style = SEVERITY_STYLE[finding.severity]
    label = f"{SEVERITY_SYMBOL[finding.severity]} {finding.id}"
    yield from _labelled(label, finding.sentence, width, style, style)
    deadline = f", who has {units.elapsed(finding.deadline)} for it" if finding.deadline else ""
    yield from _labelled("waits for", f"{finding.waiting_for.value}{deadline}", width, "bold")
    for at, what in enumerate(finding.tries):
        yield from _labelled("" if at else "try", what, width)
    for at, (key, value) in enumerate(finding.evidence):
        yield from _labelled("" if at else "evidence", f"{clean(key):<{_KEY}}  {clean(value)}", width, "muted")


def _labelled(label: str, text: str, width: int, style: str = "", label_style: str = "muted") -> Iterator[Line]:
    first, *rest = wrap(clean(text), max(width - LABEL, 10), style, _ROWS)
    yield ((f"{label:<{LABEL}}", label_style), *first)
    for line in rest:
        yield ((" " * LABEL, ""), *line)
