# SPDX-License-Identifier: MIT
"""Going to a time: of a recording, or of the last minutes."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Static

from usblkback_tui.protocol.errors import UserError
from usblkback_tui.ui import units
from usblkback_tui.ui.dialogs.base import Dialog, say, sentence
from usblkback_tui.ui.gototime import HINT, wanted_time


class GotoDialog(Dialog[float]):
    """Answers with a time in seconds since 1970, None for staying here."""

    AUTO_FOCUS = "#time"

    def __init__(self, now: float, first: float, latest: float) -> None:
        """``now`` is shown; there is something between ``first`` and ``latest``."""
        super().__init__()
        self._now, self._first, self._latest = now, first, latest

    def compose(self) -> ComposeResult:
        with self.box("Go to a time", "goto"):
            reach = f"{units.clock_seconds(self._first)} to {units.clock_seconds(self._latest)}"
            yield Static(f"Shown is {units.clock_seconds(self._now)}; there is {reach}.", classes="prose")
            yield Input(placeholder=HINT, id="time", compact=True)
            yield Static("", id="status", classes="prose")
            with Horizontal(classes="buttons"):
                yield Button("Go", id="go", variant="primary", compact=True)
                yield Button("Cancel", id="cancel", compact=True)

    @on(Button.Pressed, "#go")
    @on(Input.Submitted, "#time")
    def _go(self) -> None:
        try:
            self.dismiss(wanted_time(self.query_one("#time", Input).value, self._now, self._latest))
        except UserError as error:
            say(self.query_one("#status", Static), sentence(error), "error")
