# SPDX-License-Identifier: MIT
"""Numbers as people read them: 12.3k, 4.5M/s, 412 µs, 01:02:03.114."""

from __future__ import annotations

import time

_STEPS = "kMGTPE"


def count(value: float) -> str:
    """A number in at most five characters: ``0``, ``3.2``, ``812``, ``12.3k``, ``123k``, ``4.5M``."""
    if value <= 0:
        return "0"
    if value < 0.05:
        return "0.1"
    if value < 9.95:
        return f"{value:.1f}".removesuffix(".0")
    if value < 999.5:
        return f"{value:.0f}"
    for step in _STEPS:
        value /= 1000
        if value < 99.95:
            return f"{value:.1f}{step}"
        if value < 999.5:
            return f"{value:.0f}{step}"
    return f"{value:.0f}{_STEPS[-1]}"


def whole(value: int) -> str:
    """A total with its digits grouped up to seven of them, short after that: ``1,234,567``, ``12.3M``."""
    return f"{value:,}" if value < 10_000_000 else count(value)


def megabytes(bytes_per_second: float) -> str:
    """The number under a ``MB/s`` heading (1 MB is 10**6 bytes)."""
    value = bytes_per_second / 1e6
    if value <= 0:
        return "0.0"
    return f"{value:.1f}" if value < 999.95 else f"{value:,.0f}" if value < 99_999.5 else count(value)


def throughput(bytes_per_second: float) -> str:
    """``4.5M/s``: bytes a second with their unit."""
    return f"{count(bytes_per_second)}B/s" if bytes_per_second < 999.5 else f"{count(bytes_per_second)}/s"


def latency(nanoseconds: float | None) -> str:
    """``8.1µs``, ``412µs``, ``1.7ms``, ``23ms``, ``1.2s``; ``-`` when nothing was measured."""
    if nanoseconds is None:
        return "-"
    value, unit = nanoseconds / 1e3, "µs"
    if value >= 999.5:
        value, unit = value / 1e3, "ms"
    if unit == "ms" and value >= 999.5:
        value, unit = value / 1e3, "s"
    return f"{value:.1f}{unit}" if value < 9.95 else f"{value:.0f}{unit}"


def elapsed(seconds: float) -> str:
    """Time: ``0.4 ms``, ``31 ms``, ``1.2 s``, ``42 s``, ``3 min 05 s``, ``12 min``, ``2 h 03 min``, ``4 d 2 h``."""
    if seconds < 0.0095:
        return f"{max(seconds, 0.0) * 1e3:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 10:
        return f"{minutes} min {rest:02} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24} d {hours % 24} h"


def milliseconds(seconds: float) -> str:
    """The step between two transitions: ``+0.4 ms``, ``+1,204 ms``, ``+42 s`` beyond ten seconds."""
    if seconds >= 10:
        return f"+{elapsed(seconds)}"
    value = max(seconds, 0.0) * 1e3
    return f"+{value:.1f} ms" if value < 99.95 else f"+{value:,.0f} ms"


def clock(when: float) -> str:
    """Local time with milliseconds: ``01:02:03.114``."""
    return f"{clock_seconds(when)}.{int(when * 1000) % 1000:03}"


def clock_seconds(when: float) -> str:
    """Local time: ``01:02:03``."""
    return time.strftime("%H:%M:%S", time.localtime(when))


def capacity(sectors: int) -> str:
    """A size given in 512-byte sectors: ``512 B``, ``64 MiB``, ``1.5 TiB``."""
    value = float(sectors * 512)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024 or unit == "PiB":
            return f"{value:.1f}".removesuffix(".0") + f" {unit}"
        value /= 1024
    raise AssertionError
