# SPDX-License-Identifier: MIT
"""The application: looks at a backend a few times a second and carries out what the operator asks.

Threads: the sampler takes snapshots, each verb has a thread of its own; all of them only hand values to the event
loop, and no widget is touched outside it.

The dialogs are imported when they are asked for: the first screen comes sooner without them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.snapshot import DiskView
from usblkback_tui.ui.actions import ACTIONS, bindings
from usblkback_tui.ui.dialogs.base import Dialog
from usblkback_tui.ui.main import MainScreen, Wanted
from usblkback_tui.ui.model import Model
from usblkback_tui.ui.outcome import Outcome
from usblkback_tui.ui.palette import Palette
from usblkback_tui.ui.sampler import Sample, Sampler

if TYPE_CHECKING:
    from usblkback_tui.ui.dialogs.quit import QuitDialog

PATIENCE = 3.0
"""Seconds a snapshot may take before the operator is told."""


class UsblkApp(App[Outcome]):
    """The terminal UI of one backend.  ``run()`` returns an :class:`Outcome`, None when it crashed."""

    TITLE = "usblkback"
    CSS_PATH = Path(__file__).with_name("app.tcss")
    BINDINGS: ClassVar[list[BindingType]] = bindings("app")
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        backend: Backend,
        *,
        title: str = "usblkback",
        refresh_hz: float = 4.0,
        theme: str = "textual-dark",
        detach_seconds: float = 10.0,
        engine_stays: bool = False,
        hand_over: Callable[[], None] | None = None,
    ) -> None:
        """``engine_stays``: the engine does not end with this program, so leaving asks nothing.

        ``hand_over`` gives the disks to a headless engine and is offered when leaving; it may block and raises
        UserError.  ``detach_seconds`` is what a guest is given to let go of a disk.
        """
        super().__init__()
        self.backend = backend
        self.heading = title
        self.refresh_hz = refresh_hz
        self.detach_seconds = detach_seconds
        self.engine_stays = engine_stays
        self.hand_over = hand_over
        self.theme = theme if theme in self.available_themes else "textual-dark"
        self.palette = Palette(self.current_theme)
        self.model = Model()
        self.main = MainScreen(title)
        self.sampler = Sampler(backend, self._deliver)
        self.slowest_tick = 0.0
        """Seconds the longest tick took on the event loop."""

    def get_default_screen(self) -> Screen[None]:
        return self.main

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, self._theme_changed)
        self.sampler.start()
        self.sampler.ask()
        self.set_interval(1 / self.refresh_hz, self.tick)

    def on_unmount(self) -> None:
        self.sampler.stop()

    # -- ticks ---------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Ask for a snapshot; say so when the last one is overdue."""
        since = self.sampler.waiting_since
        if not self.sampler.ask() and since is not None and time.monotonic() - since > PATIENCE:
            self.model.fail(f"it has not answered for {time.monotonic() - since:.0f} s")
            self._show()

    def _deliver(self, sample: Sample) -> None:
        """Called on the sampler's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take, sample)

    def _take(self, sample: Sample) -> None:
        if not self.is_running:
            return
        begin = time.perf_counter()
        self.model.take(sample)
        with self._context():
            self._show()
        self.slowest_tick = max(self.slowest_tick, time.perf_counter() - begin)

    def _show(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, MainScreen | Dialog):
                screen.show_model(self.model)

    def _theme_changed(self, _theme: object) -> None:
        self.palette = Palette(self.current_theme)
        self.main.refresh(recompose=False)
        for widget in self.main.query("LineView"):
            widget.refresh()

    # -- actions -------------------------------------------------------------------------------------------------

    @property
    def disks(self) -> tuple[DiskView, ...]:
        """What is attached now."""
        return self.model.disks

    @on(Wanted)
    def _wanted(self, message: Wanted) -> None:
        if message.what == "attach":
            self._ask_attach()
        elif message.what == "resize":
            self._ask_resize()
        else:
            self._ask_detach(force=message.what == "force_detach")

    def _ask_attach(self) -> None:
        from usblkback_tui.ui.dialogs.attach import AttachDialog

        selected = self.main.selected
        self.push_screen(AttachDialog(self.backend, self.model, prefer=selected.domid if selected else None))

    def _ask_resize(self) -> None:
        from usblkback_tui.ui.dialogs.resize import ResizeDialog

        disk = self.main.selected
        if disk is None:
            self.notify("There is no disk to resize; a attaches one.", severity="warning", markup=False)
        else:
            self.push_screen(ResizeDialog(self.backend, disk))

    def _ask_detach(self, *, force: bool) -> None:
        from usblkback_tui.ui.dialogs.detach import DetachDialog, ForceDialog

        disk = self.main.selected
        if disk is None:
            self.notify("There is no disk to detach; a attaches one.", severity="warning", markup=False)
        elif force:
            self.push_screen(ForceDialog(self.backend, disk, self.detach_seconds))
        else:
            self.push_screen(DetachDialog(self.backend, disk, self.detach_seconds))

    def action_help(self) -> None:
        from usblkback_tui.ui.dialogs.help import HelpDialog

        if not isinstance(self.screen, HelpDialog):
            self.push_screen(HelpDialog())

    async def action_quit(self) -> None:
        """Leave, after a question when disks are attached."""
        from usblkback_tui.ui.dialogs.quit import QuitDialog

        if self._quit_dialog is not None:
            return
        if self.engine_stays:
            self.exit(Outcome.ENGINE_STAYS)
        elif not self.disks:
            self.exit(Outcome.NO_DISKS)
        else:
            self.push_screen(QuitDialog(self.backend, self.disks, self.detach_seconds, self.hand_over))

    async def action_interrupt(self) -> None:
        """Ctrl+C: the same as quit; while disks are being detached, the way out that does not wait."""
        dialog = self._quit_dialog
        if dialog is not None:
            dialog.interrupt()
        else:
            await self.action_quit()

    @property
    def _quit_dialog(self) -> QuitDialog | None:
        """The question that is asked before leaving, while it is asked."""
        from usblkback_tui.ui.dialogs.quit import QuitDialog

        return next((screen for screen in self.screen_stack if isinstance(screen, QuitDialog)), None)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: every action of the registry, and the themes."""
        for action in ACTIONS:
            if action.where == "main":
                yield SystemCommand(_sentence_name(action.name), action.help, partial(self._run_on_main, action.name))
            elif action.where == "app" and action.name not in ("command_palette", "interrupt"):
                yield SystemCommand(_sentence_name(action.name), action.help, partial(self._run_on_app, action.name))
        yield SystemCommand("Theme", "Choose other colours.", self.action_change_theme)

    async def _run_on_main(self, name: str) -> None:
        await self.main.run_action(name)

    async def _run_on_app(self, name: str) -> None:
        await self.run_action(name)


def _sentence_name(name: str) -> str:
    """``pane('charts')`` -> ``Pane charts``."""
    return name.replace("('", " ").replace("')", "").replace("_", " ").capitalize()
