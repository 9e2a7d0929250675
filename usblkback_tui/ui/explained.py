# SPDX-License-Identifier: MIT
"""What was looked at before an attach, as lines.  Pure."""

from __future__ import annotations

from usblkback_tui.engine.api import AttachPlan
from usblkback_tui.engine.snapshot import Severity
from usblkback_tui.ui.palette import SEVERITY_STYLE, SEVERITY_SYMBOL
from usblkback_tui.ui.text import Line, clean

_ABOUT = 12


def explained_lines(plan: AttachPlan) -> list[Line]:
    """A line for each; what may go wrong comes first."""
    ordered = sorted(plan.explained, key=lambda one: one.severity not in (Severity.ERROR, Severity.WARNING))
    return [
        (
            (f"{SEVERITY_SYMBOL[one.severity]} ", SEVERITY_STYLE[one.severity]),
            (f"{one.about:<{_ABOUT}}", "muted"),
            (clean(one.sentence), ""),
        )
        for one in ordered
    ]
