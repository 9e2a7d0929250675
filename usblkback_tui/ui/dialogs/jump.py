# SPDX-License-Identifier: MIT
"""Jump mode: a letter on every pane, and the pane of the letter that is pressed gets the focus."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.geometry import Offset
from textual.widgets import Static

from usblkback_tui.ui.dialogs.base import Dialog
from usblkback_tui.ui.lines import LineView

LETTERS = "asdfgqwert"
DIGITS = "1234567"


class JumpDialog(Dialog[LineView | str | None]):
    """Ends with the pane, or with the digit of another screen, or with nothing."""

    AUTO_FOCUS = None

    def __init__(self, panes: Sequence[LineView]) -> None:
        super().__init__()
        self._panes = dict(zip(LETTERS, panes, strict=False))

    def compose(self) -> ComposeResult:
        for letter in self._panes:
            yield Static(f" {letter} ", classes="jump-letter", id=f"jump-{letter}", markup=False)

    def on_mount(self) -> None:
        for letter, pane in self._panes.items():
            mark = self.query_one(f"#jump-{letter}", Static)
            mark.styles.offset = Offset(pane.region.x + 2, pane.region.y)

    def on_key(self, event: events.Key) -> None:
        """A letter goes there, a digit to that screen, anything else back."""
        event.stop()
        event.prevent_default()
        self.dismiss(self._panes.get(event.key) or (event.key if event.key in DIGITS else None))
