# SPDX-License-Identifier: MIT
"""``replay``: a recording in the terminal UI, or what is in it, or its frames for other programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from usblkback_tui.cli.common import settings_of
from usblkback_tui.cli.output import JSON_VERSION, UsageError, bytes_text, clock, counted, one_line, print_json, table
from usblkback_tui.cli.record import redactor_of
from usblkback_tui.cli.screen import Ending, on_terminal, show
from usblkback_tui.engine.control.codec import encode
from usblkback_tui.engine.recording.frame import Frame
from usblkback_tui.engine.recording.lines import dump
from usblkback_tui.engine.recording.reader import Recording
from usblkback_tui.engine.recording.redact import Redactor
from usblkback_tui.engine.recording.replay import ReplayBackend
from usblkback_tui.engine.recording.writer import Limits, Writer

_NO_LIMIT = Limits(max_bytes=1 << 60, max_seconds=1e12)


def run(args: argparse.Namespace) -> int:
    """Show the UI unless something else was asked for."""
    copies = args.export or args.save is not None
    if not copies and (args.redact or args.redact_names or args.end is not None):
        raise UsageError("--redact, --redact-names and --to are for a copy", fix="use them with --export or --save")
    if not copies and not (args.info or args.json):
        return _on_screen(args)
    with Recording(args.file) as recording:
        if args.export:
            _export(args, recording)
        elif args.save is not None:
            _save(args, recording)
        elif args.json:
            print_json({"version": JSON_VERSION, "recording": _json(recording)})
        else:
            for line in table(_rows(recording)):
                print(line)
    return 0


def _on_screen(args: argparse.Namespace) -> int:
    if not on_terminal():
        raise UsageError("the terminal UI needs a terminal", fix="use --info, --json or --export without one")
    settings = settings_of(args)
    with closing(ReplayBackend(args.file)) as replay:
        replay.set_speed(args.speed)
        if args.begin is not None:
            replay.seek(args.begin)

        def after(ending: Ending) -> int:
            return 1 if ending.crashed else 0

        return show(replay, settings, title=f"replay {args.file.name}", engine_stays=True, after=after)


# copies ---------------------------------------------------------------------------------------------------------------


def _export(args: argparse.Namespace, recording: Recording) -> None:
    for frame in _wanted(args, recording, redactor_of(args)):
        sys.stdout.buffer.write(dump({"version": JSON_VERSION, **encode(frame)}))
    sys.stdout.buffer.flush()


def _save(args: argparse.Namespace, recording: Recording) -> None:
    redactor = redactor_of(args)
    redacted = {*recording.header.redacted, *(redactor.what if redactor else ())}
    with Writer(args.save, replace(recording.header, redacted=tuple(sorted(redacted))), _NO_LIMIT) as writer:
        for frame in _wanted(args, recording, redactor):
            writer.add(frame)
    if args.json:
        with Recording(args.save) as saved:
            print_json({"version": JSON_VERSION, "recording": _json(saved)})
    else:
        print(one_line(f"{args.save} is written: {counted(writer.frames, 'frame')}, {bytes_text(writer.bytes)}"))


def _wanted(args: argparse.Namespace, recording: Recording, redactor: Redactor | None) -> Iterator[Frame]:
    """The frames between ``--from`` and ``--to``, redacted as was asked for."""
    begin = recording.first if args.begin is None else args.begin
    end = recording.last if args.end is None else args.end
    if begin > recording.last or end < max(begin, recording.first):
        raise UsageError(
            f"there are no frames from {begin:g} to {end:g} s",
            fix=f"the recording has {recording.first:g} to {recording.last:g} s",
            key="--from",
        )
    if redactor:
        for frame in recording.keyframes():  # an event may speak of a disk that comes later
            redactor.learn(frame.snapshot)
    for frame in recording.frames(recording.number_at(begin)):
        if frame.at > end:
            return
        if frame.at >= begin:
            yield redactor.frame(frame) if redactor else frame


# what is in it --------------------------------------------------------------------------------------------------------


def _rows(recording: Recording) -> list[tuple[str, str]]:
    header = recording.header
    last = recording.frame(recording.count - 1).snapshot
    notes = ["its recorder was killed: the last part is missing"] if recording.truncated else []
    notes += [f"the first {recording.first:.0f} s made room for later ones"] if recording.first > 60 else []
    return [
        ("path", f"{recording.path} ({bytes_text(recording.size)})"),
        ("made by", f"usblkback-tui {header.program} on {last.host}, {header.hz:g} frames a second wanted"),
        ("begins", clock(header.created + recording.first)),
        ("ends", clock(header.created + recording.last)),
        (
            "holds",
            f"{recording.last - recording.first:.0f} s, {counted(recording.count, 'frame')}, "
            f"{counted(recording.events_count, 'event')}",
        ),
        ("redacted", " and ".join(header.redacted) or "nothing"),
        ("remarks", "; ".join(notes) or "none"),
        *(("disk", f"{disk.title}: {disk.image} ({disk.health.sentence})") for disk in last.disks),
    ]


def _json(recording: Recording) -> dict[str, object]:
    header = recording.header
    last = recording.frame(recording.count - 1).snapshot
    return {
        "path": str(recording.path),
        "bytes": recording.size,
        "program": header.program,
        "host": last.host,
        "hz": header.hz,
        "created": header.created,
        "first": recording.first,
        "last": recording.last,
        "frames": recording.count,
        "events": recording.events_count,
        "redacted": list(header.redacted),
        "truncated": recording.truncated,
        "disks": [
            {"domid": disk.domid, "domain": disk.domain, "vdev": disk.vdev, "image": disk.image} for disk in last.disks
        ],
    }
