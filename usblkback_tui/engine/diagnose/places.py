# SPDX-License-Identifier: MIT
"""Whether the two directories of a vbd are there, belong together, and are open to those who need them."""

from __future__ import annotations

from usblkback_tui.engine.diagnose.case import Case
from usblkback_tui.engine.diagnose.complaints import says
from usblkback_tui.engine.diagnose.rule import Found, Rule, Subject, back_keys, front_keys
from usblkback_tui.engine.snapshot import Party, Severity
from usblkback_tui.protocol.expected import PATIENCE
from usblkback_tui.protocol.keys import backend_path
from usblkback_tui.protocol.states import XenbusState as S


def _elsewhere(case: Case) -> Found | None:
    backend, number = case.at_front("backend"), case.at_front("backend-id")
    path = backend_path(case.backend, case.kind, case.domid, case.devid)
    if case.connected or not case.has_back:
        return None
    if backend in (None, path) and number in (None, str(case.backend)):
        return None
    return Found(
        f"the guest is told that its backend is {backend if backend != path else f'in domain {number}'}, not {path}",
        front_keys(case, "backend", "backend-id"),
    )


def _no_back(case: Case) -> Found | None:
    if case.has_back:
        return None
    named = case.at_front("backend") or "its backend's directory"
    return Found(f"{named} is not there, and the guest still has the disk", front_keys(case, "backend", "backend-id"))


def _no_front(case: Case) -> Found | None:
    if case.keys.front or case.front is not S.UNKNOWN or not case.keys.back or not case.has_back:
        return None
    if case.back is S.UNKNOWN or (case.back is S.CLOSED and not case.online):
        return None
    early = "keys were removed before both ends were Closed" if case.back in (S.CONNECTED, S.CLOSING) else "half a disk"
    return Found(
        f"the guest's directory of this disk is gone and its domain is not: {early}", back_keys(case, "frontend")
    )


_refused = says(r"store refused|[Pp]ermission denied|EACCES")


def _no_access(case: Case) -> Found | None:
    if (found := _refused(case)) is not None:
        return found
    back, front = case.keys.back_access, case.keys.front_access
    evidence = (("backend permissions", back), ("frontend permissions", front))
    if case.connected or not case.late(PATIENCE):
        return None
    if back and not _may_read(back, case.domid):
        return Found(f"the guest (domain {case.domid}) may not read its backend's directory: {back}", evidence)
    if back and case.backend and _owner(back) != case.backend:
        return Found(f"the backend (domain {case.backend}) does not own its directory: {back}", evidence)
    if front and _owner(front) != case.domid:
        return Found(f"the guest (domain {case.domid}) does not own its directory: {front}", evidence)
    if front and not _may_read(front, case.backend):
        return Found(f"the backend (domain {case.backend}) may not read the guest's directory: {front}", evidence)
    return None


def _owner(access: str) -> int:
    first = access.partition(",")[0][1:]
    return int(first) if first.isdecimal() else -1


def _may_read(access: str, domid: int) -> bool:
    if domid in (0, _owner(access)):
        return True
    default, *listed = access.split(",")
    given = next((one[0] for one in listed if one[1:] == str(domid)), default[0])
    return given in "rb"


PLACES = (
    Rule(
        "BE-GONE",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.TOOLSTACK,
        _no_back,
        "a frontend's directory whose backend directory is missing",
        ("detach the disk with force: xl block-detach --force", "attach it again"),
        source="QubesOS#3186, xenopsd#613",
    ),
    Rule(
        "FE-GONE",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.TOOLSTACK,
        _no_front,
        "a backend's directory whose frontend directory is missing while the domain runs",
        ("detach the disk with force", "attach it again"),
        seconds=PATIENCE,
        source="xenopsd#613: keys removed before both ends were Closed",
    ),
    Rule(
        "FE-ELSEWHERE",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.TOOLSTACK,
        _elsewhere,
        "the frontend's backend or backend-id name another place than this backend",
        ("look which domain was meant (backend= of the disk)", "detach the disk and attach it again"),
        seconds=PATIENCE,
        source="QubesOS#3186, #2126",
    ),
    Rule(
        "PERM",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.OPERATOR,
        _no_access,
        "xenstore refuses a write of the backend, or an end does not own its directory, or may not read the other's",
        (
            "detach the disk and attach it again, or mend it with xenstore-chmod",
            "a backend outside dom0 needs a domain that the toolstack made a driver domain (driver_domain=1)",
        ),
        source="xenstore.txt, permissions",
    ),
)
"""In the order in which they are tried."""
