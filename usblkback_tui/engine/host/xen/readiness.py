# SPDX-License-Identifier: MIT
"""What Xen needs on this machine, one line each: looked at by ``doctor``, and insisted on when the host opens."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from usblkback_tui.engine.host.seam import HostError, Readiness
from usblkback_tui.engine.host.xen import memory
from usblkback_tui.engine.host.xen.contact import connect
from usblkback_tui.engine.host.xen.libs import NEEDED, Library, Paths, XenLibs, open_library, open_libs
from usblkback_tui.engine.host.xen.store import XenStore

_DEVICES = (
    ("event channels", "dev/xen/evtchn", "xen-evtchn", "CONFIG_XEN_DEV_EVTCHN"),
    ("grants", "dev/xen/gntdev", "xen-gntdev", "CONFIG_XEN_GNTDEV"),
)
_STORE_DOORS = ("run/xenstored/socket", "var/run/xenstored/socket", "dev/xen/xenbus", "proc/xen/xenbus")
"""Where libxenstore finds a store: xenstored's socket in its own domain, the kernel's device elsewhere."""

_BOOT_FIRST = "boot Xen first"


def machine(root: Path, paths: Paths) -> Iterator[Readiness]:
    """What must be there before anything is opened, in the order in which it is worth mending."""
    yield _xen(root)
    for library in NEEDED:
        yield _library(library, paths)
    for name, device, module, option in _DEVICES:
        yield _device(root, name, device, module, option)
    yield _store_door(root)


def look(root: Path, paths: Paths) -> tuple[Readiness, ...]:
    """Everything; never raises."""
    lines = list(machine(root, paths))
    if all(line.ok for line in lines):
        lines += _inside(root, paths)
    lines += [_blkback(root), _xl()]
    return tuple(lines)


def under_xen(root: Path) -> bool:
    """Whether this kernel runs on Xen, in whatever kind of domain."""
    kind = _text(root / "sys/hypervisor/type")
    return kind == "xen" if kind else (root / "proc/xen").is_dir()


def is_control_domain(root: Path) -> bool:
    """Whether this is dom0 or another domain with its rights."""
    return "control_d" in _text(root / "proc/xen/capabilities")


def map_limit(root: Path) -> int:
    """Pages that one map call may ask for; 0 when the kernel does not say."""
    text = _text(root / "sys/module/xen_gntdev/parameters/limit")
    return int(text) if text.isdecimal() else 0


def own_domid(store: XenStore, root: Path) -> int:
    """The domain we run in.  dom0 may lack the key until xen-init-dom0 has run.  Raises HostError."""
    text = store.read("domid")
    if text is not None and text.isdecimal():
        return int(text)
    if is_control_domain(root):
        return 0
    raise HostError(
        f"our own domain id is {'missing' if text is None else repr(text)} in xenstore (key domid)",
        fix="start this domain through xl or libvirt",
    )


def backend_folder(domid: int) -> str:
    """Where a domain keeps its backends."""
    return f"/local/domain/{domid}/backend"


def _xen(root: Path) -> Readiness:
    if under_xen(root):
        version = root / "sys/hypervisor/version"
        number = ".".join(filter(None, (_text(version / "major"), _text(version / "minor")))) + _text(version / "extra")
        return Readiness("hypervisor", True, f"Xen {number}".strip())
    kind = _text(root / "sys/hypervisor/type")
    return Readiness(
        "hypervisor",
        False,
        f"this machine runs on {kind!r}, not on Xen" if kind else "this machine does not run on Xen",
        "boot Xen (Debian: apt install xen-system-amd64, then its boot menu entry), or try: usblkback-tui demo",
    )


def _library(library: Library, paths: Paths) -> Readiness:
    try:
        open_library(library, paths)
    except HostError as error:
        return Readiness(library.name, False, error.problem, error.fix)
    return Readiness(library.name, True, "found")


def _device(root: Path, name: str, device: str, module: str, option: str) -> Readiness:
    path = root / device
    if not path.exists():
        fix = f"modprobe {module} (the kernel's {option})" if under_xen(root) else _BOOT_FIRST
        return Readiness(name, False, f"/{device} is missing", fix)
    return _permitted(name, path, f"/{device}")


def _store_door(root: Path) -> Readiness:
    doors = [door for door in _STORE_DOORS if (root / door).exists()]
    if doors:
        return _permitted("xenstore", root / doors[0], f"/{doors[0]}")
    fix = "mount -t xenfs xenfs /proc/xen"
    if is_control_domain(root):
        fix = "systemctl start xenstored"
    elif not under_xen(root):
        fix = _BOOT_FIRST
    return Readiness("xenstore", False, "there is no xenstored socket and no /dev/xen/xenbus", fix)


def _permitted(name: str, path: Path, shown: str) -> Readiness:
    if os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        return Readiness(name, True, shown)
    return Readiness(name, False, f"{shown} may not be opened by user {os.geteuid()}", "run as root")


def _inside(root: Path, paths: Paths) -> Iterator[Readiness]:
    """What only shows when the libraries and the store are used."""
    try:
        libs = open_libs(paths)
        store = connect(libs)
    except HostError as error:
        yield Readiness("xenstored", False, error.problem, error.fix)
        return
    try:
        domid = own_domid(store, root)
        yield Readiness("xenstored", True, f"answers; we are domain {domid}")
        yield _backend_rights(store, domid)
        yield _frontend_rights(root)
    except HostError as error:
        yield Readiness("xenstored", False, error.problem, error.fix)
    finally:
        store.close()
    yield _grant_copy(libs)
    yield _map_limit(root)


def _backend_rights(store: XenStore, domid: int) -> Readiness:
    folder = backend_folder(domid)
    if store.may_write(f"{folder}/usblkback"):
        return Readiness("backend rights", True, f"{folder} can be written")
    fix = "run in dom0, or start this domain with driver_domain=1"
    return Readiness("backend rights", False, f"{folder} may not be written by this domain", fix)


def _frontend_rights(root: Path) -> Readiness:
    if is_control_domain(root):
        return Readiness("attach without a toolstack", True, "this is a control domain", needed=False)
    fix = "attach from dom0: xl block-attach with backend=<this domain>"
    seen = "a domain without control rights cannot write another's device directory"
    return Readiness("attach without a toolstack", False, seen, fix, needed=False)


def _grant_copy(libs: XenLibs) -> Readiness:
    try:
        can = memory.can_copy(libs)
    except HostError as error:
        return Readiness("grants", False, error.problem, error.fix)
    if can:
        return Readiness("grant copy", True, "available", needed=False)
    fix = "a kernel of 4.11 or newer and Xen 4.8 or newer have it; pages are mapped instead"
    return Readiness("grant copy", False, "this kernel or library has none", fix, needed=False)


def _map_limit(root: Path) -> Readiness:
    limit = map_limit(root)
    if limit == 0:
        return Readiness("grant limit", True, "the kernel does not say", needed=False)
    fix = "echo 65536 > /sys/module/xen_gntdev/parameters/limit"
    return Readiness(
        "grant limit", limit >= 1024, f"{limit} pages in one map", "" if limit >= 1024 else fix, needed=False
    )


def blkback_loaded(root: Path) -> bool:
    """Whether this kernel's own block backend answers kind vbd."""
    return (root / "sys/module/xen_blkback").exists() or (root / "sys/bus/xen-backend/drivers/vbd").exists()


def _blkback(root: Path) -> Readiness:
    if not blkback_loaded(root):
        return Readiness("kernel xen-blkback", True, "not loaded, kind vbd is free", needed=False)
    return Readiness(
        "kernel xen-blkback",
        False,
        "loaded: it answers backends of kind vbd, so both of us would",
        "keep kinds to usblkback, or for vbd: rmmod xen-blkback",
        needed=False,
    )


def _xl() -> Readiness:
    where = shutil.which("xl")
    if where:
        return Readiness("xl", True, where, needed=False)
    return Readiness("xl", False, "not found", "to start guests: apt install xen-utils", needed=False)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
