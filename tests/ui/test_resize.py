# SPDX-License-Identifier: MIT
"""The resize question: what is typed is checked at once, and a refusal keeps it open."""

from __future__ import annotations

import pytest
from textual.widgets import Button, Input, Static

from tests.ui.drive import LARGE, SMALL, app_for, ticks
from tests.ui.fake import FakeBackend, house
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.ui.app import UsblkApp
from usblkback_tui.ui.dialogs.resize import ResizeDialog


def status(app: UsblkApp) -> str:
    return str(app.screen.query_one("#status", Static).render())


def asked(app: UsblkApp) -> bool:
    return isinstance(app.screen, ResizeDialog)


def resizes(backend: FakeBackend) -> list[tuple[object, ...]]:
    return [call for call in backend.calls if call[0] == "resize"]


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_disk_is_grown(size: tuple[int, int]) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await ticks(pilot)
        disk = app.main.disk
        assert disk is not None
        await pilot.press("R", *"+1G")
        await pilot.pause()
        assert asked(app)
        wanted = disk.sectors + (1 << 30) // 512
        assert f"{wanted:,} sectors" in status(app)
        await pilot.press("enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert resizes(backend) == [("resize", str(disk.domid), disk.vdev, wanted)]
        assert app.screen is app.main
        assert backend.disks[disk.key].sectors == wanted


async def test_nothing_typed_takes_over_the_size_of_the_image() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        await pilot.press("R", "enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert [call[3] for call in resizes(backend)] == [None]


@pytest.mark.parametrize(
    ("text", "words"), [("lots", "is not a size"), ("1M", "never made smaller"), ("+", "is not a size")]
)
async def test_what_is_no_size_is_said_while_it_is_typed(text: str, words: str) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        await pilot.press("R", *text)
        await pilot.pause()
        assert words in status(app)
        assert app.screen.query_one("#go", Button).disabled
        await pilot.press("enter")
        await pilot.pause()
        assert resizes(backend) == []
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is app.main


async def test_a_refusal_stays_with_its_sentence() -> None:
    backend = house()
    backend.fail["resize"] = UserError("image /a is attached read-only", fix="grow it yourself", key="size")
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        await pilot.press("R", *"+1G", "enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert isinstance(app.screen, ResizeDialog)
        assert "attached read-only; grow it yourself" in status(app)
        assert app.screen.query_one("#size", Input).value == "+1G"
        assert not app.screen.query_one("#go", Button).disabled


async def test_without_a_disk_there_is_nothing_to_resize() -> None:
    app = app_for(FakeBackend())
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        await pilot.press("R")
        await pilot.pause()
        assert app.screen is app.main
