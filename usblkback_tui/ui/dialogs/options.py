# SPDX-License-Identifier: MIT
"""How a disk is to be served: the fields of the attach dialog that have a default.

What is left empty is the engine's setting of the same name.
"""

from __future__ import annotations

from typing import Any, cast

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label, Select

from usblkback_tui.engine.settings import DirectIo, DiskOptions, IoChoice
from usblkback_tui.protocol.errors import UserError

DEFAULT = "default"
NUMBERS = (
    ("queues", "max_queues", "Queues"),
    ("order", "max_ring_page_order", "Order"),
    ("pages", "persistent_pages", "Grants"),
)
"""(id of the field, the option, its label)."""
_DIRECT = {DEFAULT: None, "yes": DirectIo.YES, "no": DirectIo.NO, "auto": DirectIo.AUTO}


class OptionFields(Vertical):
    """Two rows of them."""

    def compose(self) -> ComposeResult:
        engines = [DEFAULT, *(choice.value for choice in IoChoice)]
        with Horizontal(classes="field"):
            yield Label("Engine")
            yield Select[str]([(one, one) for one in engines], value=DEFAULT, allow_blank=False, id="io", compact=True)
            yield Label("  Direct")
            yield Select[str]([(one, one) for one in _DIRECT], value=DEFAULT, allow_blank=False, id="raw", compact=True)
        with Horizontal(classes="field"):
            for at, (name, _, label) in enumerate(NUMBERS):
                yield Label(f"  {label}" if at else label)
                yield Input(placeholder=DEFAULT, id=name, compact=True, restrict=r"\d*", max_length=6)

    @property
    def options(self) -> DiskOptions:
        """What was chosen.  Raises UserError for a number that is none."""
        numbers = {option: self._number(name, option) for name, option, _ in NUMBERS}
        engine = str(self.query_one("#io", Select).value)
        return DiskOptions(
            io_engine=None if engine == DEFAULT else IoChoice(engine),
            direct_io=_DIRECT[str(self.query_one("#raw", Select).value)],
            **cast(Any, numbers),
        )

    def _number(self, name: str, option: str) -> int | None:
        text = self.query_one(f"#{name}", Input).value.strip()
        if not text:
            return None
        if not text.isdigit():
            raise UserError(f"{text!r} is no whole number", fix="leave it empty for the default", key=option)
        return int(text)

    @property
    def texts(self) -> dict[str, str]:
        """Every field as text, for a preset."""
        found = {name: self.query_one(f"#{name}", Input).value for name, _, _ in NUMBERS}
        return found | {name: str(self.query_one(f"#{name}", Select).value) for name in ("io", "raw")}

    def fill(self, texts: dict[str, Any]) -> None:
        """Put a preset in; what it does not have, or what cannot be, is left as it is."""
        for name, _, _ in NUMBERS:
            if isinstance(text := texts.get(name), str) and (not text or text.isdigit()):
                self.query_one(f"#{name}", Input).value = text
        if texts.get("io") in (DEFAULT, *(choice.value for choice in IoChoice)):
            self.query_one("#io", Select).value = texts["io"]
        if texts.get("raw") in _DIRECT:
            self.query_one("#raw", Select).value = texts["raw"]
