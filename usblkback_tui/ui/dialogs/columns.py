# SPDX-License-Identifier: MIT
"""Which columns a table shows, and in which order."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Button, SelectionList
from textual.widgets.selection_list import Selection

from usblkback_tui.ui.actions import bindings
from usblkback_tui.ui.dialogs.base import Dialog
from usblkback_tui.ui.livetable import LiveTable


class ColumnList(SelectionList[str]):
    """The columns of a table from left to right; the table follows what is done here at once.

    The last column is not listed: it always stays, and stays last.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings("columns")

    def __init__(self, table: LiveTable[Any], *, id: str) -> None:
        self._table = table
        self._usual = tuple(column.id for column in table.usual_columns)
        super().__init__(*self._selections(), id=id, compact=True)

    def _selections(self) -> list[Selection[str]]:
        hidden = self._table.hidden
        return [Selection(column.title, column.id, column.id not in hidden) for column in self._table.columns[:-1]]

    def action_move(self, by: int) -> None:
        """Move the column under the cursor so many places to the right."""
        at, order = self.highlighted, [column.id for column in self._table.columns[:-1]]
        if at is None or not 0 <= at + by < len(order):
            return
        order.insert(at + by, order.pop(at))
        self._arrange(order, self._table.hidden)
        self.highlighted = at + by

    def reset(self) -> None:
        """Every column, in the usual order."""
        self._arrange(self._usual, frozenset())

    def _arrange(self, order: list[str] | tuple[str, ...], hidden: frozenset[str]) -> None:
        self._table.arrange_columns(order, hidden)
        with self.prevent(SelectionList.SelectedChanged):
            self.clear_options()
            self.add_options(self._selections())

    @on(SelectionList.SelectedChanged)
    def _chosen(self) -> None:
        ids = [column.id for column in self._table.columns[:-1]]
        self._table.arrange_columns(ids, set(ids) - set(self.selected))


class ColumnsDialog(Dialog[None]):
    """A list to choose from and to put in order, with keys or with the mouse."""

    def __init__(self, table: LiveTable[Any]) -> None:
        super().__init__()
        self._table = table

    def compose(self) -> ComposeResult:
        with self.box("Columns", "columns"):
            yield ColumnList(self._table, id="column-list")
            with Horizontal(classes="buttons"):
                yield Button("◂ Left", id="left", compact=True)
                yield Button("Right ▸", id="right", compact=True)
                yield Button("Reset", id="all", compact=True)
                yield Button("Close", id="done", variant="primary", compact=True)

    def on_mount(self) -> None:
        self.query_one("#columns").border_subtitle = "Space chooses, ← → move"
        self._list.highlighted = 0

    @property
    def _list(self) -> ColumnList:
        return self.query_one(ColumnList)

    @on(Button.Pressed, "#left")
    def _left(self) -> None:
        self._list.action_move(-1)

    @on(Button.Pressed, "#right")
    def _right(self) -> None:
        self._list.action_move(1)

    @on(Button.Pressed, "#all")
    def _reset(self) -> None:
        self._list.reset()

    @on(Button.Pressed, "#done")
    def _done(self) -> None:
        self.action_close()
