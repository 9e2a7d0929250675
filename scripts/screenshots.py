# SPDX-License-Identifier: MIT
"""Draws screenshots/ anew from real runs of the demo: ``.venv/bin/python scripts/screenshots.py``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from textual.pilot import Pilot

from usblkback_tui.engine.demo import Demo
from usblkback_tui.engine.settings import EngineSettings, Settings
from usblkback_tui.ui.actions import VIEWS
from usblkback_tui.ui.app import UsblkApp
from usblkback_tui.ui.outcome import Outcome

OUT = Path(__file__).parents[1] / "screenshots"
WARM_UP = 40.0
"""Seconds of load, so that the charts have something to show."""

Play = Callable[[Pilot[Outcome]], Awaitable[None]]


async def overview(pilot: Pilot[Outcome]) -> None:
    """What one sees after start."""
    await pilot.press("j")


async def attach(pilot: Pilot[Outcome]) -> None:
    """The dialog with an image that is in use: the sentence under its field."""
    await pilot.press("a")
    await pilot.pause(1.5)


async def screen(pilot: Pilot[Outcome], digit: str) -> None:
    """One of the other screens, of the second disk."""
    await pilot.press("j", digit)
    await pilot.pause(3.0)


async def shoot(demo: Demo, name: str, size: tuple[int, int], play: Play, seconds: float) -> None:
    """One run of the UI at one size."""
    app = UsblkApp(demo.engine, title="demo", detach_seconds=1.0)
    async with app.run_test(size=size) as pilot:
        await pilot.pause(seconds)
        await play(pilot)
        await pilot.pause(1.0)
        (OUT / f"{name}.svg").write_text(app.export_screenshot(title="usblkback-tui"))
        print(f"screenshots/{name}.svg")  # noqa: T201


def main() -> None:
    """Every picture, one after another on the same demo."""
    OUT.mkdir(exist_ok=True)
    demo = Demo(replace(Settings(), engine=EngineSettings(detach_seconds=2.0)))
    demo.start()
    try:
        asyncio.run(shoot(demo, "overview", (160, 50), overview, WARM_UP))
        for digit, name in enumerate(VIEWS[1:], 2):
            asyncio.run(shoot(demo, name, (160, 50), partial(screen, digit=str(digit)), 20.0))
        asyncio.run(shoot(demo, "attach", (160, 50), attach, 6.0))
        asyncio.run(shoot(demo, "small", (80, 24), overview, 6.0))
    finally:
        demo.stop()


if __name__ == "__main__":
    main()
