# SPDX-License-Identifier: MIT
"""Looks at a backend at a steady rate and writes what it sees to a file, in a thread of its own."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from usblkback_tui import __version__
from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.control.client import NoEngine
from usblkback_tui.engine.recording.frame import DiskRequests, Frame
from usblkback_tui.engine.recording.layout import FORMAT, VERSION, Header
from usblkback_tui.engine.recording.redact import Redactor
from usblkback_tui.engine.recording.writer import Limits, Writer
from usblkback_tui.engine.snapshot import Snapshot
from usblkback_tui.protocol.errors import UserError

MIN_HZ, MAX_HZ = 0.1, 10.0
REQUESTS = 16
"""Of each disk in a frame, by default."""
MAX_REQUESTS = 1024


class Recorder:
    """Records ``backend`` to a new file from :meth:`start` to :meth:`stop`.  Making one raises UserError."""

    def __init__(
        self,
        backend: Backend,
        path: Path,
        *,
        hz: float = 1.0,
        limits: Limits | None = None,
        redactor: Redactor | None = None,
        requests: int = REQUESTS,
    ) -> None:
        """``requests``: how many of the last ones a frame keeps of each disk."""
        if not MIN_HZ <= hz <= MAX_HZ:
            raise UserError(f"{hz:g} frames a second cannot be recorded", fix=f"use {MIN_HZ:g} to {MAX_HZ:g}", key="hz")
        self._backend = backend
        self._requests = min(requests, MAX_REQUESTS)
        self._hz = hz
        self._redactor = redactor
        header = Header(FORMAT, VERSION, __version__, time.time(), hz, redactor.what if redactor else ())
        self.writer = Writer(path, header, limits)
        self._began = time.monotonic()
        self._started = 0.0
        """Of the engine that was seen last."""
        self._seen = 0
        self._traced: dict[tuple[int, int], list[int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.disks = 0
        """In the last frame."""
        self.problem = ""
        """Why the last look brought nothing; the next one may."""
        self.error: UserError | None = None
        """Why it ended by itself."""

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    @property
    def running(self) -> bool:
        """It has not ended by itself."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> bool:
        """End, and write what is left; False when the backend still does not answer after ``timeout`` seconds."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        self.writer.close()
        return True

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended by itself, ``timeout`` seconds at most; whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            try:
                due = time.monotonic()
                while not self._stop.wait(max(due - time.monotonic(), 0.0)):
                    self._look()
                    due = max(due + 1 / self._hz, time.monotonic())
            finally:
                self.writer.close()
        except UserError as error:
            self.error = error
        except Exception as error:
            self.error = UserError(f"the recorder failed: {type(error).__name__}: {error}")

    def _look(self) -> None:
        try:
            frame = self._frame()
        except NoEngine:
            raise
        except UserError as error:
            self.problem = str(error)
            return
        self.problem = ""
        self.disks = len(frame.snapshot.disks)
        self.writer.add(self._redactor.frame(frame) if self._redactor else frame)

    def _frame(self) -> Frame:
        snapshot = self._backend.snapshot()
        if snapshot.started != self._started:
            self._started, self._seen = snapshot.started, 0
            self._traced.clear()
        events = self._backend.events(self._seen)
        requests = self._traces(snapshot)
        if events:
            self._seen = events[-1].seq
        return Frame(time.monotonic() - self._began, snapshot, events, requests)

    def _traces(self, snapshot: Snapshot) -> tuple[DiskRequests, ...]:
        if self._requests <= 0:
            return ()
        for gone in self._traced.keys() - {disk.key for disk in snapshot.disks}:
            del self._traced[gone]
        found = []
        for disk in snapshot.disks:
            if not disk.rings:
                continue
            seen = self._traced.setdefault(disk.key, [])
            try:
                requests = self._backend.requests(*disk.key, tuple(seen), self._requests)
            except NoEngine:
                raise
            except UserError:
                continue  # it was detached since
            for one in requests:
                seen += [0] * (one.ring + 1 - len(seen))
                seen[one.ring] = max(seen[one.ring], one.seq)
            if requests:
                found.append(DiskRequests(*disk.key, requests))
        return tuple(found)
