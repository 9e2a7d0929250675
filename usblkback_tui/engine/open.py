# SPDX-License-Identifier: MIT
"""The engine of this machine: on Xen, or a sentence on why not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from usblkback_tui.engine.host.seam import HostError
from usblkback_tui.engine.host.seam import Readiness as Check
from usblkback_tui.engine.host.xen import XenHost
from usblkback_tui.engine.offering import limits_of
from usblkback_tui.engine.process import schedule_process
from usblkback_tui.engine.settings import DirectIo, Settings
from usblkback_tui.protocol.errors import UserError

if TYPE_CHECKING:
    from usblkback_tui.engine.engine import Engine

__all__ = ["Check", "offers", "open_engine", "readiness"]

_RETRY_SECONDS = 1.0


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def open_engine(
    settings: Settings,
    *,
    pause: Callable[[float], bool] = _sleep,
    report: Callable[[str], None] = lambda sentence: None,
) -> Engine | None:
    """A started engine on this machine's Xen.  Raises UserError.

    With ``[engine] wait`` it tries until Xen's devices and store are there: each new reason goes to ``report``, and
    ``pause(seconds)`` sleeps and returns True to give up; then the answer is None.
    """
    from usblkback_tui.engine.engine import Engine  # doctor has to run where the C data path is not built

    schedule_process(settings.engine)
    host = XenHost()
    said = ""
    while True:
        try:
            host.open()
            break
        except HostError as error:
            if not settings.engine.wait:
                raise UserError(error.problem, fix=error.fix or "run usblkback-tui doctor") from None
            if str(error) != said:
                said = str(error)
                report(f"waiting: {said}")
        if pause(_RETRY_SECONDS):
            return None
    engine = Engine(host, settings)
    try:
        engine.start()
    except HostError as error:
        host.close()
        raise UserError(error.problem, fix=error.fix) from None
    return engine


def readiness() -> tuple[Check, ...]:
    """Everything an engine on this machine's Xen needs, and whether it is there; never raises."""
    return (_data_path(), *XenHost().readiness())


def offers(settings: Settings) -> Check:
    """What a disk's frontend would be offered with these settings on this machine."""
    engine = settings.engine
    limits = limits_of(engine, XenHost().caps)
    direct = {DirectIo.YES: "always", DirectIo.NO: "never", DirectIo.AUTO: "for block devices"}[engine.direct_io]
    return Check(
        "offers",
        True,
        f"{limits.queues} queues, rings of {limits.ring_pages} pages, requests of {limits.segments or 11} segments, "
        f"{limits.persistent_pages} pages kept per disk; I/O engine {engine.io_engine.value}, direct I/O {direct}",
        needed=False,
    )


def _data_path() -> Check:
    try:
        import usblkback_tui.engine.datapath._core as core
    except ImportError as error:
        return Check(
            "data path", False, f"the C extension is not built: {error}", "pip install . with gcc and python3-dev"
        )
    return Check("data path", True, str(getattr(core, "__file__", "built")))
