# SPDX-License-Identifier: MIT
from __future__ import annotations

from collections import Counter

import pytest
from textual.binding import Binding

from tests.ui.drive import LARGE, app_for, ticks
from tests.ui.fake import house
from usblkback_tui.ui.actions import ACTIONS, GROUPS, bindings
from usblkback_tui.ui.app import UsblkApp
from usblkback_tui.ui.dialogs.base import Dialog
from usblkback_tui.ui.dialogs.help import help_lines
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.main import MainScreen
from usblkback_tui.ui.text import line_width, plain

OWNERS = {"app": UsblkApp, "main": MainScreen, "pane": LineView, "dialog": Dialog}


@pytest.mark.parametrize("places", [("app", "main", "pane"), ("app", "dialog", "pane")])
def test_no_key_does_two_things_at_once(places: tuple[str, ...]) -> None:
    keys = Counter(key for action in ACTIONS if action.where in places for key in action.keys)
    assert [key for key, times in keys.items() if times > 1] == []


def test_every_action_is_in_the_help_with_its_keys() -> None:
    shown = [plain(line) for line in help_lines(200)]
    for action in ACTIONS:
        assert any(action.keycaps in line and line.endswith(action.help) for line in shown), action.name
    assert {action.group for action in ACTIONS} == set(GROUPS)


@pytest.mark.parametrize("width", [40, 60, 84])
def test_help_is_wrapped_not_cut(width: int) -> None:
    lines = help_lines(width)
    assert max(map(line_width, lines)) <= width
    assert "…" not in "".join(map(plain, lines))


def test_every_action_has_its_method() -> None:
    for action in ACTIONS:
        assert callable(getattr(OWNERS[action.where], f"action_{action.name.partition('(')[0]}", None)), action.name


def test_bindings_are_the_registry() -> None:
    for where in OWNERS:
        made = {(b.key, b.action) for b in bindings(where) if isinstance(b, Binding)}
        assert made == {(key, action.name) for action in ACTIONS if action.where == where for key in action.keys}


async def test_the_palette_offers_every_action_of_the_main_screen() -> None:
    app = app_for(house())
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        offered = {command.help for command in app.get_system_commands(app.screen)}
        assert {action.help for action in ACTIONS if action.where == "main"} <= offered
        await pilot.press("ctrl+p", *"freeze")
        await pilot.pause(0.3)
        await pilot.press("down", "enter")
        await ticks(pilot)
        assert app.main.still is not None
