# SPDX-License-Identifier: MIT
"""Everything known of one disk: its image, its two ends, its totals and each of its rings.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from usblkback_tui.engine.rates import Rates
from usblkback_tui.engine.snapshot import DiskView, RingView
from usblkback_tui.protocol.ring import MASK
from usblkback_tui.ui import units
from usblkback_tui.ui.columns import MODE_WORDS
from usblkback_tui.ui.palette import SEVERITY_STYLE, SEVERITY_SYMBOL, state_style
from usblkback_tui.ui.ringblock import GRANT_WORDS
from usblkback_tui.ui.text import Line, Span, clean, fit_path, wrap

LABEL = 10


def detail_lines(disk: DiskView, rates: Rates | None, width: int) -> list[Line]:
    """The pane that follows the cursor."""
    return [
        *_identity(disk, width),
        (),
        *_ends(disk, width),
        (),
        *_totals(disk, rates),
        *(line for ring in disk.rings for line in ((), *_ring(ring, width))),
        *(((), (("No ring: the ends are not connected.", "muted"),)) if not disk.rings else ()),
    ]


def summary_lines(disk: DiskView, rates: Rates | None, width: int) -> list[Line]:
    """The same in five lines, where there is no room for more."""
    mode = MODE_WORDS.get(disk.mode, disk.mode)
    size = units.capacity(disk.sectors) if disk.sectors else "not open"
    facts = f"  {size}  {mode}  {disk.kind}"
    rings = ", ".join(f"{ring.slots} slots" for ring in disk.rings[:1])
    many = f"{len(disk.rings)} rings of {rings}" if len(disk.rings) > 1 else f"1 ring of {rings}"
    lines: list[Line] = [
        _row("image", (fit_path(clean(disk.image), width - LABEL - len(facts)), "bold"), (facts, "muted")),
        _row(
            "states",
            (f"frontend {disk.frontend_state.word}", state_style(disk.frontend_state)),
            ("   ", ""),
            (f"backend {disk.backend_state.word}", state_style(disk.backend_state)),
            (f"   {many if disk.rings else 'no ring'}", "muted"),
        ),
    ]
    if rates is None:
        lines.append(_row("rates", ("not measured yet", "faint")))
    else:
        lines.append(
            _row(
                "rates",
                (f"{units.count(rates.reads)} r/s", "bold read"),
                (f" {units.throughput(rates.read_bytes)}   ", "muted"),
                (f"{units.count(rates.writes)} w/s", "bold write"),
                (f" {units.throughput(rates.written_bytes)}   ", "muted"),
                (f"p50 {units.latency(rates.p50)}  p99 {units.latency(rates.p99)}", ""),
            )
        )
    style = SEVERITY_STYLE[disk.health.severity]
    symbol = SEVERITY_SYMBOL[disk.health.severity]
    pieces = wrap(f"{symbol} {clean(disk.health.sentence)}", width - LABEL, style, 2)
    lines.append(_row("health", *pieces[0]))
    return lines + [_row("", *piece) for piece in pieces[1:]]


def _row(label: str, *spans: Span) -> Line:
    return ((f"{label:<{LABEL}}", "muted"), *spans)


def _identity(disk: DiskView, width: int) -> Iterator[Line]:
    room = width - LABEL
    image = clean(disk.image)
    yield _row("image", (fit_path(image, room), ""))
    size = units.capacity(disk.sectors) if disk.sectors else "not open"
    mode = {"rw": "read-write", "ro": "read-only"}.get(MODE_WORDS.get(disk.mode, ""), disk.mode)
    yield _row("size", (size, "bold"), (f"  {disk.sectors:,} sectors" if disk.sectors else "", "muted"))
    extras = [
        *(["CD"] if disk.device_type == "cdrom" else []),
        *(["direct I/O"] if disk.direct else []),
        *([f"sectors of {disk.sector_size}"] if disk.sector_size != 512 else []),
    ]
    yield _row("mode", (mode, "" if disk.mode == "w" else "info"), ("".join(f"  {one}" for one in extras), "muted"))
    yield _row("offered", *_limits(disk))
    owner = "attached here" if disk.owned else "attached by a toolstack"
    yield _row("kind", (disk.kind, ""), (f"  {owner}", "muted"))
    yield _row("device", (f"{disk.domid}/{disk.devid}", ""), (f"  {disk.vdev}, domid/devid", "muted"))


def _limits(disk: DiskView) -> Iterator[Span]:
    limits = disk.limits
    queues = "1 queue" if limits.queues == 1 else f"{limits.queues} queues"
    pages = "1 page" if limits.ring_pages == 1 else f"{limits.ring_pages} pages"
    yield f"{queues} of {pages}", ""
    yield f"  {limits.segments or 11} segments, {limits.persistent_pages:,} kept", "muted"


def _ends(disk: DiskView, width: int) -> Iterator[Line]:
    for label, state, since in (
        ("frontend", disk.frontend_state, disk.frontend_since),
        ("backend", disk.backend_state, disk.backend_since),
    ):
        word = (f"{state.value} {state.word:<13}", state_style(state))
        yield _row(label, word, (f"since {units.clock(since)}" if since else "", "muted"))
    if not disk.online:
        yield _row("online", ("0", "warning"), ("  to be removed once Closed", "muted"))
    style = SEVERITY_STYLE[disk.health.severity]
    symbol = SEVERITY_SYMBOL[disk.health.severity]
    pieces = wrap(f"{symbol} {clean(disk.health.sentence)}", width - LABEL, style, 4)
    yield _row("health", *pieces[0])
    for piece in pieces[1:]:
        yield _row("", *piece)


def _totals(disk: DiskView, rates: Rates | None) -> Iterator[Line]:
    c = disk.counters
    yield _row("reads", (f"{units.whole(c.reads):>11}", ""), (f"  {units.count(c.bytes_read)}B", "muted"))
    yield _row("writes", (f"{units.whole(c.writes):>11}", ""), (f"  {units.count(c.bytes_written)}B", "muted"))
    yield _row("flushes", (f"{units.whole(c.flushes):>11}", ""))
    yield _row("discards", (f"{units.whole(c.discards):>11}", ""), (f"  {units.count(c.bytes_discarded)}B", "muted"))
    if c.errors:
        why = ", ".join(
            f"{units.whole(value)} {word}"
            for value, word in (
                (c.bad_requests, "bad requests"),
                (c.io_errors, "image errors"),
                (c.map_errors, "grant errors"),
            )
            if value
        )
        yield _row("errors", (f"{units.whole(c.errors):>11}", "bold error"), (f"  {why}", "error"))
    else:
        yield _row("errors", (f"{'0':>11}", "good"))
    if rates is not None:
        latency = f"p50 {units.latency(rates.p50)}  p99 {units.latency(rates.p99)}"
        yield _row("latency", (latency, "" if rates.p99 is not None else "muted"))


def _ring(ring: RingView, width: int) -> Iterator[Line]:
    c = ring.counters
    yield (
        (f"{f'Ring {ring.index}':<{LABEL}}", "title"),
        (ring.protocol, ""),
        (f"  {GRANT_WORDS.get(ring.grant_mode, ring.grant_mode)}", "muted"),
    )
    unread = ring.req_prod - ring.req_cons & MASK
    served = ring.req_cons - ring.rsp_prod & MASK
    yield _row(
        "slots", *ring_bar(served, unread, ring.slots, width - LABEL - 9), _fullness(served + unread, ring.slots)
    )
    yield _row("", (f"■ {served}", "write"), (" in service  ", "muted"), (f"■ {unread}", "read"), (" unread", "muted"))
    yield _row("requests", (f"prod {ring.req_prod & MASK:<10} cons {ring.req_cons & MASK:<10}", ""))
    yield _row("responses", (f"prod {ring.rsp_prod & MASK:<10}", ""))
    yield _row("wake at", (f"req  {ring.req_event & MASK:<10} rsp  {ring.rsp_event & MASK:<10}", "muted"))
    pages = "1 page" if ring.pages == 1 else f"{ring.pages} pages"
    yield _row("channel", (f"event channel {ring.event_channel}", ""), (f"  {pages}, {ring.slots} slots", "muted"))
    yield _row("engine", (ring.io_engine, ""), (f"  {units.whole(c.indirect)} indirect", "muted"))
    yield _row(
        "grants",
        (f"{c.grants_mapped:,} mapped", ""),
        (f"  {units.count(c.maps)} maps  {units.count(c.unmaps)} unmaps", "muted"),
        (f"  {units.count(c.copies)} copied" if c.copies else "", "muted"),
    )
    asked = c.notifies_sent + c.notifies_suppressed
    share = f"{100 * c.notifies_suppressed / asked:.0f} % suppressed" if asked else "none yet"
    yield _row("notifies", (f"{units.count(c.notifies_sent)} sent", ""), (f"  {share}", "muted"))
    batch = f"{c.responses / c.wakeups:.1f} requests each" if c.wakeups else ""
    yield _row("wake-ups", (units.count(c.wakeups), ""), (f"  {batch}", "muted"))


def ring_bar(served: int, unread: int, slots: int, width: int) -> Line:
    """A ring as a bar: requests in service, requests the backend has not read, free slots.

    A guest can write any index; what does not fit a ring fills the bar.
    """
    width = max(width, 4)
    served, unread = min(served, slots), min(unread, slots)
    first = _share(served, slots, width)
    second = min(_share(unread, slots, width), width - first)
    return (("█" * first, "write"), ("█" * second, "read"), ("░" * (width - first - second), "faint"))


def _share(part: int, whole: int, width: int) -> int:
    return max(1, round(part / whole * width)) if part and whole else 0


def _fullness(used: int, slots: int) -> Span:
    if used > slots:
        return " broken", "bold error"
    return f" {used}/{slots}", "warning" if used == slots else ""
