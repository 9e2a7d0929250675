# SPDX-License-Identifier: MIT
"""The event log: follows what happens, is searched with ``/`` as less is, and can leave out what is harmless."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from usblkback_tui.engine.snapshot import Event
from usblkback_tui.ui.actions import bindings
from usblkback_tui.ui.eventlog import event_line
from usblkback_tui.ui.logsearch import LEVELS, at_level, marked, matching, step
from usblkback_tui.ui.scene import Scene
from usblkback_tui.ui.text import Line, clean
from usblkback_tui.ui.views.base import Pane


class LogPane(Pane):
    """Events, newest last."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("log")
    FILTER: ClassVar[str] = "search events: a regular expression; Enter, then n and N go from match to match"

    def __init__(self, id: str) -> None:
        super().__init__(id, self._draw_log, title=self._log_title, made_of=self._log_of, follow=True)
        self.words = ""
        """What is searched for."""
        self.level = ""
        """The severity filter."""
        self.matching_only = False
        self._events: Sequence[Event] = ()
        """What is shown, a line to each."""
        self._matches: list[int] = []
        self._at: int | None = None
        """``seq`` of the event one stands on."""
        self._names: dict[int, str] = {}
        self._kept: dict[int, tuple[Event, Line]] = {}
        """Events with their lines as they were made, by ``seq``, which begins anew with another engine."""

    # -- drawing -------------------------------------------------------------------------------------------------

    def _log_of(self, scene: Scene) -> object:
        domains = tuple((domain.domid, domain.name) for domain in scene.snapshot.domains)
        return scene.log, domains, self.words, self.level, self.matching_only, self._at

    def _draw_log(self, scene: Scene, width: int, height: int) -> Sequence[Line]:
        names = {domain.domid: domain.name for domain in scene.snapshot.domains}
        if names != self._names:
            self._names = names
            self._kept = {}
        events = at_level(scene.log, self.level)
        lines = [self._line(event) for event in events]
        self._kept = {event.seq: self._kept[event.seq] for event in scene.log if event.seq in self._kept}
        self._matches = matching(lines, self.words)
        if self.matching_only and self.words:
            events, lines = [events[n] for n in self._matches], [lines[n] for n in self._matches]
            self._matches = list(range(len(lines)))
        for number in self._matches:
            lines[number] = marked(lines[number], self.words)
        self._events = events
        return lines or [((self._nothing(bool(scene.log)), "muted"),)]

    def _line(self, event: Event) -> Line:
        kept = self._kept.get(event.seq)
        if kept is None or kept[0] is not event:
            name = self._names.get(event.domid, "") if event.domid is not None else ""
            kept = self._kept[event.seq] = event, event_line(event, name)
        return kept[1]

    def _nothing(self, hidden: bool) -> str:
        if not hidden:
            return "Nothing has happened yet."
        return f"No {self.level or 'event'}{' that matches' if self.matching_only and self.words else ''}."

    def _log_title(self, scene: Scene) -> str:
        notes = [self.level] if self.level else []
        if self.words:
            at = self._line_at()
            place = f"{self._matches.index(at) + 1} of " if at in self._matches else ""
            only = "only " if self.matching_only else ""
            notes.append(f"{only}/{clean(self.words)}: {place}{len(self._matches)}")
        return "Events" + "".join(f" · {note}" for note in notes)

    def line_ground(self, y: int) -> str:
        return "cursor-away" if self.words and y + self.scroll_offset.y == self._line_at() else ""

    # -- searching -----------------------------------------------------------------------------------------------

    def filter_by(self, words: str) -> None:
        """Search for something; the newest match is gone to."""
        self.words, self._at = words, None
        self._again()
        self._go(step(self._matches, None, 0))

    def action_match(self, by: int) -> None:
        """Go to the next match or the one before."""
        if not self._matches:
            self.notify("Nothing was searched for; / does." if not self.words else "Nothing matches.", markup=False)
            return
        self._go(step(self._matches, self._line_at(), by))

    def action_level(self) -> None:
        """Everything, warnings and errors, or errors alone."""
        names = list(LEVELS)
        self.level = names[(names.index(self.level) + 1) % len(names)]
        self._again()
        self.scroll_end(animate=False)

    def action_matching_only(self) -> None:
        """Hide what does not match, or show it again."""
        self.matching_only = not self.matching_only
        self._again()
        self._go(self._line_at())

    def _line_at(self) -> int | None:
        """The line one stands on."""
        return next((n for n, event in enumerate(self._events) if event.seq == self._at), None)

    def _go(self, number: int | None) -> None:
        if number is None:
            return
        self._at = self._events[number].seq
        self._again()
        top, height = self.scroll_offset.y, max(self.size.height, 1)
        if not top <= number < top + height:
            self.scroll_to(y=max(number - height // 2, 0), animate=False)
        self.refresh()

    def _again(self) -> None:
        self.redraw()
        if self._scene is not None:
            self.border_title = self._log_title(self._scene)
