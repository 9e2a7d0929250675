# SPDX-License-Identifier: MIT
"""What the engine's threads and this screen cost."""

from __future__ import annotations

from typing import cast

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from usblkback_tui.engine.snapshot import Snapshot
from usblkback_tui.ui.enginelines import THREAD_COLUMNS, OwnCost, ThreadRow, cost_lines, engine_lines, thread_rows
from usblkback_tui.ui.livetable import LiveTable
from usblkback_tui.ui.scene import Scene
from usblkback_tui.ui.views.base import Pane, Sheet, View


def _pair(scene: Scene) -> tuple[Snapshot, Snapshot] | None:
    """What the engine's figures are measured between: it reads them once a second, so the last second is too short."""
    return (scene.window, scene.snapshot) if scene.window and scene.window_seconds else None


class EngineView(View):
    """Threads below, the process and the screens above."""

    NAME = "engine"
    TITLE = "Engine"
    FIRST = "#threads"

    def __init__(self) -> None:
        super().__init__()
        self.cost = OwnCost()
        """Set by the app before each tick."""
        self._shown: object = None
        """When the threads that are shown were read."""

    def compose(self) -> ComposeResult:
        with Horizontal(id="facts"):
            yield Pane(
                "process",
                lambda scene, width, height: engine_lines(_pair(scene), scene.snapshot),
                title=lambda scene: "Engine",
                made_of=lambda scene: (
                    scene.snapshot.engine.monotonic,
                    scene.window_seconds,
                    len(scene.snapshot.disks),
                    len(scene.snapshot.foreign),
                ),
            )
            yield Pane(
                "cost",
                lambda scene, width, height: cost_lines(self.cost),
                title=lambda scene: "This screen",
                made_of=lambda scene: self.cost,
            )
        with Vertical(id="threads-box", classes="framed"):
            yield LiveTable(THREAD_COLUMNS, lambda row: (row.tid,), id="threads")

    def on_mount(self) -> None:
        self.query_one("#threads-box").border_title = "Threads"

    @property
    def table(self) -> LiveTable[ThreadRow]:
        return cast("LiveTable[ThreadRow]", self.query_one("#threads", LiveTable))

    def show_scene(self, scene: Scene) -> None:
        super().show_scene(scene)
        if self._shown == (scene.snapshot.engine.monotonic, scene.window_seconds):
            return
        self._shown = scene.snapshot.engine.monotonic, scene.window_seconds
        table = self.table
        empty = ((("  The engine does not say what its threads cost.", "muted"),),)
        if table.empty != empty:
            table.empty = empty
        table.set_rows(thread_rows(_pair(scene), scene.snapshot))

    def sheet(self) -> Sheet:
        return Sheet("threads", [column.title for column in self.table.columns], self.table.texts())
