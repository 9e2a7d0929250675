# SPDX-License-Identifier: MIT
"""The one-line bars: what is going on at the top, the panes of a small terminal, the keys at the bottom."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events

from usblkback_tui.ui import units
from usblkback_tui.ui.actions import Action, footer_actions
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.model import Model
from usblkback_tui.ui.text import Line, Span, clean, line_width

PANES = ("handshake", "charts", "detail", "events", "domains")


def header_line(title: str, model: Model, width: int, frozen_for: float | None) -> Line:
    """Title, host, counts, rates, problems and the time; what does not fit goes from the middle."""
    snapshot = model.snapshot
    left: Line = ((" ", ""), (clean(title), "bold title"))
    if snapshot is None:
        return (*left, ("   waiting for the first snapshot…", "muted"))
    rates = model.total
    disks = len(snapshot.disks)
    guests = sum(domain.domid != snapshot.domid for domain in snapshot.domains)
    parts: list[tuple[int, Line]] = [
        (5, ((f"host {snapshot.host}, domain {snapshot.domid}", "muted"),)),
        (4, ((f"{guests} domain{'s' * (guests != 1)}", ""),)),
        (1, ((f"{disks}/{snapshot.max_disks} disks", ""),)),
        (
            2,
            (
                ("▲ ", "read"),
                (f"{units.count(rates.reads)} r/s", "bold"),
                ("  ▼ ", "write"),
                (f"{units.count(rates.writes)} w/s", "bold"),
            ),
        ),
        (3, ((units.throughput(rates.bytes), "bold"),)),
    ]
    right: list[Span] = []
    if frozen_for is not None:
        right += [(f" FROZEN {units.elapsed(frozen_for)} ", "notice"), ("  ", "")]
    if model.problems:
        count = model.problems
        right += [(f" ▲ {count} problem{'s' * (count != 1)} ", "alarm"), ("  ", "")]
    elif disks:
        right += [("● all well", "good"), ("  ", "")]
    right.append((f"{units.clock_seconds(snapshot.time)} ", ""))
    room = width - line_width(left) - line_width(tuple(right))
    while parts and sum(line_width(line) + 3 for _, line in parts) > room:
        parts.remove(max(parts, key=lambda part: part[0]))
    middle: list[Span] = []
    for _, line in parts:
        middle += [("   ", ""), *line]
    return (*left, *middle, (" " * max(room - line_width(tuple(middle)), 0), ""), *right)


class Bar(LineView, can_focus=False):
    """One line over the whole width."""

    def line_ground(self, y: int) -> str:
        return "bar"


class Banner(LineView, can_focus=False):
    """One line that says what is badly wrong."""

    def line_ground(self, y: int) -> str:
        return "alarm"


class Tabs(LineView, can_focus=False):
    """The panes below the table where only one of them fits."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.current = PANES[0]

    def line_ground(self, y: int) -> str:
        return "bar"

    def select(self, pane: str) -> None:
        """Mark one as shown."""
        self.current = pane
        self.show([tabs_line(pane)])

    def on_click(self, event: events.Click) -> None:
        x = 0
        for span, name in zip(tabs_line(self.current), PANES, strict=True):
            x += len(span[0])
            if event.x < x:
                self.run_later(name)
                return

    def run_later(self, pane: str) -> None:
        """Show another pane through the screen's own action."""
        self.call_later(self.screen.run_action, f"pane('{pane}')")


def tabs_line(current: str) -> Line:
    """`` 1 Handshake  2 Charts ...`` with the current one marked."""
    return tuple(
        (f" {number} {'▸' if name == current else ' '}{name.capitalize()} ", "tab" if name == current else "muted")
        for number, name in enumerate(PANES, 1)
    )


class Footer(LineView, can_focus=False):
    """The most useful keys; a click does what the key does."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._targets: list[tuple[int, int, str, str]] = []

    def line_ground(self, y: int) -> str:
        return "bar"

    def on_resize(self) -> None:
        self.set_line()

    def set_line(self) -> None:
        """Draw what fits."""
        chosen = footer_choice(footer_actions(), self.size.width)
        spans: list[Span] = []
        self._targets = []
        x = 0
        for action in chosen:
            text = (f" {action.keycap} ", "key"), (f"{action.label} ", "muted")
            end = x + sum(len(piece) for piece, _ in text)
            self._targets.append((x, end, action.name, action.where))
            spans += [*text, (" ", "")]
            x = end + 1
        self.show([tuple(spans)])

    def on_click(self, event: events.Click) -> None:
        for left, right, name, where in self._targets:
            if left <= event.x < right:
                self.call_later(self.app.run_action if where == "app" else self.screen.run_action, name)


def footer_choice(actions: Sequence[Action], width: int) -> list[Action]:
    """The actions that fit into ``width`` cells, in the order of the registry."""
    chosen: list[Action] = []
    used = 0
    for action in actions:
        cells = len(action.keycap) + len(action.label) + 4
        if used + cells <= width:
            chosen.append(action)
            used += cells
    order = {action.name: at for at, action in enumerate(actions)}
    last = [action for action in chosen if action.where == "app"]
    return [*sorted((a for a in chosen if a.where != "app"), key=lambda a: order[a.name]), *last]
