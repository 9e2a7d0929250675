# SPDX-License-Identifier: MIT
"""An engine in another process, as a Backend.

Calls from several threads go over connections of their own, kept for the next call.  Each call is bounded: what only
looks at the engine by ``timeout``, what acts on a guest by its own ``wait`` and ``GRACE`` on top.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from usblkback_tui.engine.api import AttachPlan, AttachRequest
from usblkback_tui.engine.control.codec import CodecError, decode, encode
from usblkback_tui.engine.control.wire import MAX_REPLY, VERSION, Lines, WireError, peer_of
from usblkback_tui.engine.inspection import RequestView, RingSlots, StoreNode
from usblkback_tui.engine.snapshot import DiskView, Event, PendingAttach, Snapshot
from usblkback_tui.protocol.errors import UserError

T = TypeVar("T")

GRACE = 30.0
"""Seconds an engine may take on top of the time a verb waits for a guest: image checks, a slow store."""


class NoEngine(UserError):
    """Nothing answers on the socket."""


class RemoteBackend:
    """The engine whose control socket is ``path``.  Every method raises UserError; NoEngine when it is not there."""

    def __init__(self, path: Path, *, timeout: float = 5.0) -> None:
        self._path = path
        self._timeout = timeout
        self._numbers = itertools.count(1)
        self._guard = threading.Lock()
        self._idle: list[Lines] = []

    @property
    def path(self) -> Path:
        """The socket."""
        return self._path

    def engine_pid(self) -> int:
        """The process that listens on the socket, as the kernel knows it."""
        sock = self._dial()
        with sock:
            return peer_of(sock)[0]

    def snapshot(self) -> Snapshot:
        """See Backend."""
        return self._ask(Snapshot, "snapshot")

    def events(self, after: int) -> tuple[Event, ...]:
        """See Backend."""
        return self._ask(tuple[Event, ...], "events", {"after": after})

    def plan(self, request: AttachRequest, *, later: bool = False) -> AttachPlan:
        """See Backend."""
        args = _attach_args(request) | ({"later": True} if later else {})
        return self._ask(AttachPlan, "plan", args, wait=GRACE)

    def attach(self, request: AttachRequest, wait: float = 0.0) -> DiskView:
        """See Backend."""
        return self._ask(DiskView, "attach", {**_attach_args(request), "wait": wait}, wait=wait + GRACE)

    def attach_later(self, request: AttachRequest, seconds: float = 0.0) -> PendingAttach:
        """See Backend."""
        return self._ask(PendingAttach, "attach_later", {**_attach_args(request), "wait": seconds}, wait=GRACE)

    def resize(self, domain: str, vdev: str, sectors: int | None = None) -> DiskView:
        """See Backend."""
        return self._ask(DiskView, "resize", {"domain": domain, "vdev": vdev, "sectors": sectors}, wait=GRACE)

    def detach(self, domain: str, vdev: str, *, force: bool = False, wait: float = 10.0) -> None:
        """See Backend."""
        args = {"domain": domain, "vdev": vdev, "force": force, "wait": wait}
        self._call("detach", args, wait=wait + GRACE)

    def next_vdev(self, domain: str) -> str:
        """See Backend."""
        return self._ask(str, "next_vdev", {"domain": domain})

    def requests(self, domid: int, devid: int, after: Sequence[int] = (), limit: int = 256) -> tuple[RequestView, ...]:
        """See Backend."""
        args = {"domid": domid, "devid": devid, "after": list(after), "limit": limit}
        return self._ask(tuple[RequestView, ...], "requests", args)

    def ring_slots(self, domid: int, devid: int, ring: int) -> RingSlots:
        """See Backend."""
        return self._ask(RingSlots, "ring_slots", {"domid": domid, "devid": devid, "ring": ring})

    def store(self, path: str) -> StoreNode:
        """See Backend."""
        return self._ask(StoreNode, "store", {"path": path})

    def store_write(self, path: str, value: str) -> None:
        """See Backend."""
        self._call("store_write", {"path": path, "value": value}, wait=GRACE)

    def store_remove(self, path: str) -> None:
        """See Backend."""
        self._call("store_remove", {"path": path}, wait=GRACE)

    def status(self) -> dict[str, Any]:
        """The document of ``status --json`` (``status.py``)."""
        result = self._call("status")
        if not isinstance(result, dict):
            raise self._garbled("its status is no object")
        return result

    def stop(self) -> None:
        """Ask the engine to detach everything and end; returns when it has agreed."""
        self._call("stop")

    def watch(self, after: int | None = None) -> Iterator[Event]:
        """Events as they happen, those with ``seq > after`` or from now on; ends when the engine does."""
        lines = Lines(self._dial(), MAX_REPLY)
        try:
            self._exchange(lines, "watch", {"after": after})
            lines.settimeout(None)
            while (data := self._receive(lines)) is not None:
                yield self._decode(Event, data.get("event"))
        except _Refused as refused:
            raise refused.error from None
        finally:
            lines.close()

    def close(self) -> None:
        """Close the kept connections; a later call opens a new one."""
        with self._guard:
            idle, self._idle = self._idle, []
        for lines in idle:
            lines.close()

    def _ask(self, kind: type[T], verb: str, args: dict[str, Any] | None = None, wait: float = 0.0) -> T:
        return self._decode(kind, self._call(verb, args, wait=wait))

    def _call(self, verb: str, args: dict[str, Any] | None = None, wait: float = 0.0) -> Any:
        lines = self._borrow()
        keep = False
        try:
            lines.settimeout(max(wait, self._timeout))
            result = self._exchange(lines, verb, args or {})
            keep = True
            return result
        except _Refused as refused:
            keep = True
            raise refused.error from None
        finally:
            if keep:
                with self._guard:
                    self._idle.append(lines)
            else:
                lines.close()

    def _exchange(self, lines: Lines, verb: str, args: dict[str, Any]) -> Any:
        number = next(self._numbers)
        try:
            lines.write({"version": VERSION, "id": number, "verb": verb, "args": args})
        except OSError:
            pass  # it may have said why before it hung up
        reply = self._receive(lines)
        if reply is None:
            raise NoEngine(f"the engine at {self._path} ended while it was asked to {verb}", fix="start it again")
        if reply.get("ok") is True and reply.get("id") == number:
            return reply.get("result")
        error = reply.get("error")
        if not isinstance(error, dict):
            raise self._garbled("a reply has neither result nor error")
        if reply.get("id") != number:
            raise UserError.from_json(error)
        raise _Refused(UserError.from_json(error))

    def _receive(self, lines: Lines) -> dict[str, Any] | None:
        try:
            return lines.read()
        except WireError as error:
            raise self._garbled(str(error)) from None
        except TimeoutError:
            raise UserError(
                f"the engine at {self._path} did not answer in time",
                fix="see whether it is stopped or its machine is overloaded",
            ) from None
        except OSError:
            return None

    def _borrow(self) -> Lines:
        while True:
            with self._guard:
                lines = self._idle.pop() if self._idle else None
            if lines is None:
                return Lines(self._dial(), MAX_REPLY)
            if not lines.spoke(0):
                return lines
            lines.close()  # the engine hung up since the last call

    def _dial(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(self._timeout)
        try:
            sock.connect(str(self._path))
        except OSError as error:
            sock.close()
            raise self._unreachable(error) from None
        return sock

    def _unreachable(self, error: OSError) -> UserError:
        if isinstance(error, PermissionError):
            return NoEngine(
                f"the control socket {self._path} is not for uid {os.geteuid()}",
                fix="run the command as root or as the engine's user",
                key="socket",
                value=self._path,
            )
        if isinstance(error, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
            return NoEngine(
                f"no engine answers at {self._path}",
                fix="start one with usblkback-tui or usblkback-tui serve, or name its socket with --socket",
                key="socket",
                value=self._path,
            )
        return NoEngine(
            f"the engine at {self._path} cannot be reached: {(error.strerror or str(error)).lower()}",
            fix="see whether it still runs",
            key="socket",
            value=self._path,
        )

    def _decode(self, kind: type[T], data: Any) -> T:
        try:
            return decode(kind, data)
        except CodecError as error:
            raise self._garbled(str(error)) from None

    def _garbled(self, problem: str) -> UserError:
        return UserError(
            f"the engine at {self._path} answers in another language: {problem}",
            fix="use the same version of usblkback-tui at both ends",
        )


class _Refused(Exception):
    """A proper answer that says no: the connection is still good."""

    def __init__(self, error: UserError) -> None:
        self.error = error


def _attach_args(request: AttachRequest) -> dict[str, Any]:
    return {
        "domain": request.domain,
        "image": request.image,
        "vdev": request.vdev,
        "mode": request.mode,
        "options": encode(request.options),
    }
