# SPDX-License-Identifier: MIT
"""One ring of a disk as a block of lines: strip, indices, rates, batches, grants and notifications.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from usblkback_tui.engine.snapshot import Counters, DiskView, RingView, Snapshot
from usblkback_tui.protocol.ring import distance
from usblkback_tui.ui import units
from usblkback_tui.ui.slotstrip import index_spans, legend, strip_lines
from usblkback_tui.ui.text import Line, Span, line_width

GRANT_WORDS = {"persistent": "persistent grants", "copy": "grant copy", "map": "map per request"}
_LABEL = 10
_NOTHING = Counters()


def ring_lines(
    ring: RingView,
    change: tuple[Counters, Counters, float] | None,
    width: int,
    *,
    under_cursor: bool = False,
    cursor: int | None = None,
) -> list[Line]:
    """``change``: the ring's counters before and after, and the seconds between them."""
    c = ring.counters
    marker: Span = ("▸" if under_cursor else " ", "key")
    strip, marks = strip_lines(ring, width - _LABEL, cursor)
    (_, *first), *more = _flowed(
        "",
        [
            ((f"{_used(ring)}/{ring.slots} used", _used_style(ring)), ("   ", "")),
            *(
                ((f"{fact}   ", "muted"),)
                for fact in (
                    f"{ring.protocol}, {_pages(ring)}",
                    GRANT_WORDS.get(ring.grant_mode, ring.grant_mode),
                    ring.io_engine,
                    f"event channel {ring.event_channel}",
                )
            ),
        ],
        width,
    )
    lines: list[Line] = [(marker, (f"{f'ring {ring.index}':<{_LABEL - 1}}", "title bold"), *first), *more]
    lines += [_row("slots", *strip), _row("", *marks)]
    lines += _flowed("", _pairs(legend(ring)), width)
    lines += _flowed("indices", _pairs(index_spans(ring)), width)
    lines += _flowed("rates", _rates(change), width)
    lines += _flowed("wake-ups", _wakeups(change, c), width)
    lines += _flowed("grants", _grants(c), width)
    return lines


def change_of(
    disk: DiskView, ring: RingView, pair: tuple[Snapshot, Snapshot] | None
) -> tuple[Counters, Counters, float] | None:
    """The counters of a ring at both ends of the last second; None when it was not there at both."""
    if pair is None:
        return None
    old, new = (_ring(snapshot.disk(disk.key), ring.index) for snapshot in pair)
    seconds = pair[1].monotonic - pair[0].monotonic
    if old is None or new is None or seconds <= 0 or new.counters.responses < old.counters.responses:
        return None
    return old.counters, new.counters, seconds


def _ring(disk: DiskView | None, index: int) -> RingView | None:
    return next((ring for ring in disk.rings if ring.index == index), None) if disk else None


def _row(label: str, *spans: Span) -> Line:
    return ((f"{label:<{_LABEL}}", "muted"), *spans)


def _flowed(label: str, parts: Sequence[Line], width: int) -> list[Line]:
    """Parts one after the other, on more lines where one is too short."""
    lines: list[Line] = []
    line: list[Span] = []
    for part in parts:
        if line and line_width(tuple(line)) + line_width(part) > width - _LABEL:
            lines.append(_row("" if lines else label, *line))
            line = []
        line += part
    if line:
        lines.append(_row("" if lines else label, *line))
    return lines


def _pairs(spans: Line) -> list[Line]:
    return [spans[at : at + 3] for at in range(0, len(spans), 3)]


def _used(ring: RingView) -> int:
    return min(distance(ring.req_prod, ring.rsp_prod), ring.slots + 1)


def _used_style(ring: RingView) -> str:
    used = _used(ring)
    return "bold error" if used > ring.slots else "bold warning" if used == ring.slots else "bold"


def _pages(ring: RingView) -> str:
    return "1 page" if ring.pages == 1 else f"{ring.pages} pages"


def _figure(value: str, word: str, style: str = "") -> Line:
    return (value, style or "bold"), (f" {word}   ", "muted")


def _rates(change: tuple[Counters, Counters, float] | None) -> list[Line]:
    if change is None:
        return [(("not measured yet", "faint"),)]
    old, new, seconds = change

    def rate(name: str) -> float:
        return float(getattr(new, name) - getattr(old, name)) / seconds

    return [
        _figure(units.count(rate("reads")), "r/s", "bold read"),
        _figure(units.count(rate("writes")), "w/s", "bold write"),
        _figure(units.throughput(rate("bytes_read")), "read", "read"),
        _figure(units.throughput(rate("bytes_written")), "written", "write"),
        _figure(str(new.in_flight), "in flight"),
    ]


def _wakeups(change: tuple[Counters, Counters, float] | None, c: Counters) -> list[Line]:
    old, new, seconds = change or (_NOTHING, c, 0.0)
    wakeups, responses = new.wakeups - old.wakeups, new.responses - old.responses
    sent = new.notifies_sent - old.notifies_sent
    suppressed = new.notifies_suppressed - old.notifies_suppressed
    asked = sent + suppressed
    parts = []
    if seconds:
        parts.append(_figure(units.count(wakeups / seconds), "/s"))
    parts.append(_figure(f"{responses / wakeups:.1f}" if wakeups else "-", "requests each"))
    parts.append(_figure(f"{100 * suppressed / asked:.0f} %" if asked else "-", "of notifications suppressed"))
    polls = new.polls - old.polls
    if polls:
        hits = 100 * (new.poll_hits - old.poll_hits) / polls
        parts.append(_figure(f"{hits:.0f} %", f"of {units.count(polls)} polls found work"))
    return parts


def _grants(c: Counters) -> list[Line]:
    parts = [
        _figure(f"{c.grants_mapped:,}", "pages mapped now"),
        _figure(units.count(c.maps), "maps", "muted"),
        _figure(units.count(c.unmaps), "unmaps", "muted"),
    ]
    if c.copies:
        parts.append(_figure(units.count(c.copies), "copied"))
    if c.evictions or c.idle_releases:
        parts.append(_figure(units.count(c.evictions), "evicted", "muted"))
        parts.append(_figure(units.count(c.idle_releases), "released idle", "muted"))
    return parts
