# SPDX-License-Identifier: MIT
"""How the two ends of a disk found each other, or why they do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType

from usblkback_tui.ui.actions import bindings
from usblkback_tui.ui.diagnosis import diagnosis_lines
from usblkback_tui.ui.handshake import handshake_lines, lanes_made_of
from usblkback_tui.ui.scene import Scene
from usblkback_tui.ui.sequence import HEAD, sequence_lines, step_lines, steps_of
from usblkback_tui.ui.text import Line
from usblkback_tui.ui.views.base import Pane, View, disk_title, of_disk

Key = tuple[int, int]


class SequencePane(Pane):
    """The steps downwards; the keys of a list move through them."""

    def line_ground(self, y: int) -> str:
        view = self._view
        if view.step is not None and y + self.scroll_offset.y == view.step + HEAD:
            return "cursor" if self.has_focus else "cursor-away"
        return ""

    @property
    def _view(self) -> HandshakeView:
        return next(node for node in self.ancestors if isinstance(node, HandshakeView))

    def keep_in_view(self, step: int) -> None:
        """Scroll as little as needed."""
        row, top, page = step + HEAD, self.scroll_offset.y, max(self.size.height, 1)
        if row < top or step == 0:
            self.scroll_to(y=row if step else 0, animate=False)
        elif row >= top + page:
            self.scroll_to(y=row - page + 1, animate=False)

    def action_cursor_up(self) -> None:
        self._view.action_step(-1)

    def action_cursor_down(self) -> None:
        self._view.action_step(1)

    def action_first(self) -> None:
        self._view.go_to(0)

    def action_last(self) -> None:
        self._view.go_to(None)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and offset.y + self.scroll_offset.y >= HEAD:
            self._view.go_to(offset.y + self.scroll_offset.y - HEAD)


class HandshakeView(View):
    """Lanes above, what is wrong if anything is, steps below, and the step under the cursor in full."""

    NAME = "handshake"
    TITLE = "Handshake"
    BINDINGS: ClassVar[list[BindingType]] = bindings("handshake")
    FIRST = "#steps"

    def __init__(self) -> None:
        super().__init__()
        self._chosen: tuple[Key, int] | None = None
        """The step the operator went to, and of which disk; None follows the newest."""

    def compose(self) -> ComposeResult:
        yield Pane(
            "swim",
            of_disk(self._lanes, "handshake"),
            title=disk_title("Handshake"),
            made_of=lambda scene: (lanes_made_of(scene.disk, scene.now), self.step if self._chosen else None),
        )
        yield Pane(
            "diagnosis",
            of_disk(self._diagnosis, "diagnosis"),
            title=lambda scene: "Diagnosis",
            made_of=lambda scene: scene.disk and scene.disk.findings,
        )
        yield SequencePane(
            "steps",
            of_disk(self._steps, "steps"),
            title=self._title,
            made_of=lambda scene: (scene.disk and (scene.disk.transitions, scene.disk.writes), self.step),
        )
        yield Pane(
            "step",
            of_disk(self._step, "steps"),
            title=lambda scene: "Step",
            made_of=lambda scene: (scene.disk and (scene.disk.transitions, scene.disk.writes), self.step),
        )

    def show_scene(self, scene: Scene) -> None:
        self.set_class(bool(scene.disk and scene.disk.findings), "-ill")
        super().show_scene(scene)

    @property
    def step(self) -> int | None:
        """The step under the cursor; the newest one unless the operator chose another."""
        disk = self.scene.disk if self.scene else None
        count = steps_of(disk)
        if disk is None or not count:
            return None
        if self._chosen is None or self._chosen[0] != disk.key:
            return count - 1
        return min(self._chosen[1], count - 1)

    def go_to(self, step: int | None) -> None:
        """Choose a step; None follows the newest again."""
        disk = self.scene.disk if self.scene else None
        count = steps_of(disk)
        self._chosen = None if disk is None or step is None or step >= count else (disk.key, max(step, 0))
        for pane in self.query(Pane):
            pane.redraw()
        steps = self.query_one("#steps", SequencePane)
        steps.refresh()
        if self.step is not None:
            steps.keep_in_view(self.step)

    def action_step(self, by: int) -> None:
        """To the transition before or after."""
        if self.step is not None:
            self.go_to(max(self.step + by, 0))

    def _title(self, scene: Scene) -> str:
        count = steps_of(scene.disk)
        return "Steps" if self.step is None else f"Steps · {self.step + 1} of {count}"

    def _lanes(self, scene: Scene, width: int, height: int) -> Sequence[Line]:
        assert scene.disk is not None
        step = self.step if self._chosen else None
        return handshake_lines(scene.disk, scene.now, width, height, store=True, step=step)

    def _diagnosis(self, scene: Scene, width: int, height: int) -> Sequence[Line]:
        assert scene.disk is not None
        return diagnosis_lines(scene.disk, width)

    def _steps(self, scene: Scene, width: int, height: int) -> Sequence[Line]:
        assert scene.disk is not None
        return sequence_lines(scene.disk, width, self.step)

    def _step(self, scene: Scene, width: int, height: int) -> Sequence[Line]:
        assert scene.disk is not None
        return step_lines(scene.disk, self.step if self.step is not None else -1, width)
