# SPDX-License-Identifier: MIT
"""Xenstore as a tree: what is open is read again, what changed lights up."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.inspection import StoreNode
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.keys import backend_path
from usblkback_tui.ui.actions import bindings
from usblkback_tui.ui.scene import Scene
from usblkback_tui.ui.storetree import StoreRow, StoreTree, child, node_lines, parent, store_line
from usblkback_tui.ui.text import Line
from usblkback_tui.ui.views.base import Look, Pane, Sheet, View

AT_ONCE = 600
"""Keys read in one look at most; those deepest down wait until something is closed."""

Answer = tuple[list[StoreNode], dict[str, str]]


class StorePane(Pane):
    """The tree with its cursor."""

    def __init__(self, view: StoreView) -> None:
        super().__init__("keys", view.tree_lines, title=view.tree_title, made_of=view.tree_made_of)
        self._view = view

    def line_ground(self, y: int) -> str:
        if y + self.scroll_offset.y == self._view.at:
            return "cursor" if self.has_focus else "cursor-away"
        return ""

    def keep_in_view(self, at: int) -> None:
        """Scroll as little as needed."""
        top, page = self.scroll_offset.y, max(self.size.height, 1)
        if at < top:
            self.scroll_to(y=at, animate=False)
        elif at >= top + page:
            self.scroll_to(y=at - page + 1, animate=False)

    def action_cursor_up(self) -> None:
        self._view.move(-1)

    def action_cursor_down(self) -> None:
        self._view.move(1)

    def action_page_up(self) -> None:
        self._view.move(1 - max(self.size.height, 2))

    def action_page_down(self) -> None:
        self._view.move(max(self.size.height, 2) - 1)

    def action_first(self) -> None:
        self._view.move(-(10**6))

    def action_last(self) -> None:
        self._view.move(10**6)

    def action_cursor_left(self) -> None:
        self._view.close_branch()

    def action_cursor_right(self) -> None:
        self._view.open_branch()

    def action_choose(self) -> None:
        self._view.toggle()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None:
            self._view.click(offset.y + self.scroll_offset.y)


class StoreView(View):
    """The tree, and the key under the cursor in full."""

    NAME = "store"
    TITLE = "Xenstore"
    BINDINGS: ClassVar[list[BindingType]] = bindings("store")
    FIRST = "#keys"
    LOOK_SECONDS = 1.0
    FILTER = "filter: a regular expression for keys and values that are open"

    class EditWanted(Message):
        """The operator wants to change a key."""

        def __init__(self, path: str, node: StoreNode) -> None:
            super().__init__()
            self.path = path
            self.node = node

    def __init__(self) -> None:
        super().__init__()
        self.nodes = StoreTree()
        self.at = 0
        self._path = "/"
        """The key under the cursor."""
        self._rows: list[StoreRow] = []
        self._version = 0
        self._lit = False
        self._wish = ""
        """A key to go to as soon as it was read."""
        self._of: tuple[int, int] | None = None
        """The disk whose directory was gone to."""

    def compose(self) -> ComposeResult:
        yield StorePane(self)
        yield Pane(
            "node",
            lambda scene, width, height: node_lines(
                self._path, self.nodes.node(self._path), self.nodes.error(self._path)
            ),
            title=lambda scene: "Key",
            made_of=lambda scene: (self._path, self.nodes.node(self._path), self.nodes.error(self._path)),
        )

    # -- drawing -------------------------------------------------------------------------------------------------

    def show_scene(self, scene: Scene) -> None:
        self.scene = scene
        disk = scene.disk
        if disk is not None and disk.key != self._of and scene.pending is None:
            self._of = disk.key
            self.show_path(backend_path(scene.snapshot.domid, disk.kind, disk.domid, disk.devid))
        self._arrange()
        super().show_scene(scene)

    def _arrange(self) -> None:
        """The rows in order, the cursor on its key."""
        now = self.scene.snapshot.monotonic if self.scene else 0.0
        rows = self.nodes.rows(now, self.words)
        if rows != self._rows:
            self._rows = rows
            self._version += 1
        paths = [row.path for row in rows]
        if self._wish in paths:
            self._path, self._wish = self._wish, ""
        while self._path not in paths and self._path != "/":
            self._path = parent(self._path)
        self.at = paths.index(self._path) if self._path in paths else 0

    def tree_made_of(self, scene: Scene) -> object:
        """What the lines of the tree depend on."""
        return self._version, self.at

    def tree_title(self, scene: Scene) -> str:
        """How much of the store is shown."""
        note = f" · filter: {self.words}" if self.words else ""
        past = "" if scene.live else " · as it is now, not as it was"
        return f"Xenstore · {len(self._rows)} keys open{note}{past}"

    def tree_lines(self, scene: Scene, width: int, height: int) -> Sequence[Line]:
        """The open part of the tree."""
        return [store_line(row, width) for row in self._rows]

    # -- moving --------------------------------------------------------------------------------------------------

    @property
    def row(self) -> StoreRow | None:
        """The line under the cursor."""
        return self._rows[self.at] if 0 <= self.at < len(self._rows) else None

    def move(self, by: int) -> None:
        """Move the cursor."""
        if self._rows:
            self.go(max(0, min(self.at + by, len(self._rows) - 1)))

    def go(self, at: int) -> None:
        """Put the cursor on a line."""
        self.at, self._path, self._wish = at, self._rows[at].path, ""
        self._redraw()

    def show_path(self, path: str) -> None:
        """Open the way to a key and put the cursor there."""
        self.nodes.open(path)
        self._wish = path
        self._arrange()
        self._redraw()

    def _redraw(self) -> None:
        pane = self.query_one("#keys", StorePane)
        for one in self.query(Pane):
            one.redraw()
        pane.refresh()
        pane.keep_in_view(self.at)

    def open_branch(self) -> None:
        """Show what is below the key; when it is shown, go there."""
        row = self.row
        if row is None:
            return
        if row.opened:
            self.move(1)
        elif row.node is not None and row.node.children:
            self.nodes.open(row.path)
            self._arrange()
            self._redraw()

    def close_branch(self) -> None:
        """Hide what is below the key; when nothing is shown there, go up."""
        row = self.row
        if row is None:
            return
        if row.opened and row.path != "/":
            self.nodes.close(row.path)
        else:
            self._path = parent(row.path)
        self._arrange()
        self._redraw()

    def toggle(self) -> None:
        """Enter: open or close a branch, edit a key that has nothing below it."""
        row = self.row
        if row is None or row.node is None:
            return
        if not row.node.children:
            self.action_edit()
        elif row.opened:
            self.close_branch()
        else:
            self.open_branch()

    def click(self, at: int) -> None:
        """Choose a line; the one under the cursor opens."""
        if not 0 <= at < len(self._rows):
            return
        if at == self.at:
            self.toggle()
        else:
            self.go(at)

    def action_edit(self) -> None:
        """Change the value of the key."""
        row = self.row
        if row is not None and row.node is not None:
            self.post_message(self.EditWanted(row.path, row.node))

    # -- a closer look -------------------------------------------------------------------------------------------

    def look(self) -> Look | None:
        opened = self.nodes.opened

        def nodes(backend: Backend) -> Answer:
            found: list[StoreNode] = []
            errors: dict[str, str] = {}
            paths = deque(["/"])
            while paths and len(found) < AT_ONCE:
                path = paths.popleft()
                try:
                    node = backend.store(path)
                except UserError as error:
                    errors[path] = str(error)
                    continue
                found.append(node)
                if path in opened:
                    paths.extend(child(path, name) for name in node.children)
            return found, errors

        return nodes

    def seen(self, answer: Answer) -> None:
        found, errors = answer
        self.nodes.take(found, errors, self.scene.snapshot.monotonic if self.scene else 0.0)
        if self.scene is not None:
            self.show_scene(self.scene)

    def refused(self, sentence: str) -> None:
        self.nodes.take([], {"/": sentence}, 0.0)
        if self.scene is not None:
            self.show_scene(self.scene)

    # -- taking things away --------------------------------------------------------------------------------------

    def value(self) -> tuple[str, str] | None:
        row = self.row
        if row is None or row.node is None:
            return None
        return row.path, f"{row.path} = {row.node.value}"

    def sheet(self) -> Sheet:
        rows = [(row.path, row.node.value if row.node else "") for row in self._rows]
        return Sheet("xenstore", ("path", "value"), rows)
