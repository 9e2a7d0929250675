# SPDX-License-Identifier: MIT
"""Us as a contender: a guest process, its ring, the engine and the file; with the terminal UI or without."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.errors import BenchmarkError
from benchmarks.jobs import Job
from benchmarks.machine import ROOT
from benchmarks.reading import Pace, Reading
from benchmarks.rig import Order
from benchmarks.terminal import Terminal
from benchmarks.variants import DEFAULTS, Variant

_SET_UP_SECONDS = 60.0


class Files(Protocol):
    """Image files for disks."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """At least as many as the jobs have disks."""
        ...


@dataclass(frozen=True, slots=True)
class Ours:
    """The engine on ``engine_cpu``, its guest on ``guest_cpu``."""

    engine_cpu: int
    guest_cpu: int
    variant: Variant = DEFAULTS
    screen: bool = False
    null: bool = False
    """Requests are answered without touching the image."""
    busy: str = ""
    """``thread``: a busy Python loop in the engine's process; ``process``: the same in another one, on the same CPU."""
    label: str = ""
    """What tables call it where neither settings nor screen nor loop make the difference."""
    guest: tuple[tuple[str, int], ...] = ()
    """GuestOptions other than the usual ones."""
    depth: int = 0
    """Other than the job's."""

    @property
    def name(self) -> str:
        additions = [" + TUI"] * self.screen + [f" + busy {self.busy}"] * bool(self.busy)
        return (self.label or self.variant.name) + "".join(additions)

    def measure(self, job: Job, image: Files, pace: Pace) -> Reading:
        """One run.  Raises BenchmarkError."""
        with tempfile.TemporaryDirectory(prefix="usblkback-tui-bench-") as folder:
            result = Path(folder) / "reading.json"
            order = Order(
                screen=self.screen,
                engine_cpu=self.engine_cpu,
                guest_cpu=self.guest_cpu,
                settings=[*self.variant.lines, *["direct_io = true"] * job.direct],
                null=self.null,
                guest=dict(self.guest),
                busy=self.busy,
                images=[str(path) for path in image.paths[: job.disks]],
                disks=job.disks,
                write=job.write,
                block_bytes=job.block_bytes,
                depth=(self.depth or job.depth) if job.depth else 0,
                sequential=job.sequential,
                ramp=pace.ramp,
                seconds=pace.seconds,
                result=str(result),
            )
            said = self._run(rig_command(order), pace)
            if not result.exists():
                raise BenchmarkError(f"{self.name} measured nothing in {job.name}: {said}")
            return Reading(**json.loads(result.read_text()))

    def _run(self, command: list[str], pace: Pace) -> str:
        """What it said, for when it failed."""
        patience = _SET_UP_SECONDS + pace.ramp + pace.seconds
        if self.screen:
            with Terminal(command) as terminal:
                terminal.wait(patience)
                return terminal.tail
        try:
            run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patience)
        except subprocess.TimeoutExpired:
            return f"nothing within {patience:g} seconds"
        return run.stderr.strip()[-600:]


def rig_command(order: Order) -> list[str]:
    """The command line of a rig."""
    return [sys.executable, "-m", "benchmarks.rig", json.dumps(asdict(order))]
