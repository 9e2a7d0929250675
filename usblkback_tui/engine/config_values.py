# SPDX-License-Identifier: MIT
"""Settings dataclasses from the plain values of a TOML document, an environment variable or an option.

The types of the dataclasses drive it.  Supported: str, int, float, bool, Enum, ``X | None``, tuples of these,
dataclasses and tuples of dataclasses.  A tuple of dataclasses is an array of tables and named in the singular:
``Settings.disks`` is ``[[disk]]``.  A dataclass in a field marked FLAT has no table of its own: its fields are keys of
the one around it.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from enum import Enum
from typing import Any, TypeVar

from usblkback_tui.engine.config_rules import NOT_EMPTY, RULES, UNIQUE
from usblkback_tui.engine.settings import FLAT, NAMED
from usblkback_tui.protocol.errors import UserError

T = TypeVar("T")

_WORDS = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


class ConfigError(UserError):
    """A config file, an environment variable or an option cannot be used."""


def key_of(field: dataclasses.Field[Any], kind: Any) -> str:
    """The key a dataclass field has in the file."""
    element = element_of(kind)
    return field.name[:-1] if element is not None and dataclasses.is_dataclass(element) else field.name


def element_of(kind: Any) -> Any:
    """``X`` of ``tuple[X, ...]``; None for other types."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else None


def build(cls: type[T], table: Any, *, source: str, where: str = "") -> T:
    """A ``cls`` of the table ``where`` (dotted, empty for the whole document) of ``source``.  Raises ConfigError."""
    if not isinstance(table, dict):
        raise refuse(source, where, table, f"a table, written as [{where}]")
    hints = typing.get_type_hints(cls)
    flat = {field.name: hints[field.name] for field in dataclasses.fields(cls) if FLAT in field.metadata}  # type: ignore[arg-type]
    fields = {
        key_of(field, hints[field.name]): field
        for field in dataclasses.fields(cls)  # type: ignore[arg-type]
        if field.name not in flat
    }
    owners = {field.name: name for name, part in flat.items() for field in dataclasses.fields(part)}
    values: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {name: {} for name in flat}
    for key, value in table.items():
        path = f"{where}.{key}" if where else key
        if key in owners:
            parts[owners[key]][key] = value
            continue
        if key not in fields:
            raise unknown(source, path, key, [*fields, *owners])
        name = fields[key].name
        if NAMED in fields[key].metadata:
            values[name] = _named(hints[name], value, source=source, path=path)
            continue
        values[name] = convert(cls, name, hints[name], value, source=source, path=path)
    for name, part in parts.items():
        values[name] = build(flat[name], part, source=source, where=where)
    for key, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and field.name not in values:
            path = f"{where}.{key}" if where else key
            raise ConfigError(f"{source}: {path} is missing", fix=f"add {key} to that table", key=path)
    return cls(**values)


def convert(cls: type, name: str, kind: Any, value: Any, *, source: str, path: str) -> Any:
    """``value`` as field ``name`` of ``cls`` needs it.  Raises ConfigError."""
    element = element_of(kind)
    if dataclasses.is_dataclass(kind):
        return build(typing.cast(type, kind), value, source=source, where=path)
    if element is None:
        return _scalar(cls, name, kind, value, source=source, path=path)
    if dataclasses.is_dataclass(element):
        return _tables(typing.cast(type, element), value, source=source, path=path)
    rule = RULES.get((cls, name))
    if not isinstance(value, list):
        raise refuse(source, path, value, "a list" + (f" of {rule.expected}" if rule else ""))
    if not value and (cls, name) in NOT_EMPTY:
        raise refuse(source, path, value, "a list with at least one element")
    checked = [
        _scalar(cls, name, element, one, source=source, path=f"{path}[{index}]") for index, one in enumerate(value)
    ]
    for index, one in enumerate(checked):
        if one in checked[:index]:
            raise ConfigError(f"{source}: {path} names {one!r} twice", fix="remove one of them", key=path, value=one)
    return tuple(checked)


def _named(kind: Any, value: Any, *, source: str, path: str) -> tuple[tuple[str, Any], ...]:
    """A table of names, each with a list of texts, or with a table where ``kind`` has a dataclass there."""
    element = typing.get_args(element_of(kind))[1]
    if not isinstance(value, dict):
        raise refuse(source, path, value, f"a table, written as [{path}]")
    if dataclasses.is_dataclass(element):
        tables: dict[str, Any] = {
            name: build(typing.cast(type, element), one, source=source, where=f"{path}.{name}")
            for name, one in value.items()
        }
        return tuple(tables.items())
    for name, texts in value.items():
        if not isinstance(texts, list) or not all(isinstance(one, str) and one for one in texts):
            raise refuse(source, f"{path}.{name}", texts, "a list of texts in quotes")
    return tuple((name, tuple(texts)) for name, texts in value.items())


def _tables(element: type, value: Any, *, source: str, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise refuse(source, path, value, f"an array of tables, each written as [[{path}]]")
    seen: dict[tuple[Any, ...], int] = {}
    built: list[Any] = []
    for index, one in enumerate(value):
        item: Any = build(element, one, source=source, where=f"{path}[{index}]")
        names = UNIQUE.get(element, ())
        identity = tuple(getattr(item, name) for name in names)
        if names and (first := seen.setdefault(identity, index)) != index:
            raise ConfigError(
                f"{source}: {path}[{index}].{names[-1]} is {identity[-1]!r}, "
                f"the same {' and '.join(names)} as {path}[{first}]",
                fix="change or remove one of them",
                key=f"{path}[{index}].{names[-1]}",
                value=identity[-1],
            )
        built.append(item)
    return tuple(built)


def _scalar(cls: type, name: str, kind: Any, value: Any, *, source: str, path: str) -> Any:
    if isinstance(kind, types.UnionType):
        kind = next(one for one in typing.get_args(kind) if one is not type(None))
    if issubclass(kind, Enum):
        return _member(kind, value, source=source, path=path)
    rule = RULES.get((cls, name))
    expected = rule.expected if rule else _WORDS[kind]
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise refuse(source, path, value, expected)
    if kind is float:
        value = float(value)
    if rule and not rule.holds(value):
        raise refuse(source, path, value, expected)
    return value


def _member(kind: type[Enum], value: Any, *, source: str, path: str) -> Enum:
    for member in kind:
        if type(member.value) is type(value) and member.value == value:
            return member
    raise refuse(source, path, value, names_of(kind))


def names_of(kind: type[Enum]) -> str:
    """The values of an Enum as they stand in a file: ``"auto", true or false``."""
    *most, last = (json.dumps(member.value) for member in kind)
    return f"{', '.join(most)} or {last}"


def check_fields(value: Any, *, source: str) -> None:
    """Refuse a dataclass that was not built from a file if a field breaks its rule; None is always fine.

    Raises ConfigError with the field's name as its key.
    """
    for field in dataclasses.fields(value):
        rule, one = RULES.get((type(value), field.name)), getattr(value, field.name)
        if rule and one is not None and not rule.holds(one):
            raise refuse(source, field.name, one, rule.expected)


def refuse(source: str, path: str, value: Any, expected: str) -> ConfigError:
    """The error for a value that is not what is expected."""
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return ConfigError(f"{source}: {path} is {shown}", fix=f"set it to {expected}", key=path, value=value)


def unknown(source: str, path: str, key: str, known: list[str]) -> ConfigError:
    """The error for a key nobody reads, with the nearest known one."""
    near = difflib.get_close_matches(key, known, n=1)
    fix = f"did you mean {near[0]!r}?" if near else f"the keys here are {', '.join(sorted(known))}"
    return ConfigError(f"{source}: {path} is unknown", fix=fix, key=path)
