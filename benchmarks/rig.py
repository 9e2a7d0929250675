# SPDX-License-Identifier: MIT
"""A process of its own with the engine on the embedded host: ``python -m benchmarks.rig ORDER``, ORDER as JSON.

The engine, and the screen where one is asked for, run on one CPU and the guest on another, as the domain of a backend
and that of a guest do.  With a load it measures what the guest got done, writes a Reading to ``result`` and ends;
without one it only holds the disks and the screen until SIGTERM.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median

from benchmarks.busy import busy
from benchmarks.reading import Reading
from benchmarks.variants import settings as settings_of
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.datapath.ring import IoEngine
from usblkback_tui.engine.engine import Engine
from usblkback_tui.engine.host.sim.host import SimHost
from usblkback_tui.engine.host.sim.load import GuestOptions, Load, Report
from usblkback_tui.engine.host.sim.machine import SimGuest
from usblkback_tui.engine.image import create_image
from usblkback_tui.engine.settings import GuestSettings, Settings
from usblkback_tui.protocol.vdev import Vdev
from usblkback_tui.ui.app import UsblkApp

_GUEST = "bench"
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Order:
    """What to set up."""

    screen: bool = False
    engine_cpu: int | None = None
    guest_cpu: int | None = None
    settings: list[str] = field(default_factory=list)
    """Lines for [engine]."""
    null: bool = False
    """Requests are answered without touching the image."""
    guest: dict[str, int | bool] = field(default_factory=dict)
    """GuestOptions other than the usual ones."""
    busy: str = ""
    """``thread`` or ``process``: a Python loop on the engine's CPU."""
    images: list[str] = field(default_factory=list)
    """One for each disk; none: small sparse ones are made."""
    disks: int = 1
    # the load; depth 0 is none
    write: bool = False
    block_bytes: int = 4096
    depth: int = 0
    sequential: bool = False
    rate: int = 0
    ramp: float = 0.5
    seconds: float = 0.0
    """0: the load goes on until SIGTERM and nothing is measured."""
    result: str = ""


def main(order: Order) -> int:
    """Set up, carry the order out, take down."""
    if order.engine_cpu is not None:
        os.sched_setaffinity(0, {order.engine_cpu})  # before threads start: they inherit it
    settings = settings_of(order.settings)
    if order.null:  # the data path's word: no config file may ask for it
        engine_settings = replace(settings.engine, io_engine=IoEngine.NULL)  # type: ignore[arg-type]
        settings = replace(settings, engine=engine_settings)
    with ExitStack() as undo:
        host = SimHost()
        host.open()
        undo.callback(host.close)
        engine = Engine(host, settings)
        engine.start()
        undo.callback(engine.stop, force_after=2.0)
        # 256 segments let a request be 1 MiB, as the backend offers
        options = {"max_segments": 256, **order.guest}
        guest = host.add_guest(GuestSettings(_GUEST), GuestOptions(autostart=False, **options))  # type: ignore[arg-type]
        if order.guest_cpu is not None:
            _pin(guest.pid, order.guest_cpu)
        folder = undo.enter_context(tempfile.TemporaryDirectory(prefix="usblkback-tui-bench-"))
        for number in range(order.disks):
            vdev = Vdev("xvd", number).name
            image = order.images[number] if order.images else create_image(f"{folder}/{vdev}.img", "64M").path
            engine.attach(AttachRequest(_GUEST, image, vdev), wait=10.0)
            guest.wait_state(vdev)
        _check_rings(engine, order)
        if order.depth:
            guest.set_load(_load(order))
            guest.start_load()
            undo.callback(guest.stop_load)
        burnt = undo.enter_context(busy(order.busy))
        return _carry_out(order, engine, settings, guest, burnt)


def _check_rings(engine: Engine, order: Order) -> None:
    """What was asked for was negotiated, or the figures would be another shape's."""
    pages, queues = 1 << order.guest.get("ring_order", 0), order.guest.get("max_queues", 1)
    for disk in engine.snapshot().disks:
        found = [ring.pages for ring in disk.rings]
        if found != [pages] * queues:
            raise SystemExit(f"{disk.title} has rings of {found} pages, not {queues} of {pages}")


def _carry_out(order: Order, engine: Engine, settings: Settings, guest: SimGuest, burnt: Clock) -> int:
    def measured() -> None:
        reading = _measure(guest, order, burnt)
        Path(order.result).write_text(json.dumps(asdict(reading)))

    if not order.screen:
        if order.seconds:
            measured()
        else:
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
            signal.pause()
        return 0
    if order.seconds:
        threading.Thread(target=_then_leave, args=(measured,), daemon=True).start()
    app = UsblkApp(engine, title="bench", refresh_hz=settings.ui.refresh_hz, when_shown=gc.freeze)
    signal.signal(signal.SIGTERM, lambda number, frame: app.exit())
    app.run()
    return app.return_code or 0


def _then_leave(work: Callable[[], None]) -> None:
    try:
        work()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)  # the screen takes it as the end


def _measure(guest: SimGuest, order: Order, burnt: Clock) -> Reading:
    def used() -> float:
        return time.process_time() - burnt()

    time.sleep(order.ramp)
    cpu, began, before = used(), time.monotonic(), guest.stats()
    time.sleep(order.seconds)
    cpu, took, after = used() - cpu, time.monotonic() - began, guest.stats()
    if not after.ok:
        raise SystemExit(f"the guest saw errors: {after}")
    requests = _requests(after) - _requests(before)
    if order.depth and not requests:
        raise SystemExit(f"nothing was answered in {order.seconds:g} s: {after}")
    moved = after.bytes_read + after.bytes_written - before.bytes_read - before.bytes_written
    return Reading(
        requests_per_second=requests / took,
        bytes_per_second=moved / took,
        cpu_us=cpu / requests * 1e6 if requests else 0.0,
        p50_us=median(disk.p50_us for disk in after.disks),
        p99_us=max(disk.p99_us for disk in after.disks),
        cpu_percent=cpu / took * 100,
    )


def _requests(report: Report) -> int:
    return report.reads + report.writes


def _load(order: Order) -> Load:
    return Load(
        read_percent=0 if order.write else 100,
        block_bytes=order.block_bytes,
        depth=order.depth,
        rate=order.rate,
        sequential=order.sequential,
        verify=False,
    )


def _pin(pid: int, cpu: int) -> None:
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), {cpu})


if __name__ == "__main__":
    sys.exit(main(Order(**json.loads(sys.argv[1]))))
