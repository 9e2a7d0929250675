# SPDX-License-Identifier: MIT
"""Taking a disk away: gracefully after a yes, by force after its name was typed."""

from __future__ import annotations

import time

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input, Static

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.snapshot import DiskView, PendingAttach
from usblkback_tui.protocol.states import XenbusState
from usblkback_tui.ui import units
from usblkback_tui.ui.background import in_thread
from usblkback_tui.ui.dialogs.base import Dialog, say, sentence
from usblkback_tui.ui.model import Model
from usblkback_tui.ui.text import clean


class TakeBackDialog(Dialog[None]):
    """Asks whether to wait no longer for a domain."""

    AUTO_FOCUS = "#cancel"

    def __init__(self, backend: Backend, waits: PendingAttach) -> None:
        super().__init__()
        self.backend = backend
        self.waits = waits

    def compose(self) -> ComposeResult:
        one = self.waits
        with self.box(f"Wait no longer for domain {clean(one.domain)}?", "detach"):
            text = f"{clean(one.image)} would be its {one.vdev} as soon as it appears. Nothing was written yet."
            yield Static(Content(text), classes="prose")
            yield Static("", id="status", classes="prose")
            with Horizontal(classes="buttons"):
                yield Button("Wait no longer", id="go", variant="warning", compact=True)
                yield Button("Go on waiting", id="cancel", compact=True)

    @on(Button.Pressed, "#go")
    @work(exclusive=True, exit_on_error=False, group="detach")
    async def take_back(self) -> None:
        """Do it."""
        one = self.waits
        try:
            await in_thread(lambda: self.backend.detach(one.domain, one.vdev))
        except Exception as error:
            say(self.query_one("#status", Static), sentence(error), "error")
            return
        self.app.notify(f"{clean(one.title)} is waited for no longer.", markup=False)
        self.dismiss(None)


class DetachDialog(Dialog[bool]):
    """Asks, waits for the guest, and says what came of it."""

    AUTO_FOCUS = "#keep"
    force = False

    def __init__(self, backend: Backend, disk: DiskView, seconds: float) -> None:
        """``seconds`` is what the guest is given to let go."""
        super().__init__()
        self.backend = backend
        self.disk = disk
        self.seconds = seconds
        self._begun: float | None = None
        """When the detach was asked for, while it is under way."""

    def compose(self) -> ComposeResult:
        with self.box(f"Detach {clean(self.disk.title)}?", "detach"):
            yield Static(Content(self._what()), classes="prose")
            yield Static("", id="status", classes="prose")
            with Horizontal(classes="buttons"):
                yield Button("Detach", id="go", variant="warning", compact=True)
                yield Button("Keep it", id="keep", compact=True)

    def _what(self) -> str:
        disk = self.disk
        then = "then both directories are removed from xenstore." if disk.owned else "its toolstack's entries stay."
        use = f" It has {disk.counters.in_flight} requests in flight." if disk.counters.in_flight else ""
        return (
            f"{disk.vdev} (domid {disk.domid}, devid {disk.devid}) is {clean(disk.image)}.{use}\n\n"
            f"The guest is asked to let go of the disk and given {units.elapsed(self.seconds)}; {then} "
            "Unmount it in the guest first: what is mounted makes the guest refuse, or lose its file system."
        )

    def show_model(self, model: Model) -> None:
        """A tick: how long the guest has taken so far."""
        if self._begun is None:
            return
        disk = model.disk(self.disk.key)
        states = f" Its end is {disk.frontend_state.word}." if disk else ""
        waited = f"{units.elapsed(time.monotonic() - self._begun)} of {units.elapsed(self.seconds)}"
        say(self.query_one("#status", Static), f"Waiting for the guest to let go, {waited}.{states}")

    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        self.detach()

    @on(Button.Pressed, "#keep")
    def _keep(self) -> None:
        self.action_close()

    @work(exclusive=True, exit_on_error=False, group="detach")
    async def detach(self) -> None:
        """Do it; the dialog closes when it worked and stays with the sentence when not."""
        disk = self.disk
        self._begun = time.monotonic()
        self.query_one("#go", Button).disabled = True
        self.query_one("#keep", Button).label = "Close"
        say(self.query_one("#status", Static), "Asking the guest to let go…")
        try:
            await in_thread(
                lambda: self.backend.detach(str(disk.domid), disk.vdev, force=self.force, wait=self.seconds)
            )
        except Exception as error:
            self._begun = None
            self._failed(sentence(error))
            return
        self.app.notify(f"{clean(disk.title)} is detached.", markup=False)
        self.dismiss(True)

    def _failed(self, text: str) -> None:
        say(self.query_one("#status", Static), text, "error")
        button = self.query_one("#go", Button)
        button.label, button.disabled = "Try again", False
        button.refresh(layout=True)
        button.focus()


class ForceDialog(DetachDialog):
    """The same without regard for the guest; the name of the disk has to be typed."""

    AUTO_FOCUS = "#name"
    force = True

    def compose(self) -> ComposeResult:
        with self.box(f"Take {clean(self.disk.title)} away?", "detach"):
            yield Static(Content(self._what()), classes="prose")
            yield Input(placeholder=f"type {self.disk.vdev} to confirm", id="name", compact=True)
            yield Static("", id="status", classes="prose")
            with Horizontal(classes="buttons"):
                yield Button("Take it away", id="go", variant="error", compact=True, disabled=True)
                yield Button("Keep it", id="keep", compact=True)

    def _what(self) -> str:
        disk = self.disk
        alive = disk.frontend_state is not XenbusState.CLOSED
        harm = "What it has not written yet is lost, and its file system may need a check." if alive else ""
        return (
            f"{disk.vdev} (domid {disk.domid}, devid {disk.devid}) is {clean(disk.image)}.\n\n"
            f"The guest is asked first and given {units.elapsed(self.seconds)}. After that the ring is taken away "
            f"and the disk's entries are removed, whatever the guest does. {harm}"
        )

    @on(Input.Changed, "#name")
    def _typed(self, event: Input.Changed) -> None:
        self.query_one("#go", Button).disabled = event.value.strip() != self.disk.vdev

    @on(Input.Submitted, "#name")
    def _confirmed(self, event: Input.Submitted) -> None:
        if event.value.strip() == self.disk.vdev:
            self.detach()
        else:
            say(self.query_one("#status", Static), f"Type {self.disk.vdev} exactly to confirm.", "error")
