# SPDX-License-Identifier: MIT
"""Latency histograms: four buckets to each power of two, so any percentile is known within 12.5 %.

The data path counts in C with the same arithmetic (``datapath/stats.h``).  A value v in nanoseconds falls into

    v                              for v < 4
    4 * (msb - 1) + next two bits  else, msb being the number of its highest set bit
"""

from __future__ import annotations

from usblkback_tui.engine.snapshot import Histogram, Latency

BUCKETS = 160
"""Enough for 2**40 ns, some 18 minutes; the last bucket takes what is longer."""


def bucket_of(value: int) -> int:
    """The bucket that counts ``value`` nanoseconds."""
    if value < 4:
        return max(value, 0)
    msb = value.bit_length() - 1
    return min(4 * (msb - 1) + (value >> (msb - 2) & 3), BUCKETS - 1)


def bucket_floor(index: int) -> int:
    """The smallest value, in nanoseconds, that bucket ``index`` counts."""
    return index if index < 4 else (4 + (index & 3)) << ((index >> 2) - 1)


def percentile(histogram: Histogram, fraction: float) -> float | None:
    """The value in nanoseconds below which ``fraction`` (0..1) of the counted ones lie; None when nothing was counted.

    Interpolated inside the bucket it falls into.
    """
    total = sum(histogram.counts)
    if total == 0:
        return None
    rank = fraction * total
    seen = 0
    for index, count in enumerate(histogram.counts):
        if count and seen + count >= rank:
            low, high = bucket_floor(index), bucket_floor(index + 1)
            return low + (high - low) * max(rank - seen, 0.0) / count
        seen += count
    return float(bucket_floor(len(histogram.counts)))


def difference(new: Histogram, old: Histogram) -> Histogram:
    """What was counted between two readings of the same histogram."""
    if not old.counts:
        return new
    return Histogram(tuple(a - b for a, b in zip(new.counts, old.counts, strict=True)))


def difference_of(new: Latency, old: Latency) -> tuple[Histogram, ...]:
    """The same for each operation."""
    return (
        difference(new.read, old.read),
        difference(new.write, old.write),
        difference(new.flush, old.flush),
        difference(new.discard, old.discard),
    )


def total(*histograms: Histogram) -> Histogram:
    """Several histograms as one."""
    filled = [h.counts for h in histograms if h.counts]
    if len(filled) == 1:
        return Histogram(filled[0])
    return Histogram(tuple(map(sum, zip(*filled, strict=True)))) if filled else Histogram()
