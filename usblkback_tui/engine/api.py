# SPDX-License-Identifier: MIT
"""The few verbs people have, as the UI and the CLI see them.

A local :class:`~usblkback_tui.engine.engine.Engine` and a remote one behind a socket both fit.  Verbs may block (image
checks, a detach deadline), so a UI calls them from a worker thread; ``snapshot`` and ``events`` never block for long.
Every verb raises :class:`~usblkback_tui.protocol.errors.UserError` with the sentence to show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from usblkback_tui.engine.explaining import Explained
from usblkback_tui.engine.inspection import RequestView, RingSlots, StoreNode
from usblkback_tui.engine.settings import DiskOptions
from usblkback_tui.engine.snapshot import DiskView, Event, Limits, PendingAttach, Snapshot


@dataclass(frozen=True, slots=True)
class AttachRequest:
    """What an operator asks for.  ``domain`` is a name or a domid in digits."""

    domain: str
    image: str
    vdev: str
    mode: str = "w"
    options: DiskOptions = field(default_factory=DiskOptions)


@dataclass(frozen=True, slots=True)
class AttachPlan:
    """A checked request: what would be written, nothing written yet."""

    domid: int
    """-1 while the domain is not there."""
    domain: str
    vdev: str
    devid: int
    image: str
    mode: str
    sectors: int
    writes: tuple[tuple[str, str], ...]
    """(path, value) in the order of the transaction; none while the domain is not there."""
    offers: tuple[tuple[str, str], ...] = ()
    """(key, value) of the features and sizes that the frontend is then offered."""
    limits: Limits = field(default_factory=Limits)
    direct: bool = False
    """The image would be open for direct I/O."""
    explained: tuple[Explained, ...] = ()
    """What was looked at, and what may go wrong."""


class Backend(Protocol):
    """An engine to look at and to act on."""

    def snapshot(self) -> Snapshot:
        """The state right now."""
        ...

    def events(self, after: int) -> tuple[Event, ...]:
        """The kept events with ``seq > after``, oldest first."""
        ...

    def plan(self, request: AttachRequest, *, later: bool = False) -> AttachPlan:
        """Check everything an attach checks, and say what it would write.  ``later``: the domain need not be there."""
        ...

    def attach(self, request: AttachRequest, wait: float = 0.0) -> DiskView:
        """Write both directories and serve the disk; wait up to ``wait`` seconds for both ends to be Connected.

        Returns the disk as it then is; a frontend that has not connected yet is no error.
        """
        ...

    def attach_later(self, request: AttachRequest, seconds: float = 0.0) -> PendingAttach:
        """Check the image, and attach it as soon as a domain of that name appears; at once when it is there.

        Given up after ``seconds``, 0 is never; a ``detach`` takes it back.  An engine that ends forgets it.
        """
        ...

    def resize(self, domain: str, vdev: str, sectors: int | None = None) -> DiskView:
        """Give a disk another size while it is in use; it never shrinks.

        Its file is grown to ``sectors`` of 512 bytes; without them the disk takes over the size its image has by now.
        """
        ...

    def detach(self, domain: str, vdev: str, *, force: bool = False, wait: float = 10.0) -> None:
        """Close gracefully and remove what was written; UserError when the guest has not let go after ``wait`` seconds.

        With ``force`` the ring is then taken away and the directories are removed.
        """
        ...

    def next_vdev(self, domain: str) -> str:
        """The first free xvd name of a domain."""
        ...

    def requests(self, domid: int, devid: int, after: Sequence[int] = (), limit: int = 256) -> tuple[RequestView, ...]:
        """The newest ``limit`` finished requests of a disk, oldest first.

        Of ring i only those with ``seq > after[i]``, so a caller passes the highest ``seq`` it has seen of each.
        """
        ...

    def ring_slots(self, domid: int, devid: int, ring: int) -> RingSlots:
        """Every slot of a connected ring at this moment, decoded."""
        ...

    def store(self, path: str) -> StoreNode:
        """One node of xenstore."""
        ...

    def store_write(self, path: str, value: str) -> None:
        """Give a node a value, or make it.  Refused by an engine that is read-only."""
        ...

    def store_remove(self, path: str) -> None:
        """Remove a node and all below it.  Refused by an engine that is read-only."""
        ...
