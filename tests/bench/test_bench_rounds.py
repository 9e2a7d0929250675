# SPDX-License-Identifier: MIT
"""Alternating rounds, with contenders and a machine under control."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks import rounds
from benchmarks.foreign import CpuUse
from benchmarks.jobs import Job
from benchmarks.reading import Pace, Reading
from benchmarks.rounds import TRIES, Measurement, Patience, run_rounds

JOB = Job("j", "a job", 4096, 1)
QUIET, LOUD = CpuUse(0.1, 1.0, 0.0, 1.0), CpuUse(0.9, 1.0, 0.0, 2.0)


@dataclass
class StillImage:
    """Counts how often it was brought into its first state."""

    path: Path = Path("/nowhere")
    settled: int = 0

    def settle(self) -> None:
        self.settled += 1


@dataclass
class Runner:
    name: str
    order: list[str] = field(default_factory=list)

    def measure(self, job: Job, image: Any, pace: Pace) -> Reading:
        self.order.append(self.name)
        return Reading(float(len(self.order)), 0.0, 0.0, 0.0, 0.0)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[CpuUse]:
    """What each measurement in turn saw of others; afterwards all is quiet."""
    uses: list[CpuUse] = []

    class Watch:
        def stop(self) -> CpuUse:
            return uses.pop(0) if uses else QUIET

    monkeypatch.setattr(rounds, "Watch", Watch)
    monkeypatch.setattr(rounds, "wait_quiet", lambda seconds: 0.0)
    return uses


def run(names: str, count: int, patience: float = 100.0) -> tuple[list[str], list[Measurement], StillImage]:
    order: list[str] = []
    image: Any = StillImage()
    seen: list[Measurement] = []
    contenders = [Runner(name, order) for name in names]
    done = run_rounds([(JOB, contenders)], image, count, Pace(0, 0), Patience(patience), seen.append)
    assert seen == done
    return order, done, image


@pytest.mark.usefixtures("machine")
def test_the_order_turns_so_that_nobody_is_always_first() -> None:
    order, done, image = run("abc", 3)
    assert order == list("abcbcacab")
    assert [(one.round, one.contender) for one in done] == [(at // 3, name) for at, name in enumerate(order)]
    assert image.settled == 9


def test_a_disturbed_measurement_is_repeated_until_it_is_clean(machine: list[CpuUse]) -> None:
    machine += [LOUD, QUIET]
    order, done, image = run("ab", 1)
    assert order == ["a", "a", "b"]
    assert [(one.contender, one.clean, one.tries) for one in done] == [("a", True, 2), ("b", True, 1)]
    assert image.settled == 3


def test_what_stays_disturbed_is_the_quietest_try_and_marked(machine: list[CpuUse]) -> None:
    least = CpuUse(0.4, 1.0, 0.0, 2.0)
    machine += [LOUD, least, LOUD]
    order, done, _ = run("a", 1)
    assert Counter(order) == {"a": TRIES + 1}
    assert (done[0].use, done[0].clean, done[0].tries) == (least, False, 2)


def test_a_round_that_stays_disturbed_is_made_up_for_by_another(machine: list[CpuUse]) -> None:
    """For all contenders: only neighbours are compared."""
    machine += [QUIET, *[LOUD] * TRIES]
    _, done, _ = run("ab", 2)
    assert [(one.round, one.contender, one.clean) for one in done] == [
        (0, "a", True),
        (0, "b", False),
        (1, "b", True),
        (1, "a", True),
        (2, "a", True),
        (2, "b", True),
    ]


def test_on_a_machine_that_is_never_quiet_there_is_an_end(machine: list[CpuUse]) -> None:
    machine += [LOUD] * 1000
    _, done, _ = run("a", 3, patience=1e9)
    assert [one.round for one in done] == list(range(6))


def test_without_patience_nothing_is_repeated(machine: list[CpuUse]) -> None:
    machine += [LOUD, LOUD]
    order, done, _ = run("ab", 1, patience=0)
    assert order == ["a", "b"]
    assert not any(one.clean for one in done)
