# SPDX-License-Identifier: MIT
"""The store: a tree of small values with owners, readers, watches and atomic commits, as xenstored keeps it.

Every operation is done for a domain and refused as xenstored refuses it: EACCES, ENOENT, EINVAL, ENOSPC for a quota.
Domain 0 may do everything.  Source: xen/docs/misc/xenstore.txt, xen/tools/xenstored/core.c.
"""

from __future__ import annotations

import errno
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from usblkback_tui.engine.host.seam import Commit, Conflict, Expect, HostError, Put, Remove

MAX_VALUE = 2048
"""Bytes in a value a guest may write."""
MAX_NODES = 1000
"""Nodes a guest may own."""
MAX_WATCHES = 128
"""Watches a guest may hold."""
MAX_PATH = 3072
"""Characters in an absolute path."""
INTRODUCE, RELEASE = "@introduceDomain", "@releaseDomain"

_PATH = re.compile(r"(/|(/[0-9A-Za-z\-_@]+)+)")

Perms = tuple[tuple[int, str], ...]
"""``((owner, default), (domid, letter), ...)``; letters are n, r, w, b as in xenstore."""


class StoreError(HostError):
    """The store refused; ``errno`` says as what xenstored would have."""

    def __init__(self, number: int, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"store refused {path}: {why}", errno=number)


@dataclass(slots=True)
class _Node:
    perms: Perms
    value: bytes = b""
    children: dict[str, _Node] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Watch:
    path: str
    token: str
    prefix: str
    """Cut from reported paths, for a watch that was set with a relative path."""


@dataclass(frozen=True, slots=True)
class _Change:
    path: str
    perms: Perms
    below: bool
    """Also seen by watches above ``path``; a removed child is only seen by watches on itself."""


Deliver = Callable[[str, str], None]
"""Called with (path, token) under the store's lock: hand it on, do not call the store."""


def may(domid: int, perms: Perms, letter: str) -> bool:
    """Whether ``domid`` may read (``r``) or write (``w``) a node with these permissions."""
    if domid in (0, perms[0][0]):
        return True
    given = next((have for who, have in perms[1:] if who == domid), perms[0][1])
    return given == "b" or given == letter


class Store:
    """The tree.  Any thread may use it; an operation is atomic."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._root = _Node(((0, "n"),))
        self._owned: dict[int, int] = {}
        self._connections: list[Connection] = []

    def connect(self, domid: int, deliver: Deliver) -> Connection:
        """A door for one domain; its watches go to ``deliver``."""
        connection = Connection(self, domid, deliver)
        with self.lock:
            self._connections.append(connection)
        return connection

    def fire(self, special: str) -> None:
        """Tell domain 0's watchers of ``@introduceDomain`` or ``@releaseDomain``."""
        with self.lock:
            self._announce([_Change(special, ((0, "n"),), below=False)])

    def dump(self, path: str = "/") -> dict[str, str]:
        """Every path at and below ``path`` with its value, for people and for tests."""
        with self.lock:
            top = self._find(path)
            return {name: node.value.decode(errors="replace") for name, node in _walk(path, top)} if top else {}

    # What a connection does, with the lock held ---------------------------------------------------------------------

    def _find(self, path: str) -> _Node | None:
        node = self._root
        for name in _names(path):
            child = node.children.get(name)
            if child is None:
                return None
            node = child
        return node

    def _get(self, domid: int, path: str, letter: str) -> _Node:
        """The node at ``path``.  A missing one is ENOENT only to who may use the nearest node above it."""
        node = self._root
        for name in _names(path):
            child = node.children.get(name)
            if child is None:
                if may(domid, node.perms, letter):
                    raise StoreError(errno.ENOENT, path, "no such key")
                break
            node = child
        if not may(domid, node.perms, letter):
            raise StoreError(errno.EACCES, path, f"domain {domid} may not {'read' if letter == 'r' else 'write'} it")
        return node

    def _commit(self, domid: int, changes: Commit) -> None:
        undo: list[Callable[[], None]] = []
        seen: list[_Change] = []
        try:
            for change in changes:
                _check_path(change.path)
                match change:
                    case Expect():
                        if (self._find(change.path) is not None) != change.present:
                            what = "does not exist" if change.present else "exists already"
                            raise Conflict(change.path, f"{change.path} {what}")
                    case Put():
                        self._put(domid, change, undo, seen)
                    case Remove():
                        self._remove(domid, change.path, undo, seen)
        except HostError:
            for step in reversed(undo):
                step()
            raise
        self._announce(seen)

    def _put(self, domid: int, put: Put, undo: list[Callable[[], None]], seen: list[_Change]) -> None:
        value = put.value.encode(errors="surrogateescape")
        if domid and len(value) > MAX_VALUE:
            raise StoreError(errno.ENOSPC, put.path, f"{len(value)} bytes are more than {MAX_VALUE}")
        try:
            node = self._get(domid, put.path, "w")
        except StoreError as error:
            if error.errno != errno.ENOENT:
                raise
            node = self._create(domid, put.path, undo)
        old_value, old_perms = node.value, node.perms
        undo.append(lambda: self._restore(node, old_value, old_perms))
        node.value = value
        if put.owner is not None:
            if domid and domid != node.perms[0][0]:
                raise StoreError(errno.EACCES, put.path, f"domain {domid} does not own it")
            if domid and put.owner != domid:
                raise StoreError(errno.EPERM, put.path, f"domain {domid} may not give it away")
            self._own(node.perms[0][0], -1)
            node.perms = ((put.owner, "n"), *((reader, "r") for reader in put.readers))
            self._own(put.owner, 1)
        seen.append(_Change(put.path, node.perms, below=True))

    def _create(self, domid: int, path: str, undo: list[Callable[[], None]]) -> _Node:
        """Make ``path`` and what is missing above it.  Children inherit permissions; a guest owns what it makes."""
        node = self._root
        for name in _names(path):
            child = node.children.get(name)
            if child is None:
                perms = node.perms if not domid else ((domid, node.perms[0][1]), *node.perms[1:])
                if domid and self._owned.get(domid, 0) >= MAX_NODES:
                    raise StoreError(errno.ENOSPC, path, f"domain {domid} owns {MAX_NODES} keys already")
                child = _Node(perms)
                node.children[name] = child
                self._own(perms[0][0], 1)
                undo.append(lambda parent=node, name=name: self._drop(parent, name))  # type: ignore[misc]
            node = child
        return node

    def _remove(self, domid: int, path: str, undo: list[Callable[[], None]], seen: list[_Change]) -> None:
        names = _names(path)
        if not names:
            raise StoreError(errno.EINVAL, path, "the root stays")
        try:
            node = self._get(domid, path, "w")
        except StoreError as error:
            if error.errno != errno.ENOENT:
                raise
            return
        parent = self._find(path.rpartition("/")[0] or "/")
        assert parent is not None, "a node has a parent"
        seen.append(_Change(path, node.perms, below=True))
        seen += [_Change(name, below.perms, below=False) for name, below in _walk(path, node) if below is not node]
        self._drop(parent, names[-1])
        undo.append(lambda: self._attach(parent, names[-1], node))

    def _drop(self, parent: _Node, name: str) -> None:
        for _, node in _walk("/", parent.children.pop(name)):
            self._own(node.perms[0][0], -1)

    def _attach(self, parent: _Node, name: str, node: _Node) -> None:
        parent.children[name] = node
        for _, below in _walk("/", node):
            self._own(below.perms[0][0], 1)

    def _restore(self, node: _Node, value: bytes, perms: Perms) -> None:
        self._own(node.perms[0][0], -1)
        node.value, node.perms = value, perms
        self._own(perms[0][0], 1)

    def _own(self, domid: int, more: int) -> None:
        self._owned[domid] = self._owned.get(domid, 0) + more

    def _announce(self, changes: Iterable[_Change]) -> None:
        for change in changes:
            for connection in self._connections:
                connection._see(change)


class Connection:
    """One domain's door to the store.  Paths without a leading ``/`` are below ``/local/domain/<domid>/``."""

    def __init__(self, store: Store, domid: int, deliver: Deliver) -> None:
        self.domid = domid
        self._store = store
        self._deliver = deliver
        self._watches: dict[tuple[str, str], _Watch] = {}

    def close(self) -> None:
        """End all watches; idempotent."""
        with self._store.lock:
            self._watches.clear()
            if self in self._store._connections:
                self._store._connections.remove(self)

    def path(self, path: str) -> str:
        """The absolute path.  Raises StoreError for what is no path."""
        full = path if path.startswith("/") else f"/local/domain/{self.domid}/{path}"
        _check_path(full)
        return full

    def read(self, path: str) -> bytes:
        """A value.  Raises StoreError."""
        full = self.path(path)
        with self._store.lock:
            return self._store._get(self.domid, full, "r").value

    def list(self, path: str) -> tuple[str, ...]:
        """The children's names.  Raises StoreError."""
        full = self.path(path)
        with self._store.lock:
            return tuple(self._store._get(self.domid, full, "r").children)

    def permissions(self, path: str) -> Perms:
        """Who may do what.  Raises StoreError."""
        full = self.path(path)
        with self._store.lock:
            return self._store._get(self.domid, full, "r").perms

    def commit(self, changes: Commit) -> None:
        """All of it or nothing; watches fire afterwards.  Raises StoreError or Conflict."""
        with self._store.lock:
            self._store._commit(self.domid, [self._absolute(change) for change in changes])

    def _absolute(self, change: Put | Remove | Expect) -> Put | Remove | Expect:
        match change:
            case Put():
                return Put(self.path(change.path), change.value, change.owner, change.readers)
            case Remove():
                return Remove(self.path(change.path))
            case Expect():
                return Expect(self.path(change.path), change.present)

    def watch(self, path: str, token: str) -> None:
        """See changes at and below ``path``; fires once at once.  Raises StoreError, EEXIST for a second one."""
        special = path in (INTRODUCE, RELEASE)
        if special and self.domid:
            raise StoreError(errno.EACCES, path, f"domain {self.domid} may not watch it")
        full = path if special else self.path(path)
        with self._store.lock:
            if (full, token) in self._watches:
                raise StoreError(errno.EEXIST, path, "it is watched with this token already")
            if self.domid and len(self._watches) >= MAX_WATCHES:
                raise StoreError(errno.ENOSPC, path, f"domain {self.domid} has {MAX_WATCHES} watches already")
            relative = not special and not path.startswith("/")
            self._watches[full, token] = _Watch(full, token, full.removesuffix(path) if relative else "")
            self._deliver(path, token)

    def unwatch(self, path: str, token: str) -> None:
        """End a watch.  Raises StoreError, ENOENT for an unknown one."""
        full = path if path.startswith("@") else self.path(path)
        with self._store.lock:
            if self._watches.pop((full, token), None) is None:
                raise StoreError(errno.ENOENT, path, "it is not watched with this token")

    def _see(self, change: _Change) -> None:
        if not may(self.domid, change.perms, "r"):
            return
        for watch in tuple(self._watches.values()):
            above = change.below and (change.path.startswith(watch.path.rstrip("/") + "/"))
            if above or change.path == watch.path:
                self._deliver(change.path.removeprefix(watch.prefix), watch.token)


def _check_path(path: str) -> None:
    if len(path) > MAX_PATH or not _PATH.fullmatch(path):
        raise StoreError(errno.EINVAL, path, "it is not a store path")


def _names(path: str) -> list[str]:
    return [] if path == "/" else path[1:].split("/")


def _walk(path: str, node: _Node) -> Iterator[tuple[str, _Node]]:
    yield path, node
    for name, child in node.children.items():
        yield from _walk(f"{path.rstrip('/')}/{name}", child)
