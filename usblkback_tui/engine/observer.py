# SPDX-License-Identifier: MIT
"""Watches the vbds that others serve, from our domain and from domain 0, without touching them.

On the control thread: states are read again when a watch hints at a change, at most twice a second, and with every full
re-read; the other keys when a state has moved.  Counters are read by who makes a snapshot, at most once a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from usblkback_tui.engine.host.seam import Domain, Hints, Host, HostError
from usblkback_tui.engine.snapshot import ForeignDisk, Health, KernelCounters, StoreKeys
from usblkback_tui.engine.storekeys import read_keys
from usblkback_tui.engine.sysfs import read_counters
from usblkback_tui.protocol.keys import backend_path, backend_root, domain_path, frontend_path, parse_id
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.vdev import vdev_name

TOKEN = "foreign"
MAX_FOREIGN = 1024
"""Vbds looked at, whatever stands in the store."""
MAX_WATCHES = 256
FEW_WATCHES = 16
"""Outside domain 0 xenstored allows 128 to a domain, and those of our own disks come first."""
PAUSE = 0.5
"""Seconds between two looks that watches ask for: a guest that flips its state must not keep us busy."""
COUNTERS_PAUSE = 1.0

_SERVERS = {"qdisk": "qemu", "vbd3": "tapdisk", "tap": "tapdisk"}


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """Where a vbd is in the store."""

    backend: int
    kind: str
    domid: int
    devid: int

    @property
    def back_path(self) -> str:
        return backend_path(self.backend, self.kind, self.domid, self.devid)

    @property
    def front_path(self) -> str:
        return frontend_path(self.domid, self.devid)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the store showed of one."""

    place: _Place
    front: S
    back: S
    online: bool
    running: bool
    since: float
    keys: StoreKeys

    @property
    def settled(self) -> bool:
        """Both ends are Connected: its other keys are left alone."""
        return self.front is self.back is S.CONNECTED

    def at_back(self, key: str) -> str:
        """A key of the backend's directory; empty when it is missing."""
        return next((value for name, value in self.keys.back if name == key), "")


class Observer:
    """One host's foreign vbds.  Without rights to look, there are none."""

    def __init__(self, host: Host, me: int, kinds: tuple[str, ...]) -> None:
        """``kinds``: what we serve ourselves, which is not foreign."""
        self._host = host
        self._me = me
        self._kinds = kinds
        self._names: dict[int, str] = {}
        self._watched: set[str] = set()
        self._roots: list[str] = []
        """Directories of kinds that have a vbd in them."""
        self._strangers: set[_Place] = set()
        """Directories that turned out to be no vbd's."""
        self._seen: tuple[_Seen, ...] = ()
        self._last = -PAUSE
        self.pending = False
        """A watch has asked for a look that has still to come."""
        self._guard = threading.Lock()
        self._counters: dict[_Place, KernelCounters | None] = {}
        self._counted = -COUNTERS_PAUSE

    def follow(self, hints: Hints, domains: tuple[Domain, ...]) -> None:
        """Look again if there is reason to.  Raises HostError."""
        now = time.monotonic()
        self.pending |= TOKEN in hints.tokens or "domain" in hints.tokens
        if not hints.everything and (not self.pending or now - self._last < PAUSE):
            return
        self.pending, self._last = False, now
        self._names = {domain.domid: domain.name for domain in domains}
        before = {seen.place: seen for seen in self._seen}
        places = list(self._places())
        self._seen = tuple(seen for place in sorted(places) if (seen := self._look(place, before.get(place))))
        self._watch([place.front_path + "/state" for place in places])

    def disks(self) -> tuple[ForeignDisk, ...]:
        """All of them as people see them but for their findings; from any thread."""
        seen = self._seen
        counters = self._read_counters(seen)
        return tuple(self._view(one, counters.get(one.place)) for one in seen)

    # looking, on the control thread ------------------------------------------------------------------------------

    def _places(self) -> Iterator[_Place]:
        left, strangers, known = MAX_FOREIGN, set[_Place](), {seen.place for seen in self._seen}
        self._roots = []
        for backend in sorted({0, self._me}):
            for kind in self._list(f"{domain_path(backend)}/backend"):
                if backend == self._me and kind in self._kinds:
                    continue
                root = backend_root(backend, kind)
                for domid_text in self._list(root):
                    for devid_text in self._list(f"{root}/{domid_text}"):
                        domid, devid = parse_id(domid_text), parse_id(devid_text)
                        if domid is None or devid is None or left == 0:
                            continue
                        left -= 1
                        place = _Place(backend, kind, domid, devid)
                        if place not in known and not self._is_vbd(place):
                            strangers.add(place)
                            continue
                        if root not in self._roots:
                            self._roots.append(root)
                        yield place
        self._strangers = strangers

    def _is_vbd(self, place: _Place) -> bool:
        """The directories of all kinds of devices look alike; a vbd's frontend is at its own place."""
        return place not in self._strangers and self._read(f"{place.back_path}/frontend") == place.front_path

    def _look(self, place: _Place, before: _Seen | None) -> _Seen | None:
        back, front = place.back_path, place.front_path
        back_text = self._read(f"{back}/state")
        states = (S.parse(self._read(f"{front}/state")), S.parse(back_text))
        online = self._read(f"{back}/online") != "0"
        running = place.domid in self._names or not self._host.caps.domain_list
        moved = before is None or states != (before.front, before.back)
        if before is not None:
            if not moved and before.settled and (online, running) == (before.online, before.running):
                return before
        elif back_text is None:
            return None  # a toolstack is still writing it
        return _Seen(
            place=place,
            front=states[0],
            back=states[1],
            online=online,
            running=running,
            since=time.time() if moved or before is None else before.since,
            keys=read_keys(self._host, place.backend, place.kind, place.domid, place.devid),
        )

    def _watch(self, fronts: list[str]) -> None:
        """Keep watches on what was found: the roots of their kinds, and each frontend's state, as far as they go."""
        limit = FEW_WATCHES if self._me else MAX_WATCHES
        wanted = set([*self._roots, *fronts][:limit])
        for path in sorted(self._watched - wanted):
            self._watched.discard(path)
            self._host.unwatch(path, TOKEN)
        for path in sorted(wanted - self._watched):
            try:
                self._host.watch(path, TOKEN)
            except HostError:
                return  # what is not watched is seen with the next full re-read
            self._watched.add(path)

    def _read(self, path: str) -> str | None:
        try:
            return self._host.read(path)
        except HostError:
            return None  # in a driver domain much of domain 0's is not for us

    def _list(self, path: str) -> tuple[str, ...]:
        try:
            return self._host.list(path)
        except HostError:
            return ()

    # showing, on any thread --------------------------------------------------------------------------------------

    def _read_counters(self, seen: tuple[_Seen, ...]) -> dict[_Place, KernelCounters | None]:
        root = self._host.caps.vbd_statistics
        with self._guard:
            now = time.monotonic()
            if root and now - self._counted >= COUNTERS_PAUSE:
                self._counted = now
                self._counters = {
                    one.place: read_counters(root, one.place.domid, one.place.devid)
                    for one in seen
                    if one.place.kind == "vbd" and one.place.backend == self._me
                }
            return self._counters

    def _view(self, seen: _Seen, counters: KernelCounters | None) -> ForeignDisk:
        place = seen.place
        return ForeignDisk(
            backend=place.backend,
            kind=place.kind,
            server="xen-blkback" if counters else _SERVERS.get(place.kind, place.kind),
            domid=place.domid,
            domain=self._names.get(place.domid) or str(place.domid),
            devid=place.devid,
            vdev=vdev_name(place.devid),
            image=seen.at_back("params"),
            mode="w" if "w" in (seen.at_back("mode") or "r") else "r",
            device_type=seen.at_back("device-type") or "disk",
            sectors=_whole(seen.at_back("sectors")),
            sector_size=_whole(seen.at_back("sector-size")) or 512,
            frontend_state=seen.front,
            backend_state=seen.back,
            since=seen.since,
            online=seen.online,
            health=Health(),
            counters=counters,
            keys=seen.keys,
            running=seen.running,
        )


def _whole(text: str) -> int:
    return int(text) if text and len(text) <= 20 and text.isascii() and text.isdecimal() else 0
