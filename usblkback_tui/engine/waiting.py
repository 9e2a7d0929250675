# SPDX-License-Identifier: MIT
"""Attaches that wait for a domain which is not there yet.

They are kept in memory, by the name of the domain, until it appears, their time is up or somebody takes them back; an
engine that ends forgets them.
"""

from __future__ import annotations

from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.eventlog import EventLog
from usblkback_tui.engine.snapshot import PendingAttach, Severity
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.vdev import Vdev

LONGEST_NAME = 256


class Waiting:
    """What waits, oldest first.  Control thread only, but for ``all``."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._number = 0
        self.all: tuple[PendingAttach, ...] = ()
        """Replaced whole, so any thread may read it."""

    def check(self, request: AttachRequest, vdev: Vdev) -> None:
        """Raises UserError for a name that no domain can be waited for by, and for a second request for one vdev."""
        name = request.domain
        if not name or name.isdecimal() or len(name) > LONGEST_NAME or not name.isprintable():
            raise UserError(
                f"domain {name!r} cannot be waited for",
                fix="use its name: a domain gets its number when it starts",
                key="domain",
                value=name,
            )
        if any((one.domain, one.devid) == (name, vdev.number) for one in self.all):
            raise UserError(
                f"vdev {vdev.name} waits for domain {name} already",
                fix="detach it there first, or choose another one",
                key="vdev",
                value=request.vdev,
            )

    def add(self, request: AttachRequest, vdev: Vdev, image: str, since: float, seconds: float) -> PendingAttach:
        """Keep a request that was checked; after ``seconds`` it is dropped, 0 is never."""
        self._number += 1
        until = since + seconds if seconds else None
        one = PendingAttach(
            self._number,
            request.domain,
            vdev.name,
            vdev.number,
            image,
            request.mode,
            since,
            until,
            request.options,
        )
        self.all = (*self.all, one)
        self._say(one, Severity.INFO, f"{one.title} waits for its domain")
        return one

    def of(self, domain: str) -> tuple[PendingAttach, ...]:
        """What waits for a domain of this name."""
        return tuple(one for one in self.all if one.domain == domain)

    def done(self, one: PendingAttach) -> None:
        """Its domain is there; whatever came of the attach was said."""
        self.all = tuple(other for other in self.all if other is not one)

    def cancel(self, domain: str, devid: int) -> bool:
        """Take one back; False when there is none."""
        found = next((one for one in self.all if (one.domain, one.devid) == (domain, devid)), None)
        if found is not None:
            self.done(found)
            self._say(found, Severity.INFO, f"{found.title} waits no longer: it was taken back")
        return found is not None

    def expire(self, now: float) -> None:
        """Drop those whose time is up."""
        for one in self.all:
            if one.until is not None and now >= one.until:
                self.done(one)
                seconds = one.until - one.since
                self._say(one, Severity.WARNING, f"{one.title} is not attached: no such domain within {seconds:.0f} s")

    def _say(self, one: PendingAttach, severity: Severity, text: str) -> None:
        self._events.add(severity, text, devid=one.devid, vdev=one.vdev)
