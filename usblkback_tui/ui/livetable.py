# SPDX-License-Identifier: MIT
"""A table of live rows: the cursor stays on its row by key, and only cells that changed are repainted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.text import Line, Span, cells, fit

Row = TypeVar("Row")
Key = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Column(Generic[Row]):
    """One column.  The last one of a table takes the room that is left."""

    id: str
    title: str
    cell: Callable[[Row], Span]
    sort: Callable[[Row], Any]
    least: int
    """Cells it has at least; the title with its arrow has to fit."""
    most: int = 100
    align: str = "<"
    drop: int = 0
    """Where room is short the column with the highest number goes first; 0 never goes."""
    descending: bool = False
    """The first click sorts the largest to the top."""


Layout = tuple[list[tuple[Column[Row], int]], int]
"""The columns in view with their widths, and the blanks between two of them."""


@dataclass(slots=True)
class _Drawing(Generic[Row]):
    """A row as it was drawn last.  A row that is equal to it is not drawn again."""

    row: Row
    spans: tuple[Span, ...]
    """Of every column, in view or not."""
    widths: tuple[int, ...]
    line: Line = ()
    made_for: tuple[Layout[Row], bool] | None = None
    """The layout of ``line``, and whether the cursor is on it."""


class LiveTable(LineView, Generic[Row]):
    """Rows under a fixed header."""

    cursor: reactive[Key | None] = reactive(None, repaint=False)
    sort_column: reactive[str] = reactive("", repaint=False)
    sort_reverse: reactive[bool] = reactive(False, repaint=False)

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, table: Widget, key: Key | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> Widget:
            """The table, by which handlers choose."""
            return self.table

    class Chosen(Message):
        """Enter, or a click on the row under the cursor."""

        def __init__(self, table: Widget, key: Key) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> Widget:
            """The table, by which handlers choose."""
            return self.table

    class Sorted(Message):
        """The order was changed by the operator; the owner of the rows sends them again."""

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        key: Callable[[Row], Key],
        *,
        tail: int = 18,
        empty: Sequence[Line] = (),
        id: str | None = None,
    ) -> None:
        """``tail`` is the room the last column is given before others go."""
        super().__init__(id=id)
        self.usual_columns = self._all = tuple(columns)
        self._columns = self._all
        self._key = key
        self._tail = tail
        self._rows: list[Row] = []
        self._index: dict[Key, int] = {}
        self._widths: dict[str, int] = {}
        self._layout: tuple[int, Layout[Row]] | None = None
        """The layout for a width, until a column grows."""
        self._head: tuple[tuple[Layout[Row], str, bool], Line] | None = None
        """The header for a layout and an order."""
        self._drawings: dict[Key, _Drawing[Row]] = {}
        self._drawn: dict[int, Line] = {}
        """What is on the terminal, by viewport row."""
        self.empty: tuple[Line, ...] = tuple(empty)
        """Shown where the rows would be when there are none."""

    # -- columns -------------------------------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[Column[Row], ...]:
        """Every column there is, chosen or not, in the order shown."""
        return self._all

    @property
    def hidden(self) -> frozenset[str]:
        """The columns that are not wanted."""
        return frozenset(column.id for column in self._all) - {column.id for column in self._columns}

    def arrange_columns(self, order: Sequence[str], hidden: Collection[str]) -> None:
        """Show the columns in this order, those it does not name after them, and leave the hidden ones out.

        The last one takes the room that is left, so it always stays and stays last.
        """
        places = {id: place for place, id in enumerate(order)}
        *movable, last = self._all
        self._all = (*sorted(movable, key=lambda column: places.get(column.id, len(places))), last)
        self._columns = (*(column for column in self._all[:-1] if column.id not in hidden), last)
        self._drawings.clear()
        self._drawn.clear()
        self._head = None
        self._forget_widths()
        self._fit_columns()
        self.refresh()

    def texts(self) -> list[list[str]]:
        """Every row as text, hidden columns included."""
        return [[column.cell(row)[0] for column in self._all] for row in self._rows]

    # -- content -------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> list[Row]:
        """In the order shown."""
        return self._rows

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show these, sorted as the operator asked."""
        old_index, old_count = self._index, len(self._rows)
        self._rows = self._sorted(rows)
        self._index = {self._key(row): at for at, row in enumerate(self._rows)}
        if self._index.keys() != old_index.keys():
            self._forget_widths()
            self._drawings = {key: kept for key, kept in self._drawings.items() if key in self._index}
        if len(self._rows) != old_count:
            self.virtual_size = Size(self.size.width, len(self._rows) + 1)
            self.refresh()
        self._keep_cursor(old_index)
        self._fit_columns()
        self._repaint_changed()

    def _keep_cursor(self, old_index: dict[Key, int]) -> None:
        if not self._rows:
            self.cursor = None
        elif self.cursor not in self._index:
            at = old_index.get(self.cursor, 0) if self.cursor is not None else 0
            self.cursor = self._key(self._rows[min(at, len(self._rows) - 1)])

    def _sorted(self, rows: Sequence[Row]) -> list[Row]:
        ordered = sorted(rows, key=self._key)
        column = next((c for c in self._all if c.id == self.sort_column), None)
        if column is not None:
            ordered.sort(key=column.sort, reverse=self.sort_reverse)
        return ordered

    # -- layout --------------------------------------------------------------------------------------------------

    def visible_columns(self) -> Layout[Row]:
        """The columns that fit with their widths, and the blanks between two of them."""
        width = self.size.width - 1
        if self._layout is None or self._layout[0] != width:
            self._layout = width, self._laid_out(width)
        return self._layout[1]

    def _laid_out(self, width: int) -> Layout[Row]:
        chosen = list(self._columns)
        while True:
            fixed = sum(self._width(column) for column in chosen[:-1])
            gap = 2 if fixed + 2 * (len(chosen) - 1) + self._tail * 3 // 2 <= width else 1
            room = width - fixed - gap * (len(chosen) - 1)
            droppable = [column for column in chosen if column.drop]
            if room >= self._tail or not droppable:
                break
            chosen.remove(max(droppable, key=lambda column: column.drop))
        return [(column, self._width(column)) for column in chosen[:-1]] + [(chosen[-1], max(room, 1))], gap

    def _width(self, column: Column[Row]) -> int:
        return self._widths.get(column.id, max(column.least, cells(column.title)))

    def _forget_widths(self) -> None:
        self._widths.clear()
        self._layout = None

    def _fit_columns(self) -> None:
        """Widen columns for what is in view.  They never shrink while the same rows are shown, so nothing jumps."""
        top = self.scroll_offset.y
        in_view = [self._drawing(row).widths for row in self._rows[top : top + self.size.height]]
        if not in_view:
            return
        for column, widest in zip(self._columns[:-1], map(max, zip(*in_view, strict=True)), strict=False):
            wanted = min(widest, column.most)
            if wanted > self._width(column):
                self._widths[column.id] = wanted
                self._layout = None
        if self._layout is None:
            self.refresh()

    def _repaint_changed(self) -> None:
        layout, top = self.visible_columns(), self.scroll_offset.y
        rows = [(y, self._drawn[y], self._line(y, top, layout)) for y in sorted(self._drawn)]
        self._drawn.update((y, now) for y, _, now in rows)
        self.repaint(rows)

    # -- drawing -------------------------------------------------------------------------------------------------

    def line_at(self, y: int) -> Line:
        line = self._line(y, self.scroll_offset.y, self.visible_columns())
        self._drawn[y] = line
        return line

    def line_ground(self, y: int) -> str:
        if y == 0:
            return "head"
        row = self._row_at(y, self.scroll_offset.y)
        if row is not None and self._key(row) == self.cursor:
            return "cursor" if self.has_focus else "cursor-away"
        return ""

    def _line(self, y: int, top: int, layout: Layout[Row]) -> Line:
        """Viewport row ``y`` when the table is scrolled by ``top``."""
        if y == 0:
            return self._header(layout)
        row = self._row_at(y, top)
        if row is None:
            return self.empty[y - 2] if not self._rows and 0 <= y - 2 < len(self.empty) else ()
        drawing = self._drawing(row)
        made_for = layout, self._key(row) == self.cursor
        if drawing.made_for != made_for:
            drawing.made_for = made_for
            drawing.line = self._row_line(drawing.spans, *made_for)
        return drawing.line

    def _drawing(self, row: Row) -> _Drawing[Row]:
        key = self._key(row)
        kept = self._drawings.get(key)
        if kept is None or kept.row != row:
            spans = tuple([column.cell(row) for column in self._columns])
            if kept is not None and kept.spans == spans:
                kept.row = row  # its counters went on, but nothing that is shown
            else:
                kept = self._drawings[key] = _Drawing(row, spans, tuple([cells(text) for text, _ in spans]))
        return kept

    def _row_line(self, cell_spans: tuple[Span, ...], layout: Layout[Row], under_cursor: bool) -> Line:
        columns, gap = layout
        blanks: Span = (" " * gap, "")
        in_view = dict(zip(self._columns, cell_spans, strict=True))
        spans: list[Span] = [("▸" if under_cursor else " ", "key")]
        for column, width in columns:
            text, style = in_view[column]
            spans += [(fit(text, width, column.align), style), blanks]
        return tuple(spans[:-1])

    def _header(self, layout: Layout[Row]) -> Line:
        made_for = layout, self.sort_column, self.sort_reverse
        if self._head is None or self._head[0] != made_for:
            self._head = made_for, self._header_line(layout)
        return self._head[1]

    def _header_line(self, layout: Layout[Row]) -> Line:
        columns, gap = layout
        spans: list[Span] = [(" ", "")]
        for column, width in columns:
            sorted_by = column.id == self.sort_column
            arrow = ("▼" if self.sort_reverse else "▲") if sorted_by else ""
            spans.append((fit(column.title + arrow, width, column.align), "key" if sorted_by else ""))
            spans.append((" " * gap, ""))
        return tuple(spans[:-1])

    def _row_at(self, y: int, top: int) -> Row | None:
        index = y - 1 + top
        return self._rows[index] if y > 0 and 0 <= index < len(self._rows) else None

    # -- cursor --------------------------------------------------------------------------------------------------

    def watch_cursor(self, old: Key | None, new: Key | None) -> None:
        self._scroll_to_cursor()
        for key in (old, new):
            if key is not None and (at := self._index.get(key)) is not None:
                self.refresh_lines(at + 1)
        self.post_message(self.Moved(self, new))

    def _scroll_to_cursor(self) -> None:
        if self.cursor is None or (at := self._index.get(self.cursor)) is None or self.size.height < 2:
            return
        top, page = self.scroll_offset.y, self.size.height - 1
        if at < top:
            self.scroll_to(y=at, animate=False)
        elif at >= top + page:
            self.scroll_to(y=at - page + 1, animate=False)

    def _move_to(self, at: int) -> None:
        if self._rows:
            self.cursor = self._key(self._rows[max(0, min(at, len(self._rows) - 1))])

    @property
    def _at(self) -> int:
        return self._index.get(self.cursor, 0) if self.cursor is not None else 0

    def action_cursor_up(self) -> None:
        self._move_to(self._at - 1)

    def action_cursor_down(self) -> None:
        self._move_to(self._at + 1)

    def action_page_up(self) -> None:
        self._move_to(self._at - max(self.size.height - 2, 1))

    def action_page_down(self) -> None:
        self._move_to(self._at + max(self.size.height - 2, 1))

    def action_first(self) -> None:
        self._move_to(0)

    def action_last(self) -> None:
        self._move_to(len(self._rows) - 1)

    def action_choose(self) -> None:
        if self.cursor is not None:
            self.post_message(self.Chosen(self, self.cursor))

    # -- order ---------------------------------------------------------------------------------------------------

    def sort_by(self, column_id: str) -> None:
        """Sort by a column; by the same one again turns the order around."""
        column = next(c for c in self._all if c.id == column_id)
        self.sort_reverse = not self.sort_reverse if column_id == self.sort_column else column.descending
        self.sort_column = column_id
        self._resort()

    def sort_step(self, step: int) -> None:
        """Sort by the next or previous of the columns in view."""
        ids = [column.id for column, _ in self.visible_columns()[0]]
        at = ids.index(self.sort_column) if self.sort_column in ids else -1 if step > 0 else 0
        self.sort_column = ""
        self.sort_by(ids[(at + step) % len(ids)])

    def reverse(self) -> None:
        """Turn the order around; of the first column when none was chosen."""
        self.sort_by(self.sort_column or self._columns[0].id)

    def _resort(self) -> None:
        self.set_rows(self._rows)
        self._scroll_to_cursor()
        self.refresh()
        self.post_message(self.Sorted())

    # -- events --------------------------------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            if (column := self._column_at(offset.x)) is not None:
                self.sort_by(column.id)
        elif (row := self._row_at(offset.y, self.scroll_offset.y)) is not None:
            if self._key(row) == self.cursor:
                self.action_choose()
            self.cursor = self._key(row)

    def _column_at(self, x: int) -> Column[Row] | None:
        columns, gap = self.visible_columns()
        left = 1
        for column, width in columns:
            if left <= x < left + width + gap:
                return column
            left += width + gap
        return None

    def on_resize(self) -> None:
        self._forget_widths()
        self._drawn.clear()
        self._fit_columns()
        self._scroll_to_cursor()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()
