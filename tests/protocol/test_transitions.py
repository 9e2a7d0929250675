# SPDX-License-Identifier: MIT
"""The table against the frontends it was made for, and against its own two rules."""

from itertools import product
from pathlib import Path

import pytest

from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.transitions import TABLE, Action, Turn, decide, transitions_page

PAIRS = list(product(S, S))
LEADS_TO = {
    Action.OFFER: S.INIT_WAIT,
    Action.RESTART: S.INIT_WAIT,
    Action.CONNECT: S.CONNECTED,
    Action.CLOSE: S.CLOSING,
    Action.DISCONNECT: S.CLOSED,
}


def settle(front: S, back: S, *, online: bool = True) -> S:
    """Follow the table until it waits; it must do so in a few steps."""
    for _ in range(4):
        action = decide(front, back, online=online).action
        if action is Action.WAIT:
            return back
        back = LEADS_TO[action]
    raise AssertionError(f"no rest at {front.word}/{back.word}")


def test_every_pair_has_a_cell_with_a_reason() -> None:
    assert set(TABLE) == set(PAIRS)
    for cell in TABLE.values():
        assert len(cell.reason.split()) >= 1
        assert cell.source
        assert (cell.turn is Turn.BACKEND) == (cell.action is not Action.WAIT)


def test_the_page_is_made_of_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "transitions.md").read_text(encoding="utf-8")
    assert page == transitions_page(), "run scripts/transitions_page.py"
    rows = [line for line in page.splitlines() if line.startswith("| ") and line.count("|") == 6 and "---" not in line]
    assert len(rows) == len(PAIRS) + len(list(S)), "a row for each pair and a heading for each frontend state"


@pytest.mark.parametrize(("front", "back"), PAIRS)
def test_what_the_table_does_is_what_its_turn_says(front: S, back: S) -> None:
    """Both states decide; Connected at both ends is the only rest, and a move of ours changes our state."""
    for online in (True, False):
        cell = decide(front, back, online=online)
        if cell.action is not Action.WAIT:
            assert LEADS_TO[cell.action] is not back
            assert cell.turn is Turn.BACKEND
        assert (cell.turn is Turn.NOBODY) == (front is back is S.CONNECTED)
        if front in (S.INITIALISED, S.CONNECTED) and back in (S.UNKNOWN, S.INITIALISING, S.INIT_WAIT) and online:
            assert cell.action is Action.CONNECT
        if front is S.CLOSED and back not in (S.CLOSED, S.RECONFIGURING, S.RECONFIGURED):
            assert cell.action is Action.DISCONNECT


@pytest.mark.parametrize(("front", "back"), PAIRS)
@pytest.mark.parametrize("online", [True, False])
def test_every_pair_comes_to_rest(front: S, back: S, online: bool) -> None:
    settle(front, back, online=online)


@pytest.mark.parametrize("front", list(S))
def test_closed_is_left_only_for_a_frontend_that_starts_again(front: S) -> None:
    assert (settle(front, S.CLOSED) is not S.CLOSED) == (front in (S.INITIALISING, S.INITIALISED))


@pytest.mark.parametrize(("front", "back"), PAIRS)
def test_nothing_begins_on_a_device_that_is_being_removed(front: S, back: S) -> None:
    action = decide(front, back, online=False).action
    assert action not in (Action.OFFER, Action.CONNECT, Action.RESTART)
    assert decide(front, S.CLOSED, online=False).action is Action.WAIT


def walk(*steps: tuple[S, S], start: S = S.INITIALISING) -> None:
    """Each step: the frontend moves to the first, the backend must come to rest at the second."""
    back = start
    for front, expected in steps:
        back = settle(front, back)
        assert back is expected, f"frontend {front.word}: backend {back.word}, expected {expected.word}"


def test_linux() -> None:
    walk((S.INITIALISING, S.INIT_WAIT), (S.INITIALISED, S.CONNECTED), (S.CONNECTED, S.CONNECTED))
    walk((S.CLOSING, S.CLOSING), (S.CLOSED, S.CLOSED), (S.INITIALISING, S.INIT_WAIT), start=S.CONNECTED)


def test_winvbd_closes_first_then_connects() -> None:
    walk(
        (S.CLOSING, S.CLOSING),
        (S.CLOSED, S.CLOSED),
        (S.INITIALISING, S.INIT_WAIT),
        (S.INITIALISED, S.CONNECTED),
        (S.CONNECTED, S.CONNECTED),
        start=S.INIT_WAIT,
    )


def test_ovmf_and_u_boot_skip_initialised() -> None:
    for start in (S.INITIALISING, S.INIT_WAIT):
        walk((S.CONNECTED, S.CONNECTED), (S.CLOSING, S.CLOSING), (S.CLOSED, S.CLOSED), (S.INITIALISING, S.INIT_WAIT),
             start=start)  # fmt: skip


def test_grub_goes_straight_to_closed_and_polls_for_six() -> None:
    walk((S.INITIALISED, S.CONNECTED), (S.CLOSED, S.CLOSED), (S.CLOSED, S.CLOSED), (S.INITIALISING, S.INIT_WAIT),
         start=S.INIT_WAIT)  # fmt: skip


def test_a_guest_that_crashes_and_boots_again_is_met_at_init_wait() -> None:
    assert decide(S.INITIALISING, S.CONNECTED).action is Action.RESTART
    walk((S.INITIALISING, S.INIT_WAIT), (S.INITIALISED, S.CONNECTED), start=S.CONNECTED)


def test_a_toolstack_detach_waits_for_the_guest_and_then_stays_closed() -> None:
    assert settle(S.CONNECTED, S.CLOSING, online=False) is S.CLOSING
    assert settle(S.CLOSING, S.CLOSING, online=False) is S.CLOSING
    assert settle(S.CLOSED, S.CLOSING, online=False) is S.CLOSED
    assert settle(S.INITIALISING, S.CLOSED, online=False) is S.CLOSED


def test_a_frontend_that_is_quicker_than_we_are_is_met_with_its_new_ring() -> None:
    walk((S.INITIALISED, S.CONNECTED), start=S.CLOSED)


@pytest.mark.parametrize("front", [S.INITIALISED, S.CONNECTED])
def test_a_removal_does_not_wait_for_a_frontend_whose_ring_we_do_not_have(front: S) -> None:
    assert decide(front, S.CLOSING, online=False).action is Action.WAIT
    assert decide(front, S.CLOSING, online=False, held=False).action is Action.DISCONNECT
    assert decide(front, S.CLOSING, held=False).action is Action.WAIT
    assert decide(S.CLOSING, S.CLOSING, online=False, held=False).action is Action.WAIT


@pytest.mark.parametrize("front", [S.UNKNOWN, S.INITIALISING, S.INIT_WAIT])
def test_a_device_nobody_connected_to_can_be_removed(front: S) -> None:
    assert settle(front, S.CLOSING, online=False) is S.CLOSED


def test_a_guest_that_is_gone_is_let_go() -> None:
    for back in (S.INITIALISED, S.CONNECTED, S.CLOSING):
        assert settle(S.UNKNOWN, back) is S.CLOSED
