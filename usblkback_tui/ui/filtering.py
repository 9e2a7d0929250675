# SPDX-License-Identifier: MIT
"""The words typed after ``/``.  Pure.

Every word has to match, ``!word`` must not.  A word is a regular expression looked for in everything a row says, case
aside; one that is no valid expression is taken as it is.  ``field:word`` looks at one field alone, ``field=value``
wants the whole of it, and ``field>value``, ``field<value``, ``>=``, ``<=`` compare numbers, which may have units:
``p99>5ms``, ``writes>=1k``, ``size>4MiB``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from usblkback_tui.ui.scene import DiskRow

Row = TypeVar("Row")
Value = str | float | None
Fields = Mapping[str, Callable[[Row], Value]]

_WORD = re.compile(r"(!?)(?:([a-z][a-z0-9_/]*)(>=|<=|[:=<>]))?(.*)", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)\s*([a-zµ]*)", re.IGNORECASE)
_UNITS = {
    "": 1.0,
    "ns": 1.0,
    "us": 1e3,
    "µs": 1e3,
    "ms": 1e6,
    "s": 1e9,
    "k": 1e3,
    "m": 1e6,
    "g": 1e9,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "kib": 1024.0,
    "mib": 1024.0**2,
    "gib": 1024.0**3,
}


@dataclass(frozen=True, slots=True)
class _Term:
    """One word: ``field`` is empty for one that looks everywhere."""

    negated: bool
    field: str
    operator: str
    number: float | None
    pattern: re.Pattern[str]


class Filter(Generic[Row]):
    """What an operator typed, for rows with these fields."""

    def __init__(self, text: str, fields: Fields[Row]) -> None:
        self._fields = fields
        self._terms = _terms(text, frozenset(fields))

    def matches(self, row: Row) -> bool:
        """Whether a row is shown."""
        return all(self._holds(term, row) is not term.negated for term in self._terms)

    def _holds(self, term: _Term, row: Row) -> bool:
        if not term.field:
            words = (value for field in self._fields.values() if isinstance(value := field(row), str))
            return term.pattern.search(" ".join(words)) is not None
        value = self._fields[term.field](row)
        if value is None:
            return False
        if term.operator in (":", "="):
            if not isinstance(value, str):
                return term.number is not None and float(value) == term.number
            look = term.pattern.fullmatch if term.operator == "=" else term.pattern.search
            return look(value) is not None
        return not isinstance(value, str) and term.number is not None and _compare(value, term.operator, term.number)


def _compare(value: float, operator: str, number: float) -> bool:
    if operator == ">":
        return value > number
    if operator == "<":
        return value < number
    return value >= number if operator == ">=" else value <= number


@lru_cache(maxsize=64)
def _terms(text: str, fields: frozenset[str]) -> tuple[_Term, ...]:
    return tuple(term for word in text.split() if (term := _term(word, fields)) is not None)


def _term(word: str, fields: frozenset[str]) -> _Term | None:
    found = _WORD.fullmatch(word)
    assert found is not None
    bang, field, operator, rest = found.groups()
    field = (field or "").lower()
    if field and field not in fields:
        field, operator, rest = "", "", word.removeprefix("!")
    if not rest:
        return None
    whole_number = field and operator == ":" and rest.isdigit()
    look = re.compile(rf"(?<!\d){rest}(?!\d)") if whole_number else pattern(rest)
    return _Term(bool(bang), field, operator or "", number(rest), look)


def number(text: str) -> float | None:
    """``5ms`` -> 5e6, ``1.5k`` -> 1500; None when it is none.  Times are nanoseconds."""
    found = _NUMBER.fullmatch(text)
    if found is None or (unit := found[2].lower()) not in _UNITS:
        return None
    return float(found[1]) * _UNITS[unit]


@lru_cache(maxsize=64)
def pattern(text: str) -> re.Pattern[str]:
    """A regular expression, case aside; one that is not valid is taken as it is."""
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error:
        return re.compile(re.escape(text), re.IGNORECASE)


def _rate(name: str) -> Callable[[DiskRow], Value]:
    def value(row: DiskRow) -> Value:
        found = getattr(row.rates, name) if row.rates else None
        return None if found is None else float(found)

    return value


DISK_FIELDS: Fields[DiskRow] = {
    "dom": lambda row: f"{row.disk.domid} {row.disk.domain}",
    "domid": lambda row: row.disk.domid,
    "vdev": lambda row: row.disk.vdev,
    "image": lambda row: row.disk.image,
    "mode": lambda row: {"w": "rw", "r": "ro"}.get(row.disk.mode, row.disk.mode),
    "kind": lambda row: row.disk.kind,
    "front": lambda row: row.disk.frontend_state.word,
    "back": lambda row: row.disk.backend_state.word,
    "state": lambda row: f"{row.disk.frontend_state.word} {row.disk.backend_state.word}",
    "severity": lambda row: row.disk.health.severity.value,
    "health": lambda row: row.disk.health.sentence,
    "rings": lambda row: len(row.disk.rings),
    "qd": lambda row: row.disk.counters.in_flight,
    "err": lambda row: row.disk.counters.errors,
    "reads": _rate("reads"),
    "writes": _rate("writes"),
    "bytes": _rate("bytes"),
    "p50": _rate("p50"),
    "p99": _rate("p99"),
}
"""What a filter of disks can ask for."""


def disk_filter(text: str) -> Filter[DiskRow]:
    """A filter of disks."""
    return Filter(text, DISK_FIELDS)
