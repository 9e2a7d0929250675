# SPDX-License-Identifier: MIT
"""What the screens were like when they were left, kept in XDG state: the operator's config file is never written.

A file that cannot be read or makes no sense is as good as none, and one that cannot be written costs nothing but the
memory of it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1
MAX_PRESETS = 12


@dataclass(slots=True)
class TableState:
    """Order and columns of one table."""

    sort: str = ""
    reverse: bool = False
    hidden: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    """Every column by its id; one it does not name comes after them."""


@dataclass(slots=True)
class UiState:
    """Everything that is remembered; ``read_only`` and ``path`` are not part of it."""

    theme: str = ""
    screen: str = "overview"
    zoom: int = 0
    problems_only: bool = False
    tables: dict[str, TableState] = field(default_factory=dict)
    """By the name of their screen."""
    presets: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was filled into the attach dialog, by name, the oldest first."""
    read_only: bool = False
    path: Path | None = None
    """Where it is kept; None keeps nothing."""

    def keep_table(
        self, screen: str, sort: str, reverse: bool, hidden: Collection[str], order: Sequence[str] = ()
    ) -> None:
        """Remember a table."""
        self.tables[screen] = TableState(sort, reverse, tuple(sorted(hidden)), tuple(order))

    def keep_preset(self, name: str, values: dict[str, Any]) -> None:
        """Remember a filled-in form; the oldest goes when there are too many."""
        self.presets.pop(name, None)
        self.presets[name] = values
        while len(self.presets) > MAX_PRESETS:
            del self.presets[next(iter(self.presets))]

    def save(self) -> None:
        """Write it, whole or not at all."""
        if self.path is None:
            return
        kept = {name: value for name, value in asdict(self).items() if name not in ("read_only", "path")}
        text = json.dumps({"format": FORMAT, **kept}, indent=1)
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside.write_text(text, encoding="utf-8")
            beside.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink()


def state_path(env: Mapping[str, str]) -> Path | None:
    """The file of this user; None where there is no home."""
    base = env.get("XDG_STATE_HOME", "")
    if not base.startswith("/"):
        home = env.get("HOME", "")
        if not home.startswith("/"):
            return None
        base = f"{home}/.local/state"
    return Path(base) / "usblkback-tui" / "ui.json"


def load_state(path: Path | None) -> UiState:
    """What was kept there."""
    state = UiState(path=path)
    if path is None:
        return state
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return state
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return state
    for name, kind in (("theme", str), ("screen", str), ("zoom", int), ("problems_only", bool)):
        if type(data.get(name)) is kind:
            setattr(state, name, data[name])
    tables, presets = data.get("tables"), data.get("presets")
    for screen, table in (tables if isinstance(tables, dict) else {}).items():
        if isinstance(table, dict) and isinstance(table.get("sort"), str):
            hidden, order = _texts(table.get("hidden")), _texts(table.get("order"))
            state.tables[screen] = TableState(table["sort"], table.get("reverse") is True, hidden, order)
    for name, values in (presets if isinstance(presets, dict) else {}).items():
        if isinstance(values, dict):
            state.keep_preset(name, values)
    return state


def _texts(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
