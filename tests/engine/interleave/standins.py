# SPDX-License-Identifier: MIT
"""What stands in for threads, rings and images, so that nothing happens by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event
from types import SimpleNamespace
from unittest.mock import patch

from tests.engine.interleave import guest as inside
from tests.engine.interleave.world import World
from usblkback_tui.engine.datapath.ring import End
from usblkback_tui.engine.image.blockdev import DiscardLimits
from usblkback_tui.engine.image.raw import RawImage
from usblkback_tui.engine.snapshot import Counters, Latency
from usblkback_tui.protocol.errors import UserError


class Later(BaseException):
    """A thread waits; it begins anew when others have done something."""


class Patient(Event):
    """In the place of an event that a thread sleeps on for a while."""

    def wait(self, timeout: float | None = None) -> bool:
        raise Later


class Job:
    """A thread of the engine, from its start to its end."""

    def __init__(self, world: World, target: Callable[[], None], name: str) -> None:
        self.name, self._world, self._target = name, world, target
        self.ring = None if name.endswith("-image") else world.new_rings.pop(0)
        self._tried = -1

    def start(self) -> None:
        self._world.jobs.append(self)

    @property
    def ready(self) -> bool:
        """A ring's thread ends only when it is told to."""
        return self._tried != self._world.jobs_done and (self.ring is None or self.ring.stopped)

    def run(self) -> None:
        try:
            self._target()
        except Later:
            self._tried = self._world.jobs_done
        else:
            self._world.jobs.remove(self)
            self._world.jobs_done += 1


class RingServer:
    """In the place of the engine's: it serves nothing."""

    stopped = False

    def run(self) -> End:
        return End.STOPPED

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> Counters:
        return Counters()

    def latency(self) -> Latency:
        return Latency()


@contextmanager
def world(frontend: str, **options: object) -> Iterator[World]:
    """A world whose engine has jobs in the place of threads; for one use."""
    made = World(frontend, **options)

    def thread(target: Callable[[], None], name: str, daemon: bool) -> Job:
        return Job(made, target, name)

    class Image(RawImage):
        """No file, but as jealous as one."""

        def close(self) -> None:
            made.images.remove(self.path)

    def opening(path: str, writable: bool, **how: object) -> RawImage:
        if path in made.images:
            raise UserError(f"image {path} is locked by this engine")
        made.images.append(path)
        return Image(path, 2048, writable, False, DiscardLimits(), 512, 512)

    def ring(vbd: object, config: object, budget: object) -> RingServer:
        made.new_rings.append(server := RingServer())
        return server

    stands_in = {
        "usblkback_tui.engine.connection.RingServer": ring,
        "usblkback_tui.engine.connection.Vbd": lambda config: SimpleNamespace(config=config, poisoned=0),
        "usblkback_tui.engine.worker.threading": SimpleNamespace(Thread=thread, Event=Patient),
        "usblkback_tui.engine.worker.open_image": opening,
        "usblkback_tui.engine.disk.time": SimpleNamespace(time=lambda: made.clock, monotonic=lambda: made.clock + 1.0),
        "usblkback_tui.engine.host.sim.guest.driver.Queues": inside.Queues,
        "usblkback_tui.engine.host.sim.guest.driver.Notebook": inside.Notebook,
    }
    with ExitStack() as patches:
        for name, value in stands_in.items():
            patches.enter_context(patch(name, value))
        try:
            made.start_engine()
            yield made
        finally:
            if made.engine is not None:
                made.kill_engine()
