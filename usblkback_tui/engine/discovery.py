# SPDX-License-Identifier: MIT
"""Finds the vbds that are ours to serve, and remembers which disks belong to which domain.

What a toolstack (or an earlier engine) wrote below our backend directories becomes a :class:`Disk`.  Disks named in
the config are attached when their domain appears; disks an operator attached come back when their guest reboots, which
gives it a new domid but keeps its ``/vm`` path.
"""

from __future__ import annotations

from dataclasses import replace

from usblkback_tui.engine.attaching import attach_commit, forget_error, removal_commit
from usblkback_tui.engine.disk import Disk, Surroundings
from usblkback_tui.engine.host.seam import Commit, Domain, HostError, Put
from usblkback_tui.engine.image.raw import RawImage
from usblkback_tui.engine.options import identity_of, options_of
from usblkback_tui.engine.settings import DiskOptions, DiskSettings
from usblkback_tui.engine.snapshot import RefusedVbd, Severity
from usblkback_tui.engine.waiting import Waiting
from usblkback_tui.protocol.backend import OUR_TYPE, BackendIdentity, parse_identity
from usblkback_tui.protocol.blkif import SECTOR
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.keys import backend_path, backend_root, error_path, frontend_path, parse_id
from usblkback_tui.protocol.vdev import parse_vdev

REOPEN_PATIENCE = 10.0
"""Seconds a rebooted guest's image may take to be let go of by the ring that served it before."""


class Discovery:
    """Keeps ``disks`` in step with the store; control thread only."""

    def __init__(
        self, around: Surroundings, disks: dict[tuple[int, int], Disk], wanted: tuple[DiskSettings, ...]
    ) -> None:
        self._around = around
        self._disks = disks
        self._wanted = wanted
        self.waiting = Waiting(around.events)
        self._running: dict[int, Domain] = {}
        self._homeless: dict[str, list[BackendIdentity]] = {}
        """By ``/vm`` path: disks of a guest that is gone, for its return."""
        self._refused: dict[tuple[int, int], RefusedVbd] = {}

    def adopt(
        self,
        kind: str,
        domain: str,
        identity: BackendIdentity,
        options: DiskOptions,
        *,
        owned: bool,
        image: RawImage | None = None,
        patience: float = 0.0,
        written: Commit = (),
    ) -> Disk:
        """Serve a vbd whose directories are written, by us when ``written`` says what.  Raises HostError."""
        disk = Disk(
            self._around,
            kind,
            domain,
            identity,
            options,
            owned=owned,
            image=image,
            patience=patience,
            written=written,
        )
        with self._around.lock:
            self._disks[disk.key] = disk
        self._refused.pop(disk.key, None)
        self._around.events.add(
            Severity.INFO,
            f"{disk.title} is attached: {identity.image} ({'writable' if identity.writable else 'read-only'})",
            "attached",
            domid=disk.domid,
            devid=disk.devid,
            vdev=disk.vdev,
        )
        if options.sector_size != SECTOR:
            self._around.events.add(
                Severity.WARNING,
                f"{disk.title} has sectors of {options.sector_size} bytes: Windows frontends and QEMU's backend count "
                "them in other units, and partition tables written for 512 are not found",
                domid=disk.domid,
                devid=disk.devid,
                vdev=disk.vdev,
            )
        self._around.host.watch(f"{disk.front_path}/state", f"disk:{disk.domid}/{disk.devid}")
        return disk

    @property
    def refused(self) -> tuple[RefusedVbd, ...]:
        """What stands below our directories and is not served; from any thread."""
        return tuple(self._refused.copy().values())

    def scan(self, domains: tuple[Domain, ...]) -> None:
        """Adopt every vbd below our directories that is not known yet."""
        host = self._around.host
        names = {domain.domid: domain.name for domain in domains}
        present = set()
        for kind in self._around.settings.kinds:
            root = backend_root(self._around.me, kind)
            for domid_text in host.list(root):
                domid = parse_id(domid_text)
                if domid is None:
                    continue
                for devid_text in host.list(f"{root}/{domid_text}"):
                    devid = parse_id(devid_text)
                    if devid is None:
                        continue
                    present.add((domid, devid))
                    if (domid, devid) not in self._disks:
                        self._found(kind, names.get(domid, str(domid)), domid, devid)
        for key in set(self._refused) - present:
            del self._refused[key]
            for kind in self._around.settings.kinds:
                forget_error(host, error_path(self._around.me, kind, *key))

    def _found(self, kind: str, domain: str, domid: int, devid: int) -> None:
        host, me = self._around.host, self._around.me
        path = backend_path(me, kind, domid, devid)
        if host.read(f"{path}/state") is None:
            return  # a toolstack without transactions is still writing
        if host.caps.domain_list and host.read(f"/local/domain/{domid}/name") is None:
            if host.read(f"{path}/type") == OUR_TYPE:
                host.commit(removal_commit(me, kind, domid, devid, last=False))
                self._around.events.add(Severity.INFO, f"removed vbd {devid} of domain {domid}, which has ended")
            return
        try:
            identity = parse_identity(lambda key: host.read(f"{path}/{key}"), domid, devid)
            options = options_of(identity)
            limit = self._around.settings.max_disks
            if len(self._disks) >= limit:
                raise UserError(
                    f"{limit} disks are attached, which is engine.max_disks",
                    fix="detach one, or raise max_disks",
                    key="max_disks",
                    value=limit,
                )
        except UserError as error:
            self._refuse(kind, domain, domid, devid, error)
            return
        owned = host.read(f"{path}/type") == OUR_TYPE
        self.adopt(kind, domain, identity, options, owned=owned)

    def _refuse(self, kind: str, domain: str, domid: int, devid: int, error: UserError) -> None:
        """Say once, here and to the toolstack, why a vbd is not served."""
        sentence = str(error)
        refused = RefusedVbd(kind, domid, devid, sentence)
        if self._refused.get((domid, devid)) == refused:
            return
        self._refused[domid, devid] = refused
        around = self._around
        around.events.add(
            Severity.ERROR,
            f"vbd {devid} of {domain} is not served: {sentence}",
            "error",
            domid=domid,
            devid=devid,
        )
        path = backend_path(around.me, kind, domid, devid)
        around.host.commit(
            [
                Put(f"{error_path(around.me, kind, domid, devid)}/error", f"22 {sentence}"),
                Put(f"{path}/hotplug-error", sentence),
                Put(f"{path}/hotplug-status", "error"),
            ]
        )

    # domains ----------------------------------------------------------------------------------------------------

    def domains_changed(self, domains: tuple[Domain, ...]) -> None:
        """Let go of the disks of domains that are gone, attach those that belong to new ones."""
        if not self._around.host.caps.domain_list:
            return
        now = {domain.domid: domain for domain in domains}
        # a domain being built has its directory before its name; it is new once it has both
        now = {domid: domain for domid, domain in now.items() if domain.name}
        for domid in set(self._running) - set(now):
            self._gone(self._running[domid])
        for domid in sorted(set(now) - set(self._running)):
            self._came(now[domid])
        self._running = now

    def _gone(self, domain: Domain) -> None:
        self._say(domain, "has ended")
        me = self._around.me
        for disk in [d for d in self._disks.values() if d.domid == domain.domid]:
            if disk.ending or not disk.owned:
                continue
            if domain.vm and not disk.detaching:
                self._homeless.setdefault(domain.vm, []).append(disk.identity)
            self._around.host.commit(removal_commit(me, disk.kind, disk.domid, disk.devid, last=True))
            disk.finish("its domain has ended")

    def _came(self, domain: Domain) -> None:
        if domain.domid == self._around.me:
            return
        self._say(domain, "is running")
        for identity in self._homeless.pop(domain.vm, ()) if domain.vm else ():
            self._attach(domain, replace(identity, domid=domain.domid))
        for disk in self._wanted:
            if disk.domain in (domain.name, str(domain.domid)):
                devid = parse_vdev(disk.vdev).number
                self._attach(domain, identity_of(domain.domid, devid, disk.image, disk.mode, disk.options))
        self._attach_waiting(domain)

    def wait_for(self, domain: str) -> None:
        """Something new waits for a domain, which may have come meanwhile."""
        for running in self._running.values():
            if running.name == domain:
                self._attach_waiting(running)

    def _attach_waiting(self, domain: Domain) -> None:
        for one in self.waiting.of(domain.name):
            if self._in_use(domain.domid, one.devid):
                self._around.events.add(Severity.WARNING, f"{one.title} is in use; what waited for it is not attached")
            else:
                self._attach(domain, identity_of(domain.domid, one.devid, one.image, one.mode, one.options))
            self.waiting.done(one)

    def _in_use(self, domid: int, devid: int) -> bool:
        return bool(self._around.host.list(frontend_path(domid, devid))) or (domid, devid) in self._disks

    def _attach(self, domain: Domain, identity: BackendIdentity) -> None:
        around, devid = self._around, identity.devid
        if self._in_use(domain.domid, devid):
            return
        if len(self._disks) >= around.settings.max_disks:
            around.events.add(Severity.ERROR, f"vbd {devid} of {domain.name} is not attached: max_disks is reached")
            return
        kind = around.settings.kinds[0]
        commit = attach_commit(around.me, kind, identity)
        try:
            around.host.commit(commit)
        except HostError as error:
            around.events.add(Severity.ERROR, f"vbd {devid} of {domain.name} could not be attached: {error}")
            return
        self.adopt(
            kind, domain.name, identity, options_of(identity), owned=True, patience=REOPEN_PATIENCE, written=commit
        )

    def _say(self, domain: Domain, what: str) -> None:
        self._around.events.add(
            Severity.INFO, f"domain {domain.name} ({domain.domid}) {what}", "domain", domid=domain.domid
        )
