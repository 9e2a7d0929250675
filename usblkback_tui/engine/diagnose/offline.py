# SPDX-License-Identifier: MIT
"""A saved dump of xenstore, from any host and any backend, read with the same rules.

A dump knows no times, so nothing in it is still within its deadline.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from usblkback_tui.engine.diagnose.case import Case
from usblkback_tui.engine.diagnose.examine import judge
from usblkback_tui.engine.snapshot import Finding, StoreKeys
from usblkback_tui.engine.storedump import Dump, DumpNode, tree
from usblkback_tui.engine.storekeys import LONGEST, MAX_KEYS
from usblkback_tui.protocol.backend import OUR_TYPE
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.keys import (
    backend_path,
    backend_root,
    domain_path,
    error_path,
    frontend_error_path,
    frontend_path,
    parse_id,
)
from usblkback_tui.protocol.printable import printable
from usblkback_tui.protocol.states import XenbusState as S

KINDS = ("vbd", "qdisk", "vbd3", "tap", OUR_TYPE)
"""Backend kinds of block devices; any other is one when its frontend is a vbd."""
MAX_VBDS = 4096

_DOMAINS = "/local/domain"
_BACKEND = re.compile(r"/local/domain/(\d{1,5})/backend/([0-9A-Za-z_@-]{1,32})/\d+/\d+", re.ASCII)
_MISSING = DumpNode("")


@dataclass(frozen=True, slots=True)
class DumpDiagnosis:
    """What a dump says."""

    findings: tuple[Finding, ...]
    names: dict[int, str]
    """Of domains, by domid; printable."""
    vbds: tuple[tuple[int, int], ...]
    """(domid, devid) of what was looked at."""


def diagnose_dump(dump: Dump) -> DumpDiagnosis:
    """What is wrong with the vbds of a dump.  Raises UserError when it has no part of xenstore that shows them."""
    store = _Store(dump)
    if not store.below.get(_DOMAINS):
        raise UserError(
            f"this dump has no domain: {_DOMAINS} is not in it",
            fix="make one of the whole store: xenstore-ls -fp",
            key="from",
        )
    cases = store.cases()
    findings = tuple(finding for case in cases for finding in judge(case))
    return DumpDiagnosis(findings, store.names(), tuple((case.domid, case.devid) for case in cases))


class _Store:
    """The questions that are asked of a dump."""

    def __init__(self, dump: Dump) -> None:
        self._dump = dump
        self.below = tree(dump)
        self._whole = _DOMAINS in dump
        """All domains are in it, so one that is not does not run."""

    def names(self) -> dict[int, str]:
        found = {}
        for domid in self._numbers(_DOMAINS):
            if (name := self._text(f"{domain_path(domid)}/name")) is not None:
                found[domid] = name
        return found

    def cases(self) -> list[Case]:
        """One for each backend's directory, and one for each frontend's that has none."""
        cases: list[Case] = []
        for place in self._backends():
            if len(cases) == MAX_VBDS:
                break
            cases.append(self._case(*place))
        served = {(case.domid, case.devid) for case in cases}
        for domid in self._numbers(_DOMAINS):
            for devid in self._numbers(f"{domain_path(domid)}/device/vbd"):
                if (domid, devid) not in served and len(cases) < MAX_VBDS and (case := self._lonely(domid, devid)):
                    cases.append(case)
        connected: dict[int, set[str]] = {}
        for case in cases:
            if case.connected:
                connected.setdefault(case.domid, set()).add(case.kind)
        return [replace(case, neighbours=frozenset(connected.get(case.domid, ()))) for case in cases]

    def _backends(self) -> Iterator[tuple[int, str, int, int]]:
        for backend in self._numbers(_DOMAINS):
            for kind in self.below.get(f"{domain_path(backend)}/backend", ()):
                root = backend_root(backend, kind)
                for domid in self._numbers(root):
                    for devid in self._numbers(f"{root}/{domid}"):
                        if kind in KINDS or self._is_vbd(backend, kind, domid, devid):
                            yield backend, kind, domid, devid

    def _is_vbd(self, backend: int, kind: str, domid: int, devid: int) -> bool:
        frontend = self._node(f"{backend_path(backend, kind, domid, devid)}/frontend").value
        return frontend == frontend_path(domid, devid)

    def _case(self, backend: int, kind: str, domid: int, devid: int) -> Case:
        back, front = backend_path(backend, kind, domid, devid), frontend_path(domid, devid)
        keys = StoreKeys(
            back=tuple(self._keys(back)),
            front=tuple(self._keys(front)),
            back_error=self._text(error_path(backend, kind, domid, devid) + "/error") or "",
            front_error=self._text(frontend_error_path(domid, devid) + "/error") or "",
            back_access=self._node(back).access,
            front_access=self._node(front).access,
        )
        return Case(
            domid=domid,
            devid=devid,
            kind=kind,
            backend=backend,
            front=S.parse(self._text(f"{front}/state")),
            back=S.parse(self._text(f"{back}/state")),
            online=self._text(f"{back}/online") != "0",
            running=not self._whole or domain_path(domid) in self.below,
            keys=keys,
        )

    def _lonely(self, domid: int, devid: int) -> Case | None:
        """A frontend without a backend, in a dump that would show it."""
        named = _BACKEND.fullmatch(self._text(f"{frontend_path(domid, devid)}/backend") or "")
        backend, kind = (int(named[1]), named[2]) if named else (0, "vbd")
        if not self._whole and domain_path(backend) not in self.below:
            return None
        return replace(self._case(backend, kind, domid, devid), has_back=False)

    def _keys(self, path: str) -> Iterator[tuple[str, str]]:
        left = MAX_KEYS
        for name in self.below.get(path, ()):
            places = (
                [f"{name}/{key}" for key in self.below.get(f"{path}/{name}", ())]
                if name.startswith("queue-")
                else [name]
            )
            for place in places:
                if left and (value := self._text(f"{path}/{place}")) is not None:
                    left -= 1
                    yield place, value

    def _numbers(self, path: str) -> list[int]:
        return [number for name in self.below.get(path, ()) if (number := parse_id(name)) is not None]

    def _node(self, path: str) -> DumpNode:
        return self._dump.get(path, _MISSING)

    def _text(self, path: str) -> str | None:
        node = self._dump.get(path)
        return None if node is None else printable(node.value, LONGEST) + ("…" if node.cut else "")
