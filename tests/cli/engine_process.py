# SPDX-License-Identifier: MIT
"""``usblkback-tui`` in a process of its own, with an engine that says what is done to it.

    python -m tests.cli.engine_process serve ...

``open_engine`` is replaced, all above it is real.  With USBLK_TEST_WAIT the hypervisor never appears, with
USBLK_TEST_STUCK the UI does nothing and never returns.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

from tests.engine.control.fake_backend import FakeBackend
from usblkback_tui.cli import main, serve, tui
from usblkback_tui.engine.api import AttachPlan, AttachRequest
from usblkback_tui.engine.settings import Settings
from usblkback_tui.ui.app import UsblkApp
from usblkback_tui.ui.outcome import Outcome


class FakeEngine(FakeBackend):
    """A backend that can be stopped."""

    def plan(self, request: AttachRequest, *, later: bool = False) -> AttachPlan:
        self.say(f"asked for {request.image}")
        return super().plan(request, later=later)

    def stop(self, force_after: float) -> None:
        print(f"engine stopped, force after {force_after:g} s", file=sys.stderr, flush=True)


def open_engine(
    settings: Settings, *, pause: Callable[[float], bool], report: Callable[[str], None]
) -> FakeEngine | None:
    while os.environ.get("USBLK_TEST_WAIT"):
        report("waiting: no hypervisor")
        if pause(0.1):
            return None
    engine = FakeEngine()
    engine.say("the engine is up")
    return engine


def stuck(app: object) -> Outcome | None:
    print("the UI is stuck", flush=True)
    threading.Event().wait()
    return None


if __name__ == "__main__":
    for module in (serve, tui):
        module.open_engine = open_engine  # type: ignore[attr-defined]
    if os.environ.get("USBLK_TEST_STUCK"):
        UsblkApp.run = stuck  # type: ignore[method-assign, assignment]
    sys.exit(main())
