# SPDX-License-Identifier: MIT
"""Detaching, taking away, and quitting."""

from __future__ import annotations

import threading

import pytest
from textual.widgets import Button, Input

from tests.ui.drive import LARGE, SMALL, app_for, notices, screen_text, ticks, until
from tests.ui.fake import FakeBackend, house, make_disk
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.ui.app import UsblkApp
from usblkback_tui.ui.dialogs.detach import DetachDialog, ForceDialog
from usblkback_tui.ui.dialogs.quit import QuitDialog
from usblkback_tui.ui.outcome import Outcome

SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])
HELD = UserError("domain 3 still uses xvda after 10 s", fix="unmount it there, or take it away with D")


@SIZES
async def test_detach_names_the_disk_and_does_nothing_without_a_yes(size: tuple[int, int]) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await ticks(pilot)
        await pilot.press("d")
        await pilot.pause()
        shown = screen_text(app)
        assert "Detach xvda of web-01?" in shown
        assert "/srv/images/web-01-xvda.img" in shown
        assert "Unmount it in the guest first" in shown
        await pilot.press("enter")
        await ticks(pilot)
        assert app.screen is app.main
        await pilot.press("d", "escape")
        assert backend.calls == []
        await pilot.press("d", "shift+tab", "enter")
        await until(pilot, lambda: len(app.main.table.rows) == 4)
        assert backend.calls == [("detach", "3", "xvda", False)]
        assert notices(app) == ["xvda of web-01 is detached."]


async def test_a_guest_that_does_not_answer_shows_the_sentence() -> None:
    backend = FakeBackend(make_disk(3, "web"))
    gate = backend.hold["detach"] = threading.Event()
    backend.fail["detach"] = HELD
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("d", "shift+tab", "enter")
        await until(pilot, lambda: "Waiting for the guest to let go" in screen_text(app))
        gate.set()
        await until(pilot, lambda: "domain 3 still uses xvda after 10 s; unmount it" in screen_text(app))
        assert isinstance(app.screen, DetachDialog)
        del backend.fail["detach"]
        await until(pilot, lambda: app.focused is not None and app.focused.id == "go")
        await until(pilot, lambda: "Try again" in screen_text(app))
        await pilot.pause(0.3)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.main)
        assert backend.disks == {}


@SIZES
async def test_force_wants_the_name(size: tuple[int, int]) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await ticks(pilot)
        await pilot.press("D")
        await pilot.pause()
        assert isinstance(app.screen, ForceDialog)
        assert "Take xvda of web-01 away?" in screen_text(app)
        await pilot.press(*"xvd", "enter")
        await until(pilot, lambda: "Type xvda exactly to confirm." in screen_text(app))
        assert app.screen.query_one("#go", Button).disabled
        assert backend.calls == []
        await pilot.press("a")
        assert app.screen.query_one(Input).value == "xvda"
        assert not app.screen.query_one("#go", Button).disabled
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.main)
        assert backend.calls == [("detach", "3", "xvda", True)]


# -- quit ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
async def test_quit_with_nothing_attached_quits(key: str) -> None:
    app = app_for(FakeBackend())
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press(key)
    assert app.return_value is Outcome.NO_DISKS


@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
async def test_quit_with_disks_asks_and_stay_stays(key: str) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press(key)
        await pilot.pause()
        assert "Quit with 5 disks attached?" in screen_text(app)
        assert "xvdb of web-01" in screen_text(app)
        await pilot.press("enter")
        await ticks(pilot)
        assert app.screen is app.main
        assert backend.calls == []
        assert app.is_running


@SIZES
async def test_detach_all_and_quit(size: tuple[int, int]) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await ticks(pilot)
        await pilot.press("q", "shift+tab", "enter")
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value is Outcome.DETACHED
    assert sorted(backend.calls, key=str) == [
        ("detach", "3", "xvda", False),
        ("detach", "3", "xvdb", False),
        ("detach", "5", "xvda", False),
        ("detach", "7", "xvda", False),
        ("detach", "8", "xvdc", False),
    ]


async def test_a_disk_that_stays_keeps_the_app_and_a_second_ctrl_c_offers_to_leave() -> None:
    backend = FakeBackend(make_disk(3, "web"), make_disk(4, "db"))
    gate = backend.hold["detach"] = threading.Event()
    backend.fail["detach"] = HELD
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("ctrl+c")
        await pilot.pause()
        await pilot.press("shift+tab", "enter")
        await until(pilot, lambda: "ctrl+c offers to leave at once" in screen_text(app))
        assert "Quit at once" not in screen_text(app)
        await pilot.press("ctrl+c")
        await pilot.pause()
        assert "Quit at once" in screen_text(app)
        gate.set()
        await until(pilot, lambda: "still uses xvda after 10 s" in screen_text(app))
        assert "(and 1 more)" in screen_text(app)
        assert app.is_running
        assert isinstance(app.screen, QuitDialog)
        app.screen.query_one("#at-once", Button).press()
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value is Outcome.AT_ONCE


async def test_leaving_at_once_waits_for_nobody() -> None:
    backend = FakeBackend(make_disk(3, "web"))
    gate = backend.hold["detach"] = threading.Event()
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("q", "shift+tab", "enter")
        await until(pilot, lambda: "ctrl+c offers" in screen_text(app))
        await pilot.press("ctrl+c", "enter")
    assert app.return_value is Outcome.AT_ONCE
    assert backend.disks
    gate.set()


@SIZES
async def test_without_a_take_over_handing_over_is_shown_and_said_why_not(size: tuple[int, int]) -> None:
    app = app_for(house())
    async with app.run_test(size=size) as pilot:
        await ticks(pilot)
        await pilot.press("q")
        await until(pilot, lambda: "Handing over to an engine without a screen is not possible yet" in screen_text(app))
        assert app.screen.query_one("#hand-over", Button).disabled
        assert "Hand over and quit" in screen_text(app)


async def test_what_waits_for_a_domain_is_not_forgotten_without_a_question() -> None:
    backend = FakeBackend()
    backend.attach_later(AttachRequest("late", "/srv/new.img", "xvdb"))
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("q")
        await until(pilot, lambda: "Quit with 1 waiting?" in screen_text(app))
        app.screen.query_one("#detach-all", Button).press()
        await until(pilot, lambda: app.return_value is Outcome.DETACHED)


@pytest.mark.parametrize("works", [True, False])
async def test_hand_over_is_a_third_choice_where_there_is_one(works: bool) -> None:
    backend = FakeBackend(make_disk(3, "web"))
    handed: list[bool] = []

    def hand_over() -> None:
        if not works:
            raise UserError("no headless engine could be started", fix="free the control socket")
        handed.append(True)

    app = UsblkApp(backend, refresh_hz=0.01, hand_over=hand_over)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("q")
        await pilot.pause()
        app.screen.query_one("#hand-over", Button).press()
        if works:
            await until(pilot, lambda: app.return_value is not None)
        else:
            await until(pilot, lambda: "no headless engine could be started; free" in screen_text(app))
    assert (app.return_value is Outcome.HANDED_OVER) is works
    assert handed == [True] * works
    assert backend.calls == []
