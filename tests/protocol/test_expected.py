# SPDX-License-Identifier: MIT
"""The expected next step in every pair of states."""

from __future__ import annotations

from itertools import product

import pytest

from usblkback_tui.protocol.expected import HOTPLUG_SECONDS, expected_step
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.transitions import Action, Turn, decide


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("opening", [True, False])
def test_every_pair_names_the_turn_of_the_table(online: bool, opening: bool) -> None:
    for front, back in product(S, S):
        cell, step = decide(front, back, online=online), expected_step(front, back, online=online, opening=opening)
        if cell.turn is Turn.NOBODY:
            assert step is None
            continue
        assert step is not None
        assert step.who == cell.turn.value
        assert step.reason == cell.reason
        assert step.what
        assert "\n" not in step.what
        assert 0 <= step.seconds <= HOTPLUG_SECONDS


@pytest.mark.parametrize(
    ("front", "back", "online", "who", "words", "seconds"),
    [
        (S.INITIALISING, S.INITIALISING, True, "backend", "go to InitWait", 10.0),
        (S.INITIALISING, S.INIT_WAIT, True, "frontend", "ring-ref and event-channel", 10.0),
        (S.UNKNOWN, S.INIT_WAIT, True, "frontend", "appear", 10.0),
        (S.INITIALISED, S.INIT_WAIT, True, "backend", "map the ring", 10.0),
        (S.INITIALISED, S.CONNECTED, True, "frontend", "go to Connected", 10.0),
        (S.CONNECTED, S.CLOSING, False, "frontend", "let go of the disk", 10.0),
        (S.CLOSING, S.CLOSING, True, "frontend", "go to Closed", 10.0),
        (S.CLOSED, S.CLOSED, True, "frontend", "start again", 0.0),
        (S.CLOSED, S.CLOSED, False, "toolstack", "remove the device", 10.0),
    ],
)
def test_steps_of_the_usual_life(front: S, back: S, online: bool, who: str, words: str, seconds: float) -> None:
    step = expected_step(front, back, online=online)
    assert step is not None
    assert (step.who, step.seconds) == (who, seconds)
    assert words in step.what


def test_an_image_that_is_being_opened_comes_first() -> None:
    step = expected_step(S.INITIALISING, S.INITIALISING, opening=True)
    assert step is not None
    assert (step.who, step.what, step.seconds) == ("backend", "open the image", HOTPLUG_SECONDS)
    closing = expected_step(S.CLOSED, S.CONNECTED, opening=True)
    assert closing is not None
    assert closing.what == Action.DISCONNECT.value


def test_two_connected_ends_expect_nothing() -> None:
    assert expected_step(S.CONNECTED, S.CONNECTED) is None
