# SPDX-License-Identifier: MIT
"""Medians, spreads and ratios of measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.rounds import Measurement

ENOUGH = 3
"""Clean rounds without which nothing is claimed."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Some values: their median, least and greatest."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """None for no values."""
        all_ = sorted(values)
        return cls(median(all_), all_[0], all_[-1], len(all_)) if all_ else None


@dataclass(frozen=True, slots=True)
class Target:
    """``contender`` is to do at least ``least`` of what ``peer`` does at ``job``."""

    job: str
    contender: str
    peer: str
    least: float


def rate(one: Measurement) -> float:
    """Requests a second."""
    return one.reading.requests_per_second


def spread(
    measurements: Sequence[Measurement],
    job: str,
    contender: str,
    value: Callable[[Measurement], float] = rate,
    *,
    clean_only: bool = True,
) -> Spread | None:
    """Of one contender at one job; None when no round counts."""
    return Spread.of(
        value(one)
        for one in measurements
        if (one.job, one.contender) == (job, contender) and (one.clean or not clean_only)
    )


def ratio(
    measurements: Sequence[Measurement], job: str, contender: str, peer: str, *, clean_only: bool = True
) -> Spread | None:
    """Rate over the peer's rate of the same round; only rounds in which both are clean count."""

    def by_round(name: str) -> dict[int, float]:
        return {
            one.round: rate(one)
            for one in measurements
            if (one.job, one.contender) == (job, name) and (one.clean or not clean_only)
        }

    ours, theirs = by_round(contender), by_round(peer)
    return Spread.of(ours[number] / theirs[number] for number in ours.keys() & theirs.keys())


def verdict(measurements: Sequence[Measurement], target: Target) -> str:
    """``met``, ``missed``, or ``not judged`` without enough clean rounds."""
    found = ratio(measurements, target.job, target.contender, target.peer)
    if found is None or found.count < ENOUGH:
        return "not judged"
    return "met" if found.median >= target.least else "missed"
