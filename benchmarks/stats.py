# SPDX-License-Identifier: MIT
"""Medians, spreads and ratios of measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.rounds import Measurement

ENOUGH = 5
"""Clean rounds without which nothing is claimed."""

Value = Callable[[Measurement], float]


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
    """What ``contender`` is to reach at ``job``: at least ``least``, at most ``most``.

    With a peer it is a ratio to what the peer did in the same round, at the same job unless ``peer_job`` says another;
    without one it is the value itself.
    """

    job: str
    contender: str
    peer: str = ""
    least: float | None = None
    most: float | None = None
    value: str = "requests_per_second"
    """A field of Reading."""
    peer_job: str = ""

    @property
    def sentence(self) -> str:
        """What is demanded, in one line."""
        value = "" if self.value == "requests_per_second" else f"{self.value} of "
        peer = f" ÷ {self.peer}" if self.peer else ""
        peer += f" at {self.peer_job}" if self.peer_job else ""
        bounds = [f" {sign} {bound:g}" for sign, bound in (("≥", self.least), ("≤", self.most)) if bound is not None]
        return f"{self.job}: {value}{self.contender}{peer}{''.join(bounds)}"


def rate(one: Measurement) -> float:
    """Requests a second."""
    return one.reading.requests_per_second


def field(name: str) -> Value:
    """A field of the reading."""
    return lambda one: float(getattr(one.reading, name))


def spread(
    measurements: Sequence[Measurement],
    job: str,
    contender: str,
    value: Value = rate,
    *,
    clean_only: bool = True,
) -> Spread | None:
    """Of one contender at one job; None when no round counts."""
    return Spread.of(_by_round(measurements, job, contender, value, clean_only).values())


def ratio(
    measurements: Sequence[Measurement],
    job: str,
    contender: str,
    peer: str,
    value: Value = rate,
    *,
    peer_job: str = "",
    clean_only: bool = True,
) -> Spread | None:
    """Value over the peer's value of the same round; only rounds in which both are clean count."""
    ours = _by_round(measurements, job, contender, value, clean_only)
    theirs = _by_round(measurements, peer_job or job, peer, value, clean_only)
    return Spread.of(ours[number] / theirs[number] for number in ours.keys() & theirs.keys() if theirs[number])


def found(measurements: Sequence[Measurement], target: Target, *, clean_only: bool = True) -> Spread | None:
    """What a target is about, as it was measured; None when it was not."""
    value = field(target.value)
    if not target.peer:
        return spread(measurements, target.job, target.contender, value, clean_only=clean_only)
    return ratio(
        measurements,
        target.job,
        target.contender,
        target.peer,
        value,
        peer_job=target.peer_job,
        clean_only=clean_only,
    )


def verdict(measurements: Sequence[Measurement], target: Target) -> str:
    """``met``, ``missed``, or ``not judged`` without enough clean rounds."""
    return judge(found(measurements, target), least=target.least, most=target.most)


def judge(found: Spread | None, *, least: float | None = None, most: float | None = None) -> str:
    """Whether the median of enough values is within bounds: ``met``, ``missed`` or ``not judged``."""
    if found is None or found.count < ENOUGH:
        return "not judged"
    within = (least is None or found.median >= least) and (most is None or found.median <= most)
    return "met" if within else "missed"


def _by_round(
    measurements: Sequence[Measurement], job: str, contender: str, value: Value, clean_only: bool
) -> dict[int, float]:
    return {
        one.round: value(one)
        for one in measurements
        if (one.job, one.contender) == (job, contender) and (one.clean or not clean_only)
    }
