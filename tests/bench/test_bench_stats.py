# SPDX-License-Identifier: MIT
"""Ratios compare neighbours, and only clean ones."""

from __future__ import annotations

import pytest

from benchmarks.foreign import LIMIT, CpuUse
from benchmarks.reading import Reading
from benchmarks.rounds import Measurement
from benchmarks.stats import ENOUGH, Spread, Target, judge, ratio, spread, verdict

JOB = "randread-qd32"
TARGET = Target(JOB, "we", "peer", 0.8)


def measurement(
    round_: int, contender: str, rate: float, *, foreign: float = 0.0, job: str = JOB, cpu_us: float = 2.0
) -> Measurement:
    return Measurement(
        round_, job, contender, Reading(rate, rate * 4096, cpu_us, 50.0, 90.0), CpuUse(foreign, 1.0, 0.0, 1.0), 1
    )


def pairs(*rates: tuple[float, float]) -> list[Measurement]:
    return [
        measurement(number, name, rate)
        for number, both in enumerate(rates)
        for name, rate in zip(("we", "peer"), both, strict=True)
    ]


def test_a_spread_is_median_least_and_greatest() -> None:
    assert Spread.of([5, 1, 3, 2, 40]) == Spread(3, 1, 40, 5)
    assert Spread.of([]) is None


def test_a_ratio_is_that_of_the_same_round_whatever_the_machine_drifts() -> None:
    """The ratio of the medians would be 100 ÷ 50."""
    drifting = pairs((25, 50), (200, 400), (100, 40))
    assert ratio(drifting, JOB, "we", "peer") == Spread(0.5, 0.5, 2.5, 3)


def test_rounds_with_foreign_load_on_either_side_do_not_count() -> None:
    taken = [
        *pairs((90, 100), (90, 100)),
        measurement(2, "we", 10, foreign=LIMIT + 0.01),
        measurement(2, "peer", 100),
        measurement(3, "we", 90),
        measurement(3, "peer", 10, foreign=1.5),
    ]
    found = ratio(taken, JOB, "we", "peer")
    assert found is not None
    assert (found.count, found.low, found.high) == (2, 0.9, 0.9)
    every = ratio(taken, JOB, "we", "peer", clean_only=False)
    assert every is not None
    assert (every.count, every.low, every.high) == (4, 0.1, 9.0)
    rates = spread(taken, JOB, "we")
    assert rates is not None
    assert rates.low == 90


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        (((81, 100), (79, 100), (82, 100), (70, 100), (90, 100)), "met"),
        (((79, 100), (78, 100), (99, 100), (70, 100), (90, 100)), "missed"),
        (((99, 100),) * (ENOUGH - 1), "not judged"),
        ((), "not judged"),
    ],
)
def test_a_target_is_judged_by_the_median_of_enough_clean_rounds(
    rates: tuple[tuple[float, float], ...], said: str
) -> None:
    assert verdict(pairs(*rates), TARGET) == said


def test_what_is_disturbed_cannot_meet_a_target() -> None:
    taken = [measurement(number, name, 100, foreign=LIMIT * 2) for number in range(5) for name in ("we", "peer")]
    assert verdict(taken, TARGET) == "not judged"


def test_a_target_without_a_peer_is_about_the_value_itself() -> None:
    taken = [measurement(number, "we", 1e6, cpu_us=cpu) for number, cpu in enumerate((0.1, 0.14, 0.12, 0.2, 0.13))]
    assert verdict(taken, Target(JOB, "we", most=0.15, value="cpu_us")) == "met"
    assert verdict(taken, Target(JOB, "we", most=0.125, value="cpu_us")) == "missed"


def test_a_target_may_compare_two_jobs_of_the_same_round() -> None:
    taken = [
        measurement(number, "we", rate, job=job)
        for number, rates in enumerate(((100, 95), (200, 190), (50, 40), (100, 91), (10, 30)))
        for job, rate in zip(("few", "many"), rates, strict=True)
    ]
    assert verdict(taken, Target("many", "we", "we", 0.95, peer_job="few")) == "met"
    assert verdict(taken, Target("many", "we", "we", 0.96, peer_job="few")) == "missed"


def test_bounds_are_within_bounds() -> None:
    exact = Spread(1.0, 0.5, 2.0, ENOUGH)
    assert judge(exact, least=1.0, most=1.0) == "met"
    assert judge(exact, least=1.01) == judge(exact, most=0.99) == "missed"
    assert judge(Spread(1.0, 1.0, 1.0, ENOUGH - 1), least=0.0) == judge(None, most=1.0) == "not judged"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target(JOB, "we", "peer", 1.3), f"{JOB}: we ÷ peer ≥ 1.3"),
        (Target("null", "we", most=0.15, value="cpu_us"), "null: cpu_us of we ≤ 0.15"),
        (Target("many", "we", "we", 0.9, peer_job="few"), "many: we ÷ we at few ≥ 0.9"),
    ],
)
def test_a_target_says_what_it_demands(target: Target, said: str) -> None:
    assert target.sentence == said
