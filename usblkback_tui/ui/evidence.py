# SPDX-License-Identifier: MIT
"""All that is known of one disk as Markdown, for a mail or a ticket.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from usblkback_tui import __version__
from usblkback_tui.engine.snapshot import DiskView, RingView
from usblkback_tui.protocol.ring import MASK
from usblkback_tui.ui import units
from usblkback_tui.ui.detail import detail_lines
from usblkback_tui.ui.diagnosis import diagnosis_lines
from usblkback_tui.ui.eventlog import event_line
from usblkback_tui.ui.percentiles import percentile_lines
from usblkback_tui.ui.scene import Scene
from usblkback_tui.ui.sequence import step_lines, steps_of
from usblkback_tui.ui.text import Line, clean, plain

WIDTH = 100
EVENTS = 40
"""Events of the disk at most."""


def evidence(scene: Scene) -> str:
    """The selected disk, as it is in this scene; empty when none is selected."""
    disk = scene.disk
    if disk is None:
        return ""
    parts = [
        f"# {clean(disk.title)}",
        "",
        f"domid {disk.domid}, devid {disk.devid}, at {units.clock(scene.now)} on host {scene.snapshot.host}; "
        f"usblkback-tui {__version__}",
        "",
        f"**{clean(disk.health.sentence)}** ({disk.health.severity.value})",
    ]
    if disk.expected is not None:
        limit = f", within {disk.expected.seconds:g} s" if disk.expected.seconds else ""
        parts += ["", f"Expected next: {disk.expected.who}: {disk.expected.what}{limit} — {disk.expected.reason}"]
    if disk.findings:
        parts += _block("Findings", diagnosis_lines(disk, WIDTH))
    parts += _block("State", detail_lines(disk, scene.disk_rates, WIDTH))
    parts += _block("Handshake", [line for step in range(steps_of(disk)) for line in step_lines(disk, step, WIDTH)])
    if disk.rings:
        parts += ["", "## Rings", "", *_rings(disk.rings)]
    before = scene.window.disk(disk.key) if scene.window else None
    parts += _block("Latency", percentile_lines(disk, before, scene.window_seconds, WIDTH))
    parts += _block("Events", _events(scene, disk))
    return "\n".join(parts) + "\n"


def _block(title: str, lines: Iterable[Line]) -> list[str]:
    """A heading and preformatted text; what guests wrote cannot end it early."""
    texts = [plain(line).rstrip().replace("```", "'''") for line in lines]
    return ["", f"## {title}", "", "```", *texts, "```"] if texts else []


def _rings(rings: Sequence[RingView]) -> list[str]:
    rows = [
        "| ring | slots | req_prod | req_cons | rsp_prod | req_event | rsp_event | in flight | notifications |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for ring in rings:
        indices = [ring.req_prod, ring.req_cons, ring.rsp_prod, ring.req_event, ring.rsp_event]
        cells = [ring.index, ring.slots, *(index & MASK for index in indices), ring.counters.in_flight]
        c = ring.counters
        notes = f"{c.notifies_sent} sent, {c.notifies_suppressed} suppressed"
        rows.append("| " + " | ".join(map(str, cells)) + f" | {notes} |")
    return rows


def _events(scene: Scene, disk: DiskView) -> list[Line]:
    own = [event for event in scene.log if event.domid == disk.domid and event.devid in (disk.devid, None)]
    return [event_line(event, disk.domain) for event in own[-EVENTS:]]
