# SPDX-License-Identifier: MIT
"""Takes out of frames what a stranger should not read: where images lie, and what domains are called if that is wanted.

Each path becomes ``image-N`` and each name ``domain-N``, the same everywhere in a recording.  Paths are known from the
disks; in sentences and xenstore values whatever looks like a path is taken out too, so an image that could not be
attached does not show either.  xenstore's own paths stay.  When a path cannot be told from the words after it, both go.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, TypeVar

from usblkback_tui.engine.recording.frame import Frame
from usblkback_tui.engine.snapshot import DiskView, ForeignDisk, PendingAttach, Snapshot

T = TypeVar("T")

_REMEMBERED = 8192
"""Texts whose outcome is kept; most of them are the same in every frame."""
_NAME_FIELDS = frozenset({"domain", "name", "value"})
"""Fields that may hold a domain's name and nothing else."""
_SHORTEST_TAIL = 5
"""Letters of a file's name from which on it is looked for without its folder."""

_PATH = re.compile(
    r"""
    (?<![\w./-])                                # not inside of a word, as in r/s
    (?:[a-z][a-z0-9+.-]*:/)?                    # nbd://host/export
    /(?!(?:local|vm|libxl|tool|dev/xen)(?:/|\b))[^\s/;,()'"]
    .*?
    (?=                                         # up to the words our sentences go on with
        $ | ['"\n;] | :\s | :$ | \s\(
        | \s(?:is|are|was|has|does|cannot|could|looks|already)\b
    )
    """,
    re.VERBOSE,
)
_PUBLIC = frozenset({"Domain-0", ""})


class Redactor:
    """Redacts the frames of one recording, in order."""

    def __init__(self, *, names: bool = False) -> None:
        self._names = names
        self._images: dict[str, str] = {}
        self._domains: dict[str, str] = {}
        self._known: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = []
        self._outcome: dict[str, str] = {}

    @property
    def what(self) -> tuple[str, ...]:
        """What it takes out: ``images``, ``names``."""
        return ("images", "names") if self._names else ("images",)

    def learn(self, snapshot: Snapshot) -> None:
        """Take in paths and names; :meth:`frame` does so too, but what comes later may be spoken of before."""
        before = len(self._images), len(self._domains)
        seen: tuple[DiskView | ForeignDisk | PendingAttach, ...] = snapshot.disks + snapshot.foreign + snapshot.pending
        for disk in seen:
            self._image(disk.image)
            self._domain(disk.domain)
        for domain in snapshot.domains:
            self._domain(domain.name)
        if before != (len(self._images), len(self._domains)):
            self._compile()

    def frame(self, frame: Frame) -> Frame:
        """The frame to show; equal parts of what it is given stay the same objects."""
        self.learn(frame.snapshot)
        return typing.cast(Frame, _redacted(self, frame))

    def text(self, text: str) -> str:
        """A sentence or a value to show."""
        done = self._outcome.get(text)
        if done is None:
            if len(self._outcome) >= _REMEMBERED:
                self._outcome.clear()
            done = self._outcome[text] = self._replace(text)
        return done

    def name(self, text: str) -> str:
        """The content of a field that may be a domain's name."""
        return self._domains.get(text) or self.text(text)

    def _replace(self, text: str) -> str:
        if text in self._images:
            return self._images[text]
        for pattern, instead in self._known:
            text = pattern.sub(instead, text)
        return _PATH.sub(lambda match: self._image(match[0]), text) if "/" in text else text

    def _image(self, path: str) -> str:
        if path in _PUBLIC:
            return path
        return self._images.setdefault(path, f"image-{len(self._images) + 1}")

    def _domain(self, name: str) -> None:
        if self._names and name not in _PUBLIC:
            self._domains.setdefault(name, f"domain-{len(self._domains) + 1}")

    def _compile(self) -> None:
        """What is known by heart, the longest first: one may begin like another."""
        self._outcome.clear()
        tails = {
            tail: label for path, label in self._images.items() if len(tail := PurePath(path).name) >= _SHORTEST_TAIL
        }
        self._known = []
        for words, edge in ((self._images, ""), (tails, r"[\w./-]")):
            if words:
                self._known.append(_any_of(words, edge))
        # A number is a domid, a port or a size more often than it is somebody's name.
        if names := {name: label for name, label in self._domains.items() if not name.isdecimal()}:
            self._known.append(_any_of(names, r"[\w-]", sentences=True))


def _any_of(
    words: dict[str, str], edge: str, *, sentences: bool = False
) -> tuple[re.Pattern[str], Callable[[re.Match[str]], str]]:
    """Finds any of ``words`` with no ``edge`` beside it; only in ``sentences``, which have more than one word."""
    before, after = (f"(?<!{edge})", f"(?!{edge})") if edge else ("", "")
    whole = r"(?!\A\S*\Z)" if sentences else ""
    body = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    return re.compile(f"{whole}{before}(?:{body}){after}"), lambda match: words[match[0]]


# the walk -------------------------------------------------------------------------------------------------------------

_Walk = Callable[[Redactor, Any], Any]


def _redacted(redactor: Redactor, value: Any) -> Any:
    walk = _walk(typing.cast(Any, type(value)))
    return walk(redactor, value) if walk else value


@functools.cache
def _walk(kind: Any, name: str = "") -> _Walk | None:
    """What redacts a value of a type, found in a field called ``name``; None where there is no text in it."""
    if dataclasses.is_dataclass(kind):
        return _object_walk(typing.cast(type, kind))
    if typing.get_origin(kind) is tuple:
        return _tuple_walk(typing.get_args(kind), name)
    if isinstance(kind, types.UnionType):
        inner = _walk(next(one for one in typing.get_args(kind) if one is not type(None)), name)
        return (lambda redactor, value: None if value is None else inner(redactor, value)) if inner else None
    if kind is str:
        return Redactor.name if name in _NAME_FIELDS else Redactor.text
    return None


def _object_walk(kind: type) -> _Walk | None:
    hints = typing.get_type_hints(kind)
    members = [(field.name, _walk(hints[field.name], field.name)) for field in dataclasses.fields(kind)]
    walks = [(name, walk) for name, walk in members if walk is not None]
    if not walks:
        return None

    def walk_object(redactor: Redactor, value: Any) -> Any:
        changed = {}
        for name, walk in walks:
            was = getattr(value, name)
            now = walk(redactor, was)
            if now is not was:
                changed[name] = now
        return dataclasses.replace(value, **changed) if changed else value

    return walk_object


def _tuple_walk(args: tuple[Any, ...], name: str) -> _Walk | None:
    element = _walk(args[0], name)
    if len(args) != 2 or args[1] is not Ellipsis:
        walks = [_walk(arg, name) for arg in args]
        if not any(walks):
            return None
        return lambda redactor, value: tuple(
            walk(redactor, one) if walk else one for walk, one in zip(walks, value, strict=True)
        )
    if element is None:
        return None

    def walk_tuple(redactor: Redactor, value: Any) -> Any:
        walked = tuple([element(redactor, one) for one in value])
        return value if all(map(_same, walked, value)) else walked

    return walk_tuple


def _same(one: object, other: object) -> bool:
    return one is other
