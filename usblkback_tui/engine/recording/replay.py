# SPDX-License-Identifier: MIT
"""A recording as a Backend: whatever shows a running engine shows what was recorded of one.

It has a place, which moves on with the clock while it plays.  After a jump ``Snapshot.started`` is another one, by
microseconds: to whoever derives rates, charts or a log from snapshots the engine is a new one, and nothing is computed
across the jump.  The frame before the place is handed out first then, so that there are rates at once.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NoReturn

from usblkback_tui.engine.api import AttachPlan, AttachRequest
from usblkback_tui.engine.inspection import RequestView, RingSlots, StoreNode
from usblkback_tui.engine.recording.frame import Frame
from usblkback_tui.engine.recording.reader import Recording
from usblkback_tui.engine.snapshot import DiskView, Event, PendingAttach, Snapshot
from usblkback_tui.protocol.errors import UserError

MIN_SPEED, MAX_SPEED = 0.1, 100.0
APART = 0.95
"""Seconds between two frames that are compared, at least."""
KEPT_EVENTS = 2000
KEPT_REQUESTS = 1024
"""Of each disk."""
_FIX = "connect to a running engine: usblkback-tui connect"
_TRACED_FRAMES = 60
"""How far back a disk's last requests are looked for."""


class ReplayBackend:
    """Plays the recording at ``path``, from its begin and at once.  Any thread; every method raises UserError."""

    def __init__(self, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` is seconds that never go back."""
        self._clock = clock
        self._lock = threading.Lock()
        self._recording = Recording(path)
        self._place = self._recording.first
        self._since = clock()
        """When it was at ``_place``, while it plays."""
        self._playing = True
        self._speed = 1.0
        self._jumps = 0
        self._lead_in = False
        """The frame before the place comes first."""
        self._traced: dict[tuple[int, int], deque[RequestView]] = {}
        self._traced_to = -_TRACED_FRAMES - 1
        """The frame up to which requests were taken in."""

    # what is played ---------------------------------------------------------------------------------------------

    @property
    def recording(self) -> Recording:
        """What is played; only to read its header and its size."""
        return self._recording

    @property
    def first(self) -> float:
        """The least place, in seconds since the recording began."""
        return self._recording.first

    @property
    def last(self) -> float:
        """The greatest place."""
        return self._recording.last

    @property
    def place(self) -> float:
        """Where it is."""
        with self._lock:
            return self._now()

    @property
    def playing(self) -> bool:
        """It moves on; not at the end."""
        with self._lock:
            return self._playing and self._now() < self.last

    @property
    def speed(self) -> float:
        """Seconds of the recording in one second."""
        return self._speed

    def play(self) -> None:
        """Go on; from the begin when it is at the end."""
        with self._lock:
            at = self._now()
            if at >= self.last:
                self._jump(self.first)
            else:
                self._place = at
            self._playing, self._since = True, self._clock()

    def pause(self) -> None:
        """Stand still."""
        with self._lock:
            self._place, self._playing = self._now(), False

    def set_speed(self, speed: float) -> None:
        """Play faster or slower, from ``MIN_SPEED`` to ``MAX_SPEED``."""
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise UserError(
                f"speed {speed:g} cannot be played", fix=f"use {MIN_SPEED:g} to {MAX_SPEED:g}", key="speed", value=speed
            )
        with self._lock:
            self._place, self._since = self._now(), self._clock()
            self._speed = speed

    def seek(self, place: float) -> None:
        """Go to a place; the nearest one there is."""
        with self._lock:
            self._jump(place)

    def step(self, count: int) -> None:
        """Stand still ``count`` frames after this one, or before it."""
        with self._lock:
            here = self._recording.number_at(self._now())
            self._playing = False
            frame = self._recording.frame(here + count)
            if count == 1:
                self._place = frame.at  # no jump: what was derived so far goes on
            else:
                self._jump(frame.at)

    def _now(self) -> float:
        if not self._playing:
            return self._place
        return min(self._place + (self._clock() - self._since) * self._speed, self.last)

    def _jump(self, place: float) -> None:
        self._place, self._since = min(max(place, self.first), self.last), self._clock()
        self._jumps += 1
        self._lead_in = True

    # Backend ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The engine as it was at this place."""
        with self._lock:
            number = self._recording.number_at(self._now())
            before = self._before(number) if self._lead_in else None
            self._lead_in = False
            return self._dated((before or self._recording.frame(number)).snapshot)

    def past(self, until: Snapshot, seconds: float) -> Iterator[Snapshot]:
        """What came before ``until``, a snapshot handed out since the last jump: oldest first, about a second apart.

        As far back as the same engine was recorded and ``seconds`` reach; ends early when somebody jumps meanwhile.
        """
        with self._lock:
            jumps, recording = self._jumps, self._recording
            end = recording.number_at(self._now())
            number = recording.number_at(recording.frame(end).at - seconds)
        last: float | None = None
        while number < end:
            with self._lock:  # taken for each frame: who asks for the place must not wait for minutes of recording
                if self._jumps != jumps:
                    return
                snapshot = self._dated(recording.frame(number).snapshot)
            number += 1
            if snapshot.started != until.started or snapshot.monotonic > until.monotonic - APART:
                continue
            if last is None or snapshot.monotonic - last >= APART:
                last = snapshot.monotonic
                yield snapshot

    def _dated(self, snapshot: Snapshot) -> Snapshot:
        """Of another engine after each jump."""
        return replace(snapshot, started=snapshot.started + self._jumps * 1e-5, read_only=True)

    def _before(self, number: int) -> Frame | None:
        """A frame of the same engine to compare frame ``number`` with, about a second older."""
        frame = self._recording.frame(number)
        for earlier in range(number - 1, max(number - 11, -1), -1):
            before = self._recording.frame(earlier)
            if before.snapshot.started != frame.snapshot.started:
                break
            if frame.snapshot.monotonic - before.snapshot.monotonic >= APART:
                return before
        return None

    def events(self, after: int) -> tuple[Event, ...]:
        """What had been said by this place.  ``seq`` counts the recording's events, over several engines."""
        with self._lock:
            number = self._recording.number_at(self._now())
            first, events = self._recording.events(number, after=after, limit=KEPT_EVENTS)
        return tuple(replace(event, seq=seq) for seq, event in enumerate(events, first))

    def requests(self, domid: int, devid: int, after: Sequence[int] = (), limit: int = 256) -> tuple[RequestView, ...]:
        """The newest requests of a disk at this place, oldest first, as far as they were recorded."""
        with self._lock:
            self._trace(self._recording.number_at(self._now()))
            found = self._traced.get((domid, devid), ())
            new = [one for one in found if not 0 <= one.ring < len(after) or one.seq > after[one.ring]]
        return tuple(new[-limit:]) if limit > 0 else ()

    def _trace(self, number: int) -> None:
        """Bring what is known of requests to frame ``number``."""
        since = self._traced_to + 1
        if not 0 <= number - self._traced_to <= _TRACED_FRAMES:
            self._traced.clear()
            since = max(number - _TRACED_FRAMES, 0)
        for at in range(since, number + 1):
            for one in self._recording.frame(at).requests:
                kept = self._traced.setdefault((one.domid, one.devid), deque(maxlen=KEPT_REQUESTS))
                kept.extend(one.requests)
        self._traced_to = number

    def plan(self, request: AttachRequest, *, later: bool = False) -> AttachPlan:
        """Not here."""
        _refuse()

    def attach(self, request: AttachRequest, wait: float = 0.0) -> DiskView:
        """Not here."""
        _refuse()

    def attach_later(self, request: AttachRequest, seconds: float = 0.0) -> PendingAttach:
        """Not here."""
        _refuse()

    def resize(self, domain: str, vdev: str, sectors: int | None = None) -> DiskView:
        """Not here."""
        _refuse()

    def detach(self, domain: str, vdev: str, *, force: bool = False, wait: float = 10.0) -> None:
        """Not here."""
        _refuse()

    def next_vdev(self, domain: str) -> str:
        """Not here."""
        _refuse()

    def ring_slots(self, domid: int, devid: int, ring: int) -> RingSlots:
        """Not recorded."""
        raise UserError("the slots of rings are not recorded", fix="their indices are, in the snapshot")

    def store(self, path: str) -> StoreNode:
        """Not recorded."""
        raise UserError("xenstore is not recorded", fix="the keys a disk's ends wrote are, in the handshake")

    def store_write(self, path: str, value: str) -> None:
        """Not here."""
        _refuse()

    def store_remove(self, path: str) -> None:
        """Not here."""
        _refuse()

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._lock:
            self._recording.close()


def _refuse() -> NoReturn:
    raise UserError("a recording cannot be changed", fix=_FIX)
