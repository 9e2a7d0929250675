# SPDX-License-Identifier: MIT
"""The attach dialog."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual.widgets import Button, Input, Select, Static

from tests.ui.drive import LARGE, SMALL, app_for, notices, screen_text, shown, ticks, until
from tests.ui.fake import FakeBackend, house, make_disk, transitions
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.ui.app import UsblkApp
from usblkback_tui.ui.dialogs.attach import LATER, AttachDialog
from usblkback_tui.ui.paths import complete_path

SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])


def note(app: UsblkApp, field: str) -> str:
    return str(app.screen.query_one(f"#{field}-note", Static).render())


def ready(app: UsblkApp) -> bool:
    return not app.screen.query_one("#go", Button).disabled


@SIZES
async def test_attach_from_form_to_connected(size: tuple[int, int]) -> None:
    backend = house()
    backend.steps = 3
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await ticks(pilot)
        await pilot.press("down", "down", "a")
        await pilot.pause()
        assert app.screen.query_one("#domain", Select).value == 5
        await until(pilot, lambda: app.screen.query_one("#vdev", Input).value == "xvdb")
        assert not ready(app)
        await pilot.press(*"/srv/new.img")
        await until(pilot, lambda: ready(app))
        assert "64 MiB, 131,072 sectors" in note(app, "image")
        await until(pilot, lambda: "writes 10 keys to xenstore" in screen_text(app))
        shown = screen_text(app)
        assert "/local/domain/0/backend/usblkback/5/51728" in shown
        assert "params" in shown
        await pilot.press("enter")
        await until(pilot, lambda: ("attach", AttachRequest("5", "/srv/new.img", "xvdb", "w")) in backend.calls)
        await until(pilot, lambda: "Handshake of xvdb of db-02" in screen_text(app))
        assert "frontend: write ring-ref" in screen_text(app)
        backend.update(make_disk(5, "db-02", "xvdb", since=backend.now))
        await until(pilot, lambda: "xvdb of db-02 is Connected after 58 ms." in screen_text(app))
        await pilot.press("enter")
        await ticks(pilot)
        assert not isinstance(app.screen, AttachDialog)
        assert any(row.disk.vdev == "xvdb" and row.disk.domid == 5 for row in app.main.table.rows)


@SIZES
async def test_each_error_stands_under_its_field(size: tuple[int, int]) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await ticks(pilot)
        await pilot.press("a", *"nope.img")
        await until(pilot, lambda: "✖" in note(app, "image"))
        assert note(app, "image") == "✖ image 'nope.img' does not exist; create it or name another file"
        app.screen.query_one("#image", Input).value = "/srv/x.img"
        app.screen.query_one("#vdev", Input).value = "xvda"
        await until(pilot, lambda: "is taken; use xvdc" in note(app, "vdev"))
        assert "✖" not in note(app, "image")
        app.screen.query_one("#vdev", Input).value = "sdzz"
        await until(pilot, lambda: "✖ vdev 'sdzz'" in note(app, "vdev"))
        backend.fail["plan"] = UserError("mode 'w' is refused: the file is read-only", fix="use r", key="mode")
        app.screen.query_one("#vdev", Input).value = "xvdf"
        await until(pilot, lambda: "the file is read-only; use r" in note(app, "mode"))
        backend.fail["plan"] = UserError("domain 3 is dying", key="domain")
        app.screen.query_one("#vdev", Input).value = "xvdg"
        await until(pilot, lambda: "domain 3 is dying" in note(app, "domain"))
        backend.fail["plan"] = UserError("64 disks are attached; raise max_disks", key="max_disks")
        app.screen.query_one("#vdev", Input).value = "xvdh"
        await until(pilot, lambda: "64 disks are attached" in str(app.screen.query_one("#status", Static).render()))
        assert not ready(app)


async def test_a_refused_attach_keeps_the_form_with_the_sentence() -> None:
    backend = house()
    backend.fail["attach"] = UserError("image '/srv/x.img' is locked by pid 812", fix="stop it", key="image")
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("a", *"/srv/x.img")
        await until(pilot, lambda: ready(app))
        await pilot.press("enter")
        await until(pilot, lambda: "locked by pid 812; stop it" in note(app, "image"))
        assert isinstance(app.screen, AttachDialog)
        assert app.screen.query_one("#image", Input).value == "/srv/x.img"
        backend.fail["attach"] = RuntimeError("boom")
        await until(pilot, lambda: ready(app))
        app.screen.query_one("#go", Button).press()
        await until(pilot, lambda: "unexpected RuntimeError: boom" in screen_text(app))
        del backend.fail["attach"]
        app.screen.query_one("#go", Button).press()
        await until(pilot, lambda: "Handshake of xvdc of web-01" in screen_text(app))


async def test_an_attach_that_takes_long_leaves_the_keyboard_alone() -> None:
    backend = house()
    gate = backend.hold["attach"] = threading.Event()
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("a", *"/srv/x.img")
        await until(pilot, lambda: ready(app))
        await pilot.press("enter")
        await until(pilot, lambda: "Attaching…" in screen_text(app))
        await pilot.press("escape")
        await ticks(pilot)
        assert app.screen is app.main
        gate.set()
        await until(pilot, lambda: len(app.main.table.rows) == 6)


async def test_another_domain_gets_its_own_free_name_unless_one_was_typed() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("a")
        await until(pilot, lambda: app.screen.query_one("#vdev", Input).value == "xvdc")
        app.screen.query_one("#domain", Select).value = 9
        await until(pilot, lambda: app.screen.query_one("#vdev", Input).value == "xvda")
        app.screen.query_one("#vdev", Input).value = "xvdq"
        app.screen.query_one("#domain", Select).value = 5
        await ticks(pilot, 5)
        assert app.screen.query_one("#vdev", Input).value == "xvdq"


async def test_without_a_guest_the_disk_can_wait_for_one() -> None:
    backend = FakeBackend()
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("a")
        await pilot.pause()
        assert "No guest is running: the disk can wait for one." in note(app, "domain")
        await pilot.press(*"late")
        app.screen.query_one("#image", Input).value = "/srv/new.img"
        await until(pilot, lambda: ready(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.main)
        await until(pilot, lambda: "xvdb of late waits for its domain; d on its row takes it back." in notices(app))
        assert ("attach_later", AttachRequest("late", "/srv/new.img", "xvdb")) in backend.calls


@SIZES
async def test_what_waits_for_a_domain_has_a_row_and_is_taken_back(size: tuple[int, int]) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await ticks(pilot)
        await pilot.press("a")
        await until(pilot, lambda: bool(app.screen.query("#name")))
        assert not app.screen.query_one("#named").display
        app.screen.query_one("#domain", Select).value = LATER
        await until(pilot, lambda: app.screen.query_one("#named").display)
        app.screen.query_one("#name", Input).value = "late"
        app.screen.query_one("#image", Input).value = "/srv/new.img"
        await until(pilot, lambda: ready(app))
        assert note(app, "domain") == "not there yet: the engine waits for it"
        app.screen.query_one("#go", Button).press()
        await until(pilot, lambda: len(app.main.table.rows) == 6)
        assert app.main.table.rows[0].disk.domain == "late"
        app.main.select(app.main.table.rows[0].disk.key)
        await until(
            pilot,
            lambda: (
                "waits for domain la" in app.main.table.rows[0].disk.health.sentence
                and "• waits for" in screen_text(app)
            ),
        )
        assert "- late" in screen_text(app)
        assert "5/64 disks" in screen_text(app)
        assert "domain late" in shown(app, "detail")
        for screen in "234567":
            await pilot.press(screen)
            await ticks(pilot)
        await pilot.press("1", "R")
        await until(pilot, lambda: "xvdb of late cannot be resized: it waits for its domain." in notices(app))
        await pilot.press("d")
        await until(pilot, lambda: "Wait no longer for domain late?" in screen_text(app))
        app.screen.query_one("#go", Button).press()
        await until(pilot, lambda: len(app.main.table.rows) == 5)
        assert ("detach", "late", "xvdb", False) in backend.calls


async def test_a_disk_that_goes_away_during_its_handshake() -> None:
    backend = FakeBackend(make_disk(3, "web"))
    backend.steps = 3
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("a", *"/srv/x.img")
        await until(pilot, lambda: ready(app))
        await pilot.press("enter")
        await until(pilot, lambda: "Handshake of xvdb of web" in screen_text(app))
        backend.remove((3, 51728))
        backend.advance(1)
        await until(pilot, lambda: "xvdb of web is gone again; the events say why." in screen_text(app))


# -- completion ------------------------------------------------------------------------------------------------------


def test_complete_path(tmp_path: Path) -> None:
    (tmp_path / "debian-11.img").touch()
    (tmp_path / "debian-12.img").touch()
    (tmp_path / "images").mkdir()
    (tmp_path / ".hidden").touch()
    base = f"{tmp_path}/"
    assert complete_path(base + "de").text == base + "debian-1"
    assert complete_path(base + "de").names == ("debian-11.img", "debian-12.img")
    assert complete_path(base + "i").text == base + "images/"
    assert complete_path(base).names == ("debian-11.img", "debian-12.img", "images/")
    assert complete_path(base + ".h").text == base + ".hidden"
    assert complete_path(base + "zzz").text == base + "zzz"
    assert complete_path(base + "no/such/x").text == base + "no/such/x"


async def test_tab_completes_then_moves_on(tmp_path: Path) -> None:
    (tmp_path / "one.img").touch()
    (tmp_path / "other.img").touch()
    app = app_for(house())
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("a")
        await pilot.pause()
        field = app.screen.query_one("#image", Input)
        field.value = f"{tmp_path}/"
        await pilot.press("tab")
        await until(pilot, lambda: field.value == f"{tmp_path}/o")
        assert "one.img  other.img" in screen_text(app)
        await pilot.press("n", "tab")
        await until(pilot, lambda: field.value == f"{tmp_path}/one.img")
        assert field.has_focus
        await pilot.press("tab")
        await until(pilot, lambda: not field.has_focus)
        assert app.focused is not None
        assert app.focused.id == "vdev"


def test_the_fake_handshake_is_one_the_ui_knows() -> None:
    assert transitions(0.0)[-1].new.word == "Connected"
