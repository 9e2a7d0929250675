# SPDX-License-Identifier: MIT
"""Leaving while disks are attached: detach them, hand them over, or stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Static

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.snapshot import DiskView
from usblkback_tui.ui import units
from usblkback_tui.ui.background import in_thread
from usblkback_tui.ui.dialogs.base import Dialog, say, sentence
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.model import Model
from usblkback_tui.ui.outcome import Outcome
from usblkback_tui.ui.palette import state_style
from usblkback_tui.ui.text import Line, clean, fit, fit_path

Key = tuple[int, int]
AT_A_TIME = 8
"""Disks detached at once: enough that one stubborn guest does not hold up the others."""


class QuitDialog(Dialog[None]):
    """Ends the app, or stays open with what did not work."""

    def __init__(
        self,
        backend: Backend,
        disks: Sequence[DiskView],
        seconds: float,
        hand_over: Callable[[], None] | None,
        *,
        waiting: int = 0,
    ) -> None:
        """``waiting``: so many attaches wait for their domain, which ends with the engine."""
        super().__init__()
        self.waiting = waiting
        self.backend = backend
        self.disks = list(disks)
        self.seconds = seconds
        self.hand_over = hand_over
        self.errors: dict[Key, str] = {}
        self.busy = False
        self._done: set[Key] = set()

    def compose(self) -> ComposeResult:
        count = len(self.disks)
        attached = f"{count} disk{'s' * (count != 1)} attached"
        with self.box(f"Quit with {attached if count else f'{self.waiting} waiting'}?", "quit"):
            yield Static(Content(self._what()), classes="prose", id="what")
            yield LineView(id="quit-disks")
            yield Static("", id="status", classes="prose")
            with Horizontal(classes="buttons"):
                yield Button("Detach all and quit", id="detach-all", variant="warning", compact=True)
                yield Button(
                    "Hand over and quit",
                    id="hand-over",
                    variant="primary",
                    compact=True,
                    disabled=self.hand_over is None,
                )
                yield Button("Quit at once", id="at-once", variant="error", compact=True)
                yield Button("Stay", id="stay", compact=True)

    def on_mount(self) -> None:
        self.query_one("#at-once").display = False
        self.query_one("#quit-disks").can_focus = len(self.disks) > 6
        self.query_one("#stay").focus()
        self._list(self.disks)

    def _what(self) -> str:
        text = (
            "The guests use these disks through this program. Detaching asks each guest to let go and gives it "
            f"{units.elapsed(self.seconds)}."
        )
        if self.waiting:
            text += f" {self.waiting} more that wait for their domain are forgotten."
        if self.hand_over is not None:
            return text + " Handing over leaves them attached, served by an engine without a screen."
        return (
            f"{text}\n\nHanding over to an engine without a screen is not possible yet: it would have to take over "
            "rings that are in use. With usblkback-tui serve and connect the screen can go while the disks stay."
        )

    def show_model(self, model: Model) -> None:
        """A tick: where each of them is."""
        now = {disk.key: disk for disk in model.disks}
        self._list([now.get(disk.key, disk) for disk in self.disks], gone=self._done | (self._keys() - now.keys()))

    def _keys(self) -> set[Key]:
        return {disk.key for disk in self.disks}

    def _list(self, disks: Sequence[DiskView], gone: set[Key] | frozenset[Key] = frozenset()) -> None:
        self.query_one("#quit-disks", LineView).show([self._line(disk, gone) for disk in disks])

    def _line(self, disk: DiskView, gone: set[Key] | frozenset[Key]) -> Line:
        name = (fit(clean(disk.title), 24) + " ", "bold")
        if error := self.errors.get(disk.key):
            return name, (f"✖ {error}", "error")
        if disk.key in gone:
            return name, ("● detached", "good")
        state = (fit(disk.frontend_state.word, 14), state_style(disk.frontend_state))
        room = self.query_one("#quit-disks").size.width - 39
        return name, state, (fit_path(clean(disk.image), max(room, 20)), "muted")

    @on(Button.Pressed, "#stay")
    def _stay(self) -> None:
        self.action_close()

    @on(Button.Pressed, "#at-once")
    def _leave(self) -> None:
        self.app.exit(Outcome.AT_ONCE)

    @on(Button.Pressed, "#detach-all")
    def _go(self) -> None:
        self.detach_all()

    @on(Button.Pressed, "#hand-over")
    def _give(self) -> None:
        self.give_away()

    def interrupt(self) -> None:
        """Ctrl+C on this question: offer the way out that waits for nobody."""
        button = self.query_one("#at-once", Button)
        button.display = True
        button.focus()
        say(
            self.query_one("#status", Static),
            "Quitting at once takes the disks from guests that still use them: their I/O fails.",
            "error",
        )

    @work(exclusive=True, exit_on_error=False, group="quit")
    async def detach_all(self) -> None:
        """Detach every disk; leave when all of them went."""
        self._begin("Asking the guests to let go; ctrl+c offers to leave at once.")
        gate = asyncio.Semaphore(AT_A_TIME)

        async def one(disk: DiskView) -> None:
            async with gate:
                try:
                    await in_thread(lambda: self.backend.detach(str(disk.domid), disk.vdev, wait=self.seconds))
                    self._done.add(disk.key)
                except Exception as error:
                    self.errors[disk.key] = sentence(error)

        await asyncio.gather(*(one(disk) for disk in self.disks if disk.key not in self._done))
        if not self.errors:
            self.app.exit(Outcome.DETACHED)
            return
        worst = next(iter(self.errors.values()))
        count = len(self.errors)
        others = f" (and {count - 1} more)" if count > 1 else ""
        self._failed(f"{worst}{others}")
        self.query_one("#at-once").display = True

    @work(exclusive=True, exit_on_error=False, group="quit")
    async def give_away(self) -> None:
        """Let a headless engine have the disks."""
        assert self.hand_over is not None
        self._begin("Handing over…")
        try:
            await in_thread(self.hand_over)
        except Exception as error:
            self._failed(sentence(error))
            return
        self.app.exit(Outcome.HANDED_OVER)

    def _begin(self, text: str) -> None:
        self.busy = True
        self.errors.clear()
        say(self.query_one("#status", Static), text)
        self._allow(False)

    def _failed(self, text: str) -> None:
        self.busy = False
        say(self.query_one("#status", Static), text, "error")
        button = self.query_one("#detach-all", Button)
        button.label = "Try again"
        button.refresh(layout=True)
        self._allow(True)
        self.query_one("#stay").focus()

    def _allow(self, yes: bool) -> None:
        self.query_one("#detach-all", Button).disabled = not yes
        self.query_one("#hand-over", Button).disabled = not yes or self.hand_over is None
