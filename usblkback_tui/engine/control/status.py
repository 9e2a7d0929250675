# SPDX-License-Identifier: MIT
"""What scripts read of an engine: ``usblkback-tui status --json``, documented in docs/json.md.

A contract with other people's programs, so it is spelled out here and does not follow the snapshot's fields.
"""

from __future__ import annotations

from typing import Any

from usblkback_tui.engine.snapshot import DiskView, Event, Snapshot

STATUS_VERSION = 1
"""Counts changes that an older reader would misunderstand; new members are none."""


def status_json(snapshot: Snapshot, *, pid: int, program: str) -> dict[str, Any]:
    """The whole document."""
    return {
        "version": STATUS_VERSION,
        "engine": {
            "pid": pid,
            "program": program,
            "host": snapshot.host,
            "domid": snapshot.domid,
            "started": snapshot.started,
            "time": snapshot.time,
            "max_disks": snapshot.max_disks,
        },
        "disks": [disk_json(disk) for disk in snapshot.disks],
        "pending": [
            {
                "domain": one.domain,
                "vdev": one.vdev,
                "devid": one.devid,
                "image": one.image,
                "mode": one.mode,
                "since": one.since,
                "until": one.until,
            }
            for one in snapshot.pending
        ],
    }


def disk_json(disk: DiskView) -> dict[str, Any]:
    """One disk of it."""
    counters = disk.counters
    return {
        "domid": disk.domid,
        "domain": disk.domain,
        "vdev": disk.vdev,
        "devid": disk.devid,
        "image": disk.image,
        "mode": disk.mode,
        "kind": disk.kind,
        "sectors": disk.sectors,
        "sector_size": disk.sector_size,
        "device_type": disk.device_type,
        "direct": disk.direct,
        "frontend_state": disk.frontend_state.word,
        "backend_state": disk.backend_state.word,
        "online": disk.online,
        "queues": len(disk.rings),
        "limits": {
            "queues": disk.limits.queues,
            "ring_pages": disk.limits.ring_pages,
            "segments": disk.limits.segments,
            "persistent_pages": disk.limits.persistent_pages,
        },
        "rings": [
            {
                "index": ring.index,
                "pages": ring.pages,
                "slots": ring.slots,
                "protocol": ring.protocol,
                "grant_mode": ring.grant_mode,
                "io_engine": ring.io_engine,
                "in_flight": ring.counters.in_flight,
                "grants_mapped": ring.counters.grants_mapped,
            }
            for ring in disk.rings
        ],
        "reads": counters.reads,
        "writes": counters.writes,
        "flushes": counters.flushes,
        "discards": counters.discards,
        "bytes_read": counters.bytes_read,
        "bytes_written": counters.bytes_written,
        "errors": counters.errors,
        "in_flight": counters.in_flight,
        "health": {"severity": disk.health.severity.value, "sentence": disk.health.sentence},
    }


def event_json(event: Event) -> dict[str, Any]:
    """One line of ``usblkback-tui watch --json``."""
    change = event.change
    return {
        "version": STATUS_VERSION,
        "seq": event.seq,
        "time": event.time,
        "severity": event.severity.value,
        "kind": event.kind,
        "text": event.text,
        "domid": event.domid,
        "devid": event.devid,
        "vdev": event.vdev,
        "change": change and {"end": change.end, "old": change.old.word, "new": change.new.word, "time": change.time},
    }
