# SPDX-License-Identifier: MIT
"""Looking without touching: what ``read_only`` refuses, and any Backend seen through that.

An engine with ``read_only`` refuses for everybody; :class:`ReadOnly` is for one who looks at an engine that does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from usblkback_tui.engine.api import AttachPlan, AttachRequest, Backend
from usblkback_tui.engine.inspection import RequestView, RingSlots, StoreNode
from usblkback_tui.engine.snapshot import Event, Snapshot
from usblkback_tui.protocol.errors import UserError


def refusal(what: str) -> UserError:
    """The error for a verb; ``what`` reads after "so"."""
    return UserError(
        f"this engine is read-only, so {what}",
        fix="start it without --read-only (read_only in its config) to change anything",
        key="read_only",
        value=True,
    )


NO_ATTACH = "nothing is attached"
NO_DETACH = "nothing is detached"
NO_RESIZE = "nothing is resized"
NO_WRITE = "the store is not written"


class ReadOnly:
    """``backend`` without the verbs that change something."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def snapshot(self) -> Snapshot:
        """See Backend."""
        return self._backend.snapshot()

    def events(self, after: int) -> tuple[Event, ...]:
        """See Backend."""
        return self._backend.events(after)

    def plan(self, request: AttachRequest, *, later: bool = False) -> AttachPlan:
        """See Backend; a plan changes nothing."""
        return self._backend.plan(request, later=later)

    def next_vdev(self, domain: str) -> str:
        """See Backend."""
        return self._backend.next_vdev(domain)

    def requests(self, domid: int, devid: int, after: Sequence[int] = (), limit: int = 256) -> tuple[RequestView, ...]:
        """See Backend."""
        return self._backend.requests(domid, devid, after, limit)

    def ring_slots(self, domid: int, devid: int, ring: int) -> RingSlots:
        """See Backend."""
        return self._backend.ring_slots(domid, devid, ring)

    def store(self, path: str) -> StoreNode:
        """See Backend."""
        return self._backend.store(path)

    def attach(self, request: AttachRequest, wait: float = 0.0) -> NoReturn:
        """Refused."""
        raise refusal(NO_ATTACH)

    def attach_later(self, request: AttachRequest, seconds: float = 0.0) -> NoReturn:
        """Refused."""
        raise refusal(NO_ATTACH)

    def detach(self, domain: str, vdev: str, *, force: bool = False, wait: float = 10.0) -> NoReturn:
        """Refused."""
        raise refusal(NO_DETACH)

    def resize(self, domain: str, vdev: str, sectors: int | None = None) -> NoReturn:
        """Refused."""
        raise refusal(NO_RESIZE)

    def store_write(self, path: str, value: str) -> NoReturn:
        """Refused."""
        raise refusal(NO_WRITE)

    def store_remove(self, path: str) -> NoReturn:
        """Refused."""
        raise refusal(NO_WRITE)
