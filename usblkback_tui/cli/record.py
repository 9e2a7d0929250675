# SPDX-License-Identifier: MIT
"""``record``: the running engine to a file, until interrupted or for some seconds."""

from __future__ import annotations

import argparse
import signal
import sys

from usblkback_tui.cli.common import remote, settings_of
from usblkback_tui.cli.output import JSON_VERSION, bytes_text, counted, note, one_line, print_json
from usblkback_tui.cli.signals import Signals
from usblkback_tui.engine.recording.recorder import Recorder
from usblkback_tui.engine.recording.redact import Redactor
from usblkback_tui.engine.recording.writer import Limits


def run(args: argparse.Namespace) -> int:
    """0 when it was told to end; 1 when it could not go on, and then what was recorded so far is kept."""
    limits = Limits(max_bytes=int(args.max_mb * 1e6), max_seconds=args.max_hours * 3600)
    with remote(settings_of(args)) as engine, Signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)) as signals:
        engine.snapshot()  # no file when there is nothing to record
        recorder = Recorder(
            engine, args.file, hz=args.hz, limits=limits, redactor=redactor_of(args), requests=args.requests
        )
        recorder.start()
        _follow(recorder, signals, args.seconds)
        seconds = recorder.seconds
        ended = recorder.stop()
    if not ended:
        note("the engine does not answer; what was not written yet is lost")
    problem = str(recorder.error) if recorder.error else ""
    if args.json:
        print_json({"version": JSON_VERSION, "recording": _json(recorder, seconds, problem)})
    else:
        print(one_line(_summary(recorder, seconds)))
    if problem:
        note(f"the recording ended: {problem}")
    return 1 if problem or not ended else 0


def redactor_of(args: argparse.Namespace) -> Redactor | None:
    """What ``--redact`` and ``--redact-names`` ask for."""
    return Redactor(names=args.redact_names) if args.redact or args.redact_names else None


def _follow(recorder: Recorder, signals: Signals, seconds: float | None) -> None:
    """Until a signal comes, ``seconds`` have passed or the recorder has ended by itself."""
    progress = _Progress()
    while recorder.running:
        left = 1.0 if seconds is None else min(seconds - recorder.seconds, 1.0)
        if left <= 0 or signals.wait(left) is not None:
            break
        progress.show(_summary(recorder, recorder.seconds) + (f"; {recorder.problem}" if recorder.problem else ""))
    progress.end()


class _Progress:
    """One line of a terminal, written over and over; nothing where there is no terminal."""

    def __init__(self) -> None:
        self._shown = 0
        self._wanted = sys.stderr.isatty()

    def show(self, text: str) -> None:
        if self._wanted:
            text = one_line(text)[:78]
            print(f"\r{text:<{self._shown}}", end="", file=sys.stderr, flush=True)
            self._shown = len(text)

    def end(self) -> None:
        if self._shown:
            print(file=sys.stderr, flush=True)


def _summary(recorder: Recorder, seconds: float) -> str:
    writer = recorder.writer
    text = (
        f"{writer.path}: {seconds:.0f} s, {counted(writer.frames, 'frame')}, {bytes_text(writer.bytes)}, "
        f"{counted(recorder.disks, 'disk')}"
    )
    return text + (f"; the oldest {counted(writer.dropped, 'frame')} made room" if writer.dropped else "")


def _json(recorder: Recorder, seconds: float, problem: str) -> dict[str, object]:
    writer = recorder.writer
    return {
        "path": str(writer.path),
        "seconds": round(seconds, 3),
        "frames": writer.frames - writer.dropped,
        "dropped": writer.dropped,
        "bytes": writer.bytes,
        "problem": problem,
    }
