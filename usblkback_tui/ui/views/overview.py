# SPDX-License-Identifier: MIT
"""All disks in a table, everything about the one under the cursor, and what happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from usblkback_tui.engine.snapshot import Snapshot
from usblkback_tui.ui import charts
from usblkback_tui.ui.charts import Look
from usblkback_tui.ui.columns import COLUMNS
from usblkback_tui.ui.detail import detail_lines, summary_lines
from usblkback_tui.ui.filtering import disk_filter
from usblkback_tui.ui.handshake import handshake_lines, lanes_made_of
from usblkback_tui.ui.history import LEVELS
from usblkback_tui.ui.livetable import LiveTable
from usblkback_tui.ui.logpane import LogPane
from usblkback_tui.ui.pending import pending_lines
from usblkback_tui.ui.scene import DiskRow, Scene
from usblkback_tui.ui.text import Line, clean
from usblkback_tui.ui.views.base import Pane, Sheet, View, disk_title, of_disk

LEAST_CHART = 20
"""Cells a chart needs."""


class OverviewView(View):
    """The first screen."""

    NAME = "overview"
    TITLE = "Overview"
    FIRST = "#table"
    FILTER = "filter disks: words or regexes, !not, dom:web, p99>5ms, writes>1k, err>0"

    def __init__(self) -> None:
        super().__init__()
        self.problems_only = False
        self.all_disks = False
        """The charts show all disks together."""
        self.level = 0

    def compose(self) -> ComposeResult:
        with Vertical(id="disks", classes="framed"):
            yield LiveTable(COLUMNS, lambda row: row.disk.key, id="table")
        with Horizontal(id="lower"):
            with Vertical(id="left"):
                yield Pane(
                    "lanes",
                    of_disk(_lanes, "handshake"),
                    title=disk_title("Handshake"),
                    made_of=lambda scene: lanes_made_of(scene.disk, scene.now),
                )
                yield Pane("charts", self._charts, title=self._charts_title, made_of=self._charts_of, patient=True)
                yield LogPane("events")
            yield Pane(
                "detail",
                of_disk(_detail, "details"),
                title=disk_title("Detail"),
                made_of=lambda scene: (scene.disk, scene.disk_rates, scene.pending and int(scene.now)),
                patient=True,
            )

    # -- table ---------------------------------------------------------------------------------------------------

    @property
    def table(self) -> LiveTable[DiskRow]:
        return cast("LiveTable[DiskRow]", self.query_one("#table", LiveTable))

    def show_scene(self, scene: Scene) -> None:
        self._busy = self.scene is not None and self.scene.second != scene.second  # every row has new rates
        self.scene = scene
        self.show_table()
        super().show_scene(scene)

    def show_table(self) -> None:
        """Bring the table up to date."""
        scene = self.scene
        if scene is None:
            return
        table = self.table
        wanted = disk_filter(self.words)
        every = scene.rows()
        rows = every
        if self.words or self.problems_only:
            rows = [row for row in every if wanted.matches(row) and (not self.problems_only or row.disk.health.unwell)]
        empty = empty_lines(scene.snapshot, bool(every), self.problems_only and not self.words)
        if table.empty != empty:
            table.empty = empty
            table.refresh()
        table.set_rows(rows)
        notes = [f"{len(rows)} of {len(every)}"] if len(rows) != len(every) else []
        notes += ["problems only"] if self.problems_only else []
        notes += [f"filter: {clean(self.words)}"] if self.words else []
        title = "Disks" + "".join(f" · {note}" for note in notes)
        box = self.query_one("#disks")
        if box.border_title != title:
            box.border_title = title

    # -- charts --------------------------------------------------------------------------------------------------

    def _scope(self, scene: Scene) -> tuple[int, int] | None:
        disk = scene.disk
        return None if self.all_disks or disk is None else disk.key

    def _charts_title(self, scene: Scene) -> str:
        disk = scene.disk
        scope = "all disks" if self.all_disks or disk is None else clean(disk.title)
        return f"Charts · {scope} · {LEVELS[self.level]} s per dot"

    def _charts_of(self, scene: Scene) -> object:
        return id(scene.history), scene.history.seconds, scene.back, scene.end, self._scope(scene), self.level

    def _charts(self, scene: Scene, width: int, height: int) -> Sequence[Line]:
        half = (width - 2) // 2
        if half < LEAST_CHART or height < charts.LEAST_HEIGHT:
            return []
        track, look = scene.track(self._scope(scene)), Look(self.level, scene.back, end=scene.end)
        return charts.side_by_side(
            charts.iops_lines(track, look, half, height), charts.throughput_lines(track, look, half, height)
        )

    # -- taking things away --------------------------------------------------------------------------------------

    def sheet(self) -> Sheet:
        table = self.table
        return Sheet("disks", [column.title for column in table.columns], table.texts())

    def value(self) -> tuple[str, str] | None:
        focused: Any = self.screen.focused
        if focused is not self.table:
            return super().value()
        row = next((row for row in self.table.rows if row.disk.key == self.table.cursor), None)
        if row is None:
            return None
        text = "\n".join(f"{column.title}: {column.cell(row)[0]}" for column in self.table.columns)
        return row.disk.title, text


def _lanes(scene: Scene, width: int, height: int) -> Sequence[Line]:
    assert scene.disk is not None
    return handshake_lines(scene.disk, scene.now, width, height)


def _detail(scene: Scene, width: int, height: int) -> Sequence[Line]:
    assert scene.disk is not None
    if scene.pending is not None:
        return pending_lines(scene.pending, scene.now, width)
    return (detail_lines if height > 8 else summary_lines)(scene.disk, scene.disk_rates, width)


def empty_lines(snapshot: Snapshot, hidden: bool, problems: bool) -> tuple[Line, ...]:
    """What stands where the rows would be."""
    if hidden:
        why = "that has a problem" if problems else "that matches"
        return (
            ((f"  No disk {why}.", "bold"),),
            (("  ", ""), ("Esc", "key"), (" shows all of them again.", "muted")),
        )
    if not any(domain.domid != snapshot.domid for domain in snapshot.domains):
        return (
            (("  No guest is running.", "bold"),),
            (("  Start one; it shows up here by itself.", "muted"),),
        )
    return (
        (("  No disks yet.", "bold"),),
        (("  Press ", "muted"), ("a", "key"), (" to attach an image to a running domain.", "muted")),
    )
