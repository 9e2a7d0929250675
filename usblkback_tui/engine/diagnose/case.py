# SPDX-License-Identifier: MIT
"""One vbd as the rules see it, wherever it was seen: served here, served by others, or in a saved dump of a store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from usblkback_tui.engine.snapshot import DiskView, ForeignDisk, Snapshot, StoreKeys
from usblkback_tui.protocol.backend import offered_limits
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.expected import PATIENCE
from usblkback_tui.protocol.frontend import parse_frontend
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.vdev import vdev_name

_TRANSPORT = ("ring-ref", "event-channel", "ring-page-order", "num-ring-pages", "multi-queue-num-queues", "queue-")


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of one vbd."""

    domid: int
    devid: int
    kind: str
    backend: int
    """The domain of its backend."""
    front: S
    back: S
    online: bool = True
    waited: float | None = None
    """Seconds since either end last moved; None: not known, as in a dump."""
    running: bool = True
    """The guest's domain is there, as far as can be told."""
    keys: StoreKeys = field(default_factory=StoreKeys)
    problem: str = ""
    """The sentence of a failure of ours that still stands."""
    disk: DiskView | None = None
    """Set for what the engine serves: what only it knows."""
    now: float = 0.0
    rival: str = ""
    """Who else serves this kind in our domain."""
    neighbours: frozenset[str] = frozenset()
    """Kinds of the other vbds of the same domain that are connected."""
    io_seen: bool = False
    """Requests were answered since it was connected."""
    has_back: bool = True
    """There is a backend's directory."""

    @property
    def vdev(self) -> str:
        """``xvdb``."""
        return vdev_name(self.devid)

    @property
    def connected(self) -> bool:
        """Both ends are Connected."""
        return self.front is S.CONNECTED and self.back is S.CONNECTED

    @property
    def closing(self) -> bool:
        """Either end is on its way out."""
        return self.back in (S.CLOSING, S.CLOSED) or self.front in (S.CLOSING, S.CLOSED)

    def late(self, seconds: float) -> bool:
        """Nothing has moved for longer than that, or nobody knows for how long."""
        return self.waited is None or self.waited > seconds

    def at_back(self, key: str) -> str | None:
        """A key of the backend's directory."""
        return next((value for name, value in self.keys.back if name == key), None)

    def at_front(self, key: str) -> str | None:
        """A key of the frontend's directory."""
        return next((value for name, value in self.keys.front if name == key), None)

    @property
    def transport(self) -> tuple[tuple[str, str], ...]:
        """The keys that offer a ring."""
        return tuple(pair for pair in self.keys.front if pair[0].startswith(_TRANSPORT))

    @property
    def complaint(self) -> str:
        """Why a backend could not serve it, in the words of whoever says so; empty when nobody does.

        What stands in an error node may be old, so it counts only for ends that close or have not moved for a while.
        """
        if self.problem:
            return self.problem
        if self.connected or not self.has_back:
            return ""
        said = self.at_back("hotplug-error") or self.keys.back_error
        if said and (self.closing or self.late(PATIENCE)):
            return said.partition(" ")[2] if said.partition(" ")[0].isdecimal() else said
        return self._misread() if self.late(PATIENCE) else ""

    def _misread(self) -> str:
        """What is wrong with the ring that a frontend offers, where its backend has not said so."""
        if self.disk is not None or self.front not in (S.INITIALISED, S.CONNECTED) or self.back is S.CONNECTED:
            return ""
        if not self.keys.front or self.back in (S.CLOSING, S.CLOSED):
            return ""
        order, queues = offered_limits(self.at_back)
        try:
            parse_frontend(self.at_front, max_ring_page_order=order, max_queues=queues)
        except UserError as error:
            return str(error)
        return ""


def cases_of(snapshot: Snapshot, now: float) -> Iterator[Case]:
    """Every vbd of a snapshot: those served here, those refused, those of others."""
    running = {domain.domid for domain in snapshot.domains}
    rivals = dict(snapshot.rivals)
    connected = _connected_kinds(snapshot)
    for disk in snapshot.disks:
        yield Case(
            domid=disk.domid,
            devid=disk.devid,
            kind=disk.kind,
            backend=snapshot.domid,
            front=disk.frontend_state,
            back=disk.backend_state,
            online=disk.online,
            waited=now - max(disk.frontend_since, disk.backend_since),
            running=not running or disk.domid in running,
            keys=disk.keys,
            problem=disk.problem,
            disk=disk,
            now=now,
            rival=rivals.get(disk.kind, ""),
            neighbours=_neighbours(connected, disk),
            io_seen=any(ring.counters.responses for ring in disk.rings),
        )
    for other in snapshot.foreign:
        yield Case(
            domid=other.domid,
            devid=other.devid,
            kind=other.kind,
            backend=other.backend,
            front=other.frontend_state,
            back=other.backend_state,
            online=other.online,
            waited=now - other.since,
            running=other.running,
            keys=other.keys,
            now=now,
            neighbours=_neighbours(connected, other),
            io_seen=other.counters is not None and other.counters.reads + other.counters.writes > 0,
        )
    for refused in snapshot.refused:
        yield Case(
            refused.domid,
            refused.devid,
            refused.kind,
            snapshot.domid,
            S.UNKNOWN,
            S.UNKNOWN,
            problem=refused.sentence,
            now=now,
            rival=rivals.get(refused.kind, ""),
        )


def _connected_kinds(snapshot: Snapshot) -> dict[int, dict[int, str]]:
    """By domid and devid, the kind of each vbd that is connected."""
    found: dict[int, dict[int, str]] = {}
    both: tuple[DiskView | ForeignDisk, ...] = snapshot.disks + snapshot.foreign
    for disk in both:
        if disk.frontend_state is disk.backend_state is S.CONNECTED:
            found.setdefault(disk.domid, {})[disk.devid] = disk.kind
    return found


def _neighbours(connected: dict[int, dict[int, str]], disk: DiskView | ForeignDisk) -> frozenset[str]:
    if disk.frontend_state is S.CONNECTED:
        return frozenset()  # nobody asks
    return frozenset(kind for devid, kind in connected.get(disk.domid, {}).items() if devid != disk.devid)
