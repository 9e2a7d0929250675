# SPDX-License-Identifier: MIT
"""The last xenstore writes of one vbd at either end: what a handshake looks like from the store.

Our own writes are noted when we make them.  The frontend's are what is found in its directory when its state moves, so
they have the time at which they were seen.  A key that holds what it held before is no news.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator

from usblkback_tui.engine.host.seam import Commit, Host, HostError, Put
from usblkback_tui.engine.snapshot import StoreWrite
from usblkback_tui.protocol.blkif import MAX_QUEUES
from usblkback_tui.protocol.printable import printable

KEPT = 64
"""Writes of one disk."""
MAX_KEYS = 64
"""Keys of a frontend that are looked at: a real one has fewer, and a guest may make a thousand."""
MAX_REMEMBERED = 256
"""Values that are remembered to tell what is new; beyond that the frontend's are forgotten, so some are told twice."""
LONGEST = 120
"""Characters of a value that are kept."""

_OBSERVED = re.compile(
    r"ring-ref\d{0,2}|event-channel|protocol|feature-[a-z0-9-]{1,40}|ring-page-order|num-ring-pages"
    r"|multi-queue-num-queues|queue-\d{1,2}",
    re.ASCII,
)


class WriteLog:
    """Bounded whatever the ends do.  One thread writes; ``writes`` may be read by others at any time."""

    def __init__(self, back_path: str, front_path: str) -> None:
        self._roots = {"backend": f"{back_path}/", "frontend": f"{front_path}/"}
        self._kept: deque[StoreWrite] = deque(maxlen=KEPT)
        self._values: dict[tuple[str, str], str] = {}
        self.writes: tuple[StoreWrite, ...] = ()
        """Oldest first."""

    def ours(self, changes: Commit) -> None:
        """We committed these."""
        now = time.time()
        for change in changes:
            if isinstance(change, Put) and (place := self._place(change.path)) is not None:
                self._note(now, *place, change.value, "backend")
        self._publish()

    def seen(self, end: str, path: str, value: str, by: str) -> None:
        """A key was found to hold ``value``; ``by`` is who must have written it if that is new."""
        if self._note(time.time(), end, path, value, by):
            self._publish()

    def look(self, host: Host, front_path: str) -> None:
        """Read the frontend's transport and feature keys and note what is new; what cannot be read is left out."""
        now = time.time()
        try:
            for key, value in _observed(host, front_path):
                self._note(now, "frontend", key, value, "frontend")
        except HostError:
            pass  # whoever connects meets the same and says it
        self._publish()

    def forget_frontend(self) -> None:
        """The frontend starts anew: the same values will be news."""
        for key in [key for key in self._values if key[0] == "frontend" and key[1] != "state"]:
            del self._values[key]

    def _place(self, path: str) -> tuple[str, str] | None:
        for end, root in self._roots.items():
            if path.startswith(root):
                return end, path.removeprefix(root)
        return None

    def _note(self, now: float, end: str, path: str, value: str, by: str) -> bool:
        shown = printable(value, LONGEST)
        if self._values.get((end, path)) == shown:
            return False
        if len(self._values) >= MAX_REMEMBERED:
            self.forget_frontend()
        self._values[end, path] = shown
        self._kept.append(StoreWrite(now, end, path, shown, by))
        return True

    def _publish(self) -> None:
        self.writes = tuple(self._kept)


def _observed(host: Host, front_path: str) -> Iterator[tuple[str, str]]:
    """The keys of a frontend's directory that say how it wants to be served, in their order of first reading."""
    left = MAX_KEYS
    queues = []
    for name in host.list(front_path):
        if not _OBSERVED.fullmatch(name) or left == 0:
            continue
        if name.startswith("queue-"):
            queues.append(name)
            continue
        left -= 1
        if (value := host.read(f"{front_path}/{name}")) is not None:
            yield name, value
    for queue in queues[:MAX_QUEUES]:
        for name in host.list(f"{front_path}/{queue}"):
            if not _OBSERVED.fullmatch(name) or left == 0:
                continue
            left -= 1
            if (value := host.read(f"{front_path}/{queue}/{name}")) is not None:
                yield f"{queue}/{name}", value
