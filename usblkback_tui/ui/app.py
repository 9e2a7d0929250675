# SPDX-License-Identifier: MIT
"""The application: looks at a backend a few times a second and carries out what the operator asks.

Threads: the sampler takes snapshots, the inspector takes closer looks, each verb has a thread of its own; all of them
only hand values to the event loop, and no widget is touched outside it.

The dialogs are imported when they are asked for: the first screen comes sooner without them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.notifications import SeverityLevel
from textual.screen import Screen

from usblkback_tui.engine.alerts import find_alerts
from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.recording.replay import ReplayBackend
from usblkback_tui.engine.settings import AlertSettings, ThemeSettings
from usblkback_tui.engine.snapshot import DiskView, PendingAttach, Severity
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.ui.actions import VIEWS, Registry, bindings, places
from usblkback_tui.ui.background import in_thread
from usblkback_tui.ui.bars import run_action
from usblkback_tui.ui.dialogs.base import Dialog
from usblkback_tui.ui.exporting import as_csv, as_json
from usblkback_tui.ui.gauges import Gauges
from usblkback_tui.ui.inspector import Answer, Inspector
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.main import MainScreen, Wanted
from usblkback_tui.ui.model import Model
from usblkback_tui.ui.outcome import Outcome
from usblkback_tui.ui.palette import Palette
from usblkback_tui.ui.recording import Recording
from usblkback_tui.ui.sampler import Sample, Sampler
from usblkback_tui.ui.state import UiState
from usblkback_tui.ui.text import clean
from usblkback_tui.ui.themes import own_theme
from usblkback_tui.ui.views.base import View
from usblkback_tui.ui.views.engine import EngineView
from usblkback_tui.ui.views.store import StoreView

if TYPE_CHECKING:
    from usblkback_tui.ui.dialogs.quit import QuitDialog

PACES = (0.5, 1.0, 2.0, 4.0, 10.0)
"""Looks at the engine a second."""
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
        themes: Sequence[tuple[str, ThemeSettings]] = (),
        detach_seconds: float = 10.0,
        engine_stays: bool = False,
        hand_over: Callable[[], None] | None = None,
        keys: Mapping[str, Sequence[str]] | None = None,
        state: UiState | None = None,
        alerts: AlertSettings | None = None,
        when_shown: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``engine_stays``: the engine does not end with this program, so leaving asks nothing.

        ``hand_over`` gives the disks to a headless engine and is offered when leaving; it may block and raises
        UserError.  ``detach_seconds`` is what a guest is given to let go of a disk.  ``keys`` are those of ``[keys]``;
        UserError when they clash, and for a ``theme`` that is neither Textual's nor one of ``themes``, the operator's
        own.  ``state`` is what the screens were like when they were left; its theme wins while there is one.
        ``alerts`` are the thresholds of which the operator is told; None: of nothing.  ``when_shown`` is called once,
        after the first moment was drawn.  ``clock`` measures what the screens cost.
        """
        super().__init__()
        self.backend = backend
        self.heading = title
        self.refresh_hz = refresh_hz
        self.detach_seconds = detach_seconds
        self.engine_stays = engine_stays
        self.hand_over = hand_over
        self.registry = Registry(keys)
        self.set_keymap(self.registry.keymap)
        self.state = state or UiState()
        for name, colours in themes:
            self.register_theme(own_theme(name, colours))
        known = self.available_themes
        if theme not in known:
            raise UserError(
                f"ui.theme is {theme!r}, which is no theme",
                fix=f"use one of {', '.join(sorted(known))}, or define it as [ui.themes.{theme}]",
                key="ui.theme",
                value=theme,
            )
        self.theme = self.state.theme if self.state.theme in known else theme
        self.palette = Palette(self.current_theme)
        self.model = Model()
        self.main = MainScreen(
            title, self.registry, self.state, backend if isinstance(backend, ReplayBackend) else None
        )
        self.recording = Recording(backend)
        past = backend.past if isinstance(backend, ReplayBackend) else None
        self.sampler = Sampler(backend, self._deliver, self.model.moments.keep, past)
        self.inspector = Inspector(backend, self._deliver_answer)
        self._alerts = alerts
        self._alerted: set[str] = set()
        """What the operator was told of and still goes on."""
        self.gauges = Gauges(clock, refresh_hz)
        self._clock = clock
        self._when_shown = when_shown

    def get_default_screen(self) -> Screen[None]:
        return self.main

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, self._theme_changed)
        self.sampler.start()
        self.inspector.start()
        self.sampler.ask()
        self._ticker = self.set_interval(1 / self.refresh_hz, self._timer)

    def on_unmount(self) -> None:
        self.sampler.stop()
        self.inspector.stop()
        if self.recording.running:
            self.recording.stop()
        self.state.save()

    # -- ticks ---------------------------------------------------------------------------------------------------

    def _timer(self) -> None:
        self.gauges.timer()
        self.tick()

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

    def _deliver_answer(self, answer: Answer) -> None:
        """Called on the inspector's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take_answer, answer)

    def _take(self, sample: Sample) -> None:
        if not self.is_running:
            return
        begin = self._clock()
        self.model.take(sample)
        with self._context():
            self._show()
            if sample.rates is not None:
                self._alert()
        self.gauges.ticked(self._clock() - begin)
        self._look()
        if self._when_shown is not None:
            self.call_after_refresh(self._when_shown)
            self._when_shown = None

    def _alert(self) -> None:
        """Tell of thresholds that were crossed since the last look; of one that goes on, once."""
        window = self.model.window
        if self._alerts is None or window is None or self.model.snapshot is None:
            return
        found = find_alerts(window, self.model.snapshot, self._alerts)
        for alert in found:
            if alert.id not in self._alerted:
                severity: SeverityLevel = "error" if alert.severity is Severity.ERROR else "warning"
                self.notify(clean(alert.sentence), title="Alert", severity=severity, markup=False)
        self._alerted = {alert.id for alert in found}

    def _take_answer(self, answer: Answer) -> None:
        if self.is_running:
            with self._context():
                self.main.answer(answer.who, answer.value, answer.problem)

    def _show(self) -> None:
        view = self.main.view
        if isinstance(view, EngineView) and view.is_mounted and self.gauges.due:
            lines = list(self.main.query(LineView))
            drawn = sum(pane.drawn for pane in self.main.query(View))
            view.cost = self.gauges.cost(sum(one.painted for one in lines), drawn, len(self.model.moments))
        self.main.recording = self.recording.elapsed
        if failure := self.recording.failure:
            self.notify(f"The recording ended: {clean(failure)}", severity="error", markup=False)
        for screen in self.screen_stack:
            if isinstance(screen, MainScreen | Dialog):
                screen.show_model(self.model)

    def _look(self) -> None:
        """Let the view that is shown ask what the snapshot does not say."""
        if self.screen is not self.main or not self.main.look_due():
            return
        look = self.main.view.look() if self.main.view.is_mounted else None
        if look is not None and self.inspector.ask(self.main.view_name, look):
            self.main.looked()

    def _theme_changed(self, _theme: object) -> None:
        self.palette = Palette(self.current_theme)
        self.state.theme = self.theme
        self.main.refresh(recompose=False)
        for widget in self.main.query(LineView):
            widget.refresh()

    # -- actions -------------------------------------------------------------------------------------------------

    @property
    def disks(self) -> tuple[DiskView, ...]:
        """What is attached now."""
        return self.model.disks

    @property
    def pending(self) -> tuple[PendingAttach, ...]:
        """What waits for its domain now."""
        return self.model.snapshot.pending if self.model.snapshot else ()

    @on(Wanted)
    def _wanted(self, message: Wanted) -> None:
        what = message.what
        if what in ("attach", "detach", "force_detach", "resize") and not self._may_change():
            return
        if what == "attach":
            self._ask_attach()
        elif what == "columns":
            self._ask_columns()
        elif what == "export":
            self._ask_export()
        elif what == "jump":
            self._jump()
        elif what == "goto":
            self._ask_goto()
        elif what == "record":
            self.record()
        elif what == "resize":
            self._ask_resize()
        else:
            self._ask_detach(force=what == "force_detach")

    def _may_change(self) -> bool:
        if self.main.read_only:
            self.notify("This is read-only: nothing is changed from here.", severity="warning", markup=False)
            return False
        return True

    def _ask_attach(self) -> None:
        from usblkback_tui.ui.dialogs.attach import AttachDialog

        selected = self.main.selected
        self.push_screen(AttachDialog(self.backend, self.model, self.state, prefer=selected[0] if selected else None))

    def _ask_resize(self) -> None:
        from usblkback_tui.ui.dialogs.resize import ResizeDialog

        if (disk := self._own_disk("resized")) is not None:
            self.push_screen(ResizeDialog(self.backend, disk))

    def _ask_detach(self, *, force: bool) -> None:
        from usblkback_tui.ui.dialogs.detach import DetachDialog, ForceDialog, TakeBackDialog

        scene = self.main.scene
        if scene is not None and scene.pending is not None:
            self.push_screen(TakeBackDialog(self.backend, scene.pending))
        elif (disk := self._own_disk("detached")) is not None:
            dialog = ForceDialog if force else DetachDialog
            self.push_screen(dialog(self.backend, disk, self.detach_seconds))

    def _own_disk(self, done: str) -> DiskView | None:
        """The selected disk as it is now; None, with a sentence, where nothing can be done to it."""
        disk = self.model.disk(self.main.selected)
        scene = self.main.scene
        if disk is not None:
            return disk
        if scene is not None and scene.disk is not None:
            why = f"{scene.disk.kind} serves it" if scene.is_foreign else "it is gone"
            why = "it waits for its domain" if scene.pending is not None else why
            self.notify(f"{clean(scene.disk.title)} cannot be {done}: {why}.", severity="warning", markup=False)
        else:
            self.notify("There is no disk selected; a attaches one.", severity="warning", markup=False)
        return None

    @work(exclusive=True, exit_on_error=False, group="record")
    async def record(self) -> None:
        """Begin a recording, or end the one that runs."""
        if self.main.player is not None:
            self.notify("This is a recording already.", severity="warning", markup=False)
            return
        try:
            if self.recording.running:
                done = await in_thread(self.recording.stop)
                self.notify(f"Recorded {clean(done)}.", markup=False)
            else:
                path = await in_thread(self.recording.start)
                self.notify(f"Recording to {clean(str(path))}; r ends it.", markup=False)
        except UserError as error:
            self.notify(clean(str(error)), severity="error", markup=False)
        self._show()

    def _ask_columns(self) -> None:
        from usblkback_tui.ui.dialogs.columns import ColumnsDialog

        table = self.main.view.table
        if table is None:
            self.notify("This screen has no table.", severity="warning", markup=False)
            return
        self.push_screen(ColumnsDialog(table), lambda _: self.main.keep_table())

    def _ask_export(self) -> None:
        from usblkback_tui.ui.dialogs.export import ExportDialog

        scene = self.main.scene
        if scene is None:
            return
        sheet = self.main.view.sheet()
        picture = self.export_screenshot(title=self.heading)

        def content(kind: str) -> str:
            if kind == "svg":
                return picture
            return as_csv(sheet) if kind == "csv" else as_json(sheet, scene.snapshot)

        self.push_screen(ExportDialog(sheet.name, scene.now, content))

    def _ask_goto(self) -> None:
        from usblkback_tui.ui.dialogs.goto import GotoDialog

        scene, player = self.main.scene, self.main.player
        if scene is None:
            return
        if player is not None:
            first, latest = scene.now - (player.place - player.first), scene.now + (player.last - player.place)
        else:
            first, latest = self.model.now - self.model.moments.reach, self.model.now
        self.push_screen(
            GotoDialog(scene.now, first, latest), lambda wanted: None if wanted is None else self.main.go_to(wanted)
        )

    def action_refresh(self, step: int) -> None:
        """Look at the engine more often, or less."""
        nearest = min(range(len(PACES)), key=lambda at: abs(PACES[at] - self.refresh_hz))
        self.refresh_hz = PACES[min(max(nearest + step, 0), len(PACES) - 1)]
        self.gauges.pace(self.refresh_hz)
        self._ticker.stop()
        self._ticker = self.set_interval(1 / self.refresh_hz, self._timer)
        self.notify(f"{self.refresh_hz:g} looks a second.", markup=False)

    def _jump(self) -> None:
        from usblkback_tui.ui.dialogs.jump import JumpDialog

        async def go(target: LineView | str | None) -> None:
            if isinstance(target, LineView):
                target.focus()
            elif target is not None:
                await self.main.action_screen(VIEWS[int(target) - 1])

        self.push_screen(JumpDialog(self.main.panes()), go)

    @on(StoreView.EditWanted)
    def _ask_edit(self, message: StoreView.EditWanted) -> None:
        from usblkback_tui.ui.dialogs.edit import EditDialog

        if self._may_change():
            self.push_screen(EditDialog(self.backend, message.path, message.node))

    def action_help(self) -> None:
        from usblkback_tui.ui.dialogs.help import HelpDialog

        if not isinstance(self.screen, HelpDialog):
            self.push_screen(HelpDialog(self.registry))

    async def action_quit(self) -> None:
        """Leave, after a question when disks are attached."""
        from usblkback_tui.ui.dialogs.quit import QuitDialog

        if self._quit_dialog is not None:
            return
        if self.engine_stays:
            self.exit(Outcome.ENGINE_STAYS)
        elif not self.disks and not self.pending:
            self.exit(Outcome.NO_DISKS)
        else:
            self.push_screen(
                QuitDialog(self.backend, self.disks, self.detach_seconds, self.hand_over, waiting=len(self.pending))
            )

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
        """The command palette: every action of the registry that makes sense here."""
        for action in self.registry.actions:
            if action.where not in places(self.main.view_name) or action.where == "pane":
                continue
            if action.name in ("command_palette", "interrupt") or (action.changes and self.main.read_only):
                continue
            name = action.id.replace("_", " ").capitalize()
            yield SystemCommand(name, action.help, partial(self._run, action.name, action.where))

    async def _run(self, name: str, where: str) -> None:
        await run_action(self.main.view, name, where)
