# SPDX-License-Identifier: MIT
"""Driving the app in tests: waiting for ticks and reading the screen as text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from textual.pilot import Pilot
from textual.widget import Widget

from tests.ui.fake import FakeBackend
from usblkback_tui.ui.app import UsblkApp
from usblkback_tui.ui.outcome import Outcome
from usblkback_tui.ui.scene import Scene
from usblkback_tui.ui.state import UiState

SMALL, LARGE = (80, 24), (160, 50)


def app_for(
    backend: FakeBackend,
    *,
    detach_seconds: float = 10.0,
    engine_stays: bool = False,
    keys: Mapping[str, Sequence[str]] | None = None,
    state: UiState | None = None,
) -> UsblkApp:
    """An app that ticks only when a test says so: Pilot waits for an idle process after every key.

    Its clock stands still, so that what it shows of its own cost is the same at every run.
    """
    return UsblkApp(
        backend,
        title="usblkback",
        refresh_hz=0.01,
        detach_seconds=detach_seconds,
        engine_stays=engine_stays,
        keys=keys,
        state=state,
        clock=lambda: 0.0,
    )


async def ticks(pilot: Pilot[Outcome], count: int = 2) -> None:
    """Until ``count`` more snapshots were shown."""
    app = pilot.app
    assert isinstance(app, UsblkApp)
    for _ in range(count):
        target = app.model.samples + 1
        await _tick_until(app, lambda target=target: app.model.samples >= target, 10.0)  # type: ignore[misc]
    await pilot.pause()


async def until(pilot: Pilot[Outcome], true: Callable[[], bool], seconds: float = 90.0) -> None:
    """Until a condition holds; fails after ``seconds``."""
    app = pilot.app
    assert isinstance(app, UsblkApp)
    await _tick_until(app, true, seconds)


async def _tick_until(app: UsblkApp, true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "the condition never came true\n" + screen_text(app)
        app.tick()
        await asyncio.sleep(0.01)


async def play(pilot: Pilot[Outcome], backend: FakeBackend, seconds: int) -> None:
    """Let the fake engine work for some seconds, each of them seen by the app, and what was before them too."""
    await ticks(pilot, 1)
    for _ in range(seconds):
        backend.advance(1.0)
        await ticks(pilot, 1)


def scene_of(backend: FakeBackend, selected: tuple[int, int] | None = None) -> Scene:
    """What the backend shows now, without an app."""
    return Scene(backend.snapshot(), selected=selected, log=backend.events(0))


def shown(app: UsblkApp, pane: str) -> str:
    """The text of one pane."""
    return "\n".join(widget_text(app.main.query_one(f"#{pane}")))


def screen_text(app: UsblkApp) -> str:
    """The characters on the screen, row by row."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


def widget_text(widget: Widget) -> list[str]:
    """The rows of one Line-API widget."""
    return ["".join(segment.text for segment in widget.render_line(y)).rstrip() for y in range(widget.size.height)]


def notices(app: UsblkApp) -> list[str]:
    """What the app told the operator in passing."""
    return [notification.message for notification in app._notifications]
