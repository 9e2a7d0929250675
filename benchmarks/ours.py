# SPDX-License-Identifier: MIT
"""Us as a contender: a guest process, its ring, the engine and the file; with the terminal UI or without."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.image import Image
from benchmarks.jobs import Job
from benchmarks.machine import ROOT
from benchmarks.reading import Pace, Reading
from benchmarks.rig import Order
from benchmarks.terminal import Terminal

_SET_UP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Ours:
    """The engine on ``engine_cpu``, its guest on ``guest_cpu``."""

    engine_cpu: int
    guest_cpu: int
    screen: bool = False

    @property
    def name(self) -> str:
        return "usblkback + TUI" if self.screen else "usblkback"

    def measure(self, job: Job, image: Image, pace: Pace) -> Reading:
        """One run.  Raises BenchmarkError."""
        with tempfile.TemporaryDirectory(prefix="usblkback-tui-bench-") as folder:
            result = Path(folder) / "reading.json"
            order = Order(
                screen=self.screen,
                engine_cpu=self.engine_cpu,
                guest_cpu=self.guest_cpu,
                image=str(image.path),
                write=job.write,
                block_bytes=job.block_bytes,
                depth=job.depth,
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
