# SPDX-License-Identifier: MIT
"""``top``: rates, latency and health of every disk of the running engine, again and again.

Written over in place on a terminal; one table after the other with ``-b``, into a file, and where a terminal cannot
move its cursor.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from usblkback_tui.cli.common import remote, settings_of
from usblkback_tui.cli.output import JSON_VERSION, counted, one_line, paint, print_json, table
from usblkback_tui.cli.signals import Signals
from usblkback_tui.engine.rates import Rates, between, together
from usblkback_tui.engine.snapshot import DiskView, Severity, Snapshot
from usblkback_tui.ui import units

_LEFT = frozenset({"DOMAIN", "VDEV", "FRONT", "BACK", "HEALTH"})
"""Columns of words; the others are numbers."""
_DROPPED = (("p50",), ("ERR",), ("FRONT",), ("rMB/s", "wMB/s"), ("BACK",))
"""Columns that make room for HEALTH, in this order."""
_LEAST_HEALTH = 14
_WORST_FIRST = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2, Severity.GOOD: 3}


@dataclass(frozen=True, slots=True)
class Row:
    """A disk and what it did since the table before; None when it has just come."""

    disk: DiskView
    rates: Rates | None


_ORDER: dict[str, Callable[[Row], Any]] = {
    "dom": lambda row: row.disk.key,
    "vdev": lambda row: (row.disk.vdev, row.disk.key),
    "reads": lambda row: -_rates(row).reads,
    "writes": lambda row: -_rates(row).writes,
    "bytes": lambda row: -_rates(row).bytes,
    "qd": lambda row: -row.disk.counters.in_flight,
    "p50": lambda row: -(_rates(row).p50 or 0),
    "p99": lambda row: -(_rates(row).p99 or 0),
    "errors": lambda row: -row.disk.counters.errors,
    "health": lambda row: _WORST_FIRST[row.disk.health.severity],
}


def run(args: argparse.Namespace) -> int:
    """Until interrupted or ``-n`` tables are shown."""
    in_place = not args.batch and not args.json and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    shown = 0
    with remote(settings_of(args)) as engine, Signals((signal.SIGTERM, signal.SIGINT)) as signals:
        before = engine.snapshot()
        due = time.monotonic()
        while args.count is None or shown < args.count:
            due = max(due + args.delay, time.monotonic())
            if signals.wait(due - time.monotonic()) is not None:
                break
            now = engine.snapshot()
            rows = rows_of(before, now, args.sort)
            if args.json:
                print_json(_json(before, now, rows))
            elif in_place:
                _draw(now, rows, first=shown == 0)
            else:
                lines = _lines(now, rows)
                print("\n".join([*([""] if shown else []), *(line.painted() for line in lines)]), flush=True)
            before, shown = now, shown + 1
    return 0


def rows_of(before: Snapshot, now: Snapshot, sort: str = "dom") -> list[Row]:
    """Every disk of ``now`` with its rates, in the order of a column; what is equal there, by domain."""
    rates = between(before, now)
    rows = [Row(disk, rates.get(disk.key)) for disk in now.disks]
    return sorted(sorted(rows, key=_ORDER["dom"]), key=_ORDER[sort])


def _rates(row: Row) -> Rates:
    return row.rates or Rates()


# tables ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """Text whose end, from ``start`` on, has a colour."""

    text: str
    start: int
    colour: str

    def painted(self, width: int | None = None) -> str:
        text = self.text
        if width is not None and len(text) > width:
            text = f"{text[: max(width - 1, 0)]}…"
        end = text[self.start :]
        return text[: self.start] + (paint(end, self.colour) if end else "")


def _lines(now: Snapshot, rows: Sequence[Row], width: int | None = None) -> list[_Line]:
    """What engine it is, and the table, with the columns that there is room for in ``width``."""
    sums = together(map(_rates, rows))
    problems = sum(row.disk.health.unwell for row in rows)
    about = (
        f"{units.clock_seconds(now.time)}  engine on {one_line(now.host)}, "
        f"{counted(len(rows), 'disk')}, {problems} with problems, {units.count(sums.operations)} requests/s, "
        f"{units.throughput(sums.bytes)}"
    )
    head, *lines = _table(list(map(_cells, rows)), width)
    found = [_Line(about, len(about), "info"), _Line(head, 0, "bold")]
    for line, row in zip(lines, rows, strict=True):
        sentence = one_line(row.disk.health.sentence)
        found.append(_Line(line, len(line) - len(sentence), row.disk.health.severity.value))
    return found


def _table(rows: list[dict[str, str]], width: int | None) -> list[str]:
    heads = list(rows[0]) if rows else ["DOM", "DOMAIN", "VDEV", "HEALTH"]
    for dropped in ((), *_DROPPED):
        heads = [head for head in heads if head not in dropped]
        right = frozenset(index for index, head in enumerate(heads) if head not in _LEFT)
        lines = table([heads, *([row[head] for head in heads] for row in rows)], right=right)
        if width is None or lines[0].index("HEALTH") + _LEAST_HEALTH <= width:
            break
    return lines


def _cells(row: Row) -> dict[str, str]:
    disk, rates = row.disk, row.rates
    figures = ("-",) * 4
    if rates is not None:
        figures = (
            units.count(rates.reads),
            units.count(rates.writes),
            units.megabytes(rates.read_bytes),
            units.megabytes(rates.written_bytes),
        )
    return {
        "DOM": str(disk.domid),
        "DOMAIN": disk.domain,
        "VDEV": disk.vdev,
        "FRONT": disk.frontend_state.word,
        "BACK": disk.backend_state.word,
        **dict(zip(("r/s", "w/s", "rMB/s", "wMB/s"), figures, strict=True)),
        "QD": str(disk.counters.in_flight),
        "p50": units.latency(rates.p50 if rates else None),
        "p99": units.latency(rates.p99 if rates else None),
        "ERR": str(disk.counters.errors),
        "HEALTH": disk.health.sentence,
    }


def _draw(now: Snapshot, rows: Sequence[Row], *, first: bool) -> None:
    """Over what was there, cut to the terminal."""
    width, height = shutil.get_terminal_size()
    lines = _lines(now, rows, width)
    shown = lines[: max(height - 1, 1)]
    if len(shown) < len(lines):
        rest = f"… {counted(len(lines) - len(shown) + 1, 'more disk')}"
        shown = [*shown[:-1], _Line(rest, 0, "info")]
    clear = "\x1b[2J" if first else ""
    body = "".join(f"{line.painted(width)}\x1b[K\n" for line in shown)
    print(f"{clear}\x1b[H{body}\x1b[J", end="", flush=True)


def _json(before: Snapshot, now: Snapshot, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "version": JSON_VERSION,
        "time": now.time,
        "seconds": round(now.monotonic - before.monotonic, 6),
        "disks": [_disk_json(row) for row in rows],
    }


def _disk_json(row: Row) -> dict[str, Any]:
    disk, rates = row.disk, row.rates
    named = {
        "domid": disk.domid,
        "domain": disk.domain,
        "vdev": disk.vdev,
        "devid": disk.devid,
        "frontend_state": disk.frontend_state.word,
        "backend_state": disk.backend_state.word,
    }
    figures = ("reads", "writes", "flushes", "discards", "read_bytes", "written_bytes")
    return {
        **named,
        **{name: round(getattr(rates, name), 3) if rates else None for name in figures},
        "p50_ns": rates.p50 and round(rates.p50) if rates else None,
        "p99_ns": rates.p99 and round(rates.p99) if rates else None,
        "in_flight": disk.counters.in_flight,
        "errors": disk.counters.errors,
        "health": {"severity": disk.health.severity.value, "sentence": disk.health.sentence},
    }
