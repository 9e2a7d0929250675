# SPDX-License-Identifier: MIT
"""What an attach writes and what a removal takes away, as one commit each."""

from __future__ import annotations

from usblkback_tui.engine.host.seam import Change, Expect, Host, Put, Remove
from usblkback_tui.protocol.backend import BackendIdentity, attach_keys
from usblkback_tui.protocol.keys import backend_path, domain_path, error_path, frontend_path


def attach_commit(me: int, kind: str, identity: BackendIdentity) -> list[Change]:
    """Both directories of a new vbd, as a toolstack writes them; refused while the frontend's already exists.

    Each end owns its directory and the other may read it; keys inherit that.  The frontend's state goes last, because a
    new directory makes the guest look at once.
    """
    domid, devid = identity.domid, identity.devid
    back_keys, front_keys = attach_keys(me, kind, identity)
    back, front = backend_path(me, kind, domid, devid), frontend_path(domid, devid)
    return [
        Expect(domain_path(domid), present=True),
        Expect(front, present=False),
        Expect(back, present=False),
        Put(back, "", owner=me, readers=(domid,)),
        *(Put(f"{back}/{key}", value) for key, value in back_keys),
        Put(front, "", owner=domid, readers=(me,)),
        *(Put(f"{front}/{key}", value) for key, value in front_keys),
    ]


def planned_writes(commit: list[Change]) -> tuple[tuple[str, str], ...]:
    """The (path, value) pairs of a commit, for a preview."""
    return tuple((change.path, change.value) for change in commit if isinstance(change, Put))


def removal_commit(me: int, kind: str, domid: int, devid: int, *, last: bool) -> list[Change]:
    """Take both directories away, and what we said about errors.

    ``last``: this was the domain's last vbd of this kind here, so the empty parents go too.
    """
    back, error = backend_path(me, kind, domid, devid), error_path(me, kind, domid, devid)
    return [
        Remove(frontend_path(domid, devid)),
        Remove(back.rpartition("/")[0] if last else back),
        Remove(error.rpartition("/")[0] if last else error),
    ]


def forget_error(host: Host, path: str) -> None:
    """Take away what was said about a vbd's errors, and the domain's directory when it held nothing else.

    A toolstack that removes a vbd knows nothing of it.  Raises HostError.
    """
    host.commit([Remove(path)])
    above = path.rpartition("/")[0]
    if not host.list(above):
        host.commit([Remove(above)])
