# SPDX-License-Identifier: MIT
"""What the descriptions of frontends have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from usblkback_tui.engine.host.sim.guest.disk import Disk, Manners
from usblkback_tui.engine.host.sim.guest.frontends.steps import (
    Begin,
    Erase,
    Failed,
    Flush,
    FreeRings,
    Heard,
    Listen,
    MakeRings,
    Published,
    Read,
    Ready,
    Say,
    Script,
    Step,
    Stop,
    Wait,
    What,
    Write,
)
from usblkback_tui.engine.host.sim.load import GuestOptions
from usblkback_tui.protocol.blkif import MAX_INDIRECT_SEGMENTS, SECTOR, SEGMENTS_DIRECT, Info, Op
from usblkback_tui.protocol.states import XenbusState as S

T = TypeVar("T")
Part = Generator[Step, Any, T]
"""A piece of a script that has a result."""

NEW = frozenset({S.INITIALISING})
ANY = frozenset(S)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frontend's two directories are."""

    devid: int
    front: str
    """Below our own domain's directory."""
    back: str
    """Absolute."""


class Frontend(ABC):
    """One driver of one vbd, from its probe to its end: :meth:`life` says what it does.

    Class attributes say what is no step: what it understands of a backend's offer and how it drives its ring.
    """

    name: ClassVar[str]
    probes: ClassVar[frozenset[S]] = NEW
    """Our states in which a driver that boots takes the device over; later it is only probed when it is new."""
    spins: ClassVar[bool] = False
    """It reads the backend's state over and over instead of watching it."""
    watches: ClassVar[str] = "/state"
    """What is watched below the backend's directory."""
    knows: ClassVar[frozenset[str]] = frozenset()
    """Of ``flush barrier discard persistent indirect``: the features it reads."""

    def __init__(self, place: Place, options: GuestOptions) -> None:
        self.place = place
        self.options = options
        self.state = S.INITIALISING
        """What we last wrote, or found."""
        self.failure = ""
        """What it could not live with, if anything."""

    @property
    def manners(self) -> Manners:
        """How it drives its ring."""
        return Manners()

    @classmethod
    def backend_path(cls, told: str, backend: int, domid: int, devid: int) -> str:
        """Where the backend's directory is; ``told`` is the frontend's key ``backend``."""
        return told

    @abstractmethod
    def life(self) -> Script:
        """Everything it does."""

    def run(self) -> Script:
        """:meth:`life`, and what comes of a step that fails: the rings are given up, the device is left as it is."""
        try:
            yield from self.life()
        except Failed as error:
            self.failure = str(error)
            yield Say(f"{self.name}: vbd {self.place.devid}: {error}")
            yield FreeRings()

    # Words of the descriptions ---------------------------------------------------------------------------------------

    def back(self, key: str) -> Part[str | None]:
        """One of the backend's keys."""
        value: str | None = yield Read(f"{self.place.back}/{key}")
        return value

    def number(self, key: str, default: int = 0) -> Part[int]:
        """One of the backend's keys as a decimal; ``default`` when it is missing or no number."""
        text = yield from self.back(key)
        return int(text) if text is not None and text.isdecimal() else default

    def write(self, keys: dict[str, str]) -> Script:
        """Keys of ours, in one transaction."""
        yield Write({f"{self.place.front}/{key}": value for key, value in keys.items()})

    def write_each(self, keys: dict[str, str]) -> Script:
        """Keys of ours, one after another."""
        for key, value in keys.items():
            yield from self.write({key: value})

    def switch(self, state: S, keys: dict[str, str] | None = None) -> Script:
        """Our state, with other keys in the same transaction."""
        yield from self.write((keys or {}) | {"state": str(int(state))})
        self.state = state

    def erase(self, *keys: str) -> Script:
        """Remove keys of ours."""
        yield Erase(tuple(f"{self.place.front}/{key}" for key in keys))

    def wait(self, until: Callable[[S], bool]) -> Part[S]:
        """The backend's state, once ``until`` holds for it."""
        state: S = yield Wait(until)
        return state

    def listen(self) -> Part[Heard]:
        """The next thing that happens."""
        heard: Heard = yield Listen()
        return heard

    def drain(self) -> Script:
        """End the load and wait until every request is answered."""
        yield Stop()
        yield from self._rest()

    def sync(self) -> Script:
        """End the load, then have what was written made durable."""
        yield from self.drain()
        yield Flush()
        yield from self._rest()

    def _rest(self) -> Script:
        """Until nothing is under way; what else is heard meanwhile is no news to who leaves."""
        while True:
            heard = yield from self.listen()
            if heard.what is What.ENDED and not heard.busy:
                return

    def until_told(self) -> Script:
        """Use the disk until the guest is to leave it; what the backend says meanwhile is not heard."""
        while (yield from self.listen()).what is not What.LEAVE:
            pass

    def make_rings(self, queues: int = 1, pages: int = 1) -> Part[tuple[Published, ...]]:
        """Grant rings and open event channels."""
        published: tuple[Published, ...] = yield MakeRings(queues, pages)
        return published

    def use(self, disk: Disk, state: S | None = None) -> Script:
        """The disk is known: go to ``state``, if any, and make requests."""
        yield Ready(disk)
        if state is not None:
            yield from self.switch(state)
        yield Say(f"{self.name}: vbd {self.place.devid}: {disk}")
        yield Begin()

    def read_disk(
        self, needs: Sequence[str] = ("sectors", "info", "sector-size"), *, segments: int = SEGMENTS_DIRECT
    ) -> Part[Disk]:
        """What the backend says of its disk.  ``segments`` is the most we would put into a request.

        Raises Failed naming the ``needs`` that are missing.
        """
        texts: dict[str, str | None] = {}
        for key in needs:
            texts[key] = yield from self.back(key)
        missing = [key for key, text in texts.items() if text is None or not text.isdecimal()]
        if missing:
            raise Failed(f"reading backend fields at {self.place.back}: {', '.join(missing)}")
        size = int(texts.get("sector-size") or SECTOR)
        flush = "flush" in self.knows and bool((yield from self.number("feature-flush-cache")))
        barrier = "barrier" in self.knows and bool((yield from self.number("feature-barrier")))
        discard = "discard" in self.knows and bool((yield from self.number("feature-discard")))
        granularity = yield from self.number("discard-granularity")
        physical = yield from self.number("physical-sector-size", size)
        unit = _in_sectors(granularity or physical) or SECTOR
        alignment = yield from self.number("discard-alignment")
        secure = yield from self.number("discard-secure")
        offered = (yield from self.number("feature-max-indirect-segments")) if "indirect" in self.knows else 0
        return Disk(
            sectors=int(texts.get("sectors") or 0),
            info=Info(int(texts.get("info") or 0) & 7),
            flush=Op.FLUSH_DISKCACHE if flush else Op.WRITE_BARRIER if barrier else 0,
            barrier=barrier,
            discard=discard,
            secure=discard and bool(secure),
            discard_granularity=unit,
            discard_alignment=_in_sectors(alignment) % unit,
            persistent="persistent" in self.knows and bool((yield from self.number("feature-persistent"))),
            max_segments=max(min(segments, MAX_INDIRECT_SEGMENTS, offered), min(segments, SEGMENTS_DIRECT)),
        )


def ring_keys(queue: Published, home: str = "") -> dict[str, str]:
    """``ring-ref``, or ``ring-ref0`` and so on, of one queue below ``home``."""
    names = ["ring-ref"] if len(queue.ring_refs) == 1 else [f"ring-ref{page}" for page in range(len(queue.ring_refs))]
    return {f"{home}{name}": str(ref) for name, ref in zip(names, queue.ring_refs, strict=True)}


def port_key(queue: Published, home: str = "") -> dict[str, str]:
    """``event-channel`` of one queue below ``home``."""
    return {f"{home}event-channel": str(queue.port)}


def homes(queues: Sequence[Published]) -> list[str]:
    """Where each queue's keys are: at the top for one, in directories of their own for several."""
    return [f"queue-{number}/" if len(queues) > 1 else "" for number in range(len(queues))]


def _in_sectors(size: int) -> int:
    """An unsigned int of bytes, as whole sectors."""
    return -(-min(size, 0xFFFF_FFFF) // SECTOR) * SECTOR
