# SPDX-License-Identifier: MIT
"""Changing one key of xenstore: the old value, the new one, and a second yes."""

from __future__ import annotations

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input, Static

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.inspection import StoreNode
from usblkback_tui.ui.background import in_thread
from usblkback_tui.ui.dialogs.base import Dialog, say, sentence
from usblkback_tui.ui.text import clean


class EditDialog(Dialog[None]):
    """The button names what it does once more before it does it."""

    AUTO_FOCUS = "#value"

    def __init__(self, backend: Backend, path: str, node: StoreNode) -> None:
        super().__init__()
        self._backend = backend
        self._path = path
        self._node = node
        self._sure = False

    def compose(self) -> ComposeResult:
        with self.box("Change a key of xenstore", "edit"):
            yield Static(Content(self._what()), classes="prose")
            yield Input(self._node.value if self._node.is_text else "", id="value", compact=True)
            yield Static("", id="status", classes="prose")
            with Horizontal(classes="buttons"):
                yield Button("Write", id="go", variant="warning", compact=True)
                yield Button("Cancel", id="cancel", compact=True)

    def _what(self) -> str:
        note = "" if self._node.is_text else "\n\nIts value is no text; what is written here takes its place."
        return (
            f"{clean(self._path)}\nis now {clean(self._node.value) or '(empty)'}\n\n"
            f"A guest or a backend that watches this key acts on what you write.{note}"
        )

    @on(Input.Changed)
    def _changed(self) -> None:
        self._sure = False
        self.query_one("#go", Button).label = "Write"

    @on(Input.Submitted)
    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        value = self.query_one("#value", Input).value
        if not self._sure:
            self._sure = True
            button = self.query_one("#go", Button)
            button.label = "Yes, write it"
            button.refresh(layout=True)
            button.focus()
            say(self.query_one("#status", Static), f"Write {clean(value)!r} to {clean(self._path)}?")
            return
        self.write(value)

    @work(exclusive=True, exit_on_error=False, group="edit")
    async def write(self, value: str) -> None:
        """Do it; the dialog stays with the sentence when it was refused."""
        try:
            await in_thread(lambda: self._backend.store_write(self._path, value))
        except Exception as error:
            self._sure = False
            say(self.query_one("#status", Static), sentence(error), "error")
            return
        self.app.notify(f"Wrote {clean(self._path)}.", markup=False)
        self.dismiss(None)
