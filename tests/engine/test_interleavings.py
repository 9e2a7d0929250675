# SPDX-License-Identifier: MIT
"""Every frontend against the engine's control logic, in any order of events.

Watches are delivered late, together, twice or never; either end dies and comes back at any step.  Always: a backend
that is Closed stays so until the frontend says Initialising; a frontend that was done no harm never gives up; what it
ends is not mapped any more.  In the end: both ends are connected over the ring the frontend has; a close reaches
Closed; nothing is left of a disk that was taken away.
"""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.interleave.explore import explore
from tests.engine.interleave.standins import world
from tests.engine.interleave.story import Story
from tests.engine.interleave.world import World
from usblkback_tui.engine.settings import FRONTENDS
from usblkback_tui.protocol.states import XenbusState as S

DEEDS = ("leave", "succeed", "restart", "kill", "detach", "reboot", "recreate", "lose")
COSTLY = (
    *product(("linux", "winvbd"), ("restart", "recreate")),
    *product(("linux", "grub"), ("detach",)),
    ("grub", "reboot"),
    ("ovmf", "recreate"),
)
"""Deeds with many states, for frontends that differ in them; :func:`test_any_order` has the others."""
MISHAPS = 6
"""At most, in one run."""


def wander(world: World, story: Story, picks: list[int], deeds: dict[int, str]) -> None:
    """Do what ``picks`` choose: one time in eight a mishap, else something that happens by itself."""
    mishaps = 0
    for step, pick in enumerate(picks):
        if step in deeds:
            story.do(deeds[step])
        choices = world.actions()
        if (pick % 8 == 0 or not choices) and mishaps < MISHAPS:
            mishaps += 1
            choices = world.mishaps()
        if choices:
            world.do(choices[pick // 8 % len(choices)])


@pytest.mark.parametrize(("frontend", "deed"), [*product(FRONTENDS, ("", "leave", "kill", "lose")), *COSTLY])
def test_every_order(frontend: str, deed: str) -> None:
    """All orders of what happens by itself, with one deed at any time."""
    assert explore(lambda: world(frontend), deed) > 20


def test_a_boot_loader_that_is_quicker_than_we_are() -> None:
    """GRUB waits while the backend is InitWait and takes every other state for Connected."""
    with world("grub") as w:
        w.settle()
        w.guest.leave()
        while w.front_state is not S.INITIALISING:
            w.do(w.actions()[0])
        assert w.back_state is S.CLOSED
        w.guest.restart()
        while w.front_state < S.INITIALISED:
            w.do(w.guest.actions()[-1])
        assert w.back_state is S.CLOSED
        w.settle()
        assert w.connected


@pytest.mark.parametrize("frontend", FRONTENDS)
@settings(max_examples=60, deadline=None)
@given(
    picks=st.lists(st.integers(0, 999), max_size=50),
    deeds=st.dictionaries(st.integers(0, 50), st.sampled_from(DEEDS), max_size=3),
)
def test_any_order(frontend: str, picks: list[int], deeds: dict[int, str]) -> None:
    with world(frontend) as w:
        story = Story(w)
        wander(w, story, picks, deeds)
        story.end()
