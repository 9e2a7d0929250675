# SPDX-License-Identifier: MIT
"""The main screen: domains, disks, and everything about the disk under the cursor."""

from __future__ import annotations

from typing import ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from usblkback_tui.engine.snapshot import DiskView
from usblkback_tui.ui import charts, units
from usblkback_tui.ui.actions import bindings
from usblkback_tui.ui.bars import PANES, Banner, Bar, Footer, Tabs, header_line
from usblkback_tui.ui.columns import COLUMNS
from usblkback_tui.ui.detail import detail_lines
from usblkback_tui.ui.eventlog import event_line
from usblkback_tui.ui.filtering import matches
from usblkback_tui.ui.handshake import handshake_lines, moment_shown
from usblkback_tui.ui.history import LEVELS
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.livetable import LiveTable
from usblkback_tui.ui.model import DiskRow, Model, has_problem
from usblkback_tui.ui.report import disk_report
from usblkback_tui.ui.text import Line, clean, fit
from usblkback_tui.ui.tree import DomainTree, tree_nodes

FULL_WIDTH, FULL_HEIGHT = 110, 36
"""From this size on every pane is on the screen; below it the lower half shows one of them."""

Key = tuple[int, int]


class Wanted(Message):
    """The operator wants something done to a disk: ``attach``, ``detach``, ``force_detach`` or ``resize``."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what


class MainScreen(Screen[None]):
    """Shows a model; what changes the world is the app's business."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("main")
    AUTO_FOCUS = "#table"

    def __init__(self, title: str) -> None:
        super().__init__()
        self.heading = title
        self.live = Model()
        self.still: Model | None = None
        """What a frozen view shows."""
        self.pane = PANES[0]
        self.problems_only = False
        self.all_disks = False
        """The charts show all disks together."""
        self.level = 0
        """Zoom of the charts, an index into ``LEVELS``."""
        self.full = True
        self._made_of: dict[str, object] = {}
        """What each pane was made of last: few ticks bring something new for all of them."""

    def compose(self) -> ComposeResult:
        # Before there are panes: each change of a class later costs a pass over all of them.
        self._choose_layout(self.app.size)
        self.add_class(f"-show-{self.pane}")
        yield Bar(id="header")
        yield Banner(id="banner")
        with Horizontal(id="top"):
            yield DomainTree(id="tree")
            with Vertical(id="disks"):
                yield Input(placeholder="filter: words, !not, dom:name", id="filter", compact=True)
                yield LiveTable(COLUMNS, lambda row: row.disk.key, id="table")
        yield Tabs(id="tabs")
        with Horizontal(id="lower"):
            with Vertical(id="left"):
                yield LineView(id="handshake")
                yield LineView(id="charts")
                yield LineView(id="events", follow=True)
                yield DomainTree(id="domains")
            yield LineView(id="detail")
        yield Footer(id="footer")

    def on_mount(self) -> None:
        self.query_one("#filter", Input).cursor_blink = False
        self.query_one("#tree").border_title = "Domains"
        self.query_one("#tabs", Tabs).select(self.pane)

    def on_resize(self, event: events.Resize) -> None:
        self._choose_layout(event.size)
        self.call_after_refresh(self.refresh_view)

    def _choose_layout(self, size: Size) -> None:
        self.full = size.width >= FULL_WIDTH and size.height >= FULL_HEIGHT
        self.set_class(self.full, "-full")

    # -- what is shown -------------------------------------------------------------------------------------------

    @property
    def model(self) -> Model:
        """What the panes show: the live model, or the one that was frozen."""
        return self.still or self.live

    @property
    def table(self) -> LiveTable[DiskRow]:
        """The disks."""
        return cast("LiveTable[DiskRow]", self.query_one("#table", LiveTable))

    @property
    def selected(self) -> DiskView | None:
        """The disk under the cursor."""
        return self.model.disk(self.table.cursor)

    @property
    def filter(self) -> str:
        """The words of the filter."""
        return self.query_one("#filter", Input).value.strip()

    def show_model(self, model: Model) -> None:
        """A tick: show what is new."""
        self.live = model
        self.refresh_view()

    def refresh_view(self) -> None:
        """Bring every pane on the screen up to date."""
        if not self.is_mounted:
            return
        self._show_bars()
        self._show_table()
        if self.model.snapshot is not None:
            nodes = tree_nodes(self.model.snapshot)
            self.query_one("#tree" if self.full else "#domains", DomainTree).set_nodes(nodes)
        self._show_disk_panes()
        if self._is_shown("events"):
            self._show_events()

    def _is_shown(self, pane: str) -> bool:
        return self.full or self.pane == pane

    def _show_bars(self) -> None:
        width = self.size.width
        frozen_for = self.live.now - self.still.now if self.still else None
        self.query_one("#header", Bar).show([header_line(self.heading, self.live, width, frozen_for)])
        banner = self.query_one("#banner", Banner)
        banner.display = bool(self.live.error)
        if self.live.error:
            since = units.clock_seconds(self.live.error_since)
            text = f" No news since {since}: {clean(self.live.error)}. Trying again. "
            banner.show([((fit(text, width), ""),)])

    def _show_table(self) -> None:
        table = self.table
        rows = [
            row
            for row in self.model.rows()
            if matches(row.disk, self.filter) and (not self.problems_only or has_problem(row.disk))
        ]
        empty = self._empty_table()
        if table.empty != empty:
            table.empty = empty
            table.refresh()
        table.set_rows(rows)
        hidden = len(self.model.disks) - len(rows)
        notes = [f"{len(rows)} of {len(self.model.disks)}"] if hidden else []
        notes += ["problems only"] if self.problems_only else []
        notes += [f"filter: {clean(self.filter)}"] if self.filter else []
        box = self.query_one("#disks")
        title = "Disks" + "".join(f" · {note}" for note in notes)
        if box.border_title != title:
            box.border_title = title

    def _empty_table(self) -> tuple[Line, ...]:
        snapshot = self.model.snapshot
        if snapshot is None:
            return ((("  Waiting for the engine…", "muted"),),)
        if snapshot.disks:
            why = "that has a problem" if self.problems_only and not self.filter else "that matches"
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

    def _show_disk_panes(self) -> None:
        disk = self.selected
        name = clean(disk.title) if disk else "no disk"
        if self._is_shown("handshake"):
            self._title("handshake", f"Handshake · {name}")
            pane = self.query_one("#handshake", LineView)
            width, height = pane.size
            if self._is_new("handshake", (disk, moment_shown(disk, self.model.now) if disk else 0.0, width, height)):
                pane.show(handshake_lines(disk, self.model.now, width, height) if disk else _nothing("handshake"))
        if self._is_shown("detail"):
            self._title("detail", f"Detail · {name}")
            pane = self.query_one("#detail", LineView)
            width, rates = pane.size.width, self.model.rates.get(disk.key) if disk else None
            if self._is_new("detail", (disk, rates, width)):
                pane.show(detail_lines(disk, rates, width) if disk else _nothing("details"))
        if self._is_shown("charts"):
            self._show_charts(disk)

    def _show_charts(self, disk: DiskView | None) -> None:
        scope = "all disks" if self.all_disks or disk is None else clean(disk.title)
        self._title("charts", f"Charts · {scope} · {LEVELS[self.level]} s per dot")
        pane = self.query_one("#charts", LineView)
        key = None if self.all_disks or disk is None else disk.key
        size = width, height = pane.size
        half = (width - 2) // 2
        drawn = (self.model.history, self.model.history.added, key, self.level, size)
        if half < 20 or height < 4 or not self._is_new("charts", drawn):
            return
        track = self.model.history.track(key)
        pane.show(
            charts.side_by_side(
                charts.iops_lines(track, self.level, half, height),
                charts.throughput_lines(track, self.level, half, height),
            )
        )

    def _show_events(self) -> None:
        model = self.model
        names = {domain.domid: domain.name for domain in model.snapshot.domains} if model.snapshot else {}
        if self._is_new("events", (model, model.logged, names)):
            lines = [
                event_line(event, names.get(event.domid, "") if event.domid is not None else "")
                for event in model.events
            ]
            self._title("events", "Events")
            self.query_one("#events", LineView).show(lines or [(("Nothing has happened yet.", "muted"),)])

    def _is_new(self, pane: str, made_of: object) -> bool:
        """Whether a pane has to be made again, ``made_of`` being all that its lines depend on."""
        if self._made_of.get(pane) == made_of:
            return False
        self._made_of[pane] = made_of
        return True

    def _title(self, pane: str, title: str) -> None:
        widget = self.query_one(f"#{pane}")
        if widget.border_title != title:
            widget.border_title = title

    def _show_pane(self, pane: str) -> None:
        for name in PANES:
            self.set_class(name == pane, f"-show-{name}")
        self.pane = pane
        self.query_one("#tabs", Tabs).select(pane)

    # -- moving around -------------------------------------------------------------------------------------------

    @on(LiveTable.Moved)
    def _disk_selected(self, message: LiveTable.Moved) -> None:
        for tree in self.query(DomainTree):
            tree.follow(message.key)
        self._show_disk_panes()

    @on(DomainTree.Selected)
    def _tree_selected(self, message: DomainTree.Selected) -> None:
        if message.key not in [row.disk.key for row in self.table.rows]:
            self._clear_filter()
        self.table.cursor = message.key

    @on(DomainTree.Entered)
    def _domain_entered(self, message: DomainTree.Entered) -> None:
        if self.model.snapshot is None or message.domid == self.model.snapshot.domid:
            return
        self.query_one("#filter", Input).value = f"dom:{message.domid}"
        self.query_one("#disks").add_class("-filtering")
        self.table.focus()

    def action_pane(self, pane: str) -> None:
        """Show a pane, or go to it where all are shown."""
        if not self.full:
            self._show_pane(pane)
            self.call_after_refresh(self.refresh_view)
        target = "tree" if self.full and pane == "domains" else pane
        if self.full:
            self.query_one(f"#{target}").focus()

    def action_next_pane(self) -> None:
        self.focus_next(LineView)

    def action_previous_pane(self) -> None:
        self.focus_previous(LineView)

    def action_back(self) -> None:
        """Undo one thing that hides something, the nearest first."""
        field = self.query_one("#filter", Input)
        if field.has_focus or field.value:
            self._clear_filter()
        elif self.problems_only:
            self.action_problems()
        elif self.still is not None:
            self.action_freeze()
        self.table.focus()

    # -- view ----------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        self.query_one("#disks").add_class("-filtering")
        self.query_one("#filter", Input).focus()

    def _clear_filter(self) -> None:
        self.query_one("#filter", Input).value = ""
        self.query_one("#disks").remove_class("-filtering")
        self._show_table()

    @on(Input.Changed, "#filter")
    def _filter_changed(self) -> None:
        self.refresh_view()

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        if not self.filter:
            self._clear_filter()
        self.table.focus()

    def action_problems(self) -> None:
        self.problems_only = not self.problems_only
        self.refresh_view()

    def action_sort_next(self) -> None:
        self.table.sort_step(1)

    def action_sort_previous(self) -> None:
        self.table.sort_step(-1)

    def action_sort_reverse(self) -> None:
        self.table.reverse()

    def action_freeze(self) -> None:
        """Hold what is shown still, or go on."""
        self.still = None if self.still is not None else self.live.frozen()
        self.refresh_view()

    def action_zoom_in(self) -> None:
        self._zoom(self.level - 1)

    def action_zoom_out(self) -> None:
        self._zoom(self.level + 1)

    def _zoom(self, level: int) -> None:
        self.level = max(0, min(level, len(LEVELS) - 1))
        self.refresh_view()

    def action_chart_scope(self) -> None:
        self.all_disks = not self.all_disks
        self.refresh_view()

    # -- disks ---------------------------------------------------------------------------------------------------

    def action_attach(self) -> None:
        self.post_message(Wanted("attach"))

    def action_detach(self) -> None:
        self.post_message(Wanted("detach"))

    def action_force_detach(self) -> None:
        self.post_message(Wanted("force_detach"))

    def action_resize(self) -> None:
        self.post_message(Wanted("resize"))

    def action_copy(self) -> None:
        disk = self.selected
        if disk is None:
            self.notify("There is no disk to copy.", severity="warning", markup=False)
            return
        self.app.copy_to_clipboard(disk_report(disk, self.model.rates.get(disk.key), self.model.now))
        self.notify(f"Copied what is known of {clean(disk.title)}.", markup=False)


def _nothing(what: str) -> list[Line]:
    return [((f"Select a disk to see its {what}.", "muted"),)]
