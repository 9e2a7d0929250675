# SPDX-License-Identifier: MIT
"""Reads the directories of one vbd at both ends, whoever serves it, as far as people and the diagnosis look at them."""

from __future__ import annotations

from collections.abc import Iterator

from usblkback_tui.engine.host.seam import Host, HostError
from usblkback_tui.engine.snapshot import StoreKeys
from usblkback_tui.protocol.blkif import MAX_QUEUES
from usblkback_tui.protocol.keys import backend_path, error_path, frontend_error_path, frontend_path
from usblkback_tui.protocol.printable import printable

MAX_KEYS = 320
"""Keys of one end: sixteen queues with rings of sixteen pages have fewer, and a guest may make a thousand."""
LONGEST = 200
"""Characters of a value that are kept."""


def read_keys(host: Host, backend: int, kind: str, domid: int, devid: int) -> StoreKeys:
    """What stands there now; what cannot be read is left out."""
    back, front = backend_path(backend, kind, domid, devid), frontend_path(domid, devid)
    return StoreKeys(
        back=tuple(_directory(host, back)),
        front=tuple(_directory(host, front)),
        back_error=_read(host, error_path(backend, kind, domid, devid) + "/error") or "",
        front_error=_read(host, frontend_error_path(domid, devid) + "/error") or "",
        back_access=_access(host, back),
        front_access=_access(host, front),
    )


def _directory(host: Host, path: str) -> Iterator[tuple[str, str]]:
    """The keys at the top, then those of the queues."""
    left = MAX_KEYS
    queues = []
    for name in _list(host, path):
        if name == "domain":
            continue  # a name that some toolstacks write, and that a recording may have to keep to itself
        if name.startswith("queue-"):
            queues.append(name)
        elif left and (value := _read(host, f"{path}/{name}")) is not None:
            left -= 1
            yield name, value
    for queue in queues[:MAX_QUEUES]:
        for name in _list(host, f"{path}/{queue}"):
            if left and (value := _read(host, f"{path}/{queue}/{name}")) is not None:
                left -= 1
                yield f"{queue}/{name}", value


def _read(host: Host, path: str) -> str | None:
    try:
        value = host.read(path)
    except HostError:
        return None  # in a driver domain much of domain 0's is not for us
    return None if value is None else printable(value, LONGEST)


def _list(host: Host, path: str) -> tuple[str, ...]:
    try:
        return host.list(path)
    except HostError:
        return ()


def _access(host: Host, path: str) -> str:
    try:
        permissions = host.permissions(path)
    except HostError:
        return ""
    if permissions is None:
        return ""
    listed = "".join(f",{access}{domid}" for domid, access in permissions.listed)
    return f"{permissions.others}{permissions.owner}{listed}"
