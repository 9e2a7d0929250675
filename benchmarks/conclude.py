# SPDX-License-Identifier: MIT
"""The end of a benchmark: tables and bars for people, the targets judged, the file and the pictures that are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import chart, report, svg
from benchmarks.chart import Chart
from benchmarks.errors import BenchmarkError
from benchmarks.jobs import Job
from benchmarks.rounds import Measurement
from benchmarks.stats import Target, verdict

_COLUMNS = 120
"""Of a chart in text, whatever the terminal: as the tables."""


@dataclass(frozen=True, slots=True)
class Section:
    """Jobs that belong together in tables and in a chart."""

    name: str
    """Of its chart's file; empty for the benchmark's own."""
    jobs: tuple[Job, ...]
    peer: str = ""
    """Whom the others are compared with."""
    field: str = "requests_per_second"
    """Of Reading: what the chart shows where there is no peer."""
    title: str = "requests/s"
    """Of that chart."""
    table: bool = True
    """False for one more chart of jobs that have a table already."""

    def chart(self, measured: Sequence[Measurement]) -> Chart:
        """What is drawn of it."""
        if self.peer:
            return chart.ratios(measured, self.jobs, self.peer)
        return chart.values(measured, self.jobs, self.field, self.title)


def conclude(
    benchmark: str,
    measured: Sequence[Measurement],
    sections: Sequence[Section],
    targets: Sequence[Target],
    content: Mapping[str, object],
    *,
    keep: bool,
) -> int:
    """Print and save everything; 1 when a target is missed."""
    console = Console(highlight=False)
    console.width = max(console.width, _COLUMNS)
    charts = [(section, section.chart(measured)) for section in sections]
    for section, picture in charts:
        if not picture.groups:
            continue
        if section.table:
            print(report.table(measured, section.jobs, section.peer))
        console.print(chart.as_text(picture))
    print(f"\n{report.targets(measured, targets)}")
    jobs = [job for section in sections for job in section.jobs]
    whole = {
        **content,
        "targets": report.judged(measured, targets, jobs),
        "measurements": [report.plain(one) for one in measured],
    }
    path = report.save(benchmark, whole, keep=keep)
    print(f"\nsaved to {os.path.relpath(path)}")
    try:
        for section, picture in charts:
            if picture.groups:
                _save(picture, path.with_name(f"{path.stem}{section.name and '-'}{section.name}.svg"))
    except BenchmarkError as error:
        print(error)
    return int(any(verdict(measured, target) == "missed" for target in targets))


def _save(picture: Chart, path: Path) -> None:
    path.write_text(svg.draw(picture) + "\n", encoding="utf-8")
    print(f"drawn as {os.path.relpath(path)}")
