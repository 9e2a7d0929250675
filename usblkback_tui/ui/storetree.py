# SPDX-License-Identifier: MIT
"""The keys of xenstore as a tree that is read where it is opened.  No widgets.

A key whose value changed since it was last read is lit for a while; one that is new too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from usblkback_tui.engine.inspection import StoreNode
from usblkback_tui.ui.text import Line, Span, clean, fit

LIT_SECONDS = 4.0
ROOT = "/"


@dataclass(frozen=True, slots=True)
class StoreRow:
    """One line of the tree."""

    path: str
    depth: int
    node: StoreNode | None
    """None until it was read."""
    opened: bool
    lit: bool

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1] or "/"


class StoreTree:
    """What was read and what is opened."""

    def __init__(self) -> None:
        self._nodes: dict[str, StoreNode] = {}
        self._opened: set[str] = {ROOT, "/local", "/local/domain"}
        self._changed: dict[str, float] = {}
        """When a key was last seen to change."""
        self._errors: dict[str, str] = {}

    def node(self, path: str) -> StoreNode | None:
        """What was last read there."""
        return self._nodes.get(path)

    def error(self, path: str) -> str:
        """Why it could not be read."""
        return self._errors.get(path, "")

    def is_open(self, path: str) -> bool:
        """Whether what is below it is shown."""
        return path in self._opened

    def open(self, path: str) -> None:
        """Show what is below a key, and everything on the way to it."""
        while True:
            self._opened.add(path)
            if path == ROOT:
                return
            path = parent(path)

    def close(self, path: str) -> None:
        """Hide what is below it."""
        self._opened.discard(path)

    @property
    def opened(self) -> frozenset[str]:
        """The keys of which what is below them is shown."""
        return frozenset(self._opened)

    def take(self, nodes: list[StoreNode], errors: dict[str, str], now: float) -> None:
        """What was read, and what could not be."""
        for node in nodes:
            before = self._nodes.get(node.path)
            if before is not None and before.value != node.value:
                self._changed[node.path] = now
            if before is not None:
                for name in set(node.children) - set(before.children):
                    self._changed[child(node.path, name)] = now
            self._nodes[node.path] = node
            self._errors.pop(node.path, None)
        for path, sentence in errors.items():
            self._errors[path] = sentence
            self._nodes.pop(path, None)
        self._changed = {path: when for path, when in self._changed.items() if now - when < LIT_SECONDS}

    def rows(self, now: float, pattern: str = "") -> list[StoreRow]:
        """The lines in order.  With a pattern: the keys whose path or value it is found in, and the way to them."""
        rows: list[StoreRow] = []
        self._add(ROOT, 0, now, rows)
        return rows if not pattern else _matching(rows, pattern)

    def _add(self, path: str, depth: int, now: float, rows: list[StoreRow]) -> None:
        node = self._nodes.get(path)
        when = self._changed.get(path)
        opened = path in self._opened
        rows.append(StoreRow(path, depth, node, opened, when is not None and now - when < LIT_SECONDS))
        if node is not None and opened:
            for name in node.children:
                self._add(child(path, name), depth + 1, now, rows)


def child(path: str, name: str) -> str:
    """A path below another."""
    return f"/{name}" if path == ROOT else f"{path}/{name}"


def parent(path: str) -> str:
    """The path above another; the root's is itself."""
    return path.rsplit("/", 1)[0] or ROOT


def _matching(rows: list[StoreRow], pattern: str) -> list[StoreRow]:
    try:
        look = re.compile(pattern, re.IGNORECASE)
    except re.error:
        look = re.compile(re.escape(pattern), re.IGNORECASE)
    kept: set[str] = set()
    for row in rows:
        if look.search(row.name) or (row.node is not None and look.search(row.node.value)):
            path = row.path
            while path not in kept:
                kept.add(path)
                path = parent(path)
    return [row for row in rows if row.path in kept]


def store_line(row: StoreRow, width: int) -> Line:
    """One key: its name and value, lit when it has just changed."""
    has_children = row.node is None or bool(row.node.children)
    arrow = ("▾ " if row.opened else "▸ ") if has_children and row.node is not None else "  "
    name = "  " * row.depth + arrow + clean(row.name)
    column = max(34, min(width // 2, 60))
    value = "" if row.node is None else clean(row.node.value)
    style = "fresh" if row.lit else "" if has_children else "bold"
    spans: list[Span] = [(fit(name, column) if value else name, style)]
    if value:
        room = max(width - column - 1, 4)
        spans += [(" ", ""), (fit(value, room).rstrip(), "fresh" if row.lit else "good")]
    elif row.node is not None and row.node.children and not row.opened:
        spans.append((f"  {len(row.node.children)}", "faint"))
    return tuple(spans)


def node_lines(path: str, node: StoreNode | None, error: str) -> list[Line]:
    """One key in full: path, value, who may do what."""
    lines: list[Line] = [(("path      ", "muted"), (clean(path), "bold"))]
    if node is None:
        lines.append((("", ""), (error or "not read yet", "error" if error else "muted")))
        return lines
    shown = clean(node.value) or "(empty)"
    lines.append((("value     ", "muted"), (shown, "good" if node.value else "faint")))
    if not node.is_text:
        lines.append((("          ", ""), ("not text: it cannot be edited here", "muted")))
    lines.append((("owner     ", "muted"), (f"domain {node.owner}", ""), ("  may do everything", "faint")))
    lines.append((("others    ", "muted"), (_ACCESS.get(node.others, node.others), "")))
    lines += [
        ((f"domain {one.domid:<3}", "muted"), (_ACCESS.get(one.access, one.access), "")) for one in node.permissions
    ]
    lines.append((("children  ", "muted"), (str(len(node.children)), "")))
    return lines


_ACCESS = {"n": "nothing", "r": "read", "w": "write", "b": "read and write"}
