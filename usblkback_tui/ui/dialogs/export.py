# SPDX-License-Identifier: MIT
"""Writing a screen to a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Label, Select, Static

from usblkback_tui.ui.background import in_thread
from usblkback_tui.ui.dialogs.base import Dialog, say
from usblkback_tui.ui.exporting import KINDS, file_name
from usblkback_tui.ui.text import clean

_WORDS = {
    "csv": "CSV: the table",
    "json": "JSON: the table and everything known",
    "svg": "SVG: a picture of the screen",
}


class ExportDialog(Dialog[None]):
    """Asks for kind and name; a file that exists is never overwritten."""

    AUTO_FOCUS = "#kind"

    def __init__(self, screen: str, when: float, content: Callable[[str], str], folder: Path | None = None) -> None:
        """``content`` makes the text of a kind; ``when`` is the time of what is exported."""
        super().__init__()
        self._of = screen
        self._when = when
        self._content = content
        self._folder = folder or Path.cwd()

    def compose(self) -> ComposeResult:
        with self.box("Export", "export"):
            with Horizontal(classes="field"):
                yield Label("Kind")
                yield Select[str](
                    [(_WORDS[kind], kind) for kind in KINDS], value="csv", allow_blank=False, id="kind", compact=True
                )
            with Horizontal(classes="field"):
                yield Label("File")
                yield Input(self._file_of("csv"), id="file", compact=True)
            yield Static("", id="status", classes="prose")
            with Horizontal(classes="buttons"):
                yield Button("Write", id="go", variant="primary", compact=True)
                yield Button("Cancel", id="cancel", compact=True)

    def _file_of(self, kind: str) -> str:
        return str(self._folder / file_name(self._of, kind, self._when))

    @on(Select.Changed, "#kind")
    def _kind_changed(self, event: Select.Changed) -> None:
        self.query_one("#file", Input).value = self._file_of(str(event.value))

    @on(Input.Submitted)
    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        self.write()

    @work(exclusive=True, exit_on_error=False, group="export")
    async def write(self) -> None:
        """Make the text here, write it off the event loop."""
        path = _in_home(self.query_one("#file", Input).value.strip())
        text = self._content(str(self.query_one("#kind", Select).value))
        try:
            await in_thread(lambda: _write(path, text))
        except OSError as error:
            problem = "it exists already; give another name" if isinstance(error, FileExistsError) else error.strerror
            say(self.query_one("#status", Static), f"{clean(path)} cannot be written: {problem}", "error")
            return
        self.app.notify(f"Wrote {clean(path)}.", markup=False)
        self.dismiss(None)


def _in_home(path: str) -> str:
    """``~`` as a shell takes it."""
    return os.path.expanduser(path)


def _write(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)
