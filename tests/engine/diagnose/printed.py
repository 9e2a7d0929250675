# SPDX-License-Identifier: MIT
"""A store as ``xenstore-ls`` prints it, for tests of whoever reads that."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_NAMED = {"\t": "t", "\n": "n", "\r": "r", "\\": "\\"}


def escaped(value: str) -> str:
    """A value between the quotes."""
    return "".join(map(_escaped, value.encode("utf-8", "surrogateescape")))


def _escaped(byte: int) -> str:
    character = chr(byte)
    if character in _NAMED:
        return "\\" + _NAMED[character]
    if 0x20 <= byte <= 0x7E:
        return character
    return f"\\{byte:03o}" if byte < 8 else f"\\x{byte:02x}"


def whole_paths(nodes: Iterable[tuple[str, str]], access: Callable[[str], str] | None = None) -> str:
    """``xenstore-ls -f``, and with ``access`` ``-fp``."""
    return "".join(f'{path} = "{escaped(value)}"{_access(access, path)}\n' for path, value in nodes)


def indented(nodes: Iterable[tuple[str, str]], access: Callable[[str], str] | None = None) -> str:
    """Without ``-f``, on a terminal that is wide enough."""
    lines = []
    for path, value in nodes:
        depth = path.count("/") - 1
        lines.append(f'{" " * depth}{path.rpartition("/")[2]} = "{escaped(value)}"{_access(access, path)}\n')
    return "".join(lines)


def _access(access: Callable[[str], str] | None, path: str) -> str:
    return f"   . . .  ({access(path)})" if access else ""


def in_order(nodes: dict[str, str]) -> list[tuple[str, str]]:
    """Parents before their children, children together."""
    return sorted(nodes.items(), key=lambda node: re.split("/", node[0]))
