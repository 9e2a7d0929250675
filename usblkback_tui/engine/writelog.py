# SPDX-License-Identifier: MIT
"""The last xenstore writes of one vbd at either end: what a handshake looks like from the store.

Our own writes are noted when we make them.  The frontend's are what is found in its directory when its state moves, so
they have the time at which they were seen.  A key that holds what it held before is no news.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable

from usblkback_tui.engine.host.seam import Commit, Put
from usblkback_tui.engine.snapshot import StoreWrite
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
    r"(queue-\d{1,2}/)?(ring-ref\d{0,2}|event-channel)|protocol|feature-[a-z0-9-]{1,40}|ring-page-order|num-ring-pages"
    r"|multi-queue-num-queues",
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

    def found(self, front: Iterable[tuple[str, str]]) -> None:
        """These (printable) keys are in the frontend's directory: note what is new of its transport and features."""
        now, left = time.time(), MAX_KEYS
        for key, value in front:
            if left and _OBSERVED.fullmatch(key):
                left -= 1
                self._keep(now, "frontend", key, value[:LONGEST], "frontend")
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
        return self._keep(now, end, path, printable(value, LONGEST), by)

    def _keep(self, now: float, end: str, path: str, shown: str, by: str) -> bool:
        if self._values.get((end, path)) == shown:
            return False
        if len(self._values) >= MAX_REMEMBERED:
            self.forget_frontend()
        self._values[end, path] = shown
        self._kept.append(StoreWrite(now, end, path, shown, by))
        return True

    def _publish(self) -> None:
        self.writes = tuple(self._kept)
