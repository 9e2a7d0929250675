# SPDX-License-Identifier: MIT
"""The tables people read and the file that is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import stats
from benchmarks.jobs import MIB, Job
from benchmarks.machine import describe
from benchmarks.rounds import Measurement
from benchmarks.stats import Spread, Target

FOLDER = Path(__file__).parent / "results"
FILE_VERSION = 2


def line(one: Measurement) -> str:
    """One measurement, as it comes."""
    flag = "" if one.clean else f"  NOT CLEAN: {one.use.foreign:.2f} cores of foreign load"
    return (
        f"round {one.round + 1}  {one.job:<22} {one.contender:<24} {one.reading.requests_per_second:>10,.0f}/s"
        f"  {one.reading.bytes_per_second / MIB:>7,.0f} MiB/s  {one.reading.cpu_us:>7.2f} µs CPU{flag}"
    )


def table(measurements: Sequence[Measurement], jobs: Sequence[Job], peer: str = "") -> str:
    """A row for each contender and job: medians [least–greatest] of clean rounds; ratios to ``peer``."""
    lines = []
    width = max((len(one.contender) for one in measurements), default=0)
    for job in jobs:
        names = dict.fromkeys(one.contender for one in measurements if one.job == job.name)
        if not names:
            continue
        lines.append(f"\n{job.title}")
        lines.append(
            f"  {'':<{width}} {'requests/s':>29} {'MiB/s':>7} {'CPU µs':>8} {'CPU %':>6} {'p50 µs':>7} {'p99 µs':>7}"
            f"   {f'ratio to {peer}' if peer else '':<26} rounds"
        )
        lines += [_row(measurements, job, name, peer, width) for name in names]
    return "\n".join(lines)


def _row(measurements: Sequence[Measurement], job: Job, name: str, peer: str, width: int) -> str:
    clean_only = stats.spread(measurements, job.name, name) is not None
    taken = sum((one.job, one.contender) == (job.name, name) for one in measurements)

    def middle(field: str) -> float:
        found = stats.spread(measurements, job.name, name, stats.field(field), clean_only=clean_only)
        return found.median if found else 0.0

    rates = stats.spread(measurements, job.name, name, clean_only=clean_only)
    ratios = stats.ratio(measurements, job.name, name, peer, clean_only=clean_only)
    clean = rates.count if rates and clean_only else 0
    shown = spread_text(ratios, ".2f") if peer and name != peer else ""
    return (
        f"  {name:<{width}} {spread_text(rates, ',.0f'):>29} {middle('bytes_per_second') / MIB:>7,.0f}"
        f" {middle('cpu_us'):>8.2f} {middle('cpu_percent'):>6.1f} {middle('p50_us'):>7.1f} {middle('p99_us'):>7.1f}"
        f"   {shown:<26} {clean} of {taken} clean"
    )


def spread_text(found: Spread | None, form: str) -> str:
    """``median [least–greatest]``, or a dash."""
    return f"{found.median:{form}} [{found.low:{form}}–{found.high:{form}}]" if found else "-"


def targets(measurements: Sequence[Measurement], wanted: Sequence[Target]) -> str:
    """A line for each target that was measured."""
    lines = []
    for target in wanted:
        found = stats.found(measurements, target, clean_only=False)
        if found is None:
            continue
        clean = stats.found(measurements, target)
        lines.append(
            f"{target.sentence}: {spread_text(clean or found, '.3g')}, {stats.verdict(measurements, target)}"
            + ("" if clean and clean.count >= stats.ENOUGH else f" (fewer than {stats.ENOUGH} clean rounds)")
        )
    return "\n".join(lines)


def judged(
    measurements: Sequence[Measurement], wanted: Sequence[Target], jobs: Sequence[Job]
) -> list[dict[str, object]]:
    """The targets of the jobs that were run, with what was found, for the saved file."""
    names = {job.name for job in jobs}
    lines: list[dict[str, object]] = []
    for target in wanted:
        if target.job in names:
            spread = stats.found(measurements, target)
            lines.append(
                {key: value for key, value in asdict(target).items() if value not in (None, "")}
                | {"found": round(spread.median, 3) if spread else None}
                | {"verdict": stats.verdict(measurements, target)}
            )
    return lines


def save(benchmark: str, content: dict[str, object], *, keep: bool) -> Path:
    """Write a result file: under its name where it is to be committed, else in ``local`` with the time in its name."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    path = FOLDER / f"{benchmark}.json" if keep else FOLDER / "local" / f"{benchmark}-{stamp.replace(':', '')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"version": FILE_VERSION, "benchmark": benchmark, "taken": stamp, "machine": describe()}
    path.write_text(json.dumps(head | content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def plain(one: Measurement) -> dict[str, object]:
    """A measurement for the file, figures rounded to what they are worth."""
    return {
        "round": one.round + 1,
        "job": one.job,
        "contender": one.contender,
        "clean": one.clean,
        "tries": one.tries,
        **{key: round(value, 2) for key, value in asdict(one.reading).items()},
        "cores": {key: round(value, 2) for key, value in asdict(one.use).items()},
    }
