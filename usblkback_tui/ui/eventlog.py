# SPDX-License-Identifier: MIT
"""One event as one line of the log.  Pure."""

from __future__ import annotations

from usblkback_tui.engine.snapshot import Event, Severity
from usblkback_tui.ui import units
from usblkback_tui.ui.palette import SEVERITY_STYLE, state_style
from usblkback_tui.ui.text import Line, clean, fit

_WORDS = {Severity.INFO: "info", Severity.GOOD: "good", Severity.WARNING: "warning", Severity.ERROR: "error"}
_WHERE = 12


def event_line(event: Event, domain: str = "") -> Line:
    """When, how bad, which disk, what.  ``domain`` is the name of its domain where it is known."""
    when = (units.clock(event.time), "muted")
    style = SEVERITY_STYLE[event.severity] if event.severity is not Severity.INFO else "muted"
    severity = (f"  {_WORDS[event.severity]:<8}", style)
    if event.change is not None:
        change = event.change
        return (
            when,
            severity,
            (fit(_where(event, domain), _WHERE) + "  ", "bold"),
            (f"{change.end:<9} ", "muted"),
            (change.old.word, state_style(change.old)),
            (" → ", "muted"),
            (change.new.word, state_style(change.new)),
        )
    text = clean(event.text)
    plain = event.severity in (Severity.INFO, Severity.GOOD)
    return when, severity, (fit(_where(event, domain), _WHERE) + "  ", "bold"), (text, "" if plain else style)


def _where(event: Event, domain: str) -> str:
    name = clean(domain) or (f"domain {event.domid}" if event.domid is not None else "")
    return f"{name} {event.vdev}".strip()
