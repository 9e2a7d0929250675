# SPDX-License-Identifier: MIT
"""Every key and what it does, straight from the registry."""

from __future__ import annotations

from textual.app import ComposeResult

from usblkback_tui.ui.actions import ACTIONS, GROUPS
from usblkback_tui.ui.dialogs.base import Dialog
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.text import Line

_KEYS = 12


def help_lines() -> list[Line]:
    """The groups of the registry with their actions."""
    lines: list[Line] = []
    for group in GROUPS:
        if lines:
            lines.append(())
        lines.append(((group, "title bold"),))
        lines += [
            ((f"  {action.keycaps:<{_KEYS}}", "key"), (action.help, "")) for action in ACTIONS if action.group == group
        ]
    return lines


class HelpDialog(Dialog[None]):
    """Scrolls; Esc leaves it."""

    def compose(self) -> ComposeResult:
        with self.box("Keys", "help"):
            yield LineView(id="help-lines")

    def on_mount(self) -> None:
        self.query_one("#help").border_subtitle = "Esc closes"
        lines = self.query_one("#help-lines", LineView)
        lines.show(help_lines())
        lines.focus()
