# SPDX-License-Identifier: MIT
"""The screens behind the digits under a pilot, and what takes things out of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from textual.widgets import Button, Input, Select

from tests.ui.drive import LARGE, SMALL, app_for, notices, play, screen_text, shown, ticks, until, widget_text
from tests.ui.fake import FakeBackend, house, make_disk
from tests.ui.fake_looks import make_foreign
from usblkback_tui.engine.recording.frame import Frame
from usblkback_tui.engine.recording.layout import FORMAT, VERSION, Header
from usblkback_tui.engine.recording.replay import ReplayBackend
from usblkback_tui.engine.recording.writer import Limits, Writer
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.ui.app import UsblkApp
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.state import UiState, load_state
from usblkback_tui.ui.views.handshake import HandshakeView
from usblkback_tui.ui.views.rings import RingsView

SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def content(path: Path) -> str:
    return path.read_text()


# -- handshake -------------------------------------------------------------------------------------------------------


@SIZES
async def test_stepping_through_a_handshake(size: tuple[int, int]) -> None:
    app = app_for(house())
    async with app.run_test(size=size) as pilot:
        await ticks(pilot)
        await pilot.press("2")
        await until(pilot, lambda: "step 5 of 5" in shown(app, "step"))
        view = app.main.view
        assert isinstance(view, HandshakeView)
        await pilot.press("comma", "comma")
        await until(pilot, lambda: "step 3 of 5" in shown(app, "step"))
        assert "the ring is offered: take it" in shown(app, "step")
        assert "▸ 22:12:20.037" in shown(app, "steps")
        await pilot.press("full_stop")
        assert view.step == 3
        await pilot.press("g", "up")
        assert view.step == 0
        await pilot.press("G")
        assert view.step == 4
        await pilot.press("J", "J", "J")
        await until(pilot, lambda: "Steps · 2 of 2" in screen_text(app))
        assert "s late" in shown(app, "swim")


# -- rings -----------------------------------------------------------------------------------------------------------


@SIZES
async def test_slots_are_decoded_where_the_cursor_is(size: tuple[int, int]) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await play(pilot, backend, 3)
        await pilot.press("down", "down", "3")
        await until(pilot, lambda: "slot 0 of ring 0" in shown(app, "slot"))
        await pilot.press("right", "l", "right", "left")
        await until(pilot, lambda: "slot 2 of ring 0" in shown(app, "slot"))
        await pilot.press("j")
        await until(pilot, lambda: "slot 2 of ring 1" in shown(app, "slot"))
        view = app.main.view
        assert isinstance(view, RingsView)
        lines = widget_text(app.main.query_one("#rings"))
        if size == LARGE:
            y = next(at for at, line in enumerate(lines) if "ring 2" in line)
            strip = next(at for at, line in enumerate(lines) if at > y and "slots" in line)
            await pilot.click("#rings", offset=(12 + 7, strip))
            assert view.at[0] == 2
            assert view.at[1] > 0
        backend.fail["ring_slots"] = UserError("the ring is gone", key="ring")
        await until(pilot, lambda: "the ring is gone" in shown(app, "slot"))


async def test_rings_of_a_disk_without_any() -> None:
    backend = FakeBackend(make_disk(7, "win", steps=3))
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("3", "right", "down", "enter")
        await until(pilot, lambda: "No ring: the ends are not connected" in shown(app, "rings"))


# -- latency ---------------------------------------------------------------------------------------------------------


async def test_heat_map_operations_zoom_and_time_cursor() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await play(pilot, backend, 25)
        await pilot.press("4")
        await until(pilot, lambda: "Latency of reads and writes · xvda of web-01 · 1 s a column" in screen_text(app))
        assert "last 10 s" in shown(app, "percentiles")
        await pilot.press("m")
        await until(pilot, lambda: "Latency of reads · " in screen_text(app))
        heading = shown(app, "timecharts").splitlines()[0]
        await pilot.press("left", "left", "left")
        await until(pilot, lambda: "cursor 3 s before" in screen_text(app))
        assert "requests, the slowest within" in screen_text(app)
        assert shown(app, "timecharts").splitlines()[0] != heading
        await pilot.press("minus")
        await until(pilot, lambda: "5 s a column" in screen_text(app))
        await pilot.press("c")
        await until(pilot, lambda: "all disks" in screen_text(app))
        await pilot.click("#heat", offset=(100, 3))
        await until(pilot, lambda: app.main.playhead.cursor > 3)


# -- store -----------------------------------------------------------------------------------------------------------


async def test_the_store_opens_at_the_disk_lights_up_filters_and_copies() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        await pilot.press("5")
        back = "/local/domain/0/backend/usblkback/3/51712"
        await until(pilot, lambda: f"path      {back}" in shown(app, "node"))
        assert "domain 3  read" in shown(app, "node")
        await pilot.press("down", "down", "down")
        await until(pilot, lambda: f"path      {back}/state" in shown(app, "node"))
        await pilot.press("y")
        assert app.clipboard == f"{back}/state = 4"
        backend.store_values[f"{back}/state"] = "5"
        backend.advance(2)
        await until(pilot, lambda: "value     5" in shown(app, "node"))
        await pilot.press("slash", *"sectors")
        await until(pilot, lambda: "filter: sectors" in screen_text(app))
        assert "frontend" not in shown(app, "keys")
        await pilot.press("escape")
        await until(pilot, lambda: "frontend" in shown(app, "keys"))
        await pilot.press("left", "left")
        await until(pilot, lambda: "path      /local/domain/0/backend/usblkback/3" in shown(app, "node"))


async def test_an_edit_is_asked_twice_and_off_when_read_only() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("5")
        await until(pilot, lambda: "usblkback/3/51712" in shown(app, "node"))
        await pilot.press("down", "down", "down", "E")
        await until(pilot, lambda: "Change a key of xenstore" in screen_text(app))
        app.screen.query_one("#value", Input).value = "6"
        await pilot.press("enter")
        await until(pilot, lambda: "Yes, write it" in screen_text(app))
        assert not [call for call in backend.calls if call[0] == "store_write"]
        app.screen.query_one("#go", Button).press()
        await until(pilot, lambda: app.screen is app.main)
        assert backend.calls[-1] == ("store_write", "/local/domain/0/backend/usblkback/3/51712/state", "6")
        backend.read_only = True
        await until(pilot, lambda: "READ-ONLY" in screen_text(app))
        await pilot.press("E", "a", "d", "D")
        await ticks(pilot)
        assert app.screen is app.main
        assert notices(app).count("This is read-only: nothing is changed from here.") == 4


# -- trace -----------------------------------------------------------------------------------------------------------


async def test_the_trace_grows_filters_and_sorts() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await play(pilot, backend, 1)
        await pilot.press("6")
        await until(pilot, lambda: "512 requests" in screen_text(app))
        rows = widget_text(app.main.query_one("#requests"))
        assert rows[0].split()[:3] == ["TIME▼", "RING", "OP"]
        assert "22:13:21.000" in rows[1]
        await pilot.press("slash", *"op=write lat>5ms", "enter")
        await until(pilot, lambda: "filter: op=write lat>5ms" in screen_text(app))
        assert all("write" in line and "25ms" in line for line in widget_text(app.main.query_one("#requests"))[1:3])
        backend.advance(1)
        await until(pilot, lambda: "of 1000" in screen_text(app))
        await pilot.press("y")
        assert "op=write" in app.clipboard
        await pilot.press("escape")
        await until(pilot, lambda: "· 1000 requests" in screen_text(app))
        await pilot.press("J", "J", "J")
        await until(pilot, lambda: "is not connected" in screen_text(app))


# -- engine ----------------------------------------------------------------------------------------------------------


@SIZES
async def test_threads_of_the_engine(size: tuple[int, int]) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await play(pilot, backend, 3)
        await pilot.press("7")
        await until(pilot, lambda: "vbd-3-51712" in shown(app, "threads") or size == SMALL)
        assert "pid 4000" in shown(app, "process")
        assert "loop lag" in shown(app, "cost")
        await pilot.press("s", "s")
        await until(pilot, lambda: "CPU %▼" in shown(app, "threads"))


# -- disks of others -------------------------------------------------------------------------------------------------


async def test_disks_of_others_are_watched_and_left_alone() -> None:
    backend = FakeBackend(make_disk(3, "web"))
    backend.foreign = (make_foreign(9, "old"),)
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await play(pilot, backend, 3)
        assert "xen-blkback" in shown(app, "table")
        assert "9 old" in shown(app, "tree")
        await pilot.press("G", "d")
        await until(pilot, lambda: notices(app) == ["xvdk of old cannot be detached: xen-blkback serves it."])
        await pilot.press("6")
        await ticks(pilot)
        assert not [call for call in backend.calls if call[0] == "detach"]


# -- panes -----------------------------------------------------------------------------------------------------------


@SIZES
async def test_a_pane_takes_the_whole_screen_and_gives_it_back(size: tuple[int, int]) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await play(pilot, backend, 2)
        events = app.main.query_one("#events", LineView)
        before = events.size
        events.focus()
        await pilot.press("e")
        await until(pilot, lambda: events.size.height > size[1] - 8)
        assert not app.main.table.size.width
        await pilot.press("escape")
        await until(pilot, lambda: events.size == before)
        assert app.main.table.size.width


async def test_jump_mode_goes_where_the_letter_is() -> None:
    app = app_for(house())
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        await pilot.press("ctrl+o")
        await until(pilot, lambda: app.screen is not app.main)
        await pilot.press("s")
        await until(pilot, lambda: app.screen is app.main)
        assert app.focused is app.main.panes()[1]
        await pilot.press("apostrophe", "7")
        await until(pilot, lambda: app.main.view_name == "engine")
        await pilot.press("apostrophe", "escape")
        await until(pilot, lambda: app.screen is app.main)


# -- taking things away ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "json", "svg"])
async def test_a_screen_is_exported(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await play(pilot, backend, 2)
        await pilot.press("x")
        await until(pilot, lambda: bool(app.screen.query("#file")))
        app.screen.query_one("#kind", Select).value = kind
        name = app.screen.query_one("#file", Input)
        await until(pilot, lambda: name.value.endswith(kind))
        app.screen.query_one("#go", Button).press()
        await until(pilot, lambda: app.screen is app.main)
        path = files(tmp_path)[0]
        text = content(path)
        if kind == "csv":
            assert next(row for row in csv.reader(text.splitlines()) if row[0] == "5 db-02")[1] == "xvda"
        elif kind == "json":
            assert len(json.loads(text)["rows"]) == 5
        else:
            assert text.startswith("<svg")
        await pilot.press("x")
        await until(pilot, lambda: bool(app.screen.query("#file")))
        app.screen.query_one("#file", Input).value = str(path)
        app.screen.query_one("#go", Button).press()
        await until(pilot, lambda: "it exists already" in screen_text(app))


# -- state -----------------------------------------------------------------------------------------------------------


async def test_how_it_was_left_is_how_it_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "ui.json"
    app = app_for(house(), state=load_state(path))
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        await pilot.press("s", "s", "o", "minus")
        app.main.table.arrange_columns(["vdev", "nonsense", "health"], {"image", "mode"})
        app.main.keep_table()
        app.theme = "nord"
        await ticks(pilot)
    again = app_for(house(), state=load_state(path))
    async with again.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        assert again.theme == "nord"
        assert again.main.table.hidden == {"image", "mode"}
        assert "VDEV▼" in widget_text(again.main.table)[0]
        assert "IMAGE" not in widget_text(again.main.table)[0]
        assert widget_text(again.main.table)[0].index("VDEV") < widget_text(again.main.table)[0].index("DOM")
        assert widget_text(again.main.table)[0].endswith("HEALTH")
        assert again.main.level == 1


async def test_columns_are_chosen_in_a_dialog() -> None:
    state = UiState()
    app = app_for(house(), state=state)
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        await pilot.press("w")
        await until(pilot, lambda: app.screen is not app.main)
        await pilot.press("down", "down", "space")
        await until(pilot, lambda: app.main.table.hidden == {"image"})
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.main)
        assert state.tables["overview"].hidden == ("image",)


async def test_columns_are_put_in_order_with_keys_and_with_the_mouse() -> None:
    state = UiState()
    app = app_for(house(), state=state)
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        usual = [column.id for column in app.main.table.columns]

        def order() -> list[str]:
            return [column.id for column in app.main.table.columns]

        await pilot.press("w")
        await until(pilot, lambda: app.screen is not app.main)
        await pilot.press("left", "right", "right")  # the first one cannot go further to the left
        await until(pilot, lambda: order() == [*usual[1:3], usual[0], *usual[3:]])
        await pilot.press("space")
        await until(pilot, lambda: app.main.table.hidden == {usual[0]})
        assert await pilot.click("#left")
        await until(pilot, lambda: order() == [usual[1], usual[0], *usual[2:]])
        assert app.main.table.hidden == {usual[0]}
        assert await pilot.click("#done")
        await until(pilot, lambda: app.screen is app.main)
        assert state.tables["overview"].order == tuple(order())
        assert app.main.view.sheet().headings[0] == app.main.table.columns[0].title
        await pilot.press("w")
        await until(pilot, lambda: app.screen is not app.main)
        assert await pilot.click("#all")
        await until(pilot, lambda: order() == usual and not app.main.table.hidden)


# -- recordings ------------------------------------------------------------------------------------------------------


async def test_a_recording_is_begun_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await play(pilot, backend, 1)
        await pilot.press("r")
        await until(pilot, lambda: "● REC 00:00:" in screen_text(app))
        await pilot.press("r")
        await until(pilot, lambda: any(note.startswith("Recorded ") for note in notices(app)))
        assert "● REC" not in screen_text(app)
        assert [one.suffix for one in files(tmp_path)] == [".usbr"]


async def test_a_recording_is_played_paused_stepped_and_sought(tmp_path: Path) -> None:
    path = tmp_path / "day.usbr"
    record(path, 90)
    with_clock = Clock()
    replay = ReplayBackend(path, clock=with_clock)
    app = UsblkApp(replay, refresh_hz=0.01, engine_stays=True, clock=lambda: 0.0)
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: "▶ 00:00:00 of 00:01:29" in screen_text(app))
        with_clock.now += 5
        await until(pilot, lambda: "▶ 00:00:05" in screen_text(app))
        assert "3 web-01" in screen_text(app)
        await pilot.press("p")
        await until(pilot, lambda: "⏸ 00:00:05" in screen_text(app))
        await pilot.press("f", "f")
        await until(pilot, lambda: "⏸ 00:00:07" in screen_text(app))
        await pilot.press("greater_than_sign")
        await until(pilot, lambda: "⏸ 00:01:07" in screen_text(app))
        await until(pilot, lambda: app.model.history.seconds >= 65)
        assert len(app.model.history.track((3, 51712)).reads.last(100)) >= 65
        assert app.model.window is not None
        await pilot.press("T")
        await until(pilot, lambda: bool(app.screen.query("#time")))
        await pilot.press(*"-7", "enter")
        await until(pilot, lambda: "⏸ 00:01:00" in screen_text(app))
        await pilot.press("T")
        await until(pilot, lambda: bool(app.screen.query("#time")))
        await pilot.press(*"+7", "enter")
        await until(pilot, lambda: "⏸ 00:01:07" in screen_text(app))
        await pilot.press("less_than_sign", "b", "right_parenthesis")
        await until(pilot, lambda: "⏸ 00:00:06 of 00:01:29 2x" in screen_text(app))
        await pilot.press("r")
        await until(pilot, lambda: "This is a recording already." in notices(app))
    replay.close()


async def test_keys_of_a_recording_say_that_there_is_none() -> None:
    app = app_for(house())
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("p")
        assert notices(app) == ["This is no recording; usblkback-tui replay FILE shows one."]
        assert "play/pause" not in screen_text(app)


class Clock:
    """Goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def record(path: Path, seconds: int) -> None:
    """A recording of the fake house, a frame a second."""
    backend = house()
    with Writer(path, Header(FORMAT, VERSION, "test", 1_700_000_000.0, 1.0, ()), Limits()) as writer:
        for second in range(seconds):
            writer.add(Frame(float(second), backend.snapshot(), backend.events(0) if not second else ()))
            backend.advance(1)
