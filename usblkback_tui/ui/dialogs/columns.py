# SPDX-License-Identifier: MIT
"""Which columns a table shows."""

from __future__ import annotations

from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, SelectionList
from textual.widgets.selection_list import Selection

from usblkback_tui.ui.dialogs.base import Dialog
from usblkback_tui.ui.livetable import LiveTable


class ColumnsDialog(Dialog[None]):
    """Space turns a column on or off; the table follows at once."""

    def __init__(self, table: LiveTable[Any]) -> None:
        super().__init__()
        self._table = table

    def compose(self) -> ComposeResult:
        hidden = self._table.hidden
        with self.box("Columns", "columns"):
            yield SelectionList[str](
                *(Selection(column.title, column.id, column.id not in hidden) for column in self._table.columns[:-1]),
                id="column-list",
                compact=True,
            )
            with Horizontal(classes="buttons"):
                yield Button("Show all", id="all", compact=True)
                yield Button("Close", id="done", variant="primary", compact=True)

    def on_mount(self) -> None:
        self.query_one("#columns").border_subtitle = "Space chooses, Esc closes"

    @on(SelectionList.SelectedChanged)
    def _changed(self) -> None:
        wanted = set(self.query_one("#column-list", SelectionList).selected)
        self._table.hide({column.id for column in self._table.columns[:-1]} - wanted)

    @on(Button.Pressed, "#all")
    def _all(self) -> None:
        self.query_one("#column-list", SelectionList).select_all()

    @on(Button.Pressed, "#done")
    def _done(self) -> None:
        self.action_close()
