# SPDX-License-Identifier: MIT
"""What changed between two frozen dataclasses of one type, as JSON, and the newer one back from the older and that.

Driven by the types of the fields, so a field that is added later is taken along:

    dataclass             {"field": change, ...}          only fields that changed
    int                   what was added to it
    tuple of int          [index, added, index, added, ...], ascending; {"all": [...]} when the length changed
    tuple of others       {"drop": n, "at": [[index, change], ...], "len": n, "add": [...]}, each where it applies:
                          taken off the front; elements that changed, counted after that; how many are left of the
                          rest; put at the end
    everything else       the new value, as the control socket's codec writes it

An unchanged value keeps its identity when it is put together again, so a row of snapshots shares most of what it holds.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar

from usblkback_tui.engine.control.codec import CodecError, decode, encode

T = TypeVar("T")

MAX_COUNTS = 4096
"""Whole numbers in a tuple of them that a change may touch: a histogram has 160."""


def diff(old: T, new: T) -> dict[str, Any]:
    """What makes ``new`` of ``old``, a dataclass of the same type; empty when they are equal."""
    changes = _differ(typing.cast(Any, type(old)))(old, new)
    assert isinstance(changes, dict)
    return changes


def apply(old: T, change: Any) -> T:
    """The value that ``change`` makes of ``old``.  Raises CodecError; fields that are unknown here are passed over."""
    return typing.cast(T, _patcher(typing.cast(Any, type(old)))(old, change, ""))


Differ = Callable[[Any, Any], Any]
Patcher = Callable[[Any, Any, str], Any]
"""(old value, its change, the field it is in) to the new value."""
Getter = Callable[[Any], tuple[Any, ...]]


def _element(kind: Any) -> Any:
    """``X`` of ``tuple[X, ...]``, else None."""
    args = typing.get_args(kind) if typing.get_origin(kind) is tuple else ()
    return args[0] if len(args) == 2 and args[1] is Ellipsis else None


def _members(kind: type[Any]) -> tuple[tuple[str, ...], tuple[Any, ...], Getter]:
    """The fields of a dataclass: their names, their types, and what takes them all at once."""
    names = tuple(field.name for field in dataclasses.fields(kind))
    hints = typing.get_type_hints(kind)
    if len(names) == 1:
        (only,) = names
        return names, (hints[only],), lambda value: (getattr(value, only),)
    getter: Getter = attrgetter(*names) if names else lambda value: ()
    return names, tuple(hints[name] for name in names), getter


# old and new to a change ----------------------------------------------------------------------------------------------


@functools.cache
def _differ(kind: Any) -> Differ:
    """For two values that are not equal, unless it is a dataclass's."""
    if dataclasses.is_dataclass(kind):
        return _object_differ(typing.cast(type, kind))
    if kind is int:
        return lambda old, new: new - old
    element = _element(kind)
    if element is int:
        return _counts_differ
    return _array_differ(_differ(element)) if element else lambda old, new: encode(new)


def _object_differ(kind: type) -> Differ:
    names, types, getter = _members(kind)
    differs = tuple(map(_differ, types))

    def differ(old: Any, new: Any) -> dict[str, Any]:
        return {
            name: one(was, now)
            for name, one, was, now in zip(names, differs, getter(old), getter(new), strict=True)
            if was is not now and was != now
        }

    return differ


def _counts_differ(old: tuple[int, ...], new: tuple[int, ...]) -> Any:
    if len(old) != len(new) or len(new) > MAX_COUNTS:
        return {"all": list(new)}
    change: list[int] = []
    for index, (was, now) in enumerate(zip(old, new, strict=True)):
        if was != now:
            change += (index, now - was)
    return change


def _array_differ(element: Differ) -> Differ:
    def differ(old: tuple[Any, ...], new: tuple[Any, ...]) -> dict[str, Any]:
        drop = _dropped(old, new)
        left = old[drop:]
        changed = [
            [index, element(was, now)]
            for index, (was, now) in enumerate(zip(left, new, strict=False))
            if was is not now and was != now
        ]
        change: dict[str, Any] = {"drop": drop} if drop else {}
        if changed:
            change["at"] = changed
        if len(new) < len(left):
            change["len"] = len(new)
        elif len(new) > len(left):
            change["add"] = encode(new[len(left) :])
        return change

    return differ


def _dropped(old: tuple[Any, ...], new: tuple[Any, ...]) -> int:
    """How many went off the front of a window that moved on; 0 when it is none."""
    if not old or not new or old[0] == new[0]:
        return 0
    first = new[0]
    for index in range(1, len(old)):
        if old[index] == first:
            left = old[index:]
            return index if new[: len(left)] == left else 0
    return 0


# old and a change to new ----------------------------------------------------------------------------------------------


@functools.cache
def _patcher(kind: Any) -> Patcher:
    if dataclasses.is_dataclass(kind):
        return _object_patcher(typing.cast(type, kind))
    if kind is int:
        return _add
    element = _element(kind)
    if element is int:
        return _patch_counts
    return (
        _array_patcher(kind, _patcher(element)) if element else lambda _, change, path: decode(kind, change, path=path)
    )


def _add(old: int, change: Any, path: str) -> int:
    if type(change) is not int:
        raise CodecError(path, f"has {_short(change)} added, which is no whole number")
    return old + change


def _object_patcher(kind: type) -> Patcher:
    names, types, getter = _members(kind)
    patchers = dict(zip(names, map(_patcher, types), strict=True))

    def patch(old: Any, change: Any, path: str) -> Any:
        if not isinstance(change, dict):
            raise CodecError(path, "is not an object")
        if not change:
            return old
        values = dict(zip(names, getter(old), strict=True))
        for name, part in change.items():
            patcher = patchers.get(name)
            if patcher is not None:
                values[name] = patcher(values[name], part, name)
        return kind(**values)

    return patch


def _patch_counts(old: tuple[int, ...], change: Any, path: str) -> tuple[int, ...]:
    if isinstance(change, dict):
        return decode(tuple[int, ...], change.get("all"), path=path)
    if not isinstance(change, list) or len(change) % 2 or not set(map(type, change)) <= {int}:
        raise CodecError(path, "is no list of places and what was added there")
    if len(old) > MAX_COUNTS:
        raise CodecError(path, f"changes one of more than {MAX_COUNTS} numbers")
    counts = list(old)
    before = -1
    for index, added in zip(change[::2], change[1::2], strict=True):
        if not before < index < len(counts):
            raise CodecError(path, f"changes number {index} of {len(counts)}")
        counts[index] += added
        before = index
    return tuple(counts)


def _array_patcher(kind: Any, element: Patcher) -> Patcher:
    def patch(old: tuple[Any, ...], change: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(change, dict):
            raise CodecError(path, "is not an object")
        drop = _whole(change.get("drop", 0), path)
        if not 0 <= drop <= len(old):
            raise CodecError(path, f"drops {drop} of {len(old)}")
        values = list(old[drop:])
        at = change.get("at", [])
        if not isinstance(at, list):
            raise CodecError(path, "has no list of changes")
        before = -1
        for pair in at:
            if not isinstance(pair, list) or len(pair) != 2:
                raise CodecError(path, "has a change without a place")
            index = _whole(pair[0], path)
            if not before < index < len(values):
                raise CodecError(path, f"changes element {index} of {len(values)}")
            values[index] = element(values[index], pair[1], path)
            before = index
        length = _whole(change.get("len", len(values)), path)
        if not 0 <= length <= len(values):
            raise CodecError(path, f"leaves {length} of {len(values)}")
        del values[length:]
        return (*values, *decode(kind, change.get("add", []), path=path))

    return patch


def _whole(data: Any, path: str) -> int:
    if type(data) is not int:
        raise CodecError(path, f"is {_short(data)}, not a whole number")
    return data


def _short(data: Any) -> str:
    return f"{str(data)[:20]!r}"
