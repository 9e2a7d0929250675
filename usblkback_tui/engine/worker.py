# SPDX-License-Identifier: MIT
"""The threads of one disk: one that opens and closes the image, one for each ring while there are rings.

All that may block for long happens in them, so a hanging image stops one disk.  Results go back to the control thread
through ``post``, which runs a function there; the threads themselves change nothing that others read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from usblkback_tui.engine.datapath.ring import End, RingServer
from usblkback_tui.engine.image.raw import RawImage, open_image
from usblkback_tui.protocol.errors import UserError

Post = Callable[[Callable[[], None]], None]


class Workers:
    """Starts threads and counts them.  Methods are for the control thread, return at once, and call back on it."""

    def __init__(self, name: str, post: Post) -> None:
        self._name = name
        self._post = post
        self._running = 0
        self._finishing = threading.Event()
        self._last: Callable[[], None] | None = None
        """Runs in a thread when no other does any more."""

    def open(
        self,
        path: str,
        writable: bool,
        done: Callable[[RawImage | UserError], None],
        *,
        direct: bool | None = False,
        sector_size: int = 512,
        patience: float = 0.0,
    ) -> None:
        """Open an image; ``patience`` seconds are spent retrying while it is refused (a lock about to be released)."""

        def job() -> Callable[[], None]:
            deadline = time.monotonic() + patience
            while True:
                try:
                    result: RawImage | UserError = open_image(path, writable, direct=direct, sector_size=sector_size)
                except UserError as error:
                    result = error
                except OSError as error:
                    result = UserError(f"image {path} cannot be opened: {error.strerror}", key="image", value=path)
                if isinstance(result, RawImage) or time.monotonic() >= deadline or self._finishing.wait(0.1):
                    return lambda: done(result)

        problem = self._start(job, "image")
        if problem:
            error = UserError(f"image {path} cannot be opened: {problem}", key="image", value=path)
            self._post(lambda: done(error))

    def serve(self, rings: Sequence[RingServer], done: Callable[[int, str], None]) -> None:
        """Run each ring in a thread of its own; ``done`` gets its index and why it ended, empty when it was stopped."""
        for index, ring in enumerate(rings):

            def job(index: int = index, ring: RingServer = ring) -> Callable[[], None]:
                end = ring.run()
                why = "" if end is End.STOPPED else end.sentence
                return lambda: done(index, why)

            if problem := self._start(job, str(index)):
                self._post(lambda index=index, problem=problem: done(index, problem))  # type: ignore[misc]

    def finish(self, image: RawImage | None, done: Callable[[], None]) -> None:
        """Close the image once no thread uses it, then ``done``."""

        def close() -> Callable[[], None]:
            if image is not None:
                image.close()
            return done

        self._finishing.set()
        self._last = lambda: self._close(close)
        self._end_when_idle()

    def _close(self, close: Callable[[], Callable[[], None]]) -> None:
        if self._start(close, "image"):
            self._post(close())

    def _start(self, job: Callable[[], Callable[[], None]], what: str) -> str:
        """Run ``job`` in a new thread and what it returns on the control thread; a sentence when there is no thread."""

        def run() -> None:
            result = job()
            self._post(lambda: ended(result))

        def ended(result: Callable[[], None]) -> None:
            self._running -= 1
            try:
                result()
            finally:
                self._end_when_idle()

        # daemon: a thread stuck in the kernel on a dead image must not keep the process from ending
        thread = threading.Thread(target=run, name=f"{self._name}-{what}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return "no thread can be started, the process has too many"
        self._running += 1
        return ""

    def _end_when_idle(self) -> None:
        if self._last is not None and self._running == 0:
            last, self._last = self._last, None
            last()
