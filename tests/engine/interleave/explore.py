# SPDX-License-Identifier: MIT
"""Every order in which things can happen, up to orders that lead to the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.engine.interleave.story import Story
from tests.engine.interleave.world import Action, World


def explore(make: Callable[[], AbstractContextManager[World]], deed: str = "") -> int:
    """Try every order of what happens by itself and of ``deed``, done once at any time; how many states there are.

    A world cannot be copied, so each branch starts a new one and goes the way to it again.
    """
    seen: set[tuple[object, ...]] = set()
    branches: list[list[int]] = [[]]
    while branches:
        way = branches.pop()
        with make() as world:
            story = Story(world)
            for choice in way:
                world.do(_choices(story, deed)[choice])
            while (state := (_done(story, deed), story.left, *world.state())) not in seen:
                seen.add(state)
                choices = _choices(story, deed)
                if not choices:
                    story.end()
                    break
                branches += [[*way, other] for other in range(1, len(choices))]
                way.append(0)
                world.do(choices[0])
    return len(seen)


def _choices(story: Story, deed: str) -> list[Action]:
    found = story.world.actions()
    if story.world.engine is None:
        found.append(("an engine starts", story.world.start_engine))
    if not _done(story, deed) and (work := story.deeds().get(deed)) is not None:
        found.append((f"-- {deed}", work))
    return found


def _done(story: Story, deed: str) -> bool:
    return f"-- {deed}" in story.world.trace
