# SPDX-License-Identifier: MIT
"""How long requests take: heat map, percentiles, and charts with one time cursor through all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message

from usblkback_tui.ui import charts, heatmap
from usblkback_tui.ui.actions import bindings
from usblkback_tui.ui.charts import Look
from usblkback_tui.ui.heatmap import OPERATIONS, column_text, heat_lines
from usblkback_tui.ui.history import LEVELS, Track
from usblkback_tui.ui.percentiles import percentile_lines
from usblkback_tui.ui.scene import Scene
from usblkback_tui.ui.text import Line, clean
from usblkback_tui.ui.views.base import Pane, View, of_disk

_OPERATION_WORDS = {"both": "reads and writes", "read": "reads", "write": "writes"}


class TimePane(Pane):
    """A pane with time to the right; left and right move the cursor of all of them."""

    class CursorMoved(Message):
        """The operator moved the time cursor ``by`` dots, or to ``to`` dots before the end."""

        def __init__(self, by: int = 0, to: int | None = None) -> None:
            super().__init__()
            self.by = by
            self.to = to

    def action_cursor_left(self) -> None:
        self.post_message(self.CursorMoved(by=1))

    def action_cursor_right(self) -> None:
        self.post_message(self.CursorMoved(by=-1))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and (to := self.dots_before_end(offset.x)) is not None:
            self.post_message(self.CursorMoved(to=to))

    def dots_before_end(self, x: int) -> int | None:
        """What a click at ``x`` points at; None for the scale."""
        return None if x < heatmap.GUTTER else max(self.size.width - 1 - x, 0)


class ChartsPane(TimePane):
    """Three charts side by side, two dots to a cell."""

    def dots_before_end(self, x: int) -> int | None:
        third = (self.size.width - 4) // 3
        inside = x % (third + 2)
        return None if inside < charts.GUTTER else 2 * max(third - 1 - inside, 0)


class LatencyView(View):
    """The fourth screen."""

    NAME = "latency"
    TITLE = "Latency"
    BINDINGS: ClassVar[list[BindingType]] = bindings("latency")
    FIRST = "#heat"

    def __init__(self) -> None:
        super().__init__()
        self.operation = OPERATIONS[0]
        self.all_disks = False
        self.level = 0

    def compose(self) -> ComposeResult:
        yield TimePane("heat", self._heat, title=self._heat_title, made_of=self._made_of, patient=True)
        yield Pane(
            "percentiles",
            of_disk(self._percentiles, "percentiles"),
            title=lambda scene: f"Percentiles · {clean(scene.disk.title) if scene.disk else 'no disk'}",
            made_of=self._percentiles_of,
            patient=True,
        )
        yield ChartsPane("timecharts", self._charts, title=self._charts_title, made_of=self._made_of, patient=True)

    def _key(self, scene: Scene) -> tuple[int, int] | None:
        return None if self.all_disks or scene.disk is None else scene.disk.key

    def _made_of(self, scene: Scene) -> object:
        state = self._key(scene), self.level, self.operation, scene.cursor
        return id(scene.history), scene.history.seconds, scene.back, scene.end, state

    def _scope(self, scene: Scene) -> str:
        return "all disks" if self._key(scene) is None or scene.disk is None else clean(scene.disk.title)

    def _heat_title(self, scene: Scene) -> str:
        words = (
            f"Latency of {_OPERATION_WORDS[self.operation]} · {self._scope(scene)} · {LEVELS[self.level]} s a column"
        )
        if not scene.cursor:
            return words
        column = self._track(scene).heat.last(scene.cursor + 1, self.level, scene.back)
        here = column[0] if len(column) == scene.cursor + 1 else None
        return f"{words} · {scene.cursor * LEVELS[self.level]} s before: {column_text(here, self.operation)}"

    def _charts_title(self, scene: Scene) -> str:
        cursor = f" · cursor {scene.cursor * LEVELS[self.level]} s before" if scene.cursor else ""
        return f"Charts · {self._scope(scene)} · {LEVELS[self.level]} s a dot{cursor}"

    def _track(self, scene: Scene) -> Track:
        return scene.track(self._key(scene))

    def _heat(self, scene: Scene, width: int, height: int) -> Sequence[Line]:
        columns = self._track(scene).heat.last(width, self.level, scene.back)
        return heat_lines(columns, self.operation, LEVELS[self.level], width, height, scene.cursor, scene.end)

    def _percentiles(self, scene: Scene, width: int, height: int) -> Sequence[Line]:
        disk = scene.disk
        assert disk is not None
        before = scene.window.disk(disk.key) if scene.window else None
        return percentile_lines(disk, before, scene.window_seconds, width)

    def _percentiles_of(self, scene: Scene) -> object:
        """Once a second, as soon as something was measured."""
        disk = scene.disk
        return disk and (disk.key, scene.second or disk.latency, id(scene.window), scene.end)

    def _charts(self, scene: Scene, width: int, height: int) -> Sequence[Line]:
        third = (width - 4) // 3
        if third < 16 or height < charts.LEAST_HEIGHT:
            return []
        track, look = self._track(scene), Look(self.level, scene.back, scene.cursor, scene.end)
        return charts.side_by_side(
            charts.iops_lines(track, look, third, height),
            charts.throughput_lines(track, look, third, height),
            charts.depth_lines(track, look, third, height),
        )

    def action_operation(self) -> None:
        """Reads, writes or both."""
        self.operation = OPERATIONS[(OPERATIONS.index(self.operation) + 1) % len(OPERATIONS)]
        for pane in self.query(Pane):
            pane.redraw()
