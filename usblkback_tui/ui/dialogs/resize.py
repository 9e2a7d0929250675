# SPDX-License-Identifier: MIT
"""Giving a disk another size: checked while it is typed, done in the background."""

from __future__ import annotations

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input, Static

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.image.sizes import parse_new_size
from usblkback_tui.engine.snapshot import DiskView
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.ui import units
from usblkback_tui.ui.background import in_thread
from usblkback_tui.ui.dialogs.base import Dialog, say, sentence
from usblkback_tui.ui.text import clean


class ResizeDialog(Dialog[bool]):
    """Asks for the size, and says what came of it."""

    AUTO_FOCUS = "#size"

    def __init__(self, backend: Backend, disk: DiskView) -> None:
        super().__init__()
        self.backend = backend
        self.disk = disk
        self._busy = False

    def compose(self) -> ComposeResult:
        disk = self.disk
        with self.box(f"Resize {clean(disk.title)}", "resize"):
            yield Static(
                Content(
                    f"{clean(disk.image)} has {units.capacity(disk.sectors)}. A file is grown to the size you name, "
                    "and never made smaller; without a size the disk gets the one its image has by now, which is the "
                    "way for block devices. The guest sees it at once, mounted or not."
                ),
                classes="prose",
            )
            yield Input(placeholder="20G, +5G, or nothing: as large as the image is now", id="size", compact=True)
            yield Static("", id="status", classes="prose")
            with Horizontal(classes="buttons"):
                yield Button("Resize", id="go", variant="primary", compact=True)
                yield Button("Cancel", id="cancel", compact=True)

    def _wanted(self) -> int | None:
        """The sectors that are asked for.  Raises UserError."""
        text = self.query_one("#size", Input).value.strip()
        if not text:
            return None
        sectors = parse_new_size(text, self.disk.sectors)
        if sectors < self.disk.sectors:
            raise UserError(
                f"the disk has {units.capacity(self.disk.sectors)} and is never made smaller", fix="name a larger size"
            )
        return sectors

    @on(Input.Changed, "#size")
    def _typed(self) -> None:
        if self._busy:
            return
        status, button = self.query_one("#status", Static), self.query_one("#go", Button)
        try:
            sectors = self._wanted()
        except UserError as error:
            say(status, sentence(error), "error")
            button.disabled = True
            return
        say(status, f"{units.capacity(sectors)}, {sectors:,} sectors" if sectors else "", "good" if sectors else "")
        button.disabled = False

    @on(Input.Submitted, "#size")
    def _submitted(self) -> None:
        if not self.query_one("#go", Button).disabled:
            self.resize_disk()

    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        self.resize_disk()

    @work(exclusive=True, exit_on_error=False, group="resize")
    async def resize_disk(self) -> None:
        """Do it; the dialog closes when it worked and stays with the sentence when not."""
        disk, status, button = self.disk, self.query_one("#status", Static), self.query_one("#go", Button)
        try:
            sectors = self._wanted()
            self._busy = button.disabled = True
            say(status, "Resizing…")
            resized = await in_thread(lambda: self.backend.resize(str(disk.domid), disk.vdev, sectors))
        except Exception as error:
            say(status, sentence(error), "error")
            self._busy = button.disabled = False
            return
        self.app.notify(f"{clean(disk.title)} has {units.capacity(resized.sectors)} now.", markup=False)
        self.dismiss(True)
