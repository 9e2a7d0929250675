# SPDX-License-Identifier: MIT
"""``soak-ui``: whether the memory of a screen stays what it is while disks are busy under it for a long time."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks import report
from benchmarks.errors import BenchmarkError
from benchmarks.processes import memory
from benchmarks.rig import Order
from benchmarks.ui import screen_up

LOOK_SECONDS = 2.0
FILLED_MINUTES = 20.0
"""Time travel and charts remember some 17 minutes; before that memory has to grow."""
MOST_PER_HOUR = 4.0
"""MiB that memory may grow in an hour once they are full: what an allocator's rest and noise make."""


@dataclass(frozen=True, slots=True)
class Soak:
    """MiB resident at the begin, in the middle and at the end, each the median of a tenth of the time.

    The memory of the simulated guests, which is mapped into the process, is not counted.
    """

    minutes: float
    disks: int
    start: float
    middle: float
    end: float
    growth: float
    """MiB an hour, between the middle and the end."""
    whole_growth: float
    """The same between the begin and the end."""

    @property
    def verdict(self) -> str:
        """``met``, ``missed``, or nothing for a run that is over before the histories are full."""
        if self.minutes / 2 < FILLED_MINUTES:
            return ""
        return "met" if self.growth <= MOST_PER_HOUR else "missed"


def soaked(seen: list[tuple[float, float]], disks: int) -> Soak:
    """The result of (second, MiB) readings, oldest first.  Raises BenchmarkError when they are too few."""
    if len(seen) < 10:
        raise BenchmarkError(f"only {len(seen)} readings: take more --minutes")
    tenth = len(seen) // 10
    middle = len(seen) // 2 - tenth // 2
    parts = seen[:tenth], seen[middle : middle + tenth], seen[-tenth:]
    (t0, start), (t1, half), (t2, end) = ((median(t for t, _ in part), median(m for _, m in part)) for part in parts)
    minutes = (seen[-1][0] - seen[0][0]) / 60
    return Soak(minutes, disks, start, half, end, (end - half) / (t2 - t1) * 3600, (end - start) / (t2 - t0) * 3600)


def run(args: argparse.Namespace) -> int:
    """Watch, print, save; 1 when memory grows.  Raises BenchmarkError."""
    order = Order(screen=True, disks=args.disks, depth=4, rate=200)
    seen: list[tuple[float, float]] = []
    with screen_up(order) as terminal:
        began, said = time.monotonic(), 0.0
        while (now := time.monotonic() - began) < args.minutes * 60:
            if terminal.process.poll() is not None:
                raise BenchmarkError(f"the screen ended after {now:.0f} s: {terminal.tail}")
            found = memory(terminal.process.pid)
            seen.append((now, found.total - found.shared))
            if now >= said:
                print(f"{now / 60:6.1f} min  {seen[-1][1]:8.2f} MiB", flush=True)
                said = now + max(args.minutes * 60 / 20, LOOK_SECONDS)
            time.sleep(LOOK_SECONDS)
    soak = soaked(seen, args.disks)
    print(
        f"\n{soak.minutes:.1f} minutes, {soak.disks} busy disks: {soak.start:.2f} MiB at the begin, "
        f"{soak.middle:.2f} in the middle, {soak.end:.2f} at the end; {soak.growth:+.2f} MiB an hour "
        f"in the second half ({soak.whole_growth:+.2f} over all)"
    )
    if soak.verdict:
        print(f"target: at most {MOST_PER_HOUR:g} MiB an hour: {soak.verdict}")
    else:
        print(
            f"no verdict: charts and time travel fill for {FILLED_MINUTES:g} minutes; "
            f"take --minutes {2 * FILLED_MINUTES:g}"
        )
    content = {**asdict(soak), "verdict": soak.verdict, "most_per_hour": MOST_PER_HOUR, "readings": seen}
    print(f"saved to {os.path.relpath(report.save('soak-ui', content, keep=args.keep))}")
    return int(soak.verdict == "missed")
