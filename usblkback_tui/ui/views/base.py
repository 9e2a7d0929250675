# SPDX-License-Identifier: MIT
"""What every screen is made of: panes that draw a scene when it has something new for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from textual.containers import Vertical
from textual.widget import Widget

from usblkback_tui.engine.api import Backend
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.livetable import LiveTable
from usblkback_tui.ui.scene import Scene
from usblkback_tui.ui.text import Line, clean, plain

Look = Callable[[Backend], object]
"""A closer look at the backend.  Runs off the event loop, may block, raises UserError."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a screen shows as a table, for an export."""

    name: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]] = field(default_factory=list)


class Pane(LineView):
    """Lines made of a scene.  They are made again when what they depend on, or the size, has changed."""

    def __init__(
        self,
        id: str,
        draw: Callable[[Scene, int, int], Sequence[Line]],
        *,
        title: Callable[[Scene], str],
        made_of: Callable[[Scene], object],
        follow: bool = False,
        patient: bool = False,
    ) -> None:
        """``draw`` gets the width and the height of the pane; ``made_of`` says all that its lines depend on.

        ``patient``: drawing is much work and may come a tick late, see :meth:`View.tick`.
        """
        super().__init__(id=id, follow=follow)
        self._draw = draw
        self._title = title
        self._depends = made_of
        self._made_of: object = None
        self.patient = patient
        self._scene: Scene | None = None
        self.drawn = 0
        """How often the lines were made."""

    @property
    def scene(self) -> Scene | None:
        """What is shown."""
        return self._scene

    def show_scene(self, scene: Scene) -> bool:
        """Draw what is new; whether there was something."""
        self._scene = scene
        width, height = self.size
        if width == 0 or height == 0:
            return False
        title = self._title(scene)
        if self.border_title != title:
            self.border_title = title
        made_of = self._depends(scene), width, height
        if made_of == self._made_of:
            return False
        self._made_of = made_of
        self.drawn += 1
        self.show(self._draw(scene, width, height))
        return True

    def redraw(self) -> None:
        """Draw again although the scene is the same: a cursor moved."""
        self._made_of = None
        if self._scene is not None:
            self.show_scene(self._scene)

    def on_resize(self) -> None:
        if self._scene is not None:
            self.show_scene(self._scene)


class View(Vertical):
    """One screen."""

    NAME: ClassVar[str] = ""
    TITLE: ClassVar[str] = ""
    FIRST: ClassVar[str] = ""
    """Selector of the pane that has the focus first."""
    FILTER: ClassVar[str] = ""
    """What its own filter is for, said in the empty field; a screen without one has that of the disks."""

    LOOK_SECONDS: ClassVar[float] = 0.2
    """How long a look is good for, at least."""

    def __init__(self) -> None:
        super().__init__(id=f"view-{self.NAME}")
        self.scene: Scene | None = None
        self.words = ""
        """Its own filter."""
        self._panes: list[Pane] = []
        """Its panes, which are there from the beginning on; those that were drawn last come last."""
        self._in_turn = False
        self._busy = False
        """This tick has enough to do without the panes that are much work."""
        self.expanded: Widget | None = None
        """The pane that has the whole screen."""

    # -- drawing -------------------------------------------------------------------------------------------------

    def show_scene(self, scene: Scene) -> None:
        """Draw what is new."""
        self.scene = scene
        if not self._panes:
            self._panes = list(self.query(Pane))
        drawn: Pane | None = None
        for pane in self._panes:
            if pane.patient and self._in_turn and (drawn or self._busy):
                continue
            if pane.show_scene(scene) and pane.patient:
                drawn = pane
        if drawn is not None:
            self._panes.remove(drawn)
            self._panes.append(drawn)

    def tick(self, scene: Scene) -> None:
        """The same for a moment that came by itself, not because somebody waits for it.

        Of the panes that are much work one is drawn at a time, so that no tick has to draw all of them.
        """
        self._in_turn = True
        try:
            self.show_scene(scene)
        finally:
            self._in_turn = False

    def filter_by(self, words: str) -> None:
        """The operator typed a filter for this screen."""
        self.words = words
        if self.scene is not None:
            self.show_scene(self.scene)

    @property
    def panes(self) -> list[LineView]:
        """What can have the focus, in reading order."""
        return [pane for pane in self.query(LineView) if pane.can_focus and pane.display and pane.size.width > 0]

    @property
    def drawn(self) -> int:
        """How often panes were made."""
        return sum(pane.drawn for pane in self.query(Pane))

    def focus_first(self) -> None:
        """Give the focus to where one begins."""
        if self.FIRST:
            self.query_one(self.FIRST).focus()

    # -- a closer look -------------------------------------------------------------------------------------------

    def look(self) -> Look | None:
        """What to ask the backend for while this screen is shown and live; None for nothing."""
        return None

    def seen(self, answer: Any) -> None:
        """What the look gave."""

    def refused(self, sentence: str) -> None:
        """Why it gave nothing."""

    # -- expanding -----------------------------------------------------------------------------------------------

    def give_room(self, pane: Widget | None) -> None:
        """Give the whole screen to a pane; None gives it back."""
        self.expanded = pane
        for widget in self.query("*").results(Widget):
            for rule in ("display", "height", "width"):
                widget.styles.clear_rule(rule)
            if pane is None:
                continue
            if widget is pane or pane in widget.walk_children():
                widget.styles.height = widget.styles.width = "1fr"
                widget.styles.display = "block"
            elif widget not in pane.walk_children():
                widget.styles.display = "none"
        for widget in (*self.query("*").results(Widget), self):
            widget.refresh(layout=True)

    # -- taking things away --------------------------------------------------------------------------------------

    @property
    def table(self) -> LiveTable[Any] | None:
        """The table that sort and column actions are for."""
        return None

    def value(self) -> tuple[str, str] | None:
        """What is under the cursor: its name and its text."""
        focused = self.screen.focused
        if isinstance(focused, LineView) and focused.lines:
            return str(focused.border_title or focused.id), "\n".join(plain(line).rstrip() for line in focused.lines)
        return None

    def sheet(self) -> Sheet:
        """This screen as a table."""
        lines = [plain(line).rstrip() for pane in self.query(Pane) for line in pane.lines]
        return Sheet(self.NAME, ("line",), [(line,) for line in lines])


def disk_title(what: str) -> Callable[[Scene], str]:
    """``Handshake · xvda of web``."""

    def title(scene: Scene) -> str:
        disk = scene.disk
        return f"{what} · {clean(disk.title) if disk else 'no disk'}"

    return title


def of_disk(
    draw: Callable[[Scene, int, int], Sequence[Line]], what: str
) -> Callable[[Scene, int, int], Sequence[Line]]:
    """``draw`` where a disk is selected, else a hint."""

    def drawn(scene: Scene, width: int, height: int) -> Sequence[Line]:
        return draw(scene, width, height) if scene.disk else [((f"Select a disk to see its {what}.", "muted"),)]

    return drawn
