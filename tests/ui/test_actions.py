# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest
from textual.binding import Binding

from tests.ui.drive import LARGE, SMALL, app_for, screen_text, ticks, until
from tests.ui.fake import house
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.ui.actions import ACTIONS, GROUPS, VIEWS, Registry, bindings, first_clash, keys_page
from usblkback_tui.ui.app import UsblkApp
from usblkback_tui.ui.dialogs.base import Dialog
from usblkback_tui.ui.dialogs.columns import ColumnList
from usblkback_tui.ui.dialogs.help import help_lines
from usblkback_tui.ui.lines import LineView
from usblkback_tui.ui.logpane import LogPane
from usblkback_tui.ui.main import VIEW_CLASSES, MainScreen
from usblkback_tui.ui.text import line_width, plain

OWNERS: dict[str, type] = {
    "app": UsblkApp,
    "main": MainScreen,
    "pane": LineView,
    "replay": MainScreen,
    "dialog": Dialog,
    "columns": ColumnList,
    "log": LogPane,
    **VIEW_CLASSES,
}


def test_no_key_does_two_things_at_once() -> None:
    assert first_clash(ACTIONS) is None


def test_every_action_is_in_the_help_with_its_keys() -> None:
    shown = [plain(line) for line in help_lines(Registry(), 200)]
    for action in ACTIONS:
        assert any(action.keycaps in line and action.help in line for line in shown), action.name
    assert {action.group for action in ACTIONS} == set(GROUPS)


def test_every_action_is_in_the_docs_which_are_made_of_the_registry() -> None:
    page = Path(__file__).parents[2] / "docs" / "keys.md"
    assert page.read_text(encoding="utf-8") == keys_page(), "run scripts/keys_page.py"


def test_ids_are_unique_and_screens_have_their_digits() -> None:
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)
    by_id = {action.id: action for action in ACTIONS}
    assert [by_id[f"screen_{name}"].keys for name in VIEWS] == [(str(n),) for n in range(1, 8)]


@pytest.mark.parametrize("width", [40, 60, 84])
def test_help_is_wrapped_not_cut(width: int) -> None:
    lines = help_lines(Registry(), width)
    assert max(map(line_width, lines)) <= width
    assert "…" not in "".join(map(plain, lines))


def test_every_action_has_its_method() -> None:
    for action in ACTIONS:
        method = f"action_{action.name.partition('(')[0]}"
        assert callable(getattr(OWNERS[action.where], method, None)), action.name


def test_bindings_are_the_registry() -> None:
    for where in OWNERS:
        made = {(b.key, b.action) for b in bindings(where) if isinstance(b, Binding)}
        assert made == {(key, action.name) for action in ACTIONS if action.where == where for key in action.keys}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"atach": ["A"]}, "'atach', which is no action"),
        ({"attach": ["d"]}, "it is the key of"),
        ({"step_1": ["z"]}, "it is the key of"),
    ],
)
def test_keys_that_clash_or_name_nothing_are_refused(keys: dict[str, list[str]], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Registry(keys)


async def test_another_key_does_it_and_is_shown() -> None:
    app = app_for(house(), keys={"problems": ["f5"], "freeze": []})
    async with app.run_test(size=SMALL) as pilot:
        await ticks(pilot)
        assert "f5 problems" in screen_text(app)
        assert "Space freeze" not in screen_text(app)
        await pilot.press("z", "space")
        assert len(app.main.table.rows) == 5
        assert app.main.playhead.live
        await pilot.press("f5")
        await ticks(pilot)
        assert len(app.main.table.rows) == 2


async def test_the_palette_offers_every_action_of_the_screen() -> None:
    app = app_for(house())
    async with app.run_test(size=LARGE) as pilot:
        await ticks(pilot)
        offered = {command.help for command in app.get_system_commands(app.screen)}
        assert {action.help for action in ACTIONS if action.where == "main"} <= offered
        await pilot.press("ctrl+p", *"freeze")
        await until(pilot, lambda: "Hold every pane still" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.main.playhead.frozen)
