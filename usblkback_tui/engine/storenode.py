# SPDX-License-Identifier: MIT
"""Looking at the store and changing it by hand: one node as a value, and what a hand may do to it.

Everything here runs on the control thread, which owns the host.
"""

from __future__ import annotations

from usblkback_tui.engine.host.seam import Host, Put, Remove
from usblkback_tui.engine.inspection import Permission, StoreNode
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.keys import domain_path
from usblkback_tui.protocol.printable import is_printable, printable
from usblkback_tui.protocol.storepath import check_store_path

MAX_VALUE = 3072
"""Bytes that a hand may write; with its path a value has to fit into one message of 4096 bytes."""

_PILLARS = ("/", "/local", "/local/domain", "/vm", "/libxl", "/tool")
"""What every domain of the machine stands on."""


def read_node(host: Host, path: str) -> StoreNode:
    """The node at ``path``.  Raises UserError when there is none, HostError when the store refuses."""
    check_store_path(path)
    value, permissions = host.read_bytes(path), host.permissions(path)
    if value is None or permissions is None:
        raise _missing(path)
    return StoreNode(
        path=path,
        value=printable(value),
        children=tuple(sorted(host.list(path), key=_natural)),
        owner=permissions.owner,
        others=permissions.others,
        permissions=tuple(Permission(domid, access) for domid, access in permissions.listed),
        is_text=is_printable(value),
    )


def write_node(host: Host, path: str, value: str) -> None:
    """Give the node at ``path`` a value; a new one inherits its parent's permissions.  Raises UserError, HostError."""
    if check_store_path(path) == "/":
        raise UserError("the root of the store has no value of its own", fix="choose a path below it", key="path")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise UserError("the value is no text", fix="write text that UTF-8 can hold", key="value") from None
    if size > MAX_VALUE:
        raise UserError(f"the value has {size} bytes", fix=f"write at most {MAX_VALUE}", key="value", value=size)
    host.commit([Put(path, value)])


def remove_node(host: Host, path: str, me: int) -> None:
    """Remove the node at ``path`` and all below it.  Raises UserError, HostError."""
    check_store_path(path)
    if path in (*_PILLARS, domain_path(0), domain_path(me)):
        raise UserError(
            f"{path} is what every domain here stands on, so it is not removed",
            fix="remove the nodes below it that you mean",
            key="path",
            value=path,
        )
    if host.read_bytes(path) is None:
        raise _missing(path)
    host.commit([Remove(path)])


def _missing(path: str) -> UserError:
    return UserError(f"{path} is not in the store", fix="look at what its parent holds", key="path", value=path)


def _natural(name: str) -> tuple[bool, int, str]:
    """Domids and devids in the order of their numbers, then names."""
    number = name.isascii() and name.isdecimal()
    return (not number, int(name) if number else 0, name)
