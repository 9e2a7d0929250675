# SPDX-License-Identifier: MIT
"""What can be asked of an engine, verb by verb: its arguments as a dataclass and what it does to a Backend.

``watch`` is not here: it answers with a stream, which is the server's business.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from usblkback_tui import __version__
from usblkback_tui.engine.api import AttachRequest, Backend
from usblkback_tui.engine.control.codec import CodecError, decode, encode
from usblkback_tui.engine.control.status import status_json
from usblkback_tui.engine.settings import DiskOptions
from usblkback_tui.protocol.errors import UserError

MAX_WAIT = 86400
"""Seconds an attach or a detach may wait for a guest."""


@dataclass(frozen=True, slots=True)
class NoArgs:
    """``status``, ``snapshot``, ``stop``."""


@dataclass(frozen=True, slots=True)
class EventsArgs:
    """``events``: the kept ones with ``seq`` above ``after``."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class WatchArgs:
    """``watch``: events with ``seq`` above ``after``, or from now on."""

    after: int | None = None


@dataclass(frozen=True, slots=True)
class AttachArgs:
    """``attach``, ``attach_later`` and ``plan``, which has no use for ``wait`` seconds."""

    domain: str
    image: str
    vdev: str
    mode: str = "w"
    wait: float = 0.0
    options: DiskOptions = field(default_factory=DiskOptions)
    later: bool = False
    """Of a ``plan``: the domain need not be there."""

    @property
    def request(self) -> AttachRequest:
        """The same as the engine takes it."""
        return AttachRequest(self.domain, self.image, self.vdev, self.mode, self.options)


@dataclass(frozen=True, slots=True)
class ResizeArgs:
    """``resize``; ``sectors`` of 512 bytes, null for the size the image has."""

    domain: str
    vdev: str
    sectors: int | None = None


@dataclass(frozen=True, slots=True)
class DetachArgs:
    """``detach``; ``wait`` is seconds."""

    domain: str
    vdev: str
    force: bool = False
    wait: float = 10.0


@dataclass(frozen=True, slots=True)
class NextVdevArgs:
    """``next_vdev``."""

    domain: str


@dataclass(frozen=True, slots=True)
class RequestsArgs:
    """``requests``: of ring i those with ``seq`` above ``after[i]``."""

    domid: int
    devid: int
    after: tuple[int, ...] = ()
    limit: int = 256


@dataclass(frozen=True, slots=True)
class RingArgs:
    """``ring_slots``."""

    domid: int
    devid: int
    ring: int = 0


@dataclass(frozen=True, slots=True)
class PathArgs:
    """``store`` and ``store_remove``."""

    path: str


@dataclass(frozen=True, slots=True)
class WriteArgs:
    """``store_write``."""

    path: str
    value: str


def arguments(verb: str, kind: type[Any], data: Any) -> Any:
    """The arguments of a request.  Raises UserError naming the one at fault."""
    try:
        return decode(kind, {} if data is None else data, strict=True)
    except CodecError as error:
        raise UserError(
            f"argument {error} in the request {verb}", fix="see docs/json.md for its arguments", key=error.path
        ) from None


def answer(backend: Backend, verb: str, data: Any) -> Any:
    """Do ``verb``; its result as JSON.  Raises UserError."""
    known = VERBS.get(verb)
    if known is None:
        raise UserError(f"the verb {verb!r} is unknown", fix=f"use one of {', '.join(VERBS)}", key="verb", value=verb)
    kind, run = known
    return run(backend, arguments(verb, kind, data))


def _status(backend: Backend, _: NoArgs) -> Any:
    return status_json(backend.snapshot(), pid=os.getpid(), program=__version__)


def _attach(backend: Backend, args: AttachArgs) -> Any:
    _check_wait(args.wait)
    return encode(backend.attach(args.request, wait=args.wait))


def _attach_later(backend: Backend, args: AttachArgs) -> Any:
    _check_wait(args.wait)
    return encode(backend.attach_later(args.request, args.wait))


def _detach(backend: Backend, args: DetachArgs) -> None:
    _check_wait(args.wait)
    backend.detach(args.domain, args.vdev, force=args.force, wait=args.wait)


def _check_wait(seconds: float) -> None:
    if not 0 <= seconds <= MAX_WAIT:
        raise UserError(f"wait is {seconds:g}", fix=f"use seconds from 0 to {MAX_WAIT}", key="wait", value=seconds)


VERBS: dict[str, tuple[type[Any], Callable[[Backend, Any], Any]]] = {
    "status": (NoArgs, _status),
    "snapshot": (NoArgs, lambda backend, _: encode(backend.snapshot())),
    "events": (EventsArgs, lambda backend, args: encode(backend.events(args.after))),
    "plan": (AttachArgs, lambda backend, args: encode(backend.plan(args.request, later=args.later))),
    "attach": (AttachArgs, _attach),
    "attach_later": (AttachArgs, _attach_later),
    "resize": (
        ResizeArgs,
        lambda backend, args: encode(backend.resize(args.domain, args.vdev, args.sectors)),
    ),
    "detach": (DetachArgs, _detach),
    "next_vdev": (NextVdevArgs, lambda backend, args: backend.next_vdev(args.domain)),
    "requests": (
        RequestsArgs,
        lambda backend, args: encode(backend.requests(args.domid, args.devid, args.after, args.limit)),
    ),
    "ring_slots": (RingArgs, lambda backend, args: encode(backend.ring_slots(args.domid, args.devid, args.ring))),
    "store": (PathArgs, lambda backend, args: encode(backend.store(args.path))),
    "store_write": (WriteArgs, lambda backend, args: backend.store_write(args.path, args.value)),
    "store_remove": (PathArgs, lambda backend, args: backend.store_remove(args.path)),
}
