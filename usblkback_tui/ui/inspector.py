# SPDX-License-Identifier: MIT
"""Carries out closer looks at the backend on a thread of its own, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from usblkback_tui.engine.api import Backend
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.ui.views.base import Look


@dataclass(frozen=True, slots=True)
class Answer:
    """What a look gave.  ``who`` is the screen that asked; ``problem`` is a sentence when it gave nothing."""

    who: str
    value: object = None
    problem: str = ""


class Inspector:
    """Asks for the screens, so that a slow store or a remote engine does not take the keyboard with it."""

    def __init__(self, backend: Backend, deliver: Callable[[Answer], None]) -> None:
        """``deliver`` is called on the inspector's thread."""
        self._backend = backend
        self._deliver = deliver
        self._asked = threading.Event()
        self._question: tuple[str, Look] | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="usblk-inspector", daemon=True)
        self.busy = False
        """A look is under way."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more.  Does not wait for a look that hangs."""
        self._stopped = True
        self._asked.set()

    def ask(self, who: str, look: Look) -> bool:
        """Carry a look out; False while the last one is still under way."""
        if self.busy:
            return False
        self.busy = True
        self._question = who, look
        self._asked.set()
        return True

    def _run(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._stopped:
                return
            question = self._question
            if question is None:
                continue
            answer = self._answer(*question)
            self.busy = False
            self._deliver(answer)

    def _answer(self, who: str, look: Look) -> Answer:
        try:
            return Answer(who, look(self._backend))
        except UserError as error:
            return Answer(who, problem=str(error))
        except Exception as error:
            return Answer(who, problem=f"unexpected {type(error).__name__}: {error}")
