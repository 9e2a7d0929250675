# SPDX-License-Identifier: MIT
"""A few canonical screens as pictures; ``pytest --snapshot-update`` accepts a change that was meant."""

from __future__ import annotations

import pytest
import textual
from textual.pilot import Pilot
from textual.widgets import Button

from tests.ui.drive import LARGE, SMALL, app_for, play, screen_text, shown, ticks, until
from tests.ui.fake import FakeBackend, house
from usblkback_tui.engine.snapshot import DomainView
from usblkback_tui.ui.app import UsblkApp
from usblkback_tui.ui.outcome import Outcome

pytestmark = pytest.mark.skipif(
    textual.__version__ != "8.2.8", reason="pictures are those of Textual 8.2.8; another version draws other details"
)


def test_house_large(snap_compare) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    backend = house()

    async def act(pilot: Pilot[Outcome]) -> None:
        await play(pilot, backend, 30)

    assert snap_compare(app_for(backend), terminal_size=LARGE, run_before=act)


def test_house_small_stuck_disk(snap_compare) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    backend = house()

    async def act(pilot: Pilot[Outcome]) -> None:
        await play(pilot, backend, 3)
        await pilot.press("down", "down", "down")
        await ticks(pilot)

    assert snap_compare(app_for(backend), terminal_size=SMALL, run_before=act)


LOOKS = {
    "handshake": ("2", "swim", "next"),
    "rings": ("3", "slot", "slot 0 of ring 0"),
    "latency": ("4", "percentiles", "all"),
    "store": ("5", "node", "path      /local/domain/0/backend/usblkback/3/51712"),
    "trace": ("6", "requests", "22:13:45.000"),
    "engine": ("7", "threads", "control"),
}
"""By screen: its digit, and a pane with the text that is there once everything is."""


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("name", LOOKS)
def test_screen(name: str, size: tuple[int, int], snap_compare) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    backend = house()
    key, pane, awaited = LOOKS[name]

    async def act(pilot: Pilot[Outcome]) -> None:
        await play(pilot, backend, 25)
        await pilot.press(key)
        app = pilot.app
        assert isinstance(app, UsblkApp)
        await until(pilot, lambda: awaited in shown(app, pane))
        await ticks(pilot)

    assert snap_compare(app_for(backend), terminal_size=size, run_before=act)


def test_no_disks(snap_compare) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    backend = FakeBackend(domains=(DomainView(0, "Domain-0"), DomainView(3, "web")))

    async def act(pilot: Pilot[Outcome]) -> None:
        await ticks(pilot)

    assert snap_compare(app_for(backend), terminal_size=SMALL, run_before=act)


def test_attach_form(snap_compare) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    app = app_for(house())

    async def act(pilot: Pilot[Outcome]) -> None:
        await ticks(pilot)
        await pilot.press("a", *"/srv/new.img")
        await until(pilot, lambda: not pilot.app.screen.query_one("#go", Button).disabled)
        await until(pilot, lambda: "writes 10 keys" in screen_text(app))
        await ticks(pilot)

    assert snap_compare(app, terminal_size=SMALL, run_before=act)


def test_quit_question(snap_compare) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    backend = house()

    async def act(pilot: Pilot[Outcome]) -> None:
        await ticks(pilot)
        await pilot.press("q")
        await ticks(pilot)

    assert snap_compare(app_for(backend), terminal_size=(100, 30), run_before=act)
