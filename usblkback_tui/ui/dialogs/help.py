# SPDX-License-Identifier: MIT
"""Every key and what it does, straight from the registry."""

from __future__ import annotations

from textual.app import ComposeResult

from usblkback_tui.ui.actions import GROUPS, VIEWS, Registry
from usblkback_tui.ui.dialogs.base import Dialog
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.text import Line, wrap

_KEYS = 12


def help_lines(registry: Registry, width: int) -> list[Line]:
    """The groups of the registry with their actions, wrapped to ``width`` cells."""
    lines: list[Line] = []
    for group in GROUPS:
        if lines:
            lines.append(())
        lines.append(((group, "title bold"),))
        for action in registry.actions:
            if action.group == group:
                place = f" ({action.where} screen)" if action.where in VIEWS else ""
                first, *rest = wrap(action.help + place, width - _KEYS - 2, "", rows=6)
                lines.append(((f"  {action.keycaps:<{_KEYS}}", "key"), *first))
                lines += [((" " * (_KEYS + 2), ""), *line) for line in rest]
    return lines


class HelpDialog(Dialog[None]):
    """Scrolls; Esc leaves it."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry

    def compose(self) -> ComposeResult:
        with self.box("Keys", "help"):
            yield LineView(id="help-lines")

    def on_mount(self) -> None:
        self.query_one("#help").border_subtitle = "Esc closes"
        self.query_one("#help-lines").focus()

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        lines = self.query_one("#help-lines", LineView)
        lines.show(help_lines(self._registry, lines.size.width))
