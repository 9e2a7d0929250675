# SPDX-License-Identifier: MIT
"""What all questions share: a framed box in the middle, Esc to leave it, sentences instead of tracebacks."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from usblkback_tui.protocol.errors import UserError
from usblkback_tui.ui.actions import bindings
from usblkback_tui.ui.model import Model
from usblkback_tui.ui.text import clean

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer]):
    """A question over the main screen."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")

    def on_mount(self) -> None:
        """Besides the ``on_mount`` of the question itself."""
        for field in self.query(Input):
            field.cursor_blink = False

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.action_close()

    def box(self, title: str, id: str) -> Vertical:
        """The frame, to be used with ``with``."""
        frame = Vertical(id=id, classes="box")
        frame.border_title = title
        return frame

    def show_model(self, model: Model) -> None:
        """A tick: show what is new.  Most questions show nothing that changes."""

    def action_close(self) -> None:
        """Leave without an answer."""
        self.dismiss(None)


def sentence(error: BaseException) -> str:
    """What to tell the operator about an exception.

    Anything but a UserError is a fault of this program and says so.
    """
    if isinstance(error, UserError):
        return clean(str(error))
    return f"unexpected {type(error).__name__}: {clean(str(error))}; please report this"


def say(widget: Static, text: str, kind: str = "") -> None:
    """Put plain text into a Static; ``kind`` is ``error``, ``good`` or nothing for a hint."""
    mark = {"error": "✖ ", "good": "● "}.get(kind, "")
    widget.update(Content(mark + text if text else ""))
    for name in ("error", "good"):
        widget.set_class(kind == name, f"-{name}")
