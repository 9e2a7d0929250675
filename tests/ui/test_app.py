# SPDX-License-Identifier: MIT
"""The main screen under a pilot, small and large."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from textual.geometry import Region
from textual.widgets import Input

from tests.ui.drive import LARGE, SMALL, app_for, notices, play, screen_text, ticks, until, widget_text
from tests.ui.fake import START, FakeBackend, house, make_disk
from usblkback_tui.engine.snapshot import DomainView, Health, Severity
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.ui import app as app_module
from usblkback_tui.ui.dialogs.help import HelpDialog
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.outcome import Outcome
from usblkback_tui.ui.tree import DomainTree

SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])


@SIZES
async def test_the_table_shows_every_disk(size: tuple[int, int]) -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await play(pilot, backend, 2)
        shown = widget_text(app.main.table)
        assert shown[0].split()[:2] == ["DOM", "VDEV"]
        assert shown[0].endswith("HEALTH")
        assert shown[1].startswith("▸3 web-01 xvda")
        assert [line.split()[:3] for line in shown[2:6]] == [
            ["3", "web-01", "xvdb"],
            ["5", "db-02", "xvda"],
            ["7", "win-09", "xvda"],
            ["8", "test", "xvdc"],
        ]
        assert "Initialising" in shown[4]
        assert "✖ stuck 42 s" in shown[4]
        assert all(len(line) <= size[0] for line in shown)


async def test_everything_is_on_a_large_screen() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await play(pilot, backend, 3)
        shown = screen_text(app)
        for expected in (
            "Domains",
            "◆ 0 Domain-0",
            "Handshake · xvda of web-01",
            "● Initialised",
            "Charts · xvda of web-01 · 1 s per dot",
            "▲ read",
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
            assert expected in shown, expected
        assert "1 ▸Handshake" not in shown


async def test_a_small_screen_switches_one_pane_by_digits_and_by_click() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=SMALL) as pilot:
        await play(pilot, backend, 2)
        for key, pane, expected in (
            ("2", "charts", "IOPS"),
            ("3", "detail", "131,072 sectors"),
            ("4", "events", "Connected → Closing"),
            ("5", "domains", "Domain-0  here"),
            ("1", "handshake", "elapsed"),
        ):
            await pilot.press(key)
            await ticks(pilot)
            assert expected in screen_text(app), pane
            assert [w.id for w in app.main.query("#lower LineView") if w.display] == [pane]
        await pilot.click("#tabs", offset=(18, 0))
        await ticks(pilot)
        assert app.main.pane == "charts"


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
        assert "1 ▸Handshake" in screen_text(app)
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
        assert app.main.selected is not None
        assert app.main.selected.vdev == "xvdc"
        await pilot.press("home", "pagedown", "pageup", "end")
        assert app.main.selected.vdev == "xvdc"
        await ticks(pilot)
        assert "● Closing" in "\n".join(widget_text(app.main.query_one("#handshake")))


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
        backend.remove(seven)
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
        assert app.main.selected is not None
        assert app.main.selected.domid == 4
        table = app.main.table
        table.scroll_to(y=10, animate=False)
        await pilot.pause()
        assert widget_text(table)[1].split()[0] == "11"
        await pilot.click("#table", offset=(widget_text(table)[0].index("r/s"), 0))
        assert (table.sort_column, table.sort_reverse) == ("reads", True)
        rates = [row.rates.reads for row in table.rows if row.rates]
        assert rates == sorted(rates, reverse=True)
        assert app.main.selected.domid == 4
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
        await pilot.press("5")
        tree = app.main.query_one("#tree", DomainTree)
        assert tree.has_focus
        await pilot.press("home", *["down"] * 5)
        await pilot.pause()
        assert app.main.selected is not None
        assert app.main.selected.domain == "db-02"
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
        assert set(seen) == {"table", "handshake", "charts", "events", "detail", "tree"}
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
        still = widget_text(app.main.table), widget_text(app.main.query_one("#charts"))
        backend.update(replace(make_disk(3, "web"), frontend_state=S.CLOSING))
        backend.update(make_disk(4, "new"))
        await play(pilot, backend, 5)
        assert (widget_text(app.main.table), widget_text(app.main.query_one("#charts"))) == still
        assert "FROZEN 5.0 s" in screen_text(app)
        assert len(app.model.history.track(None).reads.last(99)) >= 7
        await pilot.press("escape")
        await ticks(pilot)
        assert "FROZEN" not in screen_text(app)
        assert "4 new" in screen_text(app)
        assert "Closing" in screen_text(app)


async def test_chart_zoom_and_scope() -> None:
    backend = house()
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await play(pilot, backend, 3)
        one = widget_text(app.main.query_one("#charts"))[0]
        await pilot.press("c")
        await ticks(pilot)
        assert "Charts · all disks" in screen_text(app)
        assert widget_text(app.main.query_one("#charts"))[0] != one
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
        await pilot.press("4", "home")
        backend.say("something new happened", Severity.GOOD)
        await ticks(pilot, 3)
        assert "something new happened" not in screen_text(app)
        await pilot.press("end")
        await pilot.pause()
        backend.say("and then another", Severity.GOOD)
        await until(pilot, lambda: "and then another" in screen_text(app))


async def test_copy_puts_a_report_on_the_clipboard() -> None:
    app = app_for(house())
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("y")
        assert app.clipboard.startswith("xvda of web-01, domid 3")
        assert "transitions" in app.clipboard


async def test_help_opens_scrolls_and_closes() -> None:
    app = app_for(house())
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        await pilot.press("question_mark")
        await pilot.pause()
        assert "Attach an image to a running domain." in screen_text(app)
        assert "Leave; asks first" not in screen_text(app)
        await pilot.press("end")
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
        await ticks(pilot)
        assert app.main.problems_only
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
        await pilot.press("d", "y", "j", "enter", "s", "o", "z", "z", "c", "plus", "2", "3", "4", "5", "1")
        await ticks(pilot)
        assert notices(app) == ["There is no disk to detach; a attaches one.", "There is no disk to copy."]


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
        assert app.main.table.cursor is not None
        assert app.main.selected is not None
        assert app.main.selected.vdev == "xvdb"
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
