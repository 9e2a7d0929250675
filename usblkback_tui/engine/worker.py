# SPDX-License-Identifier: MIT
"""The thread of one disk: it opens the image, runs the ring, and closes the image.

All that may block for long happens here, so a hanging image stops one disk.  Results go back to the control thread
through ``post``, which runs a function there; the worker itself changes nothing that others read.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from usblkback_tui.engine.datapath.ring import End, RingServer
from usblkback_tui.engine.image.raw import RawImage, open_image
from usblkback_tui.protocol.errors import UserError

Post = Callable[[Callable[[], None]], None]
Job = Callable[[], None]


class Worker:
    """One thread and its queue of jobs.  Methods return at once; ``done`` is called on the control thread."""

    def __init__(self, name: str, post: Post) -> None:
        self._post = post
        self._finishing = threading.Event()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        # daemon: a thread stuck in the kernel on a dead image must not keep the process from ending
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def open(
        self,
        path: str,
        writable: bool,
        done: Callable[[RawImage | UserError], None],
        *,
        patience: float = 0.0,
    ) -> None:
        """Open an image; ``patience`` seconds are spent retrying while it is refused (a lock about to be released)."""

        def job() -> None:
            deadline = time.monotonic() + patience
            while True:
                try:
                    result: RawImage | UserError = open_image(path, writable)
                except UserError as error:
                    result = error
                except OSError as error:
                    result = UserError(f"image {path} cannot be opened: {error.strerror}", key="image", value=path)
                if isinstance(result, RawImage) or time.monotonic() >= deadline or self._finishing.wait(0.1):
                    break
            self._post(lambda: done(result))

        self._jobs.put(job)

    def serve(self, ring: RingServer, done: Callable[[End], None]) -> None:
        """Run a ring until it ends."""

        def job() -> None:
            end = ring.run()
            self._post(lambda: done(end))

        self._jobs.put(job)

    def finish(self, image: RawImage | None, done: Callable[[], None]) -> None:
        """Close the image and end the thread."""
        self._finishing.set()

        def job() -> None:
            if image is not None:
                image.close()
            self._post(done)

        self._jobs.put(job)
        self._jobs.put(None)

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end; False when it is stuck."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
