# SPDX-License-Identifier: MIT
"""The main screen under a pilot, small and large."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from textual.geometry import Region
from textual.widgets import Input

from tests.ui.drive import LARGE, SMALL, app_for, notices, play, screen_text, shown, ticks, until, widget_text
from tests.ui.fake import FakeBackend, house, make_disk
from tests.ui.fake_looks import START
from usblkback_tui.engine.settings import ThemeSettings
from usblkback_tui.engine.snapshot import DomainView, Health, Severity
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.ui import app as app_module
from usblkback_tui.ui.app import UsblkApp
from usblkback_tui.ui.dialogs.help import HelpDialog
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.logpane import LogPane
from usblkback_tui.ui.outcome import Outcome
from usblkback_tui.ui.state import UiState
from usblkback_tui.ui.tree import DomainTree


def vdev_of(app: UsblkApp) -> str:
    return app.main.disk.vdev if app.main.disk else ""


SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])


@SIZES
async def test_the_table_shows_every_disk(size: tuple[int, int]) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await play(pilot, backend, 2)
        rows = widget_text(app.main.table)
        assert rows[0].split()[:2] == ["DOM", "VDEV"]
        assert rows[0].endswith("HEALTH")
        assert rows[1].startswith("▸3 web-01 xvda")
        assert [line.split()[:3] for line in rows[2:6]] == [
            ["3", "web-01", "xvdb"],
            ["5", "db-02", "xvda"],
            ["7", "win-09", "xvda"],
            ["8", "test", "xvdc"],
        ]
        assert "Initialising" in rows[4]
        assert "✖ stuck 42 s" in rows[4]
        assert all(len(line) <= size[0] for line in rows)


async def test_everything_is_on_a_large_screen() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await play(pilot, backend, 3)
        seen = screen_text(app)
        for expected in (
            "1▸Overview",
            "Domains",
            "◆ 0 Domain-0",
            "Handshake · xvda of web-01",
            "● Initialised",
            "Charts · xvda of web-01 · 1 s per dot",
            "▲ ",
            "Throughput",
            "Detail · xvda of web-01",
            "Ring 0",
            "event channel 17",
            "notifies",
            "Events",
            "RINGS",
            "a request for sector 131080",
            "palette",
        ):
            assert expected in seen, expected


async def test_a_small_screen_has_table_detail_and_events() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await play(pilot, backend, 2)
        seen = screen_text(app)
        assert "Disks" in seen
        assert "Detail · xvda of web-01" in seen
        assert "frontend Connected   backend Connected" in seen
        assert "Events" in seen
        assert "Charts" not in seen
        assert not app.main.query_one("#tree").display


@SIZES
async def test_digits_and_clicks_switch_screens(size: tuple[int, int]) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await play(pilot, backend, 3)
        for key, expected in (
            ("2", "Steps · 5 of 5"),
            ("3", "req_prod"),
            ("4", "Percentiles · xvda of web-01"),
            ("5", "Xenstore · "),
            ("6", "LATENCY"),
            ("7", "WAKE-UPS/s"),
            ("1", "HEALTH"),
        ):
            await pilot.press(key)
            await until(pilot, lambda expected=expected: expected in screen_text(app))  # type: ignore[misc]
            assert all(len(line) <= size[0] for line in screen_text(app).splitlines())
        tabs = widget_text(app.main.query_one("#tabs"))[0]
        await pilot.click("#tabs", offset=(tabs.index("Rings"), 0))
        await until(pilot, lambda: app.main.view_name == "rings")
        await pilot.press("escape")
        await until(pilot, lambda: app.main.view_name == "overview")


async def test_growing_and_shrinking_the_terminal() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.resize_terminal(*LARGE)
        await ticks(pilot, 3)
        assert "Detail · xvda of web-01" in screen_text(app)
        await pilot.resize_terminal(*SMALL)
        await ticks(pilot, 3)
        assert "Charts" not in screen_text(app)
        assert all(len(line) <= 80 for line in screen_text(app).splitlines())


# -- cursor ----------------------------------------------------------------------------------------------------------


@SIZES
async def test_keys_move_the_cursor_and_the_panes_follow(size: tuple[int, int]) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await ticks(pilot)
        devid = make_disk(5, "db-02").devid
        await pilot.press("j", "down")
        assert app.main.table.cursor == (5, devid)
        await pilot.press("k", "up", "k")
        assert app.main.table.cursor == (3, devid)
        await pilot.press("G")
        await ticks(pilot)
        assert vdev_of(app) == "xvdc"
        await pilot.press("home", "pagedown", "pageup", "G")
        await ticks(pilot)
        assert vdev_of(app) == "xvdc"
        assert "Closing" in shown(app, "detail")


async def test_the_cursor_stays_on_its_disk_when_rows_come_and_go() -> None:
    backend = FakeBackend(make_disk(5, "db"), make_disk(7, "win"))
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("down")
        seven = app.main.table.cursor
        backend.update(make_disk(3, "web"))
        await ticks(pilot)
        assert app.main.table.cursor == seven
        assert widget_text(app.main.table)[3].startswith("▸7 win")
        assert seven is not None
        backend.remove((seven[0], seven[1]))
        await ticks(pilot)
        assert widget_text(app.main.table)[2].startswith("▸5 db")
        for key in list(backend.disks):
            backend.remove(key)
        await ticks(pilot)
        assert app.main.table.cursor is None
        assert "No disks yet" in screen_text(app)


async def test_the_mouse_selects_scrolls_and_sorts() -> None:
    backend = FakeBackend(*(make_disk(n, f"vm-{n:02}") for n in range(1, 41)))
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await play(pilot, backend, 2)
        await pilot.click("#table", offset=(5, 4))
        await ticks(pilot)
        assert app.main.selected is not None
        assert app.main.selected[0] == 4
        table = app.main.table
        table.scroll_to(y=10, animate=False)
        await pilot.pause()
        assert widget_text(table)[1].split()[0] == "11"
        await pilot.click("#table", offset=(widget_text(table)[0].index("r/s"), 0))
        assert (table.sort_column, table.sort_reverse) == ("reads", True)
        rates = [row.rates.reads for row in table.rows if row.rates]
        assert rates == sorted(rates, reverse=True)
        assert app.main.selected[0] == 4
        assert any(line.startswith("▸4 vm-04") for line in widget_text(table))


async def test_sorting_by_key_shows_an_arrow() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await play(pilot, backend, 2)
        await pilot.press("s", "s", "s")
        assert "IMAGE▲" in widget_text(app.main.table)[0]
        await pilot.press("S")
        assert "VDEV▲" in widget_text(app.main.table)[0]
        await pilot.press("o")
        assert "VDEV▼" in widget_text(app.main.table)[0]
        assert [row.disk.vdev for row in app.main.table.rows] == ["xvdc", "xvdb", "xvda", "xvda", "xvda"]


async def test_a_tree_cursor_selects_disks_and_enter_on_a_domain_filters() -> None:
    app = app_for(house())
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        tree = app.main.query_one("#tree", DomainTree)
        tree.focus()
        await pilot.press("home", *["down"] * 5)
        await ticks(pilot)
        assert app.main.disk is not None
        assert app.main.disk.domain == "db-02"
        await pilot.press("up", "enter")
        await ticks(pilot)
        assert [row.disk.domain for row in app.main.table.rows] == ["db-02"]
        assert "1 of 5" in screen_text(app)
        await pilot.press("escape")
        await ticks(pilot)
        assert len(app.main.table.rows) == 5


async def test_tab_goes_around_the_panes() -> None:
    app = app_for(house())
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        seen = []
        for _ in range(6):
            seen.append(app.focused.id if app.focused else None)
            await pilot.press("tab")
        assert seen[0] == "table"
        assert set(seen) == {"table", "lanes", "charts", "events", "detail", "tree"}
        await pilot.press("shift+tab", "escape")
        assert app.focused is app.main.table


# -- what is shown ---------------------------------------------------------------------------------------------------


@SIZES
async def test_filter_while_typing_and_escape_clears(size: tuple[int, int]) -> None:
    app = app_for(house())
    async with app.run_test(size=size) as pilot:
        await ticks(pilot)
        await pilot.press("slash", *"!web")
        await ticks(pilot)
        assert [row.disk.domid for row in app.main.table.rows] == [5, 7, 8]
        await pilot.press("enter")
        assert app.focused is app.main.table
        await pilot.press("slash", *" nonsense")
        await ticks(pilot)
        assert "No disk that matches" in screen_text(app)
        await pilot.press("escape")
        await ticks(pilot)
        assert len(app.main.table.rows) == 5
        assert not app.main.query_one("#filter", Input).display


async def test_problems_only() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        await pilot.press("z")
        assert [row.disk.domid for row in app.main.table.rows] == [7, 8]
        assert "problems only" in screen_text(app)
        for disk in list(backend.disks.values()):
            backend.update(replace(disk, health=Health()))
        await ticks(pilot)
        assert "No disk that has a problem" in screen_text(app)
        assert "● all well" in screen_text(app)
        await pilot.press("escape")
        assert len(app.main.table.rows) == 5


async def test_freeze_holds_the_view_while_counting_goes_on() -> None:
    backend = FakeBackend(make_disk(3, "web"))
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await play(pilot, backend, 3)
        await pilot.press("space")
        still = shown(app, "table"), shown(app, "charts")
        backend.update(replace(make_disk(3, "web"), frontend_state=S.CLOSING))
        backend.update(make_disk(4, "new"))
        await play(pilot, backend, 5)
        assert (shown(app, "table"), shown(app, "charts")) == still
        assert "FROZEN −5.0 s" in screen_text(app)
        assert len(app.model.history.track(None).reads.last(99)) >= 7
        await pilot.press("escape")
        await ticks(pilot)
        assert "FROZEN" not in screen_text(app)
        assert "4 new" in screen_text(app)
        assert "Closing" in screen_text(app)


async def test_scrubbing_takes_every_pane_to_the_past_and_end_comes_back() -> None:
    backend = FakeBackend(make_disk(3, "web"))
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await play(pilot, backend, 4)
        then = shown(app, "table"), shown(app, "charts").replace("     now", "22:13:24"), shown(app, "detail")
        backend.say("something happened later", Severity.WARNING, when=backend.now + 0.5)
        backend.update(replace(backend.disks[3, 51712], frontend_state=S.CLOSING, health=Health(Severity.ERROR, "bad")))
        await play(pilot, backend, 3)
        assert "something happened later" in shown(app, "events")
        await pilot.press("left_square_bracket", "left_square_bracket", "left_square_bracket")
        await ticks(pilot)
        assert "PAST −3.0 s" in screen_text(app)
        assert (shown(app, "table"), shown(app, "charts"), shown(app, "detail")) == then
        assert "something happened later" not in shown(app, "events")
        await pilot.press("right_square_bracket")
        await ticks(pilot)
        assert "PAST −2.0 s" in screen_text(app)
        assert "✖ bad" in shown(app, "table")
        await pilot.press("end")
        await ticks(pilot)
        assert "PAST" not in screen_text(app)
        await pilot.press("left_curly_bracket")
        await ticks(pilot)
        assert app.main.playhead.held is not None
        assert app.main.playhead.held.number == 0
        await pilot.press("right_curly_bracket")
        assert app.main.playhead.live


async def test_chart_zoom_and_scope() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await play(pilot, backend, 3)
        one = shown(app, "charts")
        await pilot.press("c")
        await ticks(pilot)
        assert "Charts · all disks" in screen_text(app)
        assert shown(app, "charts") != one
        await pilot.press("minus", "minus")
        await ticks(pilot)
        assert "15 s per dot" in screen_text(app)
        await pilot.press("plus", "equals_sign", "plus")
        await ticks(pilot)
        assert "1 s per dot" in screen_text(app)


async def test_events_follow_until_scrolled_away() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        await until(pilot, lambda: "131080" in screen_text(app))
        app.main.query_one("#events").focus()
        await pilot.press("home")
        backend.say("something new happened", Severity.GOOD)
        await ticks(pilot, 3)
        assert "something new happened" not in screen_text(app)
        await pilot.press("end")
        await pilot.pause()
        backend.say("and then another", Severity.GOOD)
        await until(pilot, lambda: "and then another" in screen_text(app))


async def test_the_log_is_searched_and_filtered_by_severity() -> None:
    backend = house()
    for n in range(60):
        severity = Severity.WARNING if n % 20 == 7 else Severity.INFO
        backend.say(f"needle {n}" if n % 10 == 7 else f"hay {n}", severity)
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        await until(pilot, lambda: "hay 59" in screen_text(app))
        log = app.main.query_one("#events", LogPane)
        log.focus()
        await pilot.press("slash", *"need+le")
        await until(pilot, lambda: "/need+le: 6 of 6" in str(log.border_title))
        assert app.main.table.rows, "the disks are not filtered"
        await pilot.press("enter", "N", "N", "N")
        await until(pilot, lambda: "3 of 6" in str(log.border_title) and "needle 27" in shown(app, "events"))
        assert "hay 59" not in shown(app, "events")
        await pilot.press("n")
        await until(pilot, lambda: "4 of 6" in str(log.border_title))
        await pilot.press("ampersand")
        await until(pilot, lambda: "only /need+le: 4 of 6" in str(log.border_title) and len(log.lines) == 6)
        await pilot.press("v")
        await until(pilot, lambda: "warnings and errors" in str(log.border_title) and len(log.lines) == 3)
        await pilot.press("escape")
        await until(pilot, lambda: not log.words)
        assert app.focused is log
        await until(pilot, lambda: "131080" in shown(app, "events"))
        assert "hay" not in shown(app, "events")
        await pilot.press("v", "v")
        await until(pilot, lambda: len(log.lines) == len(backend.log))


async def test_another_engine_has_another_log() -> None:
    backend = FakeBackend(make_disk(3, "web"))
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        await until(pilot, lambda: "frontend  Initialised" in shown(app, "events"))
        backend.started += 1
        backend.log.clear()
        backend.say("the first thing of the new one")
        await until(pilot, lambda: "the first thing of the new one" in shown(app, "events"))
        assert "Initialised" not in shown(app, "events")


async def test_going_to_a_time_and_back() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await play(pilot, backend, 40)
        await pilot.press("T")
        await until(pilot, lambda: bool(app.screen.query("#time")))
        assert "there is 22:13:21 to 22:14:00." in screen_text(app)
        await pilot.press(*"noon", "enter")
        await until(pilot, lambda: "'noon' is no time" in screen_text(app))
        app.screen.query_one("#time", Input).value = "22:13:45"
        await pilot.press("enter")
        await until(pilot, lambda: "PAST −15 s" in screen_text(app))
        await pilot.press("T")
        await until(pilot, lambda: bool(app.screen.query("#time")))
        await pilot.press(*"+5", "enter")
        await until(pilot, lambda: "PAST −10 s" in screen_text(app))
        await pilot.press("T")
        await until(pilot, lambda: bool(app.screen.query("#time")))
        await pilot.press(*"+1m", "enter")
        await until(pilot, lambda: app.main.playhead.live)


async def test_how_often_is_looked_can_be_changed() -> None:
    app = app_for(house())
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        await pilot.press("i", "i")
        await until(pilot, lambda: "2 looks a second." in notices(app))
        before = app.model.samples
        deadline = time.monotonic() + 60
        while app.model.samples < before + 2:
            assert time.monotonic() < deadline
            await pilot.pause(0.05)
        await pilot.press("I", "I", "I")
        await until(pilot, lambda: app.refresh_hz == 0.5)


async def test_copy_takes_what_is_under_the_cursor_and_evidence_takes_all() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await play(pilot, backend, 2)
        await pilot.press("y")
        assert app.clipboard.startswith("DOM: 3 web-01\nVDEV: xvda")
        await pilot.press("Y")
        assert app.clipboard.startswith("# xvda of web-01\n")
        for heading in ("## State", "## Handshake", "## Rings", "## Latency", "## Events"):
            assert heading in app.clipboard
        app.main.query_one("#events").focus()
        await pilot.press("y")
        assert "Initialising → Initialised" in app.clipboard


async def test_help_opens_scrolls_and_closes() -> None:
    app = app_for(house())
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("question_mark")
        await pilot.pause()
        assert "Attach an image to a running domain." in screen_text(app)
        assert "Leave; asks first" not in screen_text(app)
        await pilot.press("G")
        await pilot.pause()
        assert "Leave; asks first" in screen_text(app)
        await pilot.press("question_mark", "escape")
        assert not isinstance(app.screen, HelpDialog)


async def test_a_click_on_the_footer_is_the_key() -> None:
    app = app_for(house())
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        footer = widget_text(app.main.query_one("#footer"))[0]
        await pilot.click("#footer", offset=(footer.index("problems"), 0))
        await until(pilot, lambda: len(app.main.table.rows) == 2)
        await pilot.click("#footer", offset=(footer.index("help"), 0))
        await pilot.pause()
        assert isinstance(app.screen, HelpDialog)


# -- empty and broken ------------------------------------------------------------------------------------------------


@SIZES
async def test_no_guest_and_no_disk(size: tuple[int, int]) -> None:
    backend = FakeBackend()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await ticks(pilot)
        assert "No guest is running." in screen_text(app)
        backend.domains = (DomainView(0, "Domain-0"), DomainView(3, "web"))
        await ticks(pilot)
        assert "Press a to attach an image to a running domain." in screen_text(app)
        await pilot.press("d", "Y", "j", "enter", "s", "o", "z", "z", "c", "plus", *"2345671", "space", "space")
        await ticks(pilot)
        assert notices(app) == ["There is no disk selected; a attaches one.", "There is no disk to copy."]


async def test_an_engine_that_fails_is_a_banner_and_is_tried_again() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        backend.fail["snapshot"] = UserError("the engine closed the connection", fix="start it again")
        await until(pilot, lambda: "No news since " in screen_text(app))
        assert "the engine closed the connection; start" in screen_text(app)
        assert "web-01" in screen_text(app)
        del backend.fail["snapshot"]
        await until(pilot, lambda: "No news" not in screen_text(app))


async def test_an_engine_that_hangs_does_not_take_the_keyboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "PATIENCE", 0.1)
    backend = house()
    app = app_for(backend, engine_stays=True)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        gate = backend.hold["snapshot"] = threading.Event()
        await until(pilot, lambda: "it has not answered for" in screen_text(app))
        await pilot.press("down")
        assert app.main.table.cursor == (3, make_disk(3, "web-01", "xvdb").devid)
        await pilot.press("q")
    assert app.return_value is Outcome.ENGINE_STAYS
    gate.set()


async def test_another_engine_in_its_place_starts_afresh() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await play(pilot, backend, 2)
        before = len(app.model.events)
        backend.started += 50
        backend.log = backend.log[:2]
        await ticks(pilot)
        assert before > 2
        assert len(app.model.events) == 2


# -- painting --------------------------------------------------------------------------------------------------------


async def test_an_idle_tick_repaints_nothing_and_one_state_repaints_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = house()
    app = app_for(backend)
    painted: list[tuple[str | None, Region]] = []
    original = LineView.refresh

    def record(self: LineView, *regions: Region, **options: bool) -> LineView:
        painted.extend((self.id, region) for region in regions or [self.size.region])
        return original(self, *regions, **options)

    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot, 5)
        monkeypatch.setattr(LineView, "refresh", record)
        await ticks(pilot, 5)
        assert painted == []
        disk = next(disk for disk in backend.disks.values() if disk.domid == 5)
        backend.update(replace(disk, frontend_state=S.CLOSING, frontend_since=START))
        await ticks(pilot, 2)
        rows = [region for name, region in painted if name == "table"]
        assert len(rows) == 1
        assert rows[0].height == 1
        assert rows[0].width <= 14


async def test_an_idle_screen_of_every_kind_paints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        for key in "234567":
            await pilot.press(key)
            await ticks(pilot, 6)
            before = {pane.id: pane.painted for pane in app.main.query(LineView)}
            await ticks(pilot, 4)
            after = {pane.id: pane.painted for pane in app.main.query(LineView) if pane.id != "cost"}
            assert after == {name: before[name] for name in after}, key


async def test_colours_follow_the_theme_and_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        dark = app.palette.style("good")
        for theme in ("textual-light", "gruvbox", "ansi-dark", "nord"):
            app.theme = theme
            await ticks(pilot, 2)
            assert "✖ stuck 42 s" in screen_text(app)
        assert app.palette.style("good") != dark
        assert app.no_color


async def test_a_theme_of_the_operator_colours_everything() -> None:
    themes = (("harbour", ThemeSettings("#4fa3d1", background="#101820", error="#ff5f56")),)
    app = UsblkApp(house(), refresh_hz=0.01, theme="harbour", themes=themes, clock=lambda: 0.0)
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        assert app.theme == "harbour"
        ground = app.main.table.render_line(3)._segments[0].style
        assert ground is not None
        assert ground.bgcolor is not None
        assert ground.bgcolor.get_truecolor() == (16, 24, 32)
        app.theme = "nord"
        await ticks(pilot)
        assert app.main.table.render_line(3)._segments[0].style != ground


def test_a_theme_nobody_knows_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        UserError, match=r"ui.theme is 'harbor', which is no theme; use one of .*nord.*ui.themes.harbor"
    ):
        UsblkApp(house(), theme="harbor")
    assert UsblkApp(house(), theme="nord", state=UiState(theme="gone")).theme == "nord"
