# SPDX-License-Identifier: MIT
"""Domains with their disks; the domain we run in stands first and apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from textual import events
from textual.message import Message
from textual.reactive import reactive

from usblkback_tui.engine.snapshot import DiskView, DomainView, Severity
from usblkback_tui.protocol.states import XenbusState
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.palette import SEVERITY_STYLE, SEVERITY_SYMBOL
from usblkback_tui.ui.scene import Scene
from usblkback_tui.ui.text import Line, clean

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Node:
    """One row: a domain, or a disk of the domain above it."""

    domid: int
    disk: Key | None
    line: Line


def tree_made_of(scene: Scene) -> object:
    """All that the rows depend on."""
    snapshot = scene.snapshot
    return (
        snapshot.domid,
        snapshot.domains,
        [(disk.key, disk.backend_state, disk.health.severity) for disk in snapshot.disks],
        [(disk.key, disk.backend_state, disk.health.severity) for disk in snapshot.foreign],
    )


def tree_nodes(scene: Scene) -> list[Node]:
    """The rows of the tree.  A disk of a domain nobody lists any more keeps its place under the domain's number."""
    snapshot = scene.snapshot
    names = {domain.domid: domain.name for domain in snapshot.domains}
    by_domain: dict[int, list[DiskView]] = {}
    for disk in sorted((disk for disk in scene.disks if disk.domid >= 0), key=lambda disk: disk.key):
        names.setdefault(disk.domid, disk.domain)
        by_domain.setdefault(disk.domid, []).append(disk)
    here = snapshot.domid
    nodes = [Node(here, None, _here(here, names.pop(here, ""))), *_branch(by_domain.get(here, []))]
    for domid in sorted(names):
        disks = by_domain.get(domid, [])
        nodes += [Node(domid, None, _domain(DomainView(domid, names[domid]), disks)), *_branch(disks)]
    return nodes


def _branch(disks: list[DiskView]) -> list[Node]:
    """The disks of one domain."""
    return [
        Node(disk.domid, disk.key, _disk(disk.vdev, disk.health.severity, disk.backend_state, disk is disks[-1]))
        for disk in disks
    ]


def _here(domid: int, name: str) -> Line:
    return (("◆ ", "title"), (f"{domid} {clean(name) or 'this domain'}", "title"), ("  here", "muted"))


def _domain(domain: DomainView, disks: list[DiskView]) -> Line:
    worst = any(disk.health.unwell for disk in disks)
    count = "no disk" if not disks else "1 disk" if len(disks) == 1 else f"{len(disks)} disks"
    return (
        ("▾ " if disks else "  ", "warning" if worst else "muted"),
        (f"{domain.domid} {clean(domain.name)}", "bold" if disks else ""),
        (f"  {count}", "faint"),
    )


@lru_cache(maxsize=1024)
def _disk(vdev: str, severity: Severity, backend: XenbusState, last: bool) -> Line:
    return (
        ("  └─ " if last else "  ├─ ", "faint"),
        (f"{SEVERITY_SYMBOL[severity]} ", SEVERITY_STYLE[severity]),
        (vdev, ""),
        (f"  {backend.word}", "muted"),
    )


class DomainTree(LineView):
    """The tree with its cursor."""

    at: reactive[int] = reactive(0, repaint=False)

    class Selected(Message):
        """The operator moved to a disk."""

        def __init__(self, key: Key) -> None:
            super().__init__()
            self.key = key

    class Entered(Message):
        """Enter or a second click on a domain."""

        def __init__(self, domid: int) -> None:
            super().__init__()
            self.domid = domid

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: list[Node] = []

    def set_nodes(self, nodes: list[Node]) -> None:
        """Show these rows; the cursor stays on what it was on."""
        was = self._node
        self._rows = nodes
        self.show([node.line for node in nodes])
        if was is not None:
            here = [i for i, node in enumerate(nodes) if (node.domid, node.disk) == (was.domid, was.disk)]
            self.set_reactive(DomainTree.at, here[0] if here else min(self.at, max(len(nodes) - 1, 0)))

    def follow(self, key: Key | None) -> None:
        """Put the cursor on a disk chosen elsewhere."""
        if key is None or ((node := self._node) is not None and node.disk == key):
            return
        for index, node in enumerate(self._rows):
            if node.disk == key:
                before = self.at
                self.set_reactive(DomainTree.at, index)
                self._show_cursor(before, index)

    @property
    def _node(self) -> Node | None:
        return self._rows[self.at] if 0 <= self.at < len(self._rows) else None

    def line_ground(self, y: int) -> str:
        if y + self.scroll_offset.y == self.at and self._rows:
            return "cursor" if self.has_focus else "cursor-away"
        return ""

    def watch_at(self, old: int, new: int) -> None:
        self._show_cursor(old, new)
        node = self._node
        if node is not None and node.disk is not None:
            self.post_message(self.Selected(node.disk))

    def _show_cursor(self, old: int, new: int) -> None:
        self.refresh_lines(old)
        self.refresh_lines(new)
        top, page = self.scroll_offset.y, max(self.size.height, 1)
        if new < top:
            self.scroll_to(y=new, animate=False)
        elif new >= top + page:
            self.scroll_to(y=new - page + 1, animate=False)

    def _move_to(self, at: int) -> None:
        self.at = max(0, min(at, len(self._rows) - 1))

    def action_cursor_up(self) -> None:
        self._move_to(self.at - 1)

    def action_cursor_down(self) -> None:
        self._move_to(self.at + 1)

    def action_page_up(self) -> None:
        self._move_to(self.at - max(self.size.height - 1, 1))

    def action_page_down(self) -> None:
        self._move_to(self.at + max(self.size.height - 1, 1))

    def action_first(self) -> None:
        self._move_to(0)

    def action_last(self) -> None:
        self._move_to(len(self._rows) - 1)

    def action_choose(self) -> None:
        node = self._node
        if node is None:
            return
        if node.disk is not None:
            self.post_message(self.Selected(node.disk))
        else:
            self.post_message(self.Entered(node.domid))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or not 0 <= (index := offset.y + self.scroll_offset.y) < len(self._rows):
            return
        if index == self.at:
            self.action_choose()
        else:
            self._move_to(index)

    def on_focus(self) -> None:
        self.refresh_lines(self.at)

    def on_blur(self) -> None:
        self.refresh_lines(self.at)
