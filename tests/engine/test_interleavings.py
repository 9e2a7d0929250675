# SPDX-License-Identifier: MIT
"""Every frontend against the engine's control logic, in any order of events.

Watches are delivered late, together, twice or never; either end dies and comes back at any step.  Always: a backend that
is Closed stays so until the frontend says Initialising, a frontend that was done no harm never gives up, and what it ends
is not mapped any more.  In the end: both ends are connected over the ring the frontend has; a close reaches Closed; and
nothing is left of a disk that was taken away.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.interleave.story import Story, things
from tests.engine.interleave.world import World, world
from usblkback_tui.engine.settings import FRONTENDS

DEEDS = ("leave", "succeed", "restart", "kill", "detach", "reboot", "recreate")
MISHAPS = 6
"""At most, in one run."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("images")
    for name in ("a.img", "b.img"):
        (made / name).write_bytes(bytes(1 << 20))
    return made


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


@pytest.mark.parametrize("frontend", FRONTENDS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    picks=st.lists(st.integers(0, 999), max_size=50),
    deeds=st.dictionaries(st.integers(0, 50), st.sampled_from(DEEDS), max_size=3),
)
def test_any_order(folder: Path, frontend: str, picks: list[int], deeds: dict[int, str]) -> None:
    with world(folder, frontend) as w:
        story = Story(w)
        wander(w, story, picks, deeds)
        story.end()
