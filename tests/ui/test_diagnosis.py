# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ui.drive import LARGE, SMALL, app_for, screen_text, until
from tests.ui.fake import FakeBackend, make_disk
from usblkback_tui.engine.snapshot import Finding, Health, Party, Severity
from usblkback_tui.ui.diagnosis import diagnosis_lines
from usblkback_tui.ui.text import line_width, plain

RING = Finding(
    "FE-NO-RING",
    Severity.ERROR,
    7,
    "xvda",
    "frontend key ring-ref is missing",
    (("frontend/state", "3 Initialised"), ("frontend/event-channel", "[red]9\x1b[0m")),
    Party.FRONTEND,
    10.0,
    ("restart the guest's driver", "compare the keys"),
)
ILL = replace(
    make_disk(7, "win", steps=3), findings=(RING,), health=Health(Severity.ERROR, "frontend key ring-ref is missing")
)


def test_a_finding_in_full() -> None:
    assert [plain(line).rstrip() for line in diagnosis_lines(ILL, 100)] == [
        "✖ FE-NO-RING      frontend key ring-ref is missing",
        "waits for         frontend, who has 10 s for it",
        "try               restart the guest's driver",
        "                  compare the keys",
        "evidence          frontend/state            3 Initialised",
        "                  frontend/event-channel    [red]9·[0m",
    ]
    two = replace(ILL, findings=(RING, replace(RING, id="TWO", sentence="a long sentence " * 40)))
    assert max(map(line_width, diagnosis_lines(two, 60))) <= 60
    assert plain(diagnosis_lines(make_disk(3, "web"), 60)[0]) == "Nothing is wrong with it."


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_the_handshake_screen_shows_it_only_when_there_is_one(size: tuple[int, int]) -> None:
    backend = FakeBackend(ILL, make_disk(3, "web"))
    app = app_for(backend)
    async with app.run_test(size=size) as pilot:
        await pilot.press("2")
        app.main.select((7, 51712))
        await until(pilot, lambda: "FE-NO-RING" in screen_text(app))
        assert "waits for" in screen_text(app)
        backend.update(replace(ILL, findings=()))
        await until(pilot, lambda: "FE-NO-RING" not in screen_text(app))
