# SPDX-License-Identifier: MIT
"""One engine and one guest in one thread.  ``actions`` says what may happen next; whoever runs it chooses.

The engine is the real one with its disks, table and discovery; its threads are jobs that wait here to be run, and its
rings move no data.  After every action the rules that must always hold are checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.engine.interleave.guest import Guest
from tests.engine.interleave.hypervisor import Backend, Hypervisor
from usblkback_tui.engine.attaching import attach_commit, removal_commit
from usblkback_tui.engine.disk import Disk
from usblkback_tui.engine.engine import Engine
from usblkback_tui.engine.host.seam import Put
from usblkback_tui.engine.host.sim.load import ONLY_VBD, GuestOptions
from usblkback_tui.engine.settings import EngineSettings, Settings
from usblkback_tui.protocol.backend import BackendIdentity
from usblkback_tui.protocol.keys import backend_path, frontend_path
from usblkback_tui.protocol.states import XenbusState as S

if TYPE_CHECKING:
    from tests.engine.interleave.standins import Job, RingServer

DEVID = 51712
Action = tuple[str, Callable[[], None]]


class Broken(AssertionError):
    """A rule did not hold.  The message has what happened before."""


class World:
    """Starts with a guest whose disk a toolstack has attached; see :func:`world`."""

    def __init__(self, frontend: str, **options: object) -> None:
        self.trace: list[str] = []
        self.clock = 0.0
        self.jobs: list[Job] = []
        self.jobs_done = 0
        self.new_rings: list[RingServer] = []
        self.images: list[str] = []
        """Those that are open."""
        self.frontend = frontend
        self.options = GuestOptions(frontend=frontend, **options)  # type: ignore[arg-type]
        self.kind = "vbd" if frontend in ONLY_VBD else "usblkback"
        self.hypervisor = Hypervisor()
        self.backend: Backend | None = None
        self.engine: Engine | None = None
        self.reached: list[S] = []
        """Every state the backend went to."""
        self.hurt = False
        """Something was done after which a frontend may fail by its own rules, or wait for ever."""
        self.paused = False
        self.yanked = False
        """A disk was taken away before its ends were Closed."""
        self._read_events = 0
        self._may_leave_closed = True
        self._image = "/a.img"
        self._boot()
        self.attach()

    # What others do ---------------------------------------------------------------------------------------------------

    def attach(self) -> None:
        """A toolstack writes both directories."""
        identity = BackendIdentity(self.dom.domid, DEVID, self._image, "w")
        self._may_leave_closed = True
        self.hypervisor.toolstack.commit(attach_commit(0, self.kind, identity))

    def detach(self) -> None:
        """A toolstack asks for the disk."""
        back = self.back
        if self.read(f"{back}/state") is None:
            return
        changes = [Put(f"{back}/online", "0")]
        if self.back_state is not S.CLOSED:
            changes.append(Put(f"{back}/state", "5"))
        self.hypervisor.toolstack.commit(changes)

    def remove(self) -> None:
        """A toolstack takes the disk away, whatever anybody says."""
        self.hypervisor.toolstack.commit(removal_commit(0, self.kind, self.dom.domid, DEVID, last=True))

    def recreate(self) -> None:
        """The same name, another image, before anybody could look."""
        self.remove()
        self._image = "/b.img" if self._image == "/a.img" else "/a.img"
        self.attach()

    def reboot(self) -> None:
        """The domain ends and comes back under another domid; the engine has to bring its disk."""
        self.guest.die()
        self.hypervisor.destroy(self.dom)
        self._boot()

    def _boot(self) -> None:
        self.dom = self.hypervisor.create("g1", "/vm/1")
        self._may_leave_closed = True
        self.guest = Guest(self.hypervisor, self.dom, self.options, self._frontend_wrote)
        self.paused = self.frontend == "grub"

    def _unpause(self) -> None:
        """libxl starts a domain when its disks' backends are InitWait, and GRUB builds upon it."""
        if self.paused and self.back_state is S.INIT_WAIT:
            self.paused = False

    def start_engine(self) -> None:
        self._read_events = 0
        self.backend = Backend(self.hypervisor, self._backend_wrote)
        kinds = ("vbd",) if self.kind == "vbd" else ("usblkback",)
        self.engine = Engine(self.backend, Settings(engine=EngineSettings(kinds=kinds)))
        self.engine.prepare()
        self.turn(everything=True)

    def kill_engine(self) -> None:
        """SIGKILL, and what the kernel does then."""
        assert self.engine is not None
        assert self.backend is not None
        self.images.clear()
        self.jobs.clear()
        self.backend.die()
        self.engine = self.backend = None

    # What can happen --------------------------------------------------------------------------------------------------

    def actions(self) -> list[Action]:
        """What happens by itself."""
        self._unpause()
        found = [] if self.paused else self.guest.actions()
        if self.engine is not None and self.backend is not None:
            if self.backend.tokens or self.backend.woken:
                found.append((f"engine hears {sorted(self.backend.tokens)}", self.turn))
            found += [(f"thread {job.name} ends", job.run) for job in self.jobs if job.ready]
        return found

    def mishaps(self) -> list[Action]:
        """What may happen besides, at any time."""
        found: list[Action] = [("the guest's watches fire for nothing", self.guest.echo)]
        if self.engine is None:
            return [*found, ("an engine starts", self.start_engine)]
        return [
            *found,
            ("the engine's watches are lost", self.lose),
            ("the engine reads everything again", lambda: self.turn(everything=True)),
            ("the engine looks while the guest moves (1)", lambda: self._overlap(1)),
            ("the engine looks while the guest moves (3)", lambda: self._overlap(3)),
            ("the engine looks while the guest moves (5)", lambda: self._overlap(5)),
        ]

    def turn(self, *, everything: bool = False) -> None:
        """The control thread goes round once."""
        if self.engine is not None and self.backend is not None:
            self.engine.turn(self.backend.take(everything=everything))

    def lose(self) -> None:
        """What the engine's watches said does not come to be heard."""
        if self.backend is not None:
            self.backend.tokens.clear()

    def _overlap(self, after: int) -> None:
        """The guest moves between two operations of one round."""
        assert self.backend is not None
        left = after

        def between() -> None:
            nonlocal left
            left -= 1
            if left == 0 and not self.paused and (actions := self.guest.actions()):
                actions[-1][1]()

        self.backend.between = between
        try:
            self.turn(everything=True)
        finally:
            if self.backend is not None:
                self.backend.between = lambda: None

    def do(self, action: Action) -> None:
        """Do it, and look whether all is well."""
        name, work = action
        self.trace.append(name)
        self.clock += 0.001
        work()
        self.check()

    def settle(self) -> None:
        """Let everything happen in turn, fairly and without mishap, until nothing more does."""
        if self.engine is None:
            self.do(("an engine starts", self.start_engine))
        quiet = 0
        for step in range(600):
            actions = self.actions()
            if actions:
                quiet = 0
                self.do(actions[step % len(actions)])
            elif quiet == 2:
                return
            else:
                quiet += 1
                self.do(("the engine reads everything again", lambda: self.turn(everything=True)))
        raise self.broken("no rest is found")

    # What is seen -----------------------------------------------------------------------------------------------------

    @property
    def back(self) -> str:
        return backend_path(0, self.kind, self.dom.domid, DEVID)

    @property
    def front(self) -> str:
        return frontend_path(self.dom.domid, DEVID)

    def read(self, path: str) -> str | None:
        return self.hypervisor.store.dump(path).get(path)

    @property
    def back_state(self) -> S:
        return S.parse(self.read(f"{self.back}/state"))

    @property
    def front_state(self) -> S:
        return S.parse(self.read(f"{self.front}/state"))

    @property
    def disk(self) -> Disk | None:
        if self.engine is None:
            return None
        return self.engine._disks.get((self.dom.domid, DEVID))

    @property
    def connected(self) -> bool:
        """Both ends say so, and the ring that the frontend has is the one that is served, from the right image."""
        fronts = (S.CONNECTED,) if self.frontend != "grub" else (S.INITIALISED,)
        queues, disk = self.guest.queues, self.disk
        return (
            self.back_state is S.CONNECTED
            and self.front_state in fronts
            and queues is not None
            and queues.served
            and disk is not None
            and disk.identity.image == self.read(f"{self.back}/params")
        )

    def state(self) -> tuple[object, ...]:
        """Everything that what happens next depends on."""
        disks: tuple[object, ...] = ()
        if self.engine is not None:
            disks = tuple(
                (
                    d._front,
                    d._back,
                    d._connection is None,
                    bool(d._stopping_since),
                    d.ending,
                    d._image is None,
                    d._problem,
                )
                for d in (*self.engine._disks.values(), *self.engine._leftover)
            )
        driver, store = self.guest.driver, self.hypervisor.store
        return (
            self.dom.domid,
            tuple(sorted((store.dump(self.front) | store.dump(self.back)).items())),
            disks,
            tuple(sorted(self.backend.tokens)) if self.backend else None,
            tuple((job.name, job.ready) for job in self.jobs),
            tuple(self.guest.xen.news),
            len(self.guest.ended),
            None if driver is None else (tuple(driver._heard), driver.running, _where(driver._script)),
        )

    # Rules ------------------------------------------------------------------------------------------------------------

    def broken(self, rule: str) -> Broken:
        ends = f"frontend {self.front_state.word}, backend {self.back_state.word}"
        happened = "".join(f"\n  {line}" for line in self.trace)
        return Broken(f"{self.frontend}: {rule} ({ends}); failures {self.guest.failures}; what happened:{happened}")

    def check(self) -> None:
        if self.engine is not None:
            for event in self.engine.events(self._read_events):
                self._read_events = event.seq
                if "internal error" in event.text:
                    raise self.broken(event.text)
        if not self.hurt:
            if self.guest.failures:
                raise self.broken("the frontend gave up")
            if not self.yanked and any("still in use" in line for line in self.guest.xen.lines):
                raise self.broken("a page the frontend ended is still mapped")

    def _frontend_wrote(self, path: str, state: S) -> None:
        self.trace.append(f"    frontend {state.word}")
        if state is S.INITIALISING:
            self._may_leave_closed = True

    def _backend_wrote(self, path: str, state: S) -> None:
        if path != f"{self.back}/state":
            return
        self.trace.append(f"    backend {state.word}")
        if self.reached and self.reached[-1] is S.CLOSED and state is not S.CLOSED and not self._may_leave_closed:
            raise self.broken(f"the backend went from Closed to {state.word} before the frontend said Initialising")
        if state is S.CLOSED:
            self._may_leave_closed = self.front_state is S.INITIALISING
        self.reached.append(state)

    def check_nothing_is_left(self) -> None:
        """After everything was taken away."""
        assert self.engine is not None
        if self.hypervisor.mapped or self.hypervisor.bound:
            raise self.broken(f"{self.hypervisor.mapped} pages mapped and {self.hypervisor.bound} ports bound")
        if self.engine._disks or self.engine._leftover or self.jobs or self.images:
            raise self.broken(f"left: {self.engine._disks}, {self.engine._leftover}, {[job.name for job in self.jobs]}")
        nodes = [
            path for path in self.hypervisor.store.dump("/local") if f"/{DEVID}" in path and "/error/device" not in path
        ]
        nodes = [path for path in nodes if "/data/scsi" not in path]
        if nodes:
            raise self.broken(f"nodes are left: {nodes}")


def _where(script: Any) -> tuple[object, ...]:
    """Where a generator is, with those it waits for."""
    found: list[object] = []
    while script is not None and script.gi_frame is not None:
        frame = script.gi_frame
        seen = sorted((k, repr(v)) for k, v in frame.f_locals.items() if k != "self" and not callable(v))
        found.append(
            (frame.f_code.co_qualname if hasattr(frame.f_code, "co_qualname") else "", frame.f_lasti, tuple(seen))
        )
        script = script.gi_yieldfrom
    return tuple(found)
