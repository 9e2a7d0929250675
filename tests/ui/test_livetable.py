# SPDX-License-Identifier: MIT
"""What a tick costs: rows that did not change are not made again, rows that did are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ui.drive import LARGE, app_for, play, ticks, widget_text
from tests.ui.fake import FakeBackend, make_disk
from usblkback_tui.engine.snapshot import Health, Severity
from usblkback_tui.ui.columns import COLUMNS
from usblkback_tui.ui.livetable import Column
from usblkback_tui.ui.main import MainScreen
from usblkback_tui.ui.scene import DiskRow
from usblkback_tui.ui.text import Span


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The disks whose cells were made, by title, once for each time."""
    titles: list[str] = []

    def cell(row: DiskRow) -> Span:
        titles.append(row.disk.title)
        return COLUMNS[0].cell(row)

    counted: Column[DiskRow] = Column("dom", "DOM", cell, COLUMNS[0].sort, least=6, most=18)
    monkeypatch.setattr("usblkback_tui.ui.views.overview.COLUMNS", (counted, *COLUMNS[1:]))
    return titles


async def test_only_rows_that_changed_are_made_again(made: list[str]) -> None:
    backend = FakeBackend(*(make_disk(domid, f"vm{domid}") for domid in range(1, 5)))
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot, 2)
        made.clear()
        await ticks(pilot, 3)
        assert made == []
        changed = next(iter(backend.disks))
        backend.disks[changed] = replace(backend.disks[changed], health=Health(Severity.WARNING, "slow image"))
        await ticks(pilot, 1)
        assert made == [backend.disks[changed].title]
        assert sum("▲ slow image" in line for line in widget_text(app.main.table)) == 1


async def test_a_kept_row_follows_the_cursor_and_the_layout(made: list[str]) -> None:
    backend = FakeBackend(make_disk(1, "a"), make_disk(2, "b"))
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot, 2)
        made.clear()
        await pilot.press("j")
        assert [line[0] for line in widget_text(app.main.table)[1:3]] == [" ", "▸"]
        await pilot.resize_terminal(80, 24)
        await ticks(pilot, 1)
        shown = widget_text(app.main.table)
        assert "IMAGE" not in shown[0]
        assert [line[0] for line in shown[1:3]] == [" ", "▸"]
        assert all(len(line) <= 80 for line in shown)
        assert made == []


async def test_another_theme_gives_the_panes_another_ground() -> None:
    backend = FakeBackend(make_disk(1, "a"))
    app = app_for(backend)
    async with app.run_test(size=LARGE) as pilot:
        await play(pilot, backend, 1)
        assert isinstance(app.screen, MainScreen)
        before = [next(iter(app.main.table.render_line(y))).style for y in (1, 5)]
        app.theme = "textual-light"
        await pilot.pause()
        await ticks(pilot, 1)
        after = [next(iter(app.main.table.render_line(y))).style for y in (1, 5)]
        assert all(
            old is not None and new is not None and old.bgcolor != new.bgcolor
            for old, new in zip(before, after, strict=True)
        )
