# SPDX-License-Identifier: MIT
"""The engine on the embedded host: guests in processes of their own make load, and every byte they read is checked."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.engine import Engine
from usblkback_tui.engine.host.seam import HostError
from usblkback_tui.engine.host.sim.host import SimHost
from usblkback_tui.engine.host.sim.load import ONLY_VBD, GuestOptions, Report
from usblkback_tui.engine.host.sim.machine import SimGuest
from usblkback_tui.engine.image import create_image
from usblkback_tui.engine.kernelmodel import KIND, KernelBackend
from usblkback_tui.engine.process import schedule_process
from usblkback_tui.engine.scenarios import Scenario, Stage
from usblkback_tui.engine.settings import GuestSettings, Settings
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.states import XenbusState

_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Totals:
    """What all guests did, as they count it themselves, since the demo started."""

    reads: int = 0
    writes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The whole run.  ``verified``: every block that was written has been read back and is the same."""

    reads: int
    writes: int
    bytes_read: int
    bytes_written: int
    errors: int
    verified: bool
    problems: tuple[str, ...] = ()
    """A sentence for each disk that is not as it should be."""


class Demo:
    """The guests of ``[demo]`` on the embedded host, each with its disks attached and its load running."""

    def __init__(self, settings: Settings, scenario: Scenario | None = None, *, frontend: str = "linux") -> None:
        """``scenario``: the failure to play beside the first guest, which stays well.  ``frontend``: one of
        ``settings.FRONTENDS``, the driver of every guest.
        """
        if scenario is not None:
            engine = replace(settings.engine, detach_seconds=1.0, **scenario.engine)  # type: ignore[arg-type]
            guests = tuple(replace(guest, kernel_disks=()) for guest in settings.demo.guests[:1])
            settings = replace(settings, engine=engine, demo=replace(settings.demo, guests=guests))
        self.scenario = scenario
        # Disks of the config file are for real domains: a guest here that has such a name must not write on them.
        self._settings = replace(settings, disks=())
        if frontend in ONLY_VBD:
            self._settings = replace(self._settings, engine=replace(settings.engine, kinds=(KIND,)))
        self._options = GuestOptions(frontend=frontend)
        self._host = SimHost()
        self._guests: list[tuple[GuestSettings, SimGuest]] = []
        self._kernel: KernelBackend | None = None
        self._folder: Path | None = None
        self._started = False
        self.engine = Engine(self._host, self._settings)

    def start(self) -> None:
        """:meth:`open`, and wait until all disks are connected.  Raises UserError."""
        self.open()
        self._wait_connected()

    def open(self) -> None:
        """Start the engine and the guests and attach their disks; the guests still boot.  Raises UserError."""
        try:
            self._open()
        except HostError as error:
            raise UserError(error.problem, fix=error.fix) from None

    def _open(self) -> None:
        schedule_process(self._settings.engine)
        self._folder = Path(tempfile.mkdtemp(prefix="usblkback-tui-demo-"))
        self._host.open()
        self.engine.start()
        self._started = True
        for guest in self._settings.demo.guests:
            self._guests.append((guest, self._host.add_guest(guest, self._options)))
        for guest, _ in self._guests:
            for vdev in guest.disks:
                image = create_image(str(self._folder / f"{guest.name}-{vdev}.img"), f"{guest.size_mib}M")
                self.engine.attach(AttachRequest(guest.name, image.path, vdev))
        self._open_foreign()

    def _open_foreign(self) -> None:
        """Disks that the engine only watches; none when it serves the kernel's kind itself."""
        disks = [(guest, vdev) for guest, _ in self._guests for vdev in guest.kernel_disks]
        if not disks or KIND in self._settings.engine.kinds:
            return
        assert self._folder is not None
        self._kernel = KernelBackend(self._host.hypervisor, self._folder / "xen-backend")
        self._kernel.start()
        self._host.show_statistics(str(self._kernel.folder))
        for guest, vdev in disks:
            image = create_image(str(self._folder / f"{guest.name}-{vdev}.img"), f"{guest.size_mib}M")
            self._kernel.attach(guest.name, image.path, vdev)

    def play(self) -> None:
        """Let the scenario happen; whether it is found depends on its deadline.  Raises UserError."""
        assert self.scenario is not None
        assert self._folder is not None
        try:
            self.scenario.play(Stage(self.engine, self._host, self._folder))
        except HostError as error:
            raise UserError(error.problem, fix=error.fix) from None

    def totals(self) -> Totals:
        """What the guests did so far."""
        return _totals([guest.stats() for _, guest in self._guests])

    def finish(self) -> DemoResult:
        """End the load, read every written block back and compare.  A guest that cannot is a problem, not an error."""
        problems: list[str] = []
        for settings, guest in self._guests:
            try:
                guest.stop_load()
            except HostError as error:
                problems.append(f"{settings.name}: {error}")
        totals = self.totals()
        for settings, guest in self._guests:
            problems += _verify(settings.name, guest)
        return DemoResult(
            reads=totals.reads,
            writes=totals.writes,
            bytes_read=totals.bytes_read,
            bytes_written=totals.bytes_written,
            errors=self.totals().errors,
            verified=bool(self._guests) and not problems,
            problems=tuple(problems),
        )

    def stop(self) -> None:
        """End guests and engine, remove the images.  Idempotent, and fine after a failed start."""
        try:
            if self._started:
                self._started = False
                for _, guest in self._guests:
                    with contextlib.suppress(HostError):  # it may be dead, which is fine now
                        guest.stop_load()
                self.engine.stop(force_after=self._settings.engine.detach_seconds)
        finally:
            if self._kernel is not None:
                self._kernel.stop()
            for _, guest in self._guests:
                guest.close()
            self._guests.clear()
            self._host.close()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _wait_connected(self) -> None:
        deadline = time.monotonic() + _CONNECT_SECONDS
        while True:
            late = [
                disk
                for disk in (*self.engine.snapshot().disks, *(self._kernel.disks() if self._kernel else ()))
                if disk.backend_state is not XenbusState.CONNECTED
                or disk.frontend_state not in (XenbusState.INITIALISED, XenbusState.CONNECTED)
            ]
            if not late:
                return
            if time.monotonic() > deadline:
                raise UserError(
                    f"{late[0].title} is not connected after {_CONNECT_SECONDS:g} s: {late[0].health.sentence}",
                    fix="try again with fewer guests in [demo]",
                )
            time.sleep(0.02)


def _totals(reports: list[Report]) -> Totals:
    return Totals(
        reads=sum(one.total("reads") for one in reports),
        writes=sum(one.total("writes") for one in reports),
        bytes_read=sum(one.total("bytes_read") for one in reports),
        bytes_written=sum(one.total("bytes_written") for one in reports),
        errors=sum(one.total("errors") for one in reports),
    )


def _verify(name: str, guest: SimGuest) -> list[str]:
    try:
        report = guest.verify()
    except HostError as error:
        return [f"{name}: {error}"]
    if report.writes and not report.read_back:
        return [f"{name}: nothing of what was written could be read back", *_problems(name, report)]
    return _problems(name, report)


def _problems(guest: str, report: Report) -> list[str]:
    problems = []
    for disk in report.disks:
        if disk.fault:
            problems.append(f"{disk.vdev} of {guest}: the backend broke the protocol: {disk.fault}")
        if disk.errors:
            problems.append(f"{disk.vdev} of {guest}: {disk.errors} requests failed")
        if disk.mismatches:
            problems.append(
                f"{disk.vdev} of {guest}: {disk.mismatches} blocks read back wrong, "
                f"the last at sector {disk.bad_sector}"
            )
    return problems
