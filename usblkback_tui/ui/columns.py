# SPDX-License-Identifier: MIT
"""The columns of the disk table."""

from __future__ import annotations

from usblkback_tui.engine.snapshot import Severity
from usblkback_tui.ui import units
from usblkback_tui.ui.livetable import Column
from usblkback_tui.ui.palette import SEVERITY_STYLE, SEVERITY_SYMBOL, state_style
from usblkback_tui.ui.scene import DiskRow
from usblkback_tui.ui.text import Span, clean

MODE_WORDS = {"r": "ro", "w": "rw"}
_WORST_FIRST = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2, Severity.GOOD: 3}


def _p50(row: DiskRow) -> Span:
    value = row.rates.p50 if row.rates else None
    return units.latency(value), "faint" if value is None else ""


def _number(row: DiskRow) -> str:
    """Of its domain, once that has one."""
    return str(row.disk.domid) if row.disk.domid >= 0 else "-"


def _size(row: DiskRow) -> Span:
    return (units.capacity(row.disk.sectors), "") if row.disk.sectors else ("-", "faint")


def _figure(row: DiskRow, text: str, value: float) -> Span:
    """A rate: quiet when it is zero, a dash when there is none yet."""
    if row.rates is None:
        return "-", "faint"
    return text, "" if value > 0 else "muted"


def _reads(row: DiskRow) -> Span:
    value = row.rates.reads if row.rates else 0.0
    return _figure(row, units.count(value), value)


def _writes(row: DiskRow) -> Span:
    value = row.rates.writes if row.rates else 0.0
    return _figure(row, units.count(value), value)


def _bytes(row: DiskRow) -> Span:
    value = row.rates.bytes if row.rates else 0.0
    return _figure(row, units.megabytes(value), value)


def _depth(row: DiskRow) -> Span:
    value = row.disk.counters.in_flight
    return str(value), "" if value else "muted"


def _p99(row: DiskRow) -> Span:
    value = row.rates.p99 if row.rates else None
    return units.latency(value), "faint" if value is None else ""


def _errors(row: DiskRow) -> Span:
    value = row.disk.counters.errors
    return units.count(value), "bold error" if value else "muted"


def _rings(row: DiskRow) -> Span:
    value = len(row.disk.rings)
    return str(value) if value else "-", "" if value else "faint"


def _health(row: DiskRow) -> Span:
    health = row.disk.health
    return f"{SEVERITY_SYMBOL[health.severity]} {clean(health.sentence)}", SEVERITY_STYLE[health.severity]


def _rate(row: DiskRow, name: str) -> float:
    return float(getattr(row.rates, name)) if row.rates else -1.0


COLUMNS: tuple[Column[DiskRow], ...] = (
    Column(
        "dom",
        "DOM",
        lambda row: (f"{_number(row)} {clean(row.disk.domain)}", "bold"),
        lambda row: (row.disk.domid, row.disk.devid),
        least=6,
        most=18,
    ),
    Column("vdev", "VDEV", lambda row: (row.disk.vdev, "bold"), lambda row: row.disk.devid, least=5, most=8),
    Column(
        "image",
        "IMAGE",
        lambda row: (clean(row.disk.image.rpartition("/")[2] or row.disk.image), ""),
        lambda row: row.disk.image,
        least=6,
        most=16,
        drop=9,
    ),
    Column(
        "mode",
        "MODE",
        lambda row: (MODE_WORDS.get(row.disk.mode, row.disk.mode), "muted" if row.disk.mode == "w" else "info"),
        lambda row: row.disk.mode,
        least=4,
        drop=8,
    ),
    Column(
        "kind",
        "BY",
        lambda row: (row.disk.kind, "info" if row.foreign or row.disk.domid < 0 else "muted"),
        lambda row: row.disk.kind,
        least=6,
        most=11,
        drop=10,
    ),
    Column("size", "SIZE", _size, lambda row: row.disk.sectors, least=8, align=">", drop=11, descending=True),
    Column(
        "front",
        "FRONT",
        lambda row: (row.disk.frontend_state.word, state_style(row.disk.frontend_state)),
        lambda row: row.disk.frontend_state,
        least=9,
    ),
    Column(
        "back",
        "BACK",
        lambda row: (row.disk.backend_state.word, state_style(row.disk.backend_state)),
        lambda row: row.disk.backend_state,
        least=9,
    ),
    Column("rings", "RINGS", _rings, lambda row: len(row.disk.rings), least=5, align=">", drop=7, descending=True),
    Column("reads", "r/s", _reads, lambda row: _rate(row, "reads"), least=5, align=">", descending=True),
    Column("writes", "w/s", _writes, lambda row: _rate(row, "writes"), least=5, align=">", descending=True),
    Column("bytes", "MB/s", _bytes, lambda row: _rate(row, "bytes"), least=6, align=">", drop=1, descending=True),
    Column("depth", "QD", _depth, lambda row: row.disk.counters.in_flight, least=3, align=">", drop=4, descending=True),
    Column(
        "p50",
        "p50",
        _p50,
        lambda row: (row.rates.p50 if row.rates else None) or -1.0,
        least=5,
        align=">",
        drop=12,
        descending=True,
    ),
    Column(
        "p99",
        "p99",
        _p99,
        lambda row: (row.rates.p99 if row.rates else None) or -1.0,
        least=5,
        align=">",
        drop=2,
        descending=True,
    ),
    Column("errors", "ERR", _errors, lambda row: row.disk.counters.errors, least=4, align=">", drop=3, descending=True),
    Column(
        "health",
        "HEALTH",
        _health,
        lambda row: (_WORST_FIRST[row.disk.health.severity], row.disk.health.sentence),
        least=10,
    ),
)
