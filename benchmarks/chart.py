# SPDX-License-Identifier: MIT
"""What is drawn of a benchmark: groups of bars, each a median with its spread; here as text for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.bar import Bar as TextBar
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks import stats
from benchmarks.jobs import Job
from benchmarks.report import spread_text
from benchmarks.rounds import Measurement
from benchmarks.stats import Spread

_BAR_COLUMNS = 40


@dataclass(frozen=True, slots=True)
class Bar:
    """One contender."""

    name: str
    value: Spread


@dataclass(frozen=True, slots=True)
class BarGroup:
    """One job."""

    title: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture.  ``mark``: the value that counts as par; 0: there is none."""

    title: str
    groups: tuple[BarGroup, ...]
    mark: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The contenders, in the order in which they first come."""
        return tuple(dict.fromkeys(bar.name for group in self.groups for bar in group.bars))


def ratios(measurements: Sequence[Measurement], jobs: Sequence[Job], peer: str) -> Chart:
    """Requests a second over those of ``peer``; jobs that the peer did not carry are left out."""

    def of(job: Job, name: str) -> Spread | None:
        return _clean_or_not(lambda clean: stats.ratio(measurements, job.name, name, peer, clean_only=clean))

    return Chart(f"requests/s ÷ {peer}, same round", tuple(_groups(measurements, jobs, of)), mark=1.0)


def values(measurements: Sequence[Measurement], jobs: Sequence[Job], field: str, title: str) -> Chart:
    """A field of Reading."""

    def of(job: Job, name: str) -> Spread | None:
        value = stats.field(field)
        return _clean_or_not(lambda clean: stats.spread(measurements, job.name, name, value, clean_only=clean))

    return Chart(title, tuple(_groups(measurements, jobs, of)))


def as_text(chart: Chart) -> RenderableType:
    """Bars for a terminal, all to the same scale."""
    most = max((bar.value.median for group in chart.groups for bar in group.bars), default=0.0) or 1.0
    parts: list[RenderableType] = [Text(f"\n{chart.title}", style="bold")]
    names = max((len(name) for name in chart.names), default=0)
    for group in chart.groups:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True, width=names + 2)
        grid.add_column(width=_BAR_COLUMNS)
        grid.add_column(no_wrap=True)
        for bar in group.bars:
            par = bool(chart.mark) and bar.value.median >= chart.mark
            grid.add_row(
                f"  {bar.name}",
                TextBar(most, 0, bar.value.median, width=_BAR_COLUMNS, color="green" if par else "blue"),
                spread_text(bar.value, ",.3g" if most < 1000 else ",.0f"),
            )
        parts += [Text(group.title), grid]
    return Group(*parts)


def _groups(
    measurements: Sequence[Measurement], jobs: Sequence[Job], of: Callable[[Job, str], Spread | None]
) -> Iterator[BarGroup]:
    for job in jobs:
        names = dict.fromkeys(one.contender for one in measurements if one.job == job.name)
        bars = tuple(Bar(name, found) for name in names if (found := of(job, name)))
        if bars:
            yield BarGroup(job.title, bars)


def _clean_or_not(found: Callable[[bool], Spread | None]) -> Spread | None:
    """Of the clean rounds; where there are none, of all."""
    return found(True) or found(False)
