# SPDX-License-Identifier: MIT
"""What the engine's process costs, thread by thread, and what this screen costs.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from usblkback_tui.engine.snapshot import EngineFacts, Snapshot, ThreadFacts
from usblkback_tui.ui import units
from usblkback_tui.ui.livetable import Column
from usblkback_tui.ui.text import Line, Span, clean

LABEL = 16


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """One thread; the rates are None until they were measured."""

    tid: int
    name: str
    cpu_percent: float | None
    wakeups: float | None
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class OwnCost:
    """What the screens cost, as they measure it themselves."""

    tick_ms: float = 0.0
    """The last tick on the event loop."""
    slowest_tick_ms: float = 0.0
    lag_ms: float = 0.0
    """How late the event loop was for its last timer."""
    worst_lag_ms: float = 0.0
    """Of the last minute."""
    ticks: int = 0
    painted: int = 0
    """Rows painted in the last second."""
    drawn: int = 0
    """Panes made anew in the last second."""
    refresh_hz: float = 0.0
    moments: int = 0
    """Seconds of past that are kept."""


def thread_rows(pair: tuple[Snapshot, Snapshot] | None, now: Snapshot) -> list[ThreadRow]:
    """The threads of the engine with what they did between two snapshots."""
    old, new = (pair[0].engine, pair[1].engine) if pair else (None, now.engine)
    seconds = new.monotonic - old.monotonic if old else 0.0
    before = {thread.tid: thread for thread in old.threads} if old and old.pid == new.pid and seconds > 0 else {}
    return [_thread_row(thread, before.get(thread.tid), seconds) for thread in new.threads]


def _thread_row(now: ThreadFacts, was: ThreadFacts | None, seconds: float) -> ThreadRow:
    if was is None:
        return ThreadRow(now.tid, now.name, None, None, now.cpu_seconds)
    return ThreadRow(
        now.tid,
        now.name,
        max(now.cpu_seconds - was.cpu_seconds, 0.0) / seconds * 100,
        max(now.wakeups - was.wakeups, 0) / seconds,
        now.cpu_seconds,
    )


def _percent(value: float | None) -> Span:
    if value is None:
        return "-", "faint"
    return f"{value:.1f}", "bold warning" if value >= 80 else "" if value >= 0.05 else "muted"


def _count(value: float | None) -> Span:
    return ("-", "faint") if value is None else (units.count(value), "" if value else "muted")


THREAD_COLUMNS: tuple[Column[ThreadRow], ...] = (
    Column("tid", "TID", lambda r: (str(r.tid), "muted"), lambda r: r.tid, least=7, align=">"),
    Column(
        "cpu",
        "CPU %",
        lambda r: _percent(r.cpu_percent),
        lambda r: r.cpu_percent or 0.0,
        least=6,
        align=">",
        descending=True,
    ),
    Column(
        "wakeups",
        "WAKE-UPS/s",
        lambda r: _count(r.wakeups),
        lambda r: r.wakeups or 0.0,
        least=10,
        align=">",
        descending=True,
    ),
    Column(
        "seconds",
        "CPU s",
        lambda r: (f"{r.cpu_seconds:.1f}", "muted"),
        lambda r: r.cpu_seconds,
        least=8,
        align=">",
        descending=True,
    ),
    Column("name", "THREAD", lambda r: (clean(r.name), "bold"), lambda r: r.name, least=12),
)


def engine_lines(pair: tuple[Snapshot, Snapshot] | None, now: Snapshot) -> list[Line]:
    """The process as a whole."""
    facts = now.engine
    return [
        _row("process", f"pid {facts.pid}", f"up {units.elapsed(facts.uptime)}"),
        _row("host", now.host, f"domain {now.domid}" + (", read-only" if now.read_only else "")),
        _row("CPU", _whole_cpu(pair), f"{facts.cpu_seconds:.1f} s in all"),
        _row("threads", str(len(facts.threads)), f"{facts.descriptors} file descriptors"),
        _row("memory", f"{facts.resident_bytes / 2**20:.0f} MiB", "resident"),
        _row("grants mapped", f"{facts.grants_mapped:,}", _budget(facts)),
        _row("disks", f"{len(now.disks)}", f"of {now.max_disks}; others serve {len(now.foreign)}"),
    ]


def _whole_cpu(pair: tuple[Snapshot, Snapshot] | None) -> str:
    if pair is None or (seconds := pair[1].engine.monotonic - pair[0].engine.monotonic) <= 0:
        return "-"
    return f"{max(pair[1].engine.cpu_seconds - pair[0].engine.cpu_seconds, 0.0) / seconds * 100:.1f} %"


def _budget(facts: EngineFacts) -> str:
    return f"of {facts.grant_budget:,} pages" if facts.grant_budget else "pages, without a limit"


def cost_lines(cost: OwnCost) -> list[Line]:
    """The screens."""
    return [
        _row("tick", f"{cost.tick_ms:.1f} ms", f"the slowest {cost.slowest_tick_ms:.1f} ms, of {cost.ticks}"),
        _row("loop lag", f"{cost.lag_ms:.1f} ms", f"the worst of a minute {cost.worst_lag_ms:.1f} ms"),
        _row("painted", f"{cost.painted}", "rows in the last second"),
        _row("drawn", f"{cost.drawn}", "panes in the last second"),
        _row("refresh", f"{cost.refresh_hz:g} Hz", ""),
        _row("past", units.elapsed(cost.moments), "can be gone back to"),
    ]


def _row(label: str, value: str, note: str) -> Line:
    return (f"{label:<{LABEL}}", "muted"), (f"{value:<12}", "bold"), (f"  {note}", "muted")


def figures(lines: Sequence[Line]) -> list[tuple[str, str]]:
    """Label and text of such lines, for an export."""
    return [(line[0][0].strip(), "".join(text for text, _ in line[1:]).strip()) for line in lines]
