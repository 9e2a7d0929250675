# SPDX-License-Identifier: MIT
"""The one-line bars: what is going on at the top, the panes of a small terminal, the keys at the bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual import events
from textual.widget import Widget

from usblkback_tui.ui import units
from usblkback_tui.ui.actions import Action, Registry
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.scene import Scene
from usblkback_tui.ui.text import Line, Span, clean, line_width


def header_line(
    title: str, scene: Scene | None, width: int, *, recording: str = "", playing: str = "", read_only: bool = False
) -> Line:
    """Title, host, counts, rates, problems and the time; what does not fit goes from the middle."""
    left: Line = ((" ", ""), (clean(title), "bold title"))
    if scene is None:
        return (*left, ("   waiting for the first snapshot…", "muted"))
    snapshot, rates = scene.snapshot, scene.total
    disks = len(snapshot.disks)
    guests = sum(domain.domid != snapshot.domid for domain in snapshot.domains)
    others = f" +{len(snapshot.foreign)}" if snapshot.foreign else ""
    parts: list[tuple[int, Line]] = [
        (5, ((f"host {snapshot.host}, domain {snapshot.domid}", "muted"),)),
        (4, ((f"{guests} domain{'s' * (guests != 1)}", ""),)),
        (1, ((f"{disks}/{snapshot.max_disks} disks{others}", ""),)),
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
    if read_only:
        right += [(" READ-ONLY ", "tab"), ("  ", "")]
    if recording:
        right += [(f"● REC {recording}", "error"), ("  ", "")]
    if playing:
        right += [(f" {playing} ", "tab"), ("  ", "")]
    if not scene.live:
        word = "FROZEN" if scene.frozen else "PAST"
        right += [(f" {word} −{units.elapsed(scene.behind)} ", "notice"), ("  ", "")]
    if count := scene.problems:
        right += [(f" ▲ {count} problem{'s' * (count != 1)} ", "alarm"), ("  ", "")]
    elif disks:
        right += [("● all well", "good"), ("  ", "")]
    right.append((f"{units.clock_seconds(snapshot.time)} ", "" if scene.live else "warning"))
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
    """The screens with their digits."""

    def __init__(self, titles: Mapping[str, str], *, id: str) -> None:
        """``titles`` by name, in the order of the digits."""
        super().__init__(id=id)
        self._titles = dict(titles)
        self.current = ""

    def line_ground(self, y: int) -> str:
        return "bar"

    def select(self, name: str) -> None:
        """Mark one as shown."""
        self.current = name
        self.show([tabs_line(self._titles, name, self.size.width or self.app.size.width)])

    def on_resize(self) -> None:
        if self.current:
            self.select(self.current)

    def on_click(self, event: events.Click) -> None:
        x = 0
        line = tabs_line(self._titles, self.current, self.size.width)
        for span, name in zip(line, self._titles, strict=True):
            x += len(span[0])
            if event.x < x:
                self.call_later(self.screen.run_action, f"screen('{name}')")
                return


def tabs_line(titles: Mapping[str, str], current: str, width: int) -> Line:
    """`` 1▸Overview  2 Handshake ...`` with the current one marked; closer together where there is little room."""
    room = sum(len(title) + 5 for title in titles.values()) <= width
    tail = "  " if room else ""
    return tuple(
        (f" {number}{'▸' if name == current else ' '}{title}{tail}", "tab" if name == current else "muted")
        for number, (name, title) in enumerate(titles.items(), 1)
    )


class Footer(LineView, can_focus=False):
    """The most useful keys; a click does what the key does."""

    def __init__(self, registry: Registry, *, id: str) -> None:
        super().__init__(id=id)
        self._registry = registry
        self._actions: list[Action] = []
        self._targets: list[tuple[int, int, str, str]] = []

    def line_ground(self, y: int) -> str:
        return "bar"

    def on_resize(self) -> None:
        self._set_line()

    def show_for(self, view: str, *, read_only: bool = False, replay: bool = False) -> None:
        """Draw the keys of a view."""
        actions = self._registry.footer(view, read_only=read_only, replay=replay)
        if actions != self._actions:
            self._actions = actions
            self._set_line()

    def _set_line(self) -> None:
        chosen = footer_choice(self._actions, self.size.width or self.app.size.width)
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
                self.call_later(self._carry_out, name, where)

    async def _carry_out(self, name: str, where: str) -> None:
        """What the key does."""
        await run_action(self, name, where)


async def run_action(widget: Widget, name: str, where: str) -> None:
    """Carry out an action of the registry as its key does, at the place it belongs to."""
    if where == "app":
        await widget.app.run_action(name)
    elif where in ("main", "replay"):
        await widget.screen.run_action(name)
    elif where in ("pane", "log") and widget.screen.focused is not None:
        await widget.screen.focused.run_action(name)
    elif (view := next(iter(widget.screen.query(f"#view-{where}").results(Widget)), None)) is not None:
        await view.run_action(name)


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
