# SPDX-License-Identifier: MIT
"""``ui``: what the terminal UI costs, on a real terminal of 160x50 and with the real engine on the embedded host."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import report
from benchmarks.errors import BenchmarkError
from benchmarks.foreign import CpuUse, Watch
from benchmarks.ours import rig_command
from benchmarks.processes import cpu_seconds, memory
from benchmarks.rig import Order
from benchmarks.rounds import Patience
from benchmarks.stats import Spread, judge
from benchmarks.terminal import COLUMNS, ROWS, Terminal

_ROW = "xvda"
_PAINT_SECONDS = 20.0
_SETTLE_SECONDS = 12.0
_ONE_DISK = """\
[[demo.guest]]
name = "bench"
disks = ["xvda"]
rate = 1
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that is measured once a round.  ``limit``: the most its median may be; None: no target."""

    name: str
    title: str
    unit: str
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """One value and how quiet the machine was."""

    round: int
    figure: str
    value: float
    use: CpuUse


PAINT = Figure(
    "first-paint", "from exec of `usblkback-tui demo` to the first screen with a disk in its table", "s", 1.0
)
IDLE = Figure("idle-cpu", "one attached disk, idle guest: CPU of the whole process", "% of a core", 1.0)
IDLE_LOOP = Figure("idle-cpu-loop", "of that: the UI's event loop", "% of a core")
HEADLESS = Figure("headless-cpu", "the same without a screen", "% of a core")
BUSY_LOOP = Figure("busy-cpu-loop", "8 disks at 200 requests/s each: CPU of the UI's event loop", "% of a core")
MEMORY = Figure("memory", "8 disks: resident memory of the whole process", "MiB", 120.0)
MEMORY_PRIVATE = Figure("memory-private", "of that: private", "MiB")
MEMORY_SHARED = Figure("memory-shared", "of that: the simulated guest's own memory", "MiB")
OUTPUT = Figure("idle-output", "one attached disk, idle guest: written to the terminal", "B/s")
FIGURES = (PAINT, IDLE, IDLE_LOOP, HEADLESS, OUTPUT, BUSY_LOOP, MEMORY, MEMORY_PRIVATE, MEMORY_SHARED)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save; 1 when a target is missed.  Raises BenchmarkError."""
    taken: list[Taken] = []
    patience = Patience(args.patience)
    parts: tuple[Callable[[float], dict[Figure, float]], ...] = (_paint, _idle, _headless, _eight)
    _paint(0)  # the first one reads everything from the disk
    for number in range(args.rounds):
        for part in parts:
            patience.wait_quiet()
            watch = Watch()
            values = part(args.seconds)
            use = watch.stop()
            for figure, value in values.items():
                taken.append(Taken(number, figure.name, value, use))
                flag = "" if use.clean else f"  NOT CLEAN: {use.foreign:.2f} cores of foreign load"
                print(f"round {number + 1}  {figure.name:<15} {value:>9.2f} {figure.unit}{flag}", flush=True)
    print("\n" + "\n".join(_lines(taken)))
    content = {
        "terminal": f"{COLUMNS}x{ROWS}",
        "seconds": args.seconds,
        "targets": [
            {"figure": figure.name, "below": figure.limit, "verdict": _verdict(taken, figure)}
            for figure in FIGURES
            if figure.limit is not None
        ],
        "measurements": [_plain(one) for one in taken],
    }
    print(f"\nsaved to {os.path.relpath(report.save('ui', content, keep=args.keep))}")
    return int(any(_verdict(taken, figure) == "missed" for figure in FIGURES))


def _paint(_seconds: float) -> dict[Figure, float]:
    with tempfile.TemporaryDirectory(prefix="usblkback-tui-bench-") as folder:
        config = Path(folder) / "config.toml"
        config.write_text(_ONE_DISK)
        command = [sys.executable, "-m", "usblkback_tui", "demo", "--config", str(config)]
        with Terminal(command, awaited=_ROW) as terminal:
            return {PAINT: _painted(terminal)}


def _idle(seconds: float) -> dict[Figure, float]:
    with screen_up(Order(screen=True)) as terminal:
        received = terminal.received
        whole, loop = _cpu_percent(terminal.process.pid, seconds)
        return {IDLE: whole, IDLE_LOOP: loop, OUTPUT: (terminal.received - received) / seconds}


def _headless(seconds: float) -> dict[Figure, float]:
    with Terminal(rig_command(Order())) as terminal:
        time.sleep(_SETTLE_SECONDS)
        return {HEADLESS: _cpu_percent(terminal.process.pid, seconds)[0]}


def _eight(seconds: float) -> dict[Figure, float]:
    with screen_up(Order(screen=True, disks=8, depth=4, rate=200)) as terminal:
        _, loop = _cpu_percent(terminal.process.pid, seconds)
        found = memory(terminal.process.pid)
        return {BUSY_LOOP: loop, MEMORY: found.total, MEMORY_PRIVATE: found.private, MEMORY_SHARED: found.shared}


@contextmanager
def screen_up(order: Order) -> Iterator[Terminal]:
    """A rig whose screen is up and has come to rest."""
    with Terminal(rig_command(order), awaited=_ROW) as terminal:
        _painted(terminal)
        time.sleep(_SETTLE_SECONDS)
        yield terminal


def _painted(terminal: Terminal) -> float:
    seconds = terminal.wait_text(_PAINT_SECONDS)
    if seconds is None:
        raise BenchmarkError(f"no {_ROW} on the screen after {_PAINT_SECONDS:g} s, but: {terminal.tail}")
    return seconds


def _cpu_percent(pid: int, seconds: float) -> tuple[float, float]:
    """Of a core: the whole process, and its main thread, which runs the UI's event loop."""
    began, before = time.monotonic(), cpu_seconds(pid)
    time.sleep(seconds)
    after, took = cpu_seconds(pid), time.monotonic() - began
    whole = sum(after.values()) - sum(before.get(task, 0.0) for task in after)
    return whole / took * 100, (after[pid] - before[pid]) / took * 100


def _lines(taken: list[Taken]) -> Iterator[str]:
    for figure in FIGURES:
        clean, every = _spread(taken, figure, clean=True), _spread(taken, figure, clean=False)
        found = clean or every
        if found is None:
            continue
        target = "" if figure.limit is None else f", target ≤ {figure.limit:g}: {_verdict(taken, figure)}"
        count = f"{clean.count if clean else 0} of {every.count if every else 0} clean"
        yield f"{figure.title}: {found.median:.2f} {figure.unit} [{found.low:.2f}–{found.high:.2f}], {count}{target}"


def _verdict(taken: list[Taken], figure: Figure) -> str:
    return judge(_spread(taken, figure, clean=True), most=figure.limit)


def _spread(taken: list[Taken], figure: Figure, *, clean: bool) -> Spread | None:
    return Spread.of(one.value for one in taken if one.figure == figure.name and (one.use.clean or not clean))


def _plain(one: Taken) -> dict[str, object]:
    return {
        "round": one.round + 1,
        "figure": one.figure,
        "value": round(one.value, 3),
        "clean": one.use.clean,
        "foreign_cores": round(one.use.foreign, 2),
        "load1": one.use.load1,
    }
