# SPDX-License-Identifier: MIT
"""How commands speak: one JSON document, aligned columns, one line for an error."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from usblkback_tui.protocol.errors import UserError

JSON_VERSION = 1
"""Of every document printed; see docs/json.md."""

_COLOURS = {"good": "32", "warning": "33", "error": "31", "info": "2", "bold": "1"}


class UsageError(UserError):
    """The command cannot be run like this: exit code 2."""


def complain(error: UserError, *, as_json: bool) -> int:
    """Say ``error`` on stderr, and on stdout for a script that reads JSON; the exit code for it."""
    from usblkback_tui.engine.config_values import ConfigError
    from usblkback_tui.engine.control.client import NoEngine

    if as_json:
        print_json({"version": JSON_VERSION, "error": error.to_json()})
    sys.stdout.flush()
    print(f"usblkback-tui: {one_line(str(error))}", file=sys.stderr)
    return 2 if isinstance(error, NoEngine | ConfigError | UsageError) else 1


def print_json(document: dict[str, Any]) -> None:
    """One document on one line."""
    print(json.dumps(document, ensure_ascii=False), flush=True)


def note(text: str) -> None:
    """A remark for the person, out of the way of what a script reads.  Never fails: nobody may be there to read it."""
    with contextlib.suppress(OSError):
        print(f"usblkback-tui: {one_line(text)}", file=sys.stderr, flush=True)


def one_line(text: str) -> str:
    """Without control characters: names and paths come from guests and files, and a terminal obeys them."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """``text`` in a colour when ``stream`` (stdout) is a terminal and NO_COLOR is not set."""
    stream = stream or sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def table(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> list[str]:
    """Aligned lines of the cells; the columns in ``right`` are flush right, the last column is never padded."""
    if not rows:
        return []
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        parts = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    return lines


def clock(seconds: float) -> str:
    """Local ``2026-01-31 13:05:09.250``."""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))}.{int(seconds * 1000) % 1000:03d}"


def counted(count: int, what: str) -> str:
    """``1 disk``, ``3 disks``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def bytes_text(count: float) -> str:
    """``17 B``, ``4.0 KiB``, ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"


def count_text(count: float) -> str:
    """``950``, ``12.3k``, ``4.5M``."""
    for unit in ("", "k", "M", "G"):
        if count < 1000 or unit == "G":
            break
        count /= 1000
    return f"{count:.0f}" if unit == "" else f"{count:.1f}{unit}"
