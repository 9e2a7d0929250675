# SPDX-License-Identifier: MIT
"""The steps that frontends are described in.

A frontend is a generator: it yields one of these, and whoever runs it does the step and sends the result back. A
guest's process runs it against a real ring (``driver.py``); a test may run it against anything else, in any order of
events.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from usblkback_tui.engine.host.sim.guest.disk import Disk
from usblkback_tui.protocol.states import XenbusState


class Failed(Exception):
    """A step could not be done, or what the backend said is not what this frontend can live with."""


class What(Enum):
    """What a connected frontend hears of."""

    BACKEND = "the backend may have written its state"
    ENDED = "the load, or the flush, is over"
    LEAVE = "the guest ends, or its driver is to start anew"


@dataclass(frozen=True, slots=True)
class Heard:
    """Something happened."""

    what: What
    backend: XenbusState
    """The backend's state now; UNKNOWN when it cannot be read."""
    busy: bool
    """Requests are being made."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the backend has to know of one queue."""

    ring_refs: tuple[int, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Read:
    """-> str | None: a key, by its absolute path or below our own domain's directory."""

    path: str


@dataclass(frozen=True, slots=True)
class Write:
    """-> None: write keys in one transaction.  Not done when our directory is gone."""

    keys: dict[str, str]


@dataclass(frozen=True, slots=True)
class Erase:
    """-> None: remove keys."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """-> XenbusState: the backend's state, once ``until`` holds for it.  There is no timeout."""

    until: Callable[[XenbusState], bool]


@dataclass(frozen=True, slots=True)
class Listen:
    """-> Heard: the next thing that happens."""


@dataclass(frozen=True, slots=True)
class MakeRings:
    """-> tuple[Published, ...]: grant the pages of so many rings and open an event channel for each."""

    queues: int = 1
    pages: int = 1


@dataclass(frozen=True, slots=True)
class Ready:
    """-> None: the disk is known, requests can be made."""

    disk: Disk


@dataclass(frozen=True, slots=True)
class Begin:
    """-> None: the disk may be used; the guest makes its load if it is to."""


@dataclass(frozen=True, slots=True)
class Resized:
    """-> None: the disk has another size."""

    sectors: int


@dataclass(frozen=True, slots=True)
class Stop:
    """-> None: make no more requests; ENDED is heard when all are answered."""


@dataclass(frozen=True, slots=True)
class Flush:
    """-> None: after the load, have everything written made durable; ENDED is heard when it is."""


@dataclass(frozen=True, slots=True)
class FreeRings:
    """-> int: end all grants, close the event channels; how many pages the backend still has mapped."""


@dataclass(frozen=True, slots=True)
class Say:
    """-> None: a line on the console."""

    text: str


Step = Read | Write | Erase | Wait | Listen | MakeRings | Ready | Begin | Resized | Stop | Flush | FreeRings | Say
Script = Generator[Step, Any, None]
