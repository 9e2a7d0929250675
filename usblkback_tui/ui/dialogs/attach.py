# SPDX-License-Identifier: MIT
"""Attaching a disk: a form checked while it is filled in, then the handshake of the new disk."""

from __future__ import annotations

import dataclasses
from pathlib import PurePath
from typing import ClassVar, cast

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import Button, Input, Label, Select, Static

from usblkback_tui.engine.api import AttachPlan, AttachRequest, Backend
from usblkback_tui.engine.settings import DiskOptions
from usblkback_tui.engine.snapshot import DiskView
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.states import XenbusState
from usblkback_tui.ui import units
from usblkback_tui.ui.background import in_thread
from usblkback_tui.ui.dialogs.base import Dialog, say, sentence
from usblkback_tui.ui.dialogs.options import OptionFields
from usblkback_tui.ui.explained import explained_lines
from usblkback_tui.ui.handshake import handshake_lines
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.model import Model
from usblkback_tui.ui.paths import Completion, complete_path
from usblkback_tui.ui.probe import probe
from usblkback_tui.ui.state import UiState
from usblkback_tui.ui.text import Line, clean

OPTIONS = tuple(field.name for field in dataclasses.fields(DiskOptions))
FIELDS = ("domain", "image", "vdev", "mode")
DEBOUNCE = 0.2
"""Seconds without a key before the form is checked."""
_KEYS = 18
"""Cells of a key in the preview."""
LATER = -1
"""In place of a domid: a domain that is not there yet."""
MODES = (("read-write", "w"), ("read-only", "r"))

Key = tuple[int, int]


class PathInput(Input):
    """A path; Tab completes it, and goes to the next field when there is nothing to add."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "complete", show=False)]

    @work(exclusive=True, exit_on_error=False, group="complete")
    async def action_complete(self) -> None:
        typed = self.value
        found = await in_thread(lambda: complete_path(typed))
        if self.value != typed:
            return
        dialog = cast(AttachDialog, self.screen)
        if found.text == typed:
            dialog.show_completion(found if len(found.names) > 1 else Completion(typed))
            if len(found.names) < 2:
                dialog.focus_next()
            return
        self.value = found.text
        self.cursor_position = len(found.text)
        dialog.show_completion(found)


class AttachDialog(Dialog[None]):
    """The form and what comes after it."""

    def __init__(self, backend: Backend, model: Model, state: UiState, *, prefer: int | None = None) -> None:
        """``prefer`` is the domid to start with, where it runs."""
        super().__init__()
        self.backend = backend
        self.state = state
        snapshot = model.snapshot
        self._domains = [d for d in snapshot.domains if d.domid != snapshot.domid] if snapshot else []
        domids = [domain.domid for domain in self._domains]
        self._first = prefer if prefer in domids else domids[0] if domids else None
        self._suggested_vdev = ""
        self._debounce: Timer | None = None
        self._key: Key | None = None
        """The new disk, once it is attached."""
        self._title = ""
        self._began = 0.0

    def compose(self) -> ComposeResult:
        domains = [(f"{d.domid} {clean(d.name)}", d.domid) for d in self._domains]
        with self.box("Attach a disk", "attach"):
            with Vertical(id="form"):
                if self.state.presets:
                    with Horizontal(classes="field"):
                        yield Label("Preset")
                        names = [(clean(name), name) for name in reversed(self.state.presets)]
                        yield Select[str](names, prompt="as it was attached before", id="preset", compact=True)
                with Horizontal(classes="field"):
                    yield Label("Domain")
                    yield Select[int](
                        [*domains, ("another one, as soon as it appears", LATER)],
                        value=LATER if self._first is None else self._first,
                        allow_blank=False,
                        id="domain",
                        compact=True,
                    )
                with Horizontal(classes="field", id="named"):
                    yield Label("Name")
                    yield Input(placeholder="the name it will have", id="name", compact=True)
                yield Static("", id="domain-note", classes="note")
                with Horizontal(classes="field"):
                    yield Label("Image")
                    yield PathInput(placeholder="/path/to/image or block device", id="image", compact=True)
                yield Static("", id="image-note", classes="note")
                yield Static("", id="names", classes="note")
                with Horizontal(classes="field"):
                    yield Label("Vdev")
                    yield Input(placeholder="xvdb", id="vdev", compact=True)
                yield Static("", id="vdev-note", classes="note")
                with Horizontal(classes="field"):
                    yield Label("Mode")
                    yield Select[str](MODES, value="w", allow_blank=False, id="mode", compact=True)
                yield OptionFields(id="options")
                yield Static("", id="mode-note", classes="note")
            yield LineView(id="preview")
            yield Static("", id="status", classes="prose")
            with Horizontal(classes="buttons"):
                yield Button("Attach", id="go", variant="primary", compact=True, disabled=True)
                yield Button("Cancel", id="cancel", compact=True)

    def on_mount(self) -> None:
        self.query_one("#preview").can_focus = False
        self._preview([])
        self.show_completion(Completion(""))
        self._hints()
        self.query_one("#named").display = self._first is None
        if self._first is None:
            say(self._note("domain"), "No guest is running: the disk can wait for one.")
            self.query_one("#name").focus()
        else:
            self.query_one("#image").focus()
        self._suggest_vdev(LATER if self._first is None else self._first)

    # -- the form ------------------------------------------------------------------------------------------------

    @property
    def request(self) -> AttachRequest | None:
        """What is asked for now; None without a domain.  Raises UserError for an option that cannot be."""
        domain = self.query_one("#name", Input).value.strip() if self.later else str(self._domid)
        if not domain:
            return None
        return AttachRequest(
            domain=domain,
            image=self.query_one("#image", Input).value.strip(),
            vdev=self.query_one("#vdev", Input).value.strip(),
            mode=str(self.query_one("#mode", Select).value),
            options=self.query_one(OptionFields).options,
        )

    @property
    def _domid(self) -> int:
        value = self.query_one("#domain", Select).value
        assert isinstance(value, int)
        return value

    @property
    def later(self) -> bool:
        """The domain is one that is waited for."""
        return self._domid == LATER

    @on(Select.Changed, "#preset")
    def _preset_chosen(self, event: Select.Changed) -> None:
        values = self.state.presets.get(str(event.value))
        if values is None:
            return
        if isinstance(image := values.get("image"), str):
            self.query_one("#image", Input).value = image
        if values.get("mode") in ("r", "w"):
            self.query_one("#mode", Select).value = values["mode"]
        self.query_one(OptionFields).fill(values)

    def _keep_preset(self, request: AttachRequest) -> None:
        name = f"{PurePath(request.image).name}, {'read-only' if request.mode == 'r' else 'read-write'}"
        texts = self.query_one(OptionFields).texts
        self.state.keep_preset(name, {"image": request.image, "mode": request.mode, **texts})

    def _note(self, field: str) -> Static:
        return self.query_one(f"#{field}-note", Static)

    def _hints(self) -> None:
        say(self._note("domain"), "")
        say(self._note("image"), "Tab completes")
        say(self._note("vdev"), "the name the guest sees")
        say(self._note("mode"), "")

    @work(exclusive=True, exit_on_error=False, group="suggest")
    async def _suggest_vdev(self, domid: int) -> None:
        field = self.query_one("#vdev", Input)
        if field.value and field.value != self._suggested_vdev:
            return
        try:
            name = "xvdb" if domid == LATER else await in_thread(lambda: self.backend.next_vdev(str(domid)))
        except Exception as error:
            self._refused(error)
            return
        self._suggested_vdev = name
        field.value = name

    @on(Select.Changed, "#domain")
    def _domain_changed(self, event: Select.Changed) -> None:
        if isinstance(event.value, int):
            self.query_one("#named").display = self.later
            self._suggest_vdev(event.value)

    @on(Input.Changed)
    @on(Select.Changed)
    def _changed(self) -> None:
        self.query_one("#go", Button).disabled = True
        if self._debounce is not None:
            self._debounce.stop()
        self._debounce = self.set_timer(DEBOUNCE, self._check)

    def show_completion(self, found: Completion) -> None:
        """The names that could follow, under the image."""
        names = self.query_one("#names", Static)
        text = clean("  ".join(found.names)) if len(found.names) > 1 else ""
        say(names, text if len(text) < 150 else text[:150] + "…")
        names.display = bool(text)

    @work(exclusive=True, exit_on_error=False, group="plan")
    async def _check(self) -> None:
        try:
            request = self.request
        except UserError as error:
            self._refused(error)
            return
        if request is None or self._key is not None:
            return
        if not request.image:
            self._hints()
            self._preview([])
            return
        try:
            later = self.later
            plan = await in_thread(lambda: self.backend.plan(request, later=later))
        except Exception as error:
            self._refused(error)
            return
        if self.request != request:
            return
        self._accepted(plan)
        about = await in_thread(lambda: probe(request.image))
        if about and self.request == request and self._key is None:
            say(self._note("image"), f"{_size(plan)}; {about}", "good")

    def _refused(self, error: Exception) -> None:
        """The sentence goes under its field; one without a field goes to the bottom."""
        self._hints()
        say(self.query_one("#status", Static), "")
        self._preview([])
        key = error.key if isinstance(error, UserError) else ""
        if key in OPTIONS:
            key = "mode"
        target = self._note(key) if key in FIELDS else self.query_one("#status", Static)
        say(target, sentence(error), "error")
        self.query_one("#go", Button).disabled = True

    def _accepted(self, plan: AttachPlan) -> None:
        say(self.query_one("#status", Static), "")
        say(self._note("domain"), "not there yet: the engine waits for it" if plan.domid < 0 else "")
        say(self._note("image"), _size(plan), "good")
        say(self._note("vdev"), f"devid {plan.devid}", "good")
        say(self._note("mode"), "")
        self.query_one("#go", Button).disabled = False
        title = f"writes {len(plan.writes)} keys to xenstore" if plan.writes else "when it appears"
        self._preview([*explained_lines(plan), *write_lines(plan), *offer_lines(plan)], title)

    def _preview(self, lines: list[Line], title: str = "") -> None:
        preview = self.query_one("#preview", LineView)
        preview.display = bool(lines)
        preview.border_title = title
        preview.show(lines)

    # -- attaching -----------------------------------------------------------------------------------------------

    @on(Input.Submitted)
    def _submitted(self) -> None:
        if not self.query_one("#go", Button).disabled:
            self.attach()

    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        self.attach()

    @work(exclusive=True, exit_on_error=False, group="attach")
    async def attach(self) -> None:
        """Attach; a refusal leaves the form as it is with the sentence."""
        request = self.request
        if request is None:
            return
        self.query_one("#go", Button).disabled = True
        if self.later:
            await self._attach_later(request)
            return
        say(self.query_one("#status", Static), "Attaching…")
        try:
            disk = await in_thread(lambda: self.backend.attach(request))
        except Exception as error:
            self._refused(error)
            self.query_one("#go", Button).disabled = False
            return
        self._keep_preset(request)
        self._attached(disk)

    async def _attach_later(self, request: AttachRequest) -> None:
        try:
            waits = await in_thread(lambda: self.backend.attach_later(request))
        except Exception as error:
            self._refused(error)
            self.query_one("#go", Button).disabled = False
            return
        self._keep_preset(request)
        self.app.notify(f"{clean(waits.title)} waits for its domain; d on its row takes it back.", markup=False)
        self.dismiss(None)

    def _attached(self, disk: DiskView) -> None:
        self._key, self._title = disk.key, clean(disk.title)
        self._began = min((c.time for c in disk.transitions), default=disk.backend_since)
        self.query_one("#form").display = False
        self.query_one("#go").display = False
        frame = self.query_one("#attach")
        frame.border_title = f"Handshake of {self._title}"
        frame.add_class("-attached")
        self._preview([((f"Attaching {self._title}…", "muted"),)])
        button = self.query_one("#cancel", Button)
        button.label = "Close"
        button.focus()
        say(self.query_one("#status", Static), "Waiting for the guest. It may be closed; the attach goes on.")
        self._show(disk, disk.backend_since)

    def show_model(self, model: Model) -> None:
        """A tick: the handshake goes on."""
        if self._key is None:
            return
        disk = model.disk(self._key)
        if disk is not None:
            self._show(disk, model.now)
        elif model.now > self._began:
            say(self.query_one("#status", Static), f"{self._title} is gone again; the events say why.", "error")

    def _show(self, disk: DiskView, now: float) -> None:
        preview = self.query_one("#preview", LineView)
        preview.show(handshake_lines(disk, now, max(preview.size.width, 60), max(preview.size.height, 6)))
        if disk.frontend_state is XenbusState.CONNECTED and disk.backend_state is XenbusState.CONNECTED:
            took = max(disk.frontend_since, disk.backend_since) - self._began
            say(self.query_one("#status", Static), f"{self._title} is Connected after {units.elapsed(took)}.", "good")

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.height >= 34, "-roomy")


def _size(plan: AttachPlan) -> str:
    return f"{units.capacity(plan.sectors)}, {plan.sectors:,} sectors"


def offer_lines(plan: AttachPlan) -> list[Line]:
    """What the frontend is offered once the image is open."""
    if not plan.offers:
        return []
    keys = [((f"  {key:<{_KEYS}}", ""), (clean(value) or '""', "info")) for key, value in plan.offers]
    return [(("and then offers", "muted"),), *keys]


def write_lines(plan: AttachPlan) -> list[Line]:
    """Every key an attach would write with its value, in order, under the directory it is in."""
    lines: list[Line] = []
    directory = ""
    for path, value in plan.writes:
        where, _, key = path.rpartition("/")
        if where != directory:
            directory = where
            lines.append(((clean(where), "muted"),))
        lines.append(((f"  {key:<{_KEYS}}", ""), (clean(value) or '""', "good")))
    return lines
