# SPDX-License-Identifier: MIT
"""The main screen: the frame around the views, the place in time they show, and the disk that is selected."""

from __future__ import annotations

import time
from typing import Any, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal
from textual.geometry import Size
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from usblkback_tui.engine.recording.replay import ReplayBackend
from usblkback_tui.engine.snapshot import DiskView
from usblkback_tui.ui import units
from usblkback_tui.ui.actions import VIEWS, Registry, bindings
from usblkback_tui.ui.bars import Banner, Bar, Footer, Tabs, header_line
from usblkback_tui.ui.evidence import evidence
from usblkback_tui.ui.history import LEVELS
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.livetable import LiveTable
from usblkback_tui.ui.logpane import LogPane
from usblkback_tui.ui.model import Model
from usblkback_tui.ui.playhead import Playhead
from usblkback_tui.ui.recording import other_speed, player_text
from usblkback_tui.ui.scene import DiskRow, Scene
from usblkback_tui.ui.state import UiState
from usblkback_tui.ui.text import clean, fit
from usblkback_tui.ui.tree import DomainTree, tree_made_of, tree_nodes
from usblkback_tui.ui.views.base import View
from usblkback_tui.ui.views.engine import EngineView
from usblkback_tui.ui.views.handshake import HandshakeView
from usblkback_tui.ui.views.latency import LatencyView, TimePane
from usblkback_tui.ui.views.overview import OverviewView
from usblkback_tui.ui.views.rings import RingsView
from usblkback_tui.ui.views.store import StoreView
from usblkback_tui.ui.views.trace import TraceView

FULL_WIDTH, FULL_HEIGHT = 110, 36
"""From this size on every pane has a frame."""
TURNS_HZ, TURN_SECONDS = 4.0, 0.5
"""From so many ticks a second on, no further apart than this, panes that are much work are not all drawn in one."""
TREE_WIDTH = 136
"""From this width on the domains stand at the left, too."""

VIEW_CLASSES: dict[str, type[View]] = {
    view.NAME: view for view in (OverviewView, HandshakeView, RingsView, LatencyView, StoreView, TraceView, EngineView)
}
TITLES = {name: VIEW_CLASSES[name].TITLE for name in VIEWS}

Key = tuple[int, int]


class Wanted(Message):
    """The operator wants something that is the app's business: ``attach``, ``detach``, ``columns``, ``export``, ..."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what


class MainScreen(Screen[None]):
    """Shows scenes; what changes the world is the app's business."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("main"), *bindings("replay")]
    AUTO_FOCUS = None

    def __init__(self, title: str, registry: Registry, state: UiState, player: ReplayBackend | None = None) -> None:
        """``player``: what is looked at is a recording."""
        super().__init__()
        self.heading = title
        self.registry = registry
        self.state = state
        self.player = player
        self.model = Model()
        self.playhead = Playhead()
        self.selected: Key | None = None
        self.level = min(max(state.zoom, 0), len(LEVELS) - 1)
        """Zoom of charts and heat maps, an index into ``LEVELS``."""
        self.full = self.treed = True
        self.view_name = state.screen if state.screen in VIEWS else VIEWS[0]
        self.view: View = self._new_view(self.view_name)
        self._views: dict[str, View] = {self.view_name: self.view}
        self._tree_of: object = None
        """What the tree was made of."""
        self._filtered: View | LogPane | None = None
        """What the words in the filter field are for, while it is shown."""
        self._looked: dict[str, float] = {}
        self._ticked = 0.0
        self.recording = ""
        """How long something has been recorded, for the header."""

    def compose(self) -> ComposeResult:
        # Before there are panes: each change of a class later costs a pass over all of them.
        self._choose_layout(self.app.size)
        yield Bar(id="header")
        yield Banner(id="banner")
        yield Tabs(TITLES, id="tabs")
        with Horizontal(id="body"):
            yield DomainTree(id="tree")
            with Container(id="stage"):
                yield self.view
        yield Input(id="filter", compact=True)
        yield Footer(self.registry, id="footer")

    def on_mount(self) -> None:
        self.query_one("#filter", Input).cursor_blink = False
        self.query_one("#tree").border_title = "Domains"
        self._show_frame()
        self._restore(self.view)
        self.view.focus_first()

    def on_resize(self, event: events.Resize) -> None:
        self._choose_layout(event.size)
        self.call_after_refresh(self.refresh_view)

    def _choose_layout(self, size: Size) -> None:
        self.full = size.width >= FULL_WIDTH and size.height >= FULL_HEIGHT
        self.set_class(self.full, "-full")
        self.set_class(not self.full, "-small")
        self.treed = self.full and size.width >= TREE_WIDTH
        self.set_class(self.treed, "-treed")

    # -- views ---------------------------------------------------------------------------------------------------

    def _new_view(self, name: str) -> View:
        view = VIEW_CLASSES[name]()
        if isinstance(view, OverviewView | LatencyView):
            view.level = self.level
        if isinstance(view, OverviewView):
            view.problems_only = self.state.problems_only
        return view

    def _restore(self, view: View) -> None:
        """Order and columns as they were left."""
        table = view.table
        if table is None:
            return
        kept = self.state.tables.get(view.NAME)
        if kept is not None:
            known = {column.id for column in table.columns}
            if kept.sort in known:
                table.set_reactive(LiveTable.sort_column, kept.sort)
                table.set_reactive(LiveTable.sort_reverse, kept.reverse)
            if kept.hidden or kept.order:
                table.arrange_columns(kept.order, kept.hidden)

    async def action_screen(self, name: str) -> None:
        """Show one of the views."""
        if name == self.view_name:
            self.view.focus_first()
            return
        self._close_filter()
        self.view.display = False
        view = self._views.get(name)
        if view is None:
            view = self._views[name] = self._new_view(name)
            await self.query_one("#stage").mount(view)
            self._restore(view)
        self.view, self.view_name = view, name
        view.display = True
        self.state.screen = name
        self._show_frame()
        view.focus_first()
        self.refresh_view()
        if view is self.overview and self.selected is not None:
            self.table.cursor = self.selected
        self.call_after_refresh(self.refresh_view)

    def _show_frame(self) -> None:
        self.query_one("#tabs", Tabs).select(self.view_name)
        self.query_one("#footer", Footer).show_for(
            self.view_name, read_only=self.read_only, replay=self.player is not None
        )

    @property
    def overview(self) -> OverviewView | None:
        """The first view, once it was shown."""
        view = self._views.get("overview")
        return view if isinstance(view, OverviewView) else None

    @property
    def read_only(self) -> bool:
        """Nothing may be changed from here."""
        return self.state.read_only or bool(self.model.snapshot and self.model.snapshot.read_only)

    # -- what is shown -------------------------------------------------------------------------------------------

    @property
    def scene(self) -> Scene | None:
        """The moment that is shown."""
        return self.playhead.scene(self.model, self.selected)

    @property
    def table(self) -> LiveTable[DiskRow]:
        """The disks."""
        view = self.overview
        assert view is not None
        return view.table

    @property
    def disk(self) -> DiskView | None:
        """The selected disk."""
        scene = self.scene
        return scene.disk if scene else None

    def show_model(self, model: Model) -> None:
        """A tick: show what is new."""
        self.model = model
        now = time.monotonic()
        often = now - self._ticked < TURN_SECONDS and cast(Any, self.app).refresh_hz >= TURNS_HZ
        self._ticked = now
        self.refresh_view(tick=often)

    def refresh_view(self, *, tick: bool = False) -> None:
        """Bring everything on the screen up to date; on a ``tick`` what is much work takes turns."""
        if not self.is_mounted:
            return
        scene = self.scene
        if scene is not None and self._select_something(scene):
            scene = self.scene
        self._show_bars(scene)
        if scene is None:
            return
        if self.treed:
            tree = self.query_one("#tree", DomainTree)
            made_of = tree_made_of(scene)
            if made_of != self._tree_of:
                self._tree_of = made_of
                tree.set_nodes(tree_nodes(scene))
            tree.follow(self.selected)
        if self.view.is_mounted:
            (self.view.tick if tick else self.view.show_scene)(scene)

    def _select_something(self, scene: Scene) -> bool:
        """There is always a disk selected while there are disks; one that goes is followed by its neighbour.

        The first view's table does this itself.  Returns whether another one was selected.
        """
        if scene.disk is not None or (self.view_name == "overview" and self.view.is_mounted):
            return False
        keys = sorted(disk.key for disk in scene.disks)
        before, here = self.selected, self.selected or (0, 0)
        self.selected = next((key for key in keys if key > here), keys[-1] if keys else None)
        return self.selected != before

    def _show_bars(self, scene: Scene | None) -> None:
        width = self.size.width
        line = header_line(
            self.heading,
            scene,
            width,
            recording=self.recording,
            playing=player_text(self.player) if self.player is not None else "",
            read_only=self.read_only and self.player is None,
        )
        self.query_one("#header", Bar).show([line])
        banner = self.query_one("#banner", Banner)
        banner.display = bool(self.model.error)
        if self.model.error:
            since = units.clock_seconds(self.model.error_since)
            text = f" No news since {since}: {clean(self.model.error)}. Trying again. "
            banner.show([((fit(text, width), ""),)])

    # -- a closer look -------------------------------------------------------------------------------------------

    def look_due(self) -> bool:
        """Whether the view that is shown may ask the backend again."""
        if self.model.snapshot is None or not self.playhead.live:
            return False
        return time.monotonic() - self._looked.get(self.view_name, 0.0) >= self.view.LOOK_SECONDS

    def looked(self) -> None:
        """It asked."""
        self._looked[self.view_name] = time.monotonic()

    def answer(self, who: str, value: object, problem: str) -> None:
        """What it was told."""
        view = self._views.get(who)
        if view is None or not view.is_mounted:
            return
        if problem:
            view.refused(clean(problem))
        else:
            view.seen(value)

    # -- selecting -----------------------------------------------------------------------------------------------

    @on(LiveTable.Moved, "#table")
    def _row_selected(self, message: LiveTable.Moved) -> None:
        key = message.key
        self.selected = (key[0], key[1]) if key is not None else None
        self.refresh_selection()

    def refresh_selection(self) -> None:
        """Another disk was selected: the panes of the view follow."""
        scene = self.scene
        if scene is None or not self.view.is_mounted:
            return
        if self.treed:
            self.query_one("#tree", DomainTree).follow(self.selected)
        self.view.show_scene(scene)

    def select(self, key: Key) -> None:
        """Select a disk."""
        self.selected = key
        overview = self.overview
        if overview is not None and overview.is_mounted:
            if key not in [row.disk.key for row in overview.table.rows]:
                self._close_filter()
                overview.filter_by("")
            overview.table.cursor = key
        self.refresh_selection()

    def _shown_keys(self) -> list[Key]:
        """The disks in the order of the table, filtered as it is."""
        overview, scene = self.overview, self.scene
        if overview is not None and overview.is_mounted and overview.table.rows:
            return [row.disk.key for row in overview.table.rows]
        return sorted(disk.key for disk in scene.disks) if scene else []

    def action_next_disk(self) -> None:
        self._select_by(1)

    def action_previous_disk(self) -> None:
        self._select_by(-1)

    def _select_by(self, step: int) -> None:
        keys = self._shown_keys()
        if keys:
            at = keys.index(self.selected) if self.selected in keys else -1 if step > 0 else 0
            self.select(keys[(at + step) % len(keys)])

    @on(DomainTree.Selected)
    def _tree_selected(self, message: DomainTree.Selected) -> None:
        self.select(message.key)

    @on(DomainTree.Entered)
    async def _domain_entered(self, message: DomainTree.Entered) -> None:
        if self.model.snapshot is None or message.domid == self.model.snapshot.domid:
            return
        await self.action_screen("overview")
        overview = self.overview
        if overview is not None:
            self._open_filter(overview, f"dom:{message.domid}")
            overview.filter_by(f"dom:{message.domid}")
            overview.table.focus()

    @on(LiveTable.Chosen, "#table")
    async def _row_chosen(self) -> None:
        await self.action_screen("handshake")

    # -- panes ---------------------------------------------------------------------------------------------------

    def panes(self) -> list[LineView]:
        """What can have the focus, in reading order."""
        tree = self.query_one("#tree", DomainTree)
        return ([tree] if tree.size.width else []) + self.view.panes

    def action_next_pane(self) -> None:
        self._focus_by(1)

    def action_previous_pane(self) -> None:
        self._focus_by(-1)

    def _focus_by(self, step: int) -> None:
        panes = self.panes()
        if not panes:
            return
        focused = self.focused
        at = panes.index(focused) if isinstance(focused, LineView) and focused in panes else 0
        panes[(at + step) % len(panes)].focus()

    def action_expand(self) -> None:
        """The focused pane gets the whole screen, or gives it back."""
        if self.has_class("-expanded"):
            self._collapse()
            return
        focused = self.focused
        if not isinstance(focused, LineView):
            return
        self.add_class("-expanded")
        self.set_class(focused.id == "tree", "-expanded-tree")
        if focused.id != "tree":
            self.view.give_room(focused)
        self.call_after_refresh(self.refresh_view)

    def _collapse(self) -> None:
        self.remove_class("-expanded", "-expanded-tree")
        self.view.give_room(None)
        self.call_after_refresh(self.refresh_view)

    def action_back(self) -> None:
        """Undo one thing that hides something, the nearest first; then go home."""
        overview, focused = self.overview, self.focused
        if self._filtered is not None:
            self._clear_filter()
            return
        if isinstance(focused, LogPane) and focused.words:
            focused.filter_by("")
            return
        if self.has_class("-expanded"):
            self._collapse()
        elif overview is not None and self.view is overview and overview.words:
            overview.filter_by("")
        elif overview is not None and self.view is overview and overview.problems_only:
            self.action_problems()
        elif not self.playhead.live:
            self.action_live()
        elif self.view is not overview and self.focused is not None and self.focused in self.view.walk_children():
            self.run_worker(self.action_screen("overview"))
            return
        self.view.focus_first()

    # -- filter --------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        log = next((pane for pane in (self.focused, self.view.expanded) if isinstance(pane, LogPane)), None)
        target = log or (self.view if self.view.FILTER else self.overview)
        if target is not None:
            self._open_filter(target, target.words)
            self.query_one("#filter", Input).focus()

    def _open_filter(self, target: View | LogPane, words: str) -> None:
        field = self.query_one("#filter", Input)
        self._filtered = target
        field.placeholder = target.FILTER
        field.value = words
        field.display = True

    def _close_filter(self) -> None:
        self._filtered = None
        self.query_one("#filter", Input).display = False

    def _clear_filter(self) -> None:
        """Show everything again, and give the focus back where it came from."""
        target = self._filtered
        if target is None:
            return
        self._close_filter()
        target.filter_by("")
        self._leave_filter(target)

    def _leave_filter(self, target: View | LogPane) -> None:
        if isinstance(target, LogPane):
            target.focus()
        else:
            self.view.focus_first()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        target = self._filtered
        if target is not None and event.value != target.words:
            target.filter_by(event.value)
            self.refresh_view()

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        target = self._filtered
        if target is None:
            return
        if not self.query_one("#filter", Input).value.strip():
            self._clear_filter()
        self._leave_filter(target)

    def action_problems(self) -> None:
        overview = self.overview
        if overview is not None:
            overview.problems_only = not overview.problems_only
            self.state.problems_only = overview.problems_only
        self.refresh_view()

    # -- tables --------------------------------------------------------------------------------------------------

    def action_sort_next(self) -> None:
        if (table := self.view.table) is not None:
            table.sort_step(1)

    def action_sort_previous(self) -> None:
        if (table := self.view.table) is not None:
            table.sort_step(-1)

    def action_sort_reverse(self) -> None:
        if (table := self.view.table) is not None:
            table.reverse()

    @on(LiveTable.Sorted)
    def _sorted(self) -> None:
        self.keep_table()

    def keep_table(self) -> None:
        """Remember order and columns of the table that is shown."""
        if (table := self.view.table) is not None:
            order = [column.id for column in table.columns]
            self.state.keep_table(self.view_name, table.sort_column, table.sort_reverse, table.hidden, order)

    # -- time ----------------------------------------------------------------------------------------------------

    def action_freeze(self) -> None:
        """Hold what is shown still, or go on."""
        self.playhead.freeze(self.model)
        self.refresh_view()

    def action_scrub(self, by: int) -> None:
        """Go back or forth in time, on every pane."""
        self.playhead.scrub(self.model, by)
        self.refresh_view()

    def action_live(self) -> None:
        """Back to now; when it is now, the end of the list that has the focus."""
        if self.playhead.live:
            if isinstance(self.focused, LineView):
                self.focused.action_last()
            return
        self.playhead.go_live()
        self.refresh_view()

    def action_goto(self) -> None:
        self.post_message(Wanted("goto"))

    def go_to(self, wanted: float) -> None:
        """Show the moment nearest to a time in seconds since 1970, on every pane."""
        scene = self.scene
        if scene is None:
            return
        if self.player is not None:
            self.playhead.go_live()
            self.player.seek(self.player.place + wanted - scene.now)
        else:
            self.playhead.go_to(self.model, wanted)
        self.refresh_view()

    def action_record(self) -> None:
        self.post_message(Wanted("record"))

    # -- a recording ---------------------------------------------------------------------------------------------

    def action_play(self) -> None:
        """Play on, or stand still."""
        if (player := self._playing) is not None:
            player.pause() if player.playing else player.play()

    def action_seek(self, seconds: int) -> None:
        """Go so many seconds forth."""
        if (player := self._playing) is not None:
            player.seek(player.place + seconds)

    def action_frame(self, count: int) -> None:
        """Stand still so many frames further on."""
        if (player := self._playing) is not None:
            player.step(count)

    def action_speed(self, step: int) -> None:
        """Play faster or slower."""
        if (player := self._playing) is not None:
            player.set_speed(other_speed(player.speed, step))

    @property
    def _playing(self) -> ReplayBackend | None:
        """The recording, shown where it is; None, with a sentence, where there is none."""
        if self.player is None:
            self.notify("This is no recording; usblkback-tui replay FILE shows one.", severity="warning", markup=False)
            return None
        self.playhead.go_live()
        self.app.call_later(self.refresh_view)
        return self.player

    def action_zoom_in(self) -> None:
        self._zoom(self.level - 1)

    def action_zoom_out(self) -> None:
        self._zoom(self.level + 1)

    def _zoom(self, level: int) -> None:
        self.level = max(0, min(level, len(LEVELS) - 1))
        self.state.zoom = self.level
        for view in self._views.values():
            if isinstance(view, OverviewView | LatencyView):
                view.level = self.level
        self.refresh_view()

    def action_chart_scope(self) -> None:
        views = [view for view in self._views.values() if isinstance(view, OverviewView | LatencyView)]
        for view in views:
            view.all_disks = not view.all_disks
        self.refresh_view()

    @on(TimePane.CursorMoved)
    def _cursor_moved(self, message: TimePane.CursorMoved) -> None:
        self.playhead.move_cursor(by=message.by, to=message.to)
        self.refresh_view()

    # -- what is the app's business ------------------------------------------------------------------------------

    def action_attach(self) -> None:
        self.post_message(Wanted("attach"))

    def action_detach(self) -> None:
        self.post_message(Wanted("detach"))

    def action_force_detach(self) -> None:
        self.post_message(Wanted("force_detach"))

    def action_columns(self) -> None:
        self.post_message(Wanted("columns"))

    def action_export(self) -> None:
        self.post_message(Wanted("export"))

    def action_jump(self) -> None:
        self.post_message(Wanted("jump"))

    def action_resize(self) -> None:
        self.post_message(Wanted("resize"))

    def action_copy(self) -> None:
        found = self.view.value()
        if found is None:
            self.notify("There is nothing under the cursor to copy.", severity="warning", markup=False)
            return
        what, text = found
        self.app.copy_to_clipboard(text)
        self.notify(f"Copied {clean(what)}.", markup=False)

    def action_evidence(self) -> None:
        scene = self.scene
        if scene is None or scene.disk is None:
            self.notify("There is no disk to copy.", severity="warning", markup=False)
            return
        self.app.copy_to_clipboard(evidence(scene))
        self.notify(f"Copied the evidence on {clean(scene.disk.title)}, as Markdown.", markup=False)


def pane_name(pane: Widget) -> str:
    """What a pane is called in lists: its title up to the first dot."""
    title = str(pane.border_title or "") or str(getattr(pane.parent, "border_title", "") or "") or str(pane.id)
    return title.split(" · ")[0]
