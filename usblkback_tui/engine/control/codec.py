# SPDX-License-Identifier: MIT
"""Frozen dataclasses to plain JSON values and back, driven by their types.

A dataclass is an object of its fields, a tuple an array, an Enum its value and an XenbusState its word (``InitWait``).
Members that are missing take the field's default and unknown ones are passed over, so that two versions of the program
can talk as long as the required fields agree; ``strict`` refuses unknown members.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from usblkback_tui.protocol.states import XenbusState

T = TypeVar("T")

_EXACT = 2**53
"""Whole numbers up to this one are the same as a float."""


class CodecError(ValueError):
    """The data does not fit the type.  ``path`` is where, dotted; ``str()`` is the sentence."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        super().__init__(f"{path or 'the value'} {problem}")


def encode(value: Any) -> Any:
    """What ``json.dumps`` takes."""
    if isinstance(value, tuple):
        return [encode(one) for one in value]
    kind = type(value)
    encoder = _encoder(kind) if dataclasses.is_dataclass(kind) or issubclass(kind, Enum) else None
    return encoder(value) if encoder else value


def decode(kind: type[T], data: Any, *, strict: bool = False, path: str = "") -> T:
    """A ``kind`` of what ``json.loads`` gave, which stands at ``path`` of something larger.  Raises CodecError."""
    return typing.cast(T, _decoder(typing.cast(Any, kind), strict)(data, path))


Decoder = Callable[[Any, str], Any]


Encoder = Callable[[Any], Any]


@functools.cache
def _encoder(kind: Any) -> Encoder | None:
    """What makes JSON of a value of a field's type; None where it is JSON already."""
    if dataclasses.is_dataclass(kind):
        return _object_encoder(typing.cast(type, kind))
    if typing.get_origin(kind) is tuple:
        return _array_encoder(typing.get_args(kind))
    if isinstance(kind, types.UnionType):
        inner = _encoder(next(one for one in typing.get_args(kind) if one is not type(None)))
        return (lambda value: None if value is None else inner(value)) if inner else None
    if kind is XenbusState:
        return lambda value: value.word
    return (lambda value: value.value) if issubclass(kind, Enum) else None


def _object_encoder(kind: type) -> Encoder:
    hints = typing.get_type_hints(kind)
    members = [(field.name, _encoder(hints[field.name])) for field in dataclasses.fields(kind)]
    plain = [name for name, encoder in members if encoder is None]
    others = [(name, encoder) for name, encoder in members if encoder is not None]

    def object_of(value: Any) -> Any:
        data = {name: getattr(value, name) for name in plain}
        for name, encoder in others:
            data[name] = encoder(getattr(value, name))
        return data

    return object_of


def _array_encoder(args: tuple[Any, ...]) -> Encoder:
    if len(args) == 2 and args[1] is Ellipsis:
        element = _encoder(args[0])
        return (lambda value: [element(one) for one in value]) if element else list
    return encode


@functools.cache
def _decoder(kind: Any, strict: bool) -> Decoder:
    if dataclasses.is_dataclass(kind):
        return _object(typing.cast(type, kind), strict)
    if typing.get_origin(kind) is tuple:
        return _array(typing.get_args(kind), strict)
    if isinstance(kind, types.UnionType):
        inner = _decoder(next(one for one in typing.get_args(kind) if one is not type(None)), strict)
        return lambda data, path: None if data is None else inner(data, path)
    if kind is XenbusState:
        return _enum(XenbusState.from_word)
    if issubclass(kind, Enum):
        return _enum(kind)
    return _plain(kind)


def _object(kind: type, strict: bool) -> Decoder:
    hints = typing.get_type_hints(kind)
    members = {field.name: _decoder(hints[field.name], strict) for field in dataclasses.fields(kind)}
    required = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]

    def object_of(data: Any, path: str) -> Any:
        if not isinstance(data, dict):
            raise CodecError(path, "is not an object")
        values = {}
        for name, value in data.items():
            where = f"{path}.{name}" if path else name
            member = members.get(name)
            if member is not None:
                values[name] = member(value, where)
            elif strict:
                raise CodecError(where, "is unknown")
        for name in required:
            if name not in values:
                raise CodecError(f"{path}.{name}" if path else name, "is missing")
        return kind(**values)

    return object_of


def _array(args: tuple[Any, ...], strict: bool) -> Decoder:
    if len(args) == 2 and args[1] is Ellipsis:
        element = _decoder(args[0], strict)

        def array_of(data: Any, path: str) -> Any:
            if not isinstance(data, list):
                raise CodecError(path, "is not an array")
            return tuple([element(one, f"{path}[{index}]") for index, one in enumerate(data)])

        return _integers(array_of) if args[0] is int else array_of
    elements = [_decoder(arg, strict) for arg in args]

    def tuple_of(data: Any, path: str) -> Any:
        if not isinstance(data, list) or len(data) != len(elements):
            raise CodecError(path, f"is not an array of {len(elements)}")
        return tuple(
            one(part, f"{path}[{index}]") for index, (one, part) in enumerate(zip(elements, data, strict=True))
        )

    return tuple_of


def _integers(otherwise: Decoder) -> Decoder:
    """Histograms are 160 whole numbers, four to a disk: take them without a path for each."""

    def integers(data: Any, path: str) -> Any:
        if isinstance(data, list) and set(map(type, data)) <= {int}:
            return tuple(data)
        return otherwise(data, path)

    return integers


def _enum(lookup: Callable[[Any], Any]) -> Decoder:
    def enum_of(data: Any, path: str) -> Any:
        try:
            return lookup(data)
        except (KeyError, ValueError, TypeError):
            raise CodecError(path, f"is {data!r}, which is none of its names") from None

    return enum_of


def _plain(kind: type) -> Decoder:
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}[kind]

    def plain(data: Any, path: str) -> Any:
        if kind is float and (type(data) is float or (type(data) is int and abs(data) <= _EXACT)):
            return float(data)
        if type(data) is not kind:
            raise CodecError(path, f"is {data!r}, not {words}")
        return data

    return plain
