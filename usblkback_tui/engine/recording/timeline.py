# SPDX-License-Identifier: MIT
"""The last minutes of an engine in memory: every snapshot taken, whole, and the events up to it.

Snapshots are kept as a recording's chunks, compressed, because most of one is histograms that hardly change: a second
of a busy disk takes some hundred bytes instead of ten thousand.  Looking at the past unpacks one chunk, which is kept
unpacked for the next look; its snapshots share what is equal.

The place in time is ``Snapshot.monotonic``.  No threads and no locks: it belongs to whoever feeds it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from usblkback_tui.engine.recording.changes import Changed, changes
from usblkback_tui.engine.recording.chunk import BadChunk, ChunkBuilder, read_frames, unpack
from usblkback_tui.engine.recording.frame import Frame
from usblkback_tui.engine.snapshot import Event, Snapshot

SECONDS = 900.0
INTERVAL = 1.0
MAX_BYTES = 32 << 20
"""Of all chunks; the oldest go when there are more."""
KEPT_EVENTS = 4000
_CHUNK_FRAMES = 15
_CHUNK_TEXT = 4 << 20
_LEVEL = 1
"""Of compression: what is kept for minutes is not worth more time each second."""
_EARLY = 0.1
"""A snapshot may come by this part of the interval early and still count."""


@dataclass(frozen=True, slots=True)
class _Packed:
    """A chunk that is full."""

    places: tuple[float, ...]
    data: bytes
    text: int


class Timeline:
    """Keeps one snapshot an ``interval`` for ``seconds``; begins anew with another engine."""

    def __init__(self, seconds: float = SECONDS, *, interval: float = INTERVAL, max_bytes: int = MAX_BYTES) -> None:
        self._seconds = seconds
        self._interval = interval
        self._max_bytes = max_bytes
        self._packed: deque[_Packed] = deque()
        self._bytes = 0
        self._builder = ChunkBuilder(_LEVEL)
        self._places: list[float] = []
        """Of the chunk that is being filled."""
        self._events: deque[tuple[float, Event]] = deque(maxlen=KEPT_EVENTS)
        self._unpacked: tuple[_Packed | None, int, tuple[Snapshot, ...]] = (None, 0, ())

    def add(self, snapshot: Snapshot, events: Iterable[Event] = ()) -> bool:
        """Take in what was just seen; whether the snapshot is kept.  ``events`` always are."""
        newest = self._builder.last
        if newest is not None:
            last = newest.snapshot
            if last.started != snapshot.started or snapshot.monotonic < last.monotonic:
                self.clear()
                newest = None
        self._events.extend((snapshot.monotonic, event) for event in events)
        if newest is not None and snapshot.monotonic - newest.at < self._interval * (1 - _EARLY):
            return False
        if len(self._places) >= _CHUNK_FRAMES or self._builder.text >= _CHUNK_TEXT:
            self._pack()
        try:
            self._builder.add(Frame(snapshot.monotonic, snapshot))
        except BadChunk:
            return False  # an engine of a thousand disks has no past here
        self._places.append(snapshot.monotonic)
        self._forget()
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._packed.clear()
        self._bytes = 0
        self._builder = ChunkBuilder(_LEVEL)
        self._places = []
        self._events.clear()
        self._unpacked = (None, 0, ())

    def __len__(self) -> int:
        """Snapshots kept."""
        return sum(len(one.places) for one in self._packed) + len(self._places)

    @property
    def size(self) -> int:
        """Bytes the kept snapshots take, one unpacked chunk not counted."""
        return self._bytes + len(self._builder.peek() if self._places else b"")

    @property
    def first(self) -> float | None:
        """The place of the oldest snapshot."""
        places = self._packed[0].places if self._packed else self._places
        return places[0] if places else None

    @property
    def last(self) -> float | None:
        """The place of the newest snapshot."""
        places = self._places or (self._packed[-1].places if self._packed else ())
        return places[-1] if places else None

    def at(self, place: float) -> Snapshot | None:
        """The snapshot that was the newest at ``place``; the oldest for a place before it; None when there is none."""
        if self.first is None:
            return None
        chunk = self._chunk_at(place)
        places = self._places if chunk is None else chunk.places
        return self._snapshots(chunk)[max(bisect_right(places, place) - 1, 0)]

    def step(self, place: float, count: int) -> float | None:
        """The place of the snapshot ``count`` after the one at ``place``, or before it; stops at either end."""
        every = [*(one for chunk in self._packed for one in chunk.places), *self._places]
        if not every:
            return None
        here = max(bisect_right(every, place) - 1, 0)
        return every[min(max(here + count, 0), len(every) - 1)]

    def events(self, until: float | None = None, *, since: float | None = None) -> tuple[Event, ...]:
        """What had been said by the place ``until``, and after ``since``; oldest first."""
        return tuple(
            event
            for place, event in self._events
            if (until is None or place <= until) and (since is None or place > since)
        )

    def changed(self, one: float, other: float) -> tuple[Changed, ...]:
        """What is different between the snapshots at two places."""
        old, new = self.at(one), self.at(other)
        return changes(old, new) if old is not None and new is not None else ()

    # chunks -----------------------------------------------------------------------------------------------------

    def _pack(self) -> None:
        head, data = self._builder.pack(0)
        self._packed.append(_Packed(tuple(self._places), data, head.text))
        self._bytes += len(data)
        self._builder = ChunkBuilder(_LEVEL)
        self._places = []
        if self._unpacked[0] is None:
            self._unpacked = (None, 0, ())

    def _forget(self) -> None:
        """What is too old, and what is too much."""
        oldest = self._places[-1] - self._seconds
        while self._packed and (self._packed[0].places[-1] < oldest or self._bytes > self._max_bytes):
            self._bytes -= len(self._packed.popleft().data)
        while self._events and self._events[0][0] < oldest:
            self._events.popleft()

    def _chunk_at(self, place: float) -> _Packed | None:
        """The chunk that holds it; None for the one that is being filled."""
        if self._places and (not self._packed or place >= self._places[0]):
            return None
        index = bisect_right(self._packed, place, key=lambda chunk: chunk.places[0]) - 1
        return self._packed[max(index, 0)]

    def _snapshots(self, chunk: _Packed | None) -> tuple[Snapshot, ...]:
        count = len(self._places) if chunk is None else len(chunk.places)
        if self._unpacked[0] is not chunk or self._unpacked[1] != count:
            lines = (
                unpack(self._builder.peek(), text=self._builder.text)
                if chunk is None
                else unpack(chunk.data, text=chunk.text)
            )
            self._unpacked = (chunk, count, tuple(frame.snapshot for frame in read_frames(lines, trusted=True)))
        return self._unpacked[2]
