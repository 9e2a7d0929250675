# SPDX-License-Identifier: MIT
"""The last finished requests of the selected disk."""

from __future__ import annotations

from collections import deque
from typing import cast

from textual.app import ComposeResult
from textual.containers import Vertical

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.inspection import RequestView
from usblkback_tui.ui.livetable import LiveTable
from usblkback_tui.ui.scene import Scene
from usblkback_tui.ui.text import Line, clean
from usblkback_tui.ui.tracecolumns import TRACE_COLUMNS, trace_filter
from usblkback_tui.ui.views.base import Look, Sheet, View

KEPT = 1000
"""Requests of one disk that are kept here."""
A_LOOK = 512
"""Requests asked for at a time."""

Key = tuple[int, int]


class TraceView(View):
    """A table that grows while it is live."""

    NAME = "trace"
    TITLE = "Trace"
    FIRST = "#requests"
    FILTER = "filter: op=write lat>5ms status=error size>64KiB !ring=0"

    def __init__(self) -> None:
        super().__init__()
        self._of: Key | None = None
        self._kept: deque[RequestView] = deque(maxlen=KEPT)
        self._problem = ""
        self._shown: object = None
        """What the rows depend on, as they were shown last."""

    def compose(self) -> ComposeResult:
        with Vertical(id="trace", classes="framed"):
            yield LiveTable(TRACE_COLUMNS, lambda row: (row.ring, row.seq), tail=11, id="requests")

    def on_mount(self) -> None:
        self.table.set_reactive(LiveTable.sort_column, "time")
        self.table.set_reactive(LiveTable.sort_reverse, True)

    @property
    def table(self) -> LiveTable[RequestView]:
        return cast("LiveTable[RequestView]", self.query_one("#requests", LiveTable))

    def show_scene(self, scene: Scene) -> None:
        self.scene = scene
        if scene.selected != self._of:
            self._of = scene.selected
            self._kept.clear()
            self._problem = ""
        super().show_scene(scene)
        self._show()

    def _show(self) -> None:
        scene = self.scene
        if scene is None:
            return
        newest = self._kept[-1] if self._kept else None
        shown = (
            newest,
            len(self._kept),
            self.words,
            None if scene.live else scene.now,
            self._problem,
            scene.disk is None,
        )
        if shown == self._shown:
            return
        self._shown = shown
        wanted = trace_filter(self.words)
        until = None if scene.live else scene.now
        known = [one for one in self._kept if until is None or one.time <= until]
        rows = [row for row in known if wanted.matches(row)]
        table = self.table
        empty = self._empty(scene, bool(known))
        if table.empty != empty:
            table.empty = empty
            table.refresh()
        follow = table.cursor is None or (bool(table.rows) and table.cursor == _key(table.rows[0]))
        table.set_rows(rows)
        if follow and table.rows:
            table.cursor = _key(table.rows[0])
        title = f"Trace · {clean(scene.disk.title) if scene.disk else 'no disk'} · {len(rows)} requests"
        if len(rows) != len(known):
            title += f" of {len(known)} · filter: {clean(self.words)}"
        box = self.query_one("#trace")
        if box.border_title != title:
            box.border_title = title

    def _empty(self, scene: Scene, hidden: bool) -> tuple[Line, ...]:
        if self._problem:
            return (((f"  {self._problem}", "warning"),),)
        if scene.disk is None:
            return ((("  Select a disk to see its requests.", "muted"),),)
        if hidden:
            return ((("  No request matches.", "bold"),), (("  ", ""), ("Esc", "key"), (" shows all.", "muted")))
        return ((("  No request has finished yet.", "muted"),),)

    def look(self) -> Look | None:
        disk = self.scene.disk if self.scene else None
        if disk is None or self.scene is None or not self.scene.is_ours:
            return None
        domid, devid = disk.key
        highest: dict[int, int] = {}
        for one in self._kept:
            highest[one.ring] = max(highest.get(one.ring, 0), one.seq)
        after = tuple(highest.get(ring, 0) for ring in range(max(highest, default=-1) + 1))

        def requests(backend: Backend) -> tuple[Key, tuple[RequestView, ...]]:
            return (domid, devid), backend.requests(domid, devid, after, A_LOOK)

        return requests

    def seen(self, answer: tuple[Key, tuple[RequestView, ...]]) -> None:
        key, found = answer
        self._problem = ""
        if key == self._of and found:
            known = {_key(one) for one in self._kept}
            self._kept.extend(one for one in found if _key(one) not in known)
            self._show()

    def refused(self, sentence: str) -> None:
        if self._problem != sentence:
            self._problem = sentence
            self._show()

    def sheet(self) -> Sheet:
        return Sheet("trace", [column.title for column in self.table.columns], self.table.texts())

    def value(self) -> tuple[str, str] | None:
        row = next((row for row in self.table.rows if _key(row) == self.table.cursor), None)
        if row is None:
            return None
        text = "  ".join(f"{column.title.lower()}={column.cell(row)[0]}" for column in self.table.columns)
        return f"request {row.seq}", text


def _key(row: RequestView) -> tuple[int, ...]:
    return row.ring, row.seq
