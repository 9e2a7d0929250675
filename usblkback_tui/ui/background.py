# SPDX-License-Identifier: MIT
"""Blocking calls off the event loop, on threads that never hold up the end of the program.

The threads of an executor are joined when the program ends, so one verb that hangs on a dead guest would hang the
exit.  These are daemon threads: who waits for one may stop waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(function: Callable[[], Result]) -> Result:
    """Call ``function`` on a thread of its own; its result or its exception is this coroutine's."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def deliver(result: Result | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result: Result | None = None
        problem: BaseException | None = None
        try:
            result = function()
        except BaseException as error:
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
            loop.call_soon_threadsafe(deliver, result, problem)

    threading.Thread(target=run, name="usblk-verb", daemon=True).start()
    return await future
