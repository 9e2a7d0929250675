# SPDX-License-Identifier: MIT
"""Percentiles of latency by operation, over the last seconds and since the disk was attached.  Pure."""

from __future__ import annotations

from usblkback_tui.engine.latency import bucket_floor, difference, percentile, total
from usblkback_tui.engine.snapshot import DiskView, Histogram, Latency
from usblkback_tui.ui import units
from usblkback_tui.ui.text import Line, Span, fit

FRACTIONS = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))
OPERATIONS = ("read", "write", "flush", "discard")
_LABEL, _COUNT, _CELL = 9, 8, 7
NARROW = _LABEL + _COUNT + _CELL * (len(FRACTIONS) + 1)
"""Cells of one half of the table."""

EMPTY = Histogram()


def percentile_lines(disk: DiskView, before: DiskView | None, seconds: int, width: int) -> list[Line]:
    """A line for each operation; ``before`` is the disk ``seconds`` earlier.

    Where there is room both halves stand side by side, else only the last seconds.
    """
    both = width >= 2 * NARROW + 2
    recent = f"last {seconds} s" if before is not None and seconds else "since attach"
    lines: list[Line] = []
    if both:
        lines.append(((f"{recent:<{NARROW + 2}}", "title"), ("since attach", "title")))
    head = _head()
    lines.append((*head, ("  ", ""), *head) if both else head)
    for name in (*OPERATIONS, "all"):
        now = _histogram(disk.latency, name)
        was = _histogram(before.latency, name) if before is not None else EMPTY
        left = _row(name, counted(was, now))
        lines.append((*left, ("  ", ""), *_row(name, now)) if both else left)
    return lines


def counted(was: Histogram, now: Histogram) -> Histogram:
    """What was counted between two readings; all of it when the counting began anew."""
    if len(was.counts) != len(now.counts):
        return now
    result = difference(now, was)
    return now if result.counts and min(result.counts) < 0 else result


def slowest(histogram: Histogram) -> float | None:
    """The upper bound of the last bucket that counted something."""
    used = [index for index, count in enumerate(histogram.counts) if count]
    return float(bucket_floor(used[-1] + 1)) if used else None


def _histogram(latency: Latency, name: str) -> Histogram:
    if name == "all":
        return total(latency.read, latency.write, latency.flush, latency.discard)
    found: Histogram = getattr(latency, name)
    return found


def _head() -> Line:
    titles = [name for name, _ in FRACTIONS] + ["max"]
    return (
        (fit("", _LABEL), ""),
        (fit("count", _COUNT, ">"), "muted"),
        *((fit(title, _CELL, ">"), "muted") for title in titles),
    )


def _row(name: str, histogram: Histogram) -> Line:
    count = sum(histogram.counts)
    quiet = "" if count else "faint"
    spans: list[Span] = [
        (fit(name, _LABEL), "bold" if name == "all" and count else quiet or "muted"),
        (fit(units.count(count) if count else "-", _COUNT, ">"), quiet),
    ]
    values = [percentile(histogram, fraction) for _, fraction in FRACTIONS] + [slowest(histogram)]
    spans += [(fit(units.latency(value), _CELL, ">"), _warmth(value)) for value in values]
    return tuple(spans)


def _warmth(value: float | None) -> str:
    """Slow is what one looks for: 20 ms is a disk's seek and more, 200 ms is felt."""
    if value is None:
        return "faint"
    return "error" if value >= 200e6 else "warning" if value >= 20e6 else ""
