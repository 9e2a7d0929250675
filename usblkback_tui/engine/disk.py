# SPDX-License-Identifier: MIT
"""One vbd: its two state keys, and the resources that follow them.

Everything here runs on the control thread; only :meth:`Disk.view` is called from others, under the engine's lock.  A
step reads both ends' states, asks the transition table what to do, and does it.  What takes time (opening the image, a
ring that has to stop) is begun here and ends in a later call.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from usblkback_tui.engine.attaching import forget_error
from usblkback_tui.engine.connection import Connection, Terms
from usblkback_tui.engine.datapath.ring import GrantBudget, RingServer
from usblkback_tui.engine.eventlog import EventLog
from usblkback_tui.engine.host.seam import Change, Commit, Conflict, Expect, Host, HostError, Put
from usblkback_tui.engine.image.raw import RawImage
from usblkback_tui.engine.image.resize import Resize
from usblkback_tui.engine.image.sizes import human_size
from usblkback_tui.engine.offering import limits_of, offer_of
from usblkback_tui.engine.settings import DirectIo, DiskOptions, EngineSettings
from usblkback_tui.engine.snapshot import Counters, DiskView, Health, Latency, Severity, StateChange, StoreKeys
from usblkback_tui.engine.storekeys import read_keys
from usblkback_tui.engine.totals import add_counters, add_latency
from usblkback_tui.engine.worker import Post, Workers
from usblkback_tui.engine.writelog import WriteLog
from usblkback_tui.protocol.backend import BackendIdentity, feature_keys, parse_identity, size_keys
from usblkback_tui.protocol.blkif import SECTOR
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.expected import expected_step
from usblkback_tui.protocol.frontend import parse_frontend
from usblkback_tui.protocol.keys import backend_path, error_path, frontend_path
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.transitions import Action, decide
from usblkback_tui.protocol.vdev import vdev_name

KEPT_TRANSITIONS = 64
LOG_LIMIT = 32
LOG_WINDOW = 10.0
"""State changes of one disk that are logged in so many seconds."""
LOOK_SECONDS = 4.0
"""How often the directories of a disk that is not connected are read again: with every full re-read."""
_TOOLSTACKS = (S.UNKNOWN, S.INITIALISING, S.CLOSING)
"""Our states that a toolstack may write; the others are a backend's."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all disks of an engine share."""

    host: Host
    me: int
    settings: EngineSettings
    budget: GrantBudget
    events: EventLog
    post: Post
    """Run a function on the control thread, soon."""
    lock: threading.RLock
    """Held while a view is made, and while what views show changes."""


class Disk:
    """One vbd we serve.  ``owned``: we wrote its directories, so we remove them."""

    def __init__(
        self,
        around: Surroundings,
        kind: str,
        domain: str,
        identity: BackendIdentity,
        options: DiskOptions,
        *,
        owned: bool,
        image: RawImage | None = None,
        patience: float = 0.0,
        written: Commit = (),
    ) -> None:
        """``written``: the attach, when it was ours."""
        self.kind = kind
        self.domain = domain
        self.identity = identity
        self.options = options
        self.owned = owned
        self.detaching = False
        """An operator wants it gone: once closed, its directories are removed whoever wrote them."""
        self.ending = False
        self.ended = False
        """Nothing is held any more; the engine may forget the disk."""

        self.domid, self.devid = identity.domid, identity.devid
        self.back_path = backend_path(around.me, kind, self.domid, self.devid)
        self.front_path = frontend_path(self.domid, self.devid)
        self.error_path = error_path(around.me, kind, self.domid, self.devid)

        self._around = around
        self._settings = around.settings.for_disk(options)
        self._limits = limits_of(self._settings, around.host.caps)
        self._front = self._back = S.UNKNOWN
        self._front_since = self._back_since = time.time()
        self._online = True
        self._transitions: deque[StateChange] = deque(maxlen=KEPT_TRANSITIONS)
        self._writes = WriteLog(self.back_path, self.front_path)
        self._writes.ours(written)
        self._problem = ""
        self._keys = StoreKeys()
        self._looked = 0.0
        self._stranger: StateChange | None = None
        self._image = image
        self._sectors = image.sectors if image else 0
        self._connection: Connection | None = None
        self._running: set[int] = set()
        """Queues of the connection whose ring has not ended."""
        self._broken = False
        """One of them ended by itself."""
        self._resizing = False
        self._stopping_since = 0.0
        self._ending_since = 0.0
        self._past = Counters()
        self._past_latency = Latency()
        self._workers = Workers(f"vbd-{self.domid}-{self.devid}", around.post)
        if image is None:
            self._workers.open(
                identity.image,
                identity.writable,
                self._opened,
                direct=wants_direct(self._settings),
                sector_size=options.sector_size,
                patience=patience,
            )

    # what others may ask ----------------------------------------------------------------------------------------

    @property
    def key(self) -> tuple[int, int]:
        """(domid, devid)."""
        return (self.domid, self.devid)

    @property
    def vdev(self) -> str:
        """``xvdb``."""
        return vdev_name(self.devid)

    @property
    def title(self) -> str:
        """``xvdb of g1``."""
        return f"{self.vdev} of {self.domain}"

    @property
    def online(self) -> bool:
        """False: the device is being removed."""
        return self._online

    @property
    def connected(self) -> bool:
        """Both ends are Connected and the rings are served."""
        return self._front is S.CONNECTED and self._back is S.CONNECTED and self._connection is not None

    @property
    def closed(self) -> bool:
        """Our end is Closed and holds no ring."""
        return self._back is S.CLOSED and self._connection is None

    @property
    def rings(self) -> tuple[RingServer, ...]:
        """The rings that are served, by queue; under the engine's lock, which keeps their memory mapped."""
        return tuple(queue.ring for queue in self._connection.queues) if self._connection else ()

    @property
    def answered(self) -> int:
        """Requests that rings of earlier connections answered."""
        return self._past.responses

    def view(self) -> DiskView:
        """The disk as people see it but for its findings; under the engine's lock."""
        connection = self._connection
        rings = connection.views() if connection else ()
        counters = add_counters(self._past, *(ring.counters for ring in rings))
        latency = add_latency(self._past_latency, connection.latency()) if connection else self._past_latency
        return DiskView(
            domid=self.domid,
            domain=self.domain,
            devid=self.devid,
            vdev=self.vdev,
            image=self.identity.image,
            mode=self.identity.mode,
            kind=self.kind,
            sectors=self._sectors,
            frontend_state=self._front,
            backend_state=self._back,
            frontend_since=self._front_since,
            backend_since=self._back_since,
            online=self._online,
            owned=self.owned,
            health=Health(),
            counters=counters,
            latency=latency,
            rings=rings,
            transitions=tuple(self._transitions),
            writes=self._writes.writes,
            expected=expected_step(self._front, self._back, online=self._online, opening=self._image is None),
            device_type=self.identity.device_type,
            sector_size=self.options.sector_size,
            direct=self._image is not None and self._image.direct,
            limits=self._limits,
            options=self.options,
            keys=self._keys,
            problem=self._problem,
            image_open=self._image is not None,
            stopping_since=time.time() - (time.monotonic() - self._stopping_since) if self._stopping_since else 0.0,
            poisoned=connection.vbd.poisoned if connection else 0,
            io_errno=connection.vbd.last_io_errno if connection else 0,
            recent_p99=connection.recent_p99 if connection else 0.0,
            stranger=self._stranger,
            table_sector_size=self._image.table_sector_size if self._image else 0,
        )

    # the handshake ----------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Read both ends and do what the table says.  Cheap when nothing changed."""
        if self.ending:
            return
        host = self._around.host
        back = host.read(f"{self.back_path}/state")
        if back is None and not host.list(self.back_path):
            self.finish("its backend directory is gone")
            return
        online = host.read(f"{self.back_path}/online")
        self._online = online != "0"
        front = host.read(f"{self.front_path}/state")
        self._look(S.parse(front), S.parse(back))
        self._note_writes(back, online, front)
        self._note_stranger(S.parse(back))
        self._moved("backend", S.parse(back))
        self._moved("frontend", S.parse(front))
        action = decide(self._front, self._back, online=self._online, held=self._connection is not None).action
        if self._stopping_since:
            return  # the end of the rings comes first; then we are called again
        try:
            self._act(action)
        except Conflict:
            self.finish("its backend directory is gone")
        except HostError as error:
            self._complain(UserError(error.problem, fix=error.fix))

    def commit(self, changes: Commit) -> None:
        """Write to the store, and remember it for people.  Raises HostError."""
        self._around.host.commit(changes)
        self._writes.ours(changes)

    def _note_writes(self, back: str | None, online: str | None, front: str | None) -> None:
        """Remember what others wrote; a guest that flips its state gets no reads of its other keys."""
        for key, value in (("online", online), ("state", back)):
            if value is not None:
                self._writes.seen("backend", key, value, "toolstack")
        state = S.parse(front)
        if front is None or state is self._front:
            return
        if state is S.INITIALISING:
            self._writes.forget_frontend()
        self._writes.seen("frontend", "state", front, "frontend")

    def _look(self, front: S, back: S) -> None:
        """Read both directories when an end has moved, and now and then while they are not connected.

        A guest that flips its state gets no more than that.
        """
        now = time.time()
        moved = (front, back) != (self._front, self._back) and self._recent(now) < LOG_LIMIT
        waiting = not (front is back is S.CONNECTED) and now - self._looked >= LOOK_SECONDS
        if not (moved or waiting):
            return
        self._looked = now
        self._keys = read_keys(self._around.host, self._around.me, self.kind, self.domid, self.devid)
        if front in (S.INITIALISED, S.CONNECTED):
            self._writes.found(self._keys.front)

    def _note_stranger(self, back: S) -> None:
        """Somebody else wrote our state: a toolstack that detaches, or a second backend."""
        if back is self._back or self._back is S.UNKNOWN or back in _TOOLSTACKS:
            return
        self._stranger = StateChange(time.time(), "backend", self._back, back)

    def _act(self, action: Action) -> None:
        if action in (Action.OFFER, Action.CONNECT, Action.RESTART) and self._replaced():
            self.finish("its directory was written anew")
        elif action is Action.CONNECT:
            self._connect()
        elif action is Action.CLOSE:
            self._write_state(S.CLOSING)
        elif action is Action.DISCONNECT:
            if self._stop_rings():
                self._write_state(S.CLOSED)
        elif action in (Action.OFFER, Action.RESTART) and self._stop_rings():
            self._make_offer()  # a ring that is held is of a device that was written anew, or of a guest that was reset

    def _replaced(self) -> bool:
        """A toolstack took the device away and made another of the same name before we could look."""
        try:
            return self.identity != parse_identity(self._read_back, self.domid, self.devid)
        except UserError:
            return True

    def _read_back(self, key: str) -> str | None:
        return self._around.host.read(f"{self.back_path}/{key}")

    def _make_offer(self) -> None:
        if self._image is None:
            return  # we are called again when it is open
        self._retract()
        self._write_state(S.INIT_WAIT, feature_keys(self._terms(self._image).offer))

    def _connect(self) -> None:
        if self._image is None:
            return
        if self._connection is not None:
            if self._read_back("feature-flush-cache") is None:  # what we said is gone: written anew, the same as before
                self._stop_rings()
            else:  # somebody else set our state back while we serve
                self._write_state(S.CONNECTED)
            return
        host, terms = self._around.host, self._terms(self._image)
        try:
            frontend = parse_frontend(
                lambda key: host.read(f"{self.front_path}/{key}"),
                max_ring_page_order=terms.offer.max_ring_page_order,
                max_queues=terms.offer.max_queues,
            )
            connection = Connection(host, self.domid, frontend, self._image, terms)
        except UserError as error:
            self._complain(error)
            self._write_state(S.CLOSING)
            return
        self._retract()
        with self._around.lock:
            self._connection = connection
        self._running = set(range(len(connection.queues)))
        self._workers.serve([queue.ring for queue in connection.queues], self._ring_ended)
        self._write_state(S.CONNECTED, feature_keys(terms.offer) + size_keys(terms.offer))

    def _terms(self, image: RawImage) -> Terms:
        offer = offer_of(self.identity, self.options, self._settings, self._limits, image, self._sectors)
        return Terms(self._settings, self._limits, offer, self._around.budget)

    # the size ---------------------------------------------------------------------------------------------------

    def begin_resize(self) -> Resize:
        """What another thread needs to find or make the new size; :meth:`end_resize` follows.  Raises UserError."""
        if self.ending or self._image is None:
            raise UserError(f"{self.title} has no open image", fix="wait until it has, or see its health", key="vdev")
        if self._resizing:
            raise UserError(f"{self.title} is being resized already", fix="wait for that to end", key="vdev")
        self._resizing = True
        try:
            return Resize.of(self._image, self._sectors, self.options.sector_size)
        except OSError as error:
            self._resizing = False
            raise UserError(f"{self.title} cannot be resized: {error.strerror}", fix="close some files") from error

    def end_resize(self, sectors: int | None) -> None:
        """The size from now on; None when it stays.  A frontend reads it when Connected is written again.

        Raises HostError; then the guest does not know of it yet.
        """
        self._resizing = False
        if sectors is None or sectors == self._sectors or self.ending:
            return
        if self._connection is not None:
            self._connection.vbd.set_sectors(sectors)  # first: a guest may use what it is told of at once
            if self._back is S.CONNECTED:
                self._write_state(S.CONNECTED, [("sectors", str(sectors))])
        old = self._sectors
        with self._around.lock:
            self._sectors = sectors
        self._tell(
            Severity.INFO,
            f"{self.title} has {human_size(sectors * SECTOR)} now, it had {human_size(old * SECTOR)}"
            + ("" if self._connection else "; the guest sees it when it connects"),
        )

    def _write_state(self, state: S, keys: list[tuple[str, str]] | None = None) -> None:
        """Publish keys and then our state, only while our directory exists: a removed one must not come back."""
        self.commit(
            [
                Expect(f"{self.back_path}/frontend", present=True),
                *(Put(f"{self.back_path}/{key}", value) for key, value in keys or ()),
                Put(f"{self.back_path}/state", str(int(state))),
            ]
        )
        self._looked = 0.0  # what we wrote is to be seen with the next step
        self._moved("backend", state)

    def _moved(self, end: str, new: S) -> None:
        old = self._front if end == "frontend" else self._back
        if old is new:
            return
        change = StateChange(time.time(), end, old, new)
        with self._around.lock:
            if end == "frontend":
                self._front, self._front_since = new, change.time
            else:
                self._back, self._back_since = new, change.time
            self._transitions.append(change)
        if not self._talkative(change.time):
            return
        severity = Severity.GOOD if new is S.CONNECTED else Severity.INFO
        self._tell(severity, f"{self.title}: {end} {old.word} → {new.word}", "state", change)

    def _talkative(self, now: float) -> bool:
        """Whether one more state change may go to the log: a guest that flips its state must not flood it."""
        recent = self._recent(now)
        if recent == LOG_LIMIT:
            self._tell(Severity.WARNING, f"{self.title} changes its state so often that not every change is logged")
        return recent < LOG_LIMIT

    def _recent(self, now: float) -> int:
        """State changes of late."""
        return sum(change.time > now - LOG_WINDOW for change in self._transitions)

    # the image --------------------------------------------------------------------------------------------------

    def _opened(self, result: RawImage | UserError) -> None:
        if isinstance(result, UserError):
            self._complain(result, hotplug=True)
        elif self.ending:
            result.close()  # nobody else knows of it: it came too late
        else:
            with self._around.lock:
                self._image, self._sectors = result, result.sectors
            self.step()

    # the end of the rings ---------------------------------------------------------------------------------------

    def trim(self) -> None:
        """Let idle pages of the guest go, and note how it fares; to be called every ``TRIM_SECONDS``."""
        if self._connection is not None and not self._stopping_since:
            self._connection.trim()
            with self._around.lock:
                self._connection.note()

    def _stop_rings(self) -> bool:
        """True when no ring is held; else they are being stopped and :meth:`_rings_ended` follows."""
        if self._connection is None:
            return True
        if not self._stopping_since:
            self._stopping_since = time.monotonic()
            self._connection.stop()
        return False

    def _ring_ended(self, index: int, why: str) -> None:
        """One ring is no longer served; the others of a disk are not without it."""
        self._running.discard(index)
        if why and not self.ending and not self._broken:
            self._broken = True
            queue = f"queue {index}: " if self._connection is not None and len(self._connection.queues) > 1 else ""
            self._complain(UserError(queue + why, fix="restart the guest's driver, or detach the disk"))
        self._stop_rings()
        if not self._running:
            self._rings_ended()

    def _rings_ended(self) -> None:
        broken, self._broken = self._broken, False
        with self._around.lock:
            connection, self._connection = self._connection, None
            self._stopping_since = 0.0
            if connection is not None:
                self._past_latency = add_latency(self._past_latency, connection.latency())
                self._past = add_counters(self._past, connection.close())
        if self.ending:
            self._release()
            return
        if broken:
            try:
                self._write_state(S.CLOSING)
            except HostError:
                pass  # the next step finds out why
        self.step()

    def finish(self, why: str) -> None:
        """Give everything back whatever the states say; ``ended`` follows.  Idempotent."""
        if self.ending:
            return
        self.ending = True
        self._ending_since = time.monotonic()
        self._retract()
        self._tell(Severity.INFO, f"{self.title} is detached: {why}", "detached")
        if self._stop_rings():
            self._release()

    def _release(self) -> None:
        def done() -> None:
            self.ended = True

        self._workers.finish(self._image, done)

    @property
    def stuck(self) -> bool:
        """The disk was to end more than a second ago and its thread has not come back: the image hangs."""
        return self.ending and not self.ended and time.monotonic() - self._ending_since > 1.0

    # telling ----------------------------------------------------------------------------------------------------

    def _complain(self, error: UserError, *, hotplug: bool = False) -> None:
        """Show a failure to the operator and, in the store, to the toolstack.  It stays until a step succeeds."""
        sentence = str(error)
        if sentence == self._problem:
            return
        self._problem = sentence
        self._tell(Severity.ERROR, f"{self.title}: {sentence}", "error")
        changes: list[Change] = [
            Expect(f"{self.back_path}/frontend", present=True),
            Put(f"{self.error_path}/error", f"22 {sentence}"),
        ]
        if hotplug:
            changes += [
                Put(f"{self.back_path}/hotplug-error", sentence),
                Put(f"{self.back_path}/hotplug-status", "error"),
                Put(f"{self.back_path}/state", str(int(S.CLOSING))),
            ]
        try:
            self.commit(changes)
        except HostError:
            pass  # the event log has it

    def _retract(self) -> None:
        """What we said about errors no longer holds."""
        if not self._problem:
            return
        self._problem = ""
        try:
            forget_error(self._around.host, self.error_path)
        except HostError:
            pass

    def _tell(self, severity: Severity, text: str, kind: str = "log", change: StateChange | None = None) -> None:
        self._around.events.add(severity, text, kind, domid=self.domid, devid=self.devid, vdev=self.vdev, change=change)


def wants_direct(settings: EngineSettings) -> bool | None:
    """``direct_io`` as :func:`open_image` takes it; None leaves it to the image."""
    return None if settings.direct_io is DirectIo.AUTO else settings.direct_io is DirectIo.YES
