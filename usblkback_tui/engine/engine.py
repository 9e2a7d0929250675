# SPDX-License-Identifier: MIT
"""The engine: one control thread that follows the store, and the verbs people have.

The control thread owns the host and every :class:`Disk`.  A verb called from another thread checks what may take long
(an image) in the caller's thread and hands the rest over as a function; a snapshot only takes the lock.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
from typing import TypeVar

from usblkback_tui.engine.api import AttachPlan, AttachRequest
from usblkback_tui.engine.attaching import attach_commit, planned_writes, removal_commit
from usblkback_tui.engine.connection import TRIM_SECONDS
from usblkback_tui.engine.datapath.ring import GrantBudget
from usblkback_tui.engine.diagnose import examined
from usblkback_tui.engine.discovery import Discovery
from usblkback_tui.engine.disk import Disk, Surroundings, wants_direct
from usblkback_tui.engine.eventlog import EventLog
from usblkback_tui.engine.explaining import Explained, explain
from usblkback_tui.engine.host.seam import Conflict, Domain, Expect, Hints, Host, HostError, Put
from usblkback_tui.engine.image.info import image_info
from usblkback_tui.engine.image.raw import RawImage, open_image
from usblkback_tui.engine.inspection import RequestView, RingSlots, StoreNode
from usblkback_tui.engine.observer import Observer
from usblkback_tui.engine.offering import LEAST_PAGES, limits_of, offer_of
from usblkback_tui.engine.options import check_options, identity_of
from usblkback_tui.engine.readonly import NO_ATTACH, NO_DETACH, NO_RESIZE, NO_WRITE, refusal
from usblkback_tui.engine.requests import recent_requests
from usblkback_tui.engine.ringslots import copy_ring, decode_ring
from usblkback_tui.engine.selfwatch import SelfWatch
from usblkback_tui.engine.settings import Settings
from usblkback_tui.engine.snapshot import DiskView, DomainView, Event, PendingAttach, Severity, Snapshot
from usblkback_tui.engine.storenode import read_node, remove_node, write_node
from usblkback_tui.protocol.backend import feature_keys, size_keys
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.keys import backend_root, frontend_path
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.vdev import Vdev, parse_vdev, vdev_name

T = TypeVar("T")

RESCAN = 5.0
"""Seconds after which everything is read again even without a hint: watches may be lost, facts may not."""

VERB_TIMEOUT = 30.0
"""Seconds a verb waits for the control thread; a dead xenstored must not hang a person."""


class Engine:
    """Serves every vbd of its kinds on one host; implements :class:`~usblkback_tui.engine.api.Backend`."""

    def __init__(self, host: Host, settings: Settings) -> None:
        self._host = host
        self._settings = settings.engine
        self._wanted = settings.disks
        self._events = EventLog()
        self._lock = threading.RLock()
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._disks: dict[tuple[int, int], Disk] = {}
        self._leftover: list[Disk] = []
        """Removed disks that still hold something, because their image hangs."""
        self._domains: tuple[Domain, ...] = ()
        self._discovery: Discovery | None = None
        self._observer: Observer | None = None
        self._selfwatch = SelfWatch()
        self._me = 0
        self._store_problem = ""
        self._rivals: tuple[tuple[str, str], ...] = ()
        self._started = time.time()

    # life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to serve on a host that is open.  Raises HostError, and UserError when a kind is served already."""
        self.prepare()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()
        self._events.add(Severity.INFO, f"engine started on {self._host.caps.name}, domain {self._me}")

    def prepare(self) -> None:
        """All of :meth:`start` but the control thread: who calls this calls :meth:`turn`, too."""
        self._rivals = tuple(self._host.rivals().items())
        for kind, rival in self._rivals:
            if kind in self._settings.kinds:
                raise UserError(
                    f"engine.kinds has {kind!r}, which {rival} serves too: both would answer",
                    fix=f"unload it (rmmod xen-blkback), or leave {kind!r} out of kinds",
                    key="engine.kinds",
                    value=kind,
                )
        self._me = self._host.domid()
        pages = min(self._settings.grant_budget, self._host.caps.max_grant_pages or self._settings.grant_budget)
        around = Surroundings(
            self._host, self._me, self._settings, GrantBudget(pages), self._events, self._post, self._lock
        )
        self._discovery = Discovery(around, self._disks, self._wanted)
        self._selfwatch = SelfWatch(grant_budget=pages)
        self._observer = Observer(self._host, self._me, self._settings.kinds)
        for kind in self._settings.kinds:
            self._host.watch(backend_root(self._me, kind), "backend")
        if self._host.caps.domain_list:
            self._host.watch("@introduceDomain", "domain")
            self._host.watch("@releaseDomain", "domain")

    def stop(self, force_after: float = 10.0) -> None:
        """Detach every disk, after ``force_after`` seconds by force, and end the threads.  Idempotent."""
        if self._thread is None:
            return
        try:
            self._call(self._begin_detach_all)
            self._wait_until(lambda: not self._disks, force_after)
            if self._disks:
                self._call(self._force_all)
                self._wait_until(lambda: not self._disks and not self._leftover, 2.0)
        except UserError as error:
            self._events.add(Severity.ERROR, f"stopping: {error}")
        self._stopping.set()
        self._host.wake()
        self._thread.join(5.0)
        self._thread = None

    def _run(self) -> None:
        deadline = trim = 0.0
        while not self._stopping.is_set():
            try:
                hints = self._host.wait(max(0.0, min(deadline - time.monotonic(), self._patience())))
                self._store_problem = ""
            except HostError as error:
                # the rings go on without the store; say it once and look again
                if str(error) != self._store_problem:
                    self._store_problem = str(error)
                    self._events.add(Severity.ERROR, f"the store cannot be watched: {error}", "error")
                self._stopping.wait(1.0)
                hints = Hints()
            if time.monotonic() >= deadline and not self._store_problem:
                hints = Hints(everything=True)
            if hints.everything:
                deadline = time.monotonic() + RESCAN
            self.turn(hints)
            if time.monotonic() >= trim:
                trim = time.monotonic() + TRIM_SECONDS
                for disk in self._disks.values():
                    disk.trim()

    def turn(self, hints: Hints) -> None:
        """One round of the control thread: follow what changed, do what was posted, forget what has ended."""
        self._guarded(lambda: self._follow(hints))
        self._guarded(lambda: self._observe(hints))
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                break
            self._guarded(command)
        self._guarded(self._sweep)

    def _patience(self) -> float:
        """Seconds to sleep at most: short while a disk that ends might turn out to hang, or a look is due."""
        ending = any(disk.ending for disk in self._disks.values()) or self._leftover
        pending = self._observer is not None and self._observer.pending
        due = any(one.until is not None for one in self._waiting)
        return 0.25 if ending or pending or due else RESCAN

    @property
    def _waiting(self) -> tuple[PendingAttach, ...]:
        """What waits for its domain; any thread."""
        return self._discovery.waiting.all if self._discovery is not None else ()

    def _guarded(self, work: Callable[[], None]) -> None:
        """One failing piece of work must not make the engine deaf."""
        try:
            work()
        except HostError as error:
            self._events.add(Severity.ERROR, f"the store refused: {error}")
        except Exception as error:
            self._events.add(Severity.ERROR, f"internal error, please report it: {type(error).__name__}: {error}")

    def _follow(self, hints: Hints) -> None:
        assert self._discovery is not None
        self._discovery.waiting.expire(time.time())
        if hints.everything or "domain" in hints.tokens:
            domains = self._host.domains()
            with self._lock:
                self._domains = domains
            self._discovery.domains_changed(domains)
        if hints.everything or "backend" in hints.tokens or "domain" in hints.tokens:
            self._discovery.scan(self._domains)
            for disk in list(self._disks.values()):
                disk.step()
            return
        for disk in list(self._disks.values()):
            if _token(disk.key) in hints.tokens:
                disk.step()

    def _observe(self, hints: Hints) -> None:
        assert self._observer is not None
        if hints.everything:
            rivals = self._host.rivals().items()
            self._rivals = tuple(rivals)
        self._observer.follow(hints, self._domains)

    def _sweep(self) -> None:
        """Remove what has closed for good, and forget what holds nothing any more; its name may be another's by now."""
        before = len(self._disks)
        for key, disk in list(self._disks.items()):
            if disk.closed and not disk.online and not disk.ending and (disk.owned or disk.detaching):
                self._remove(disk)
                disk.finish("both ends closed")
            if disk.ending and (disk.ended or disk.stuck):
                with self._lock:
                    del self._disks[key]
                self._host.unwatch(f"{disk.front_path}/state", _token(key))
                if not disk.ended:
                    self._leftover.append(disk)
        self._leftover = [disk for disk in self._leftover if not disk.ended]
        if len(self._disks) < before and self._discovery is not None:
            self._discovery.scan(self._domains)

    def _remove(self, disk: Disk) -> None:
        """Take its directories away, and the domain's with the last of them."""
        others = (d for d in self._disks.values() if d is not disk and not d.ending)
        last = not any((d.kind, d.domid) == (disk.kind, disk.domid) for d in others)
        self._host.commit(removal_commit(self._me, disk.kind, disk.domid, disk.devid, last=last))

    def _post(self, function: Callable[[], None]) -> None:
        self._commands.put(function)
        self._host.wake()

    def _call(self, function: Callable[[], T]) -> T:
        """Run a function on the control thread and return what it returns.  Raises UserError."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return  # the caller has given up: it must not happen behind his back
            try:
                future.set_result(function())
            except HostError as error:
                future.set_exception(UserError(error.problem, fix=error.fix))
            except BaseException as error:
                future.set_exception(error)

        if self._thread is None or not self._thread.is_alive():
            raise UserError("the engine is not running", fix="start it again")
        self._post(run)
        try:
            return future.result(VERB_TIMEOUT)
        except FutureTimeout:
            if not future.cancel():
                return future.result()  # it has begun; a call into the store ends by itself
            raise UserError(
                f"the engine has not answered for {VERB_TIMEOUT:.0f} s", fix="look whether xenstored is alive"
            ) from None

    @staticmethod
    def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        return True

    # looking ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The state right now."""
        pending = self._waiting  # before the disks: what becomes one is seen twice rather than not at all
        with self._lock:
            disks = tuple(self._disks[key].view() for key in sorted(self._disks))
            domains = tuple(DomainView(domain.domid, domain.name) for domain in self._domains)
        seen = Snapshot(
            time=time.time(),
            monotonic=time.monotonic(),
            host=self._host.caps.name,
            domid=self._me,
            domains=domains,
            disks=disks,
            max_disks=self._settings.max_disks,
            started=self._started,
            foreign=self._observer.disks() if self._observer else (),
            engine=self._selfwatch.facts(disks),
            read_only=self._settings.read_only,
            pending=pending,
            refused=self._discovery.refused if self._discovery else (),
            rivals=self._rivals,
            store_problem=self._store_problem,
        )
        return examined(seen)

    def _view(self, disk: Disk) -> DiskView:
        """One disk with its findings."""
        with self._lock:
            view = disk.view()
        return self.snapshot().disk(disk.key) or view

    def events(self, after: int) -> tuple[Event, ...]:
        """The kept events newer than ``after``."""
        return self._events.after(after)

    # looking closely --------------------------------------------------------------------------------------------

    def requests(self, domid: int, devid: int, after: Sequence[int] = (), limit: int = 256) -> tuple[RequestView, ...]:
        """The newest finished requests of a disk, oldest first."""
        with self._lock:
            disk = self._disk(domid, devid)
            return recent_requests(disk.rings, disk.answered, after, limit)

    def ring_slots(self, domid: int, devid: int, ring: int) -> RingSlots:
        """Every slot of a ring; its memory is there as long as the lock is held, and copied meanwhile."""
        with self._lock:
            disk = self._disk(domid, devid)
            copy = copy_ring(disk.title, disk.rings, ring)
        return decode_ring(copy)

    def _disk(self, domid: int, devid: int) -> Disk:
        """Under the lock."""
        disk = self._disks.get((domid, devid))
        if disk is None:
            raise UserError(f"{vdev_name(devid)} of domain {domid} is not attached here", key="devid", value=devid)
        return disk

    def store(self, path: str) -> StoreNode:
        """One node of the store."""
        return self._call(lambda: read_node(self._host, path))

    def store_write(self, path: str, value: str) -> None:
        """Give a node a value, by hand."""
        self._refuse_if_read_only(NO_WRITE)
        self._call(lambda: write_node(self._host, path, value))
        self._events.add(Severity.WARNING, f"{path} in xenstore was written by hand")

    def store_remove(self, path: str) -> None:
        """Remove a node, by hand."""
        self._refuse_if_read_only(NO_WRITE)
        self._call(lambda: remove_node(self._host, path, self._me))
        self._events.add(Severity.WARNING, f"{path} in xenstore was removed by hand")

    def _refuse_if_read_only(self, what: str) -> None:
        if self._settings.read_only:
            raise refusal(what)

    # attaching --------------------------------------------------------------------------------------------------

    def plan(self, request: AttachRequest, *, later: bool = False) -> AttachPlan:
        """Everything an attach checks; nothing is written and nothing stays open."""
        vdev = parse_vdev(request.vdev)
        check_options(request.options)
        domain = self._call(lambda: (self._check_later if later else self._check)(request, vdev))
        image = self._open_image(request)
        try:
            plan = self._planned(request, vdev, domain, image)
            return replace(plan, explained=self._explained(plan, request, vdev, image))
        finally:
            image.close()

    def attach(self, request: AttachRequest, wait: float = 0.0) -> DiskView:
        """Write both directories in one transaction and serve the disk."""
        self._refuse_if_read_only(NO_ATTACH)
        vdev = parse_vdev(request.vdev)
        check_options(request.options)
        domain = self._call(lambda: self._check(request, vdev))
        image = self._open_image(request)
        handed_over = threading.Event()

        def write() -> Disk:
            self._check(request, vdev)
            plan = self._planned(request, vdev, domain, image)
            return self._write_attach(plan, request, image, handed_over)

        try:
            disk = self._call(write)
        except BaseException:
            if not handed_over.is_set():
                image.close()
            raise
        self._wait_until(lambda: disk.connected or disk.ending, wait)
        return self._view(disk)

    def attach_later(self, request: AttachRequest, seconds: float = 0.0) -> PendingAttach:
        """Keep the request until its domain appears; the image is checked now, and opened then."""
        self._refuse_if_read_only(NO_ATTACH)
        plan = self.plan(request, later=True)
        vdev = parse_vdev(request.vdev)

        def keep() -> PendingAttach:
            assert self._discovery is not None
            self._check_later(request, vdev)
            one = self._discovery.waiting.add(request, vdev, plan.image, time.time(), seconds)
            self._discovery.wait_for(one.domain)
            return one

        return self._call(keep)

    def next_vdev(self, domain: str) -> str:
        """The first xvd name the domain does not use."""

        def find() -> str:
            domid = self._find_domain(domain).domid
            used = set(self._host.list(f"/local/domain/{domid}/device/vbd"))
            disk = 0
            while str(Vdev("xvd", disk).number) in used:
                disk += 1
            return Vdev("xvd", disk).name

        return self._call(find)

    def _open_image(self, request: AttachRequest) -> RawImage:
        """Open and lock it in the caller's thread; a plan for the same image may hold the lock for a moment."""
        if request.mode not in ("r", "w"):
            raise UserError(f"mode {request.mode!r} is unknown", fix="use r or w", key="mode", value=request.mode)
        deadline = time.monotonic() + 1.0
        options = request.options
        writable = identity_of(0, 0, request.image, request.mode, options).writable
        direct = wants_direct(self._settings.for_disk(options))
        while True:
            try:
                return open_image(request.image, writable, direct=direct, sector_size=options.sector_size)
            except UserError as error:
                if "is locked by" not in error.problem:
                    raise
                if (user := self._user_of(request.image)) is not None:
                    raise UserError(
                        f"image {request.image} is attached as {user.title}",
                        fix="detach it there first, or attach both with mode r",
                        key="image",
                        value=request.image,
                    ) from error
                if "this engine" not in error.problem or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _user_of(self, image: str) -> Disk | None:
        """The disk of ours that has this image, under whatever name."""
        with self._lock:
            disks = list(self._disks.values())
        path = os.path.realpath(image)  # looks at the file system, which may hang: not under the lock
        return next((disk for disk in disks if os.path.realpath(disk.identity.image) == path), None)

    def _check(self, request: AttachRequest, vdev: Vdev) -> Domain:
        """On the control thread: the domain is there, the vdev is free, there is room for one more disk."""
        domain = self._find_domain(request.domain)
        if domain.domid == self._me:
            raise UserError(
                f"domain {request.domain} is this engine's own domain",
                fix="attach to another domain",
                key="domain",
                value=request.domain,
            )
        if self._host.read(f"{frontend_path(domain.domid, vdev.number)}/state") is not None or (
            self._host.list(frontend_path(domain.domid, vdev.number))
        ):
            raise UserError(
                f"vdev {vdev.name} is in use in {domain.name}",
                fix="choose another one, or detach it first",
                key="vdev",
                value=request.vdev,
            )
        self._check_room(len(self._disks))
        return domain

    def _check_room(self, count: int) -> None:
        """Raises UserError when there is no room for another disk besides ``count``."""
        if count >= self._settings.max_disks:
            raise UserError(
                f"{count} disks are attached, which is engine.max_disks",
                fix="detach one, or raise max_disks",
                key="max_disks",
                value=self._settings.max_disks,
            )
        pages = self._host.caps.max_grant_pages
        if pages and (count + 1) * LEAST_PAGES > pages:
            raise UserError(
                f"this host can map {pages} pages of guests at a time, and {count} disks may need them all",
                fix="detach one",
                key="max_disks",
                value=count,
            )
        if not self._host.caps.can_attach:
            raise UserError("this host may not write a guest's directory", fix="attach with the toolstack")

    def _check_later(self, request: AttachRequest, vdev: Vdev) -> Domain | None:
        """On the control thread: the same for a domain that may be waited for; None while it is not there."""
        assert self._discovery is not None
        if any(domain.name == request.domain for domain in self._host.domains()):
            return self._check(request, vdev)
        self._discovery.waiting.check(request, vdev)
        if not self._host.caps.domain_list:
            raise UserError("this host does not say which domains run", fix="attach when it runs", key="domain")
        self._check_room(len(self._disks) + len(self._waiting))
        return None

    def _find_domain(self, text: str) -> Domain:
        domains = self._host.domains()
        with self._lock:
            self._domains = domains
        matches = [d for d in domains if d.name == text] or [d for d in domains if str(d.domid) == text]
        if len(matches) == 1:
            return matches[0]
        known = ", ".join(f"{d.name} ({d.domid})" for d in domains if d.domid != self._me) or "none"
        problem = f"domain {text!r} is not running" if not matches else f"several domains are called {text!r}"
        raise UserError(problem, fix=f"running: {known}", key="domain", value=text)

    def _planned(self, request: AttachRequest, vdev: Vdev, domain: Domain | None, image: RawImage) -> AttachPlan:
        domid = domain.domid if domain else -1
        identity = identity_of(domid, vdev.number, image.path, request.mode, request.options)
        commit = attach_commit(self._me, self._settings.kinds[0], identity) if domain else []
        settings = self._settings.for_disk(request.options)
        limits = limits_of(settings, self._host.caps)
        offer = offer_of(identity, request.options, settings, limits, image, image.sectors)
        return AttachPlan(
            domid=domid,
            domain=domain.name if domain else request.domain,
            vdev=vdev.name,
            devid=vdev.number,
            image=image.path,
            mode=identity.mode,
            sectors=image.sectors,
            writes=planned_writes(commit),
            offers=(*feature_keys(offer), *size_keys(offer)),
            limits=limits,
            direct=image.direct,
        )

    def _explained(
        self, plan: AttachPlan, request: AttachRequest, vdev: Vdev, image: RawImage
    ) -> tuple[Explained, ...]:
        return explain(
            vdev,
            self._settings.kinds[0],
            self._me,
            dict(self._rivals),
            identity_of(plan.domid, vdev.number, image.path, request.mode, request.options),
            image,
            image_info(image.path),
            request.options.sector_size,
        )

    def _write_attach(
        self, plan: AttachPlan, request: AttachRequest, image: RawImage, handed_over: threading.Event
    ) -> Disk:
        assert self._discovery is not None
        kind = self._settings.kinds[0]
        identity = identity_of(plan.domid, plan.devid, plan.image, plan.mode, request.options)
        commit = attach_commit(self._me, kind, identity)
        try:
            self._host.commit(commit)
        except Conflict as error:
            if error.path == f"/local/domain/{plan.domid}":
                raise UserError(f"domain {plan.domain} has just ended", fix="start it again", key="domain") from error
            raise UserError(
                f"vdev {plan.vdev} has just come into use in {plan.domain}", fix="choose another one", key="vdev"
            ) from error
        handed_over.set()
        disk = self._discovery.adopt(
            kind, plan.domain, identity, request.options, owned=True, image=image, written=commit
        )
        disk.step()
        return disk

    # resizing ---------------------------------------------------------------------------------------------------

    def resize(self, domain: str, vdev: str, sectors: int | None = None) -> DiskView:
        """Grow the image to ``sectors``, or take over the size it has, in the caller's thread; then tell the guest."""
        self._refuse_if_read_only(NO_RESIZE)
        disk = self._call(lambda: self._find_disk(domain, vdev))
        job = self._call(disk.begin_resize)
        try:
            found = job.run(sectors)
        except BaseException:
            self._call(lambda: disk.end_resize(None))
            raise
        finally:
            job.close()
        self._call(lambda: disk.end_resize(found))
        return self._view(disk)

    # detaching --------------------------------------------------------------------------------------------------

    def detach(self, domain: str, vdev: str, *, force: bool = False, wait: float = 10.0) -> None:
        """Close gracefully; with ``force``, take the disk away if the guest still holds it after ``wait`` seconds."""
        self._refuse_if_read_only(NO_DETACH)
        found = self._call(lambda: self._find_or_take_back(domain, vdev))
        if found is None:
            return
        disk = found
        self._call(lambda: self._begin_detach(disk))

        def gone() -> bool:
            return self._disks.get(disk.key) is not disk

        if self._wait_until(gone, wait):
            return
        if not force:
            raise UserError(
                f"{disk.title} is still held by the guest after {wait:.0f} s",
                fix="unmount it there, then it goes by itself; or detach it with force",
                key="vdev",
                value=vdev,
            )
        self._call(lambda: self._force(disk))
        if not self._wait_until(gone, 5.0):
            raise UserError(f"{disk.title} could not be taken away", fix="see the event log")

    def _find_or_take_back(self, domain: str, vdev: str) -> Disk | None:
        """The disk to detach; None when it only waited for its domain, which it does no longer."""
        assert self._discovery is not None
        try:
            return self._find_disk(domain, vdev)
        except UserError:
            if self._discovery.waiting.cancel(domain, parse_vdev(vdev).number):
                return None
            raise

    def _find_disk(self, domain: str, vdev: str) -> Disk:
        devid = parse_vdev(vdev).number
        for disk in self._disks.values():
            if domain in (disk.domain, str(disk.domid)) and disk.devid == devid:
                return disk
        mine = ", ".join(disk.title for disk in self._disks.values()) or "no disk is attached"
        raise UserError(f"{vdev_name(devid)} of {domain} is not attached here", fix=mine, key="vdev", value=vdev)

    def _begin_detach(self, disk: Disk) -> None:
        """What libxl writes: offline and Closing in one transaction; the states do the rest."""
        disk.detaching = True
        disk.commit(
            [
                Expect(f"{disk.back_path}/frontend", present=True),
                Put(f"{disk.back_path}/online", "0"),
                *([] if disk.closed else [Put(f"{disk.back_path}/state", str(int(S.CLOSING)))]),
            ]
        )
        disk.step()

    def _force(self, disk: Disk) -> None:
        self._remove(disk)
        disk.finish("by force")

    def _begin_detach_all(self) -> None:
        for disk in list(self._disks.values()):
            self._guarded(lambda disk=disk: self._begin_detach(disk))  # type: ignore[misc]

    def _force_all(self) -> None:
        for disk in list(self._disks.values()):
            self._guarded(lambda disk=disk: self._force(disk))  # type: ignore[misc]


def _token(key: tuple[int, int]) -> str:
    return f"disk:{key[0]}/{key[1]}"
