# SPDX-License-Identifier: MIT
r"""What ``xenstore-ls`` prints, as a tree of values: with ``-f`` (whole paths) or without (indented names), with ``-p``
(permissions) or without.

    /local/domain/5/name = "web"                                  -f
    /local/domain/5/name = "web"   . . . . . . .  (n0,r5)         -f -p
     5 = ""                                                       one space deeper than ``domain``

Values are printed in quotes that are not escaped inside; backslashes, control characters and bytes beyond ASCII are
``\\``, ``\n``, ``\t``, ``\r``, ``\007`` or ``\xe2``.  Without ``-f`` a value that is too wide ends with ``\...``.
A node that could not be read has a colon in place of its value.  Source: xen/tools/xs-clients/xenstore_client.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.printable import printable

MAX_BYTES = 64 << 20
"""Of a dump; that of a large host has a few."""
MAX_NODES = 400_000
MAX_DEPTH = 64

_LINE = re.compile(
    r"""(?P<indent>\ *)(?P<name>[0-9A-Za-z/_@-][0-9A-Za-z/_@:.+-]*?)
    (?:
        \ =\ "(?P<value>.*)"(?:[ .]*\((?P<access>[a-z0-9,-]*)\))?
      | :(?P<unread>)
    )\s*""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_ESCAPE = re.compile(r'\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|([tnr\\"]))')
_PLAIN = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\", '"': '"'}
_CUT = re.compile(r"(?<!\\)(?:\\\\)*(\\\.\.\.)\Z")
"""A backslash that escapes nothing; behind others it is a part of the value."""
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class DumpNode:
    """One node.  ``access`` is as printed (``n0,r5``), empty without ``-p``."""

    value: str
    """Bytes that are no UTF-8 are surrogates, as everywhere in Python."""
    access: str = ""
    cut: bool = False
    """The end of the value was not printed."""


Dump = Mapping[str, DumpNode]
"""By absolute path."""


def parse_dump(text: str) -> Dump:
    """The nodes of a dump; lines that are none (a shell prompt, warnings) are passed over as long as they are few.

    Raises UserError when it is no dump, or too large.
    """
    nodes: dict[str, DumpNode] = {}
    parents: list[str] = []
    strange: list[str] = []
    for line in _lines(text):
        match = _LINE.fullmatch(line)
        if match is None:
            if line.strip() and not line.lstrip().startswith("("):  # permissions of a node that could not be read
                strange.append(line)
            continue
        path = _path(match["name"], len(match["indent"]), parents)
        if path is None:
            strange.append(line)
            continue
        if len(nodes) >= MAX_NODES:
            raise _refused(f"it has more than {MAX_NODES} nodes", "dump less: xenstore-ls -fp /local")
        nodes[path] = _node(match["value"] or "", match["access"] or "")
    if not nodes or len(strange) > len(nodes):
        shown = f'its line "{printable(strange[0].strip(), _SHOWN)}" is no node' if strange else "it is empty"
        raise _refused(shown, "make one with xenstore-ls -fp > FILE")
    return nodes


def decode(data: bytes) -> str:
    """The bytes of a dump's file as text.  Raises UserError when there are too many."""
    if len(data) > MAX_BYTES:
        raise _refused(f"it has more than {MAX_BYTES >> 20} MiB", "dump less: xenstore-ls -fp /local")
    return data.decode("utf-8", "surrogateescape")


def tree(dump: Dump) -> dict[str, tuple[str, ...]]:
    """For every path the names of its children, in the order of the dump."""
    below: dict[str, dict[str, None]] = {}
    for path in dump:
        while path != "/":
            parent, _, name = path.rpartition("/")
            names = below.setdefault(parent or "/", {})
            if name in names:
                break
            names[name] = None
            path = parent or "/"
    return {path: tuple(names) for path, names in below.items()}


def _lines(text: str) -> Iterable[str]:
    """By line feed alone: a value may hold what else Python takes for the end of a line."""
    return (line.removesuffix("\r") for line in text.split("\n"))


def _path(name: str, depth: int, parents: list[str]) -> str | None:
    """The absolute path of a node; ``parents`` are those of the last one, and its own, by depth."""
    if name.startswith("/"):
        return name if depth == 0 and "//" not in name and name.count("/") <= MAX_DEPTH else None
    if depth > len(parents) or depth >= MAX_DEPTH or "/" in name:
        return None
    del parents[depth:]
    path = f"{parents[-1] if parents else ''}/{name}"
    parents.append(path)
    return path


def _node(printed: str, access: str) -> DumpNode:
    cut = _CUT.search(printed)
    return DumpNode(_unescape(printed[: cut.start(1)] if cut else printed), access, cut is not None)


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    pieces = bytearray()
    at = 0
    for match in _ESCAPE.finditer(text):
        pieces += text[at : match.start()].encode("utf-8", "surrogateescape")
        at = match.end()
        if match[3]:
            pieces += _PLAIN[match[3]].encode()
        else:
            pieces.append(int(match[1], 16) if match[1] else int(match[2], 8) & 0xFF)
    pieces += text[at:].encode("utf-8", "surrogateescape")
    return pieces.decode("utf-8", "surrogateescape")


def _refused(why: str, fix: str) -> UserError:
    return UserError(f"this is no dump of xenstore: {why}", fix=fix, key="from")
