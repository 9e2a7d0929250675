# SPDX-License-Identifier: MIT
"""What is different between two snapshots, field by field, disks matched by their key."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from usblkback_tui.engine.snapshot import Snapshot

Key = tuple[int, int]

_ALWAYS = frozenset({"time", "monotonic"})
"""Fields of a snapshot that differ in any two."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One field that has another value."""

    disk: Key | None
    """Whose; None for what concerns the whole engine."""
    path: str
    """``frontend_state``, ``rings[0].req_prod``; empty when the disk came (no ``old``) or went (no ``new``)."""
    old: Any
    new: Any


def changes(old: Snapshot, new: Snapshot) -> tuple[Changed, ...]:
    """Everything but the time: the engine's fields, then disk by disk in the order of their keys."""
    found = [
        Changed(None, name, was, now)
        for name, was, now in _fields(old, new)
        if name not in _ALWAYS and name != "disks" and was != now
    ]
    before = {disk.key: disk for disk in old.disks}
    after = {disk.key: disk for disk in new.disks}
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        if was is None or now is None:
            found.append(Changed(key, "", was, now))
        elif was is not now:
            found += (Changed(key, *difference) for difference in _differences("", was, now))
    return tuple(found)


def _fields(old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    for field in dataclasses.fields(old):
        yield field.name, getattr(old, field.name), getattr(new, field.name)


def _differences(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Down to fields that are no dataclass, and into tuples of them that have the same length."""
    if old is new or old == new:
        return
    if dataclasses.is_dataclass(old) and type(old) is type(new):
        for name, was, now in _fields(old, new):
            yield from _differences(f"{path}.{name}" if path else name, was, now)
    elif _alike(old) and _alike(new) and len(old) == len(new):
        for index, (was, now) in enumerate(zip(old, new, strict=True)):
            yield from _differences(f"{path}[{index}]", was, now)
    else:
        yield path, old, new


def _alike(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and dataclasses.is_dataclass(value[0])
