# SPDX-License-Identifier: MIT
"""The hypervisor's end of one guest's wire: hypercalls in, watch events and orders out.

Runs in the hypervisor's thread, which never blocks on a guest: what does not fit into the socket waits here, and a
watch event that already waits is not queued again, so a slow guest costs no memory.
"""

from __future__ import annotations

import itertools
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from usblkback_tui.engine.host.seam import HostError, Put, Remove
from usblkback_tui.engine.host.sim import wire
from usblkback_tui.engine.host.sim.domains import SimDomain
from usblkback_tui.engine.host.sim.hypervisor import Hypervisor

_Packet = tuple[wire.Message, Sequence[int]]


class GuestService:
    """Serves one life of one guest."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        domain: SimDomain,
        end: socket.socket,
        notebook: Callable[[int], int],
        log: Callable[[str], None],
        gone: Callable[[SimDomain], None],
    ) -> None:
        self._hypervisor = hypervisor
        self._domain = domain
        self._end = end
        self._notebook = notebook
        self._log = log
        self._gone = gone
        self._lock = threading.Lock()
        self._out: deque[_Packet] = deque()
        self._watches: set[tuple[str, str]] = set()
        self._orders: dict[int, Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._store = hypervisor.store.connect(domain.domid, self._fired)
        self._open = True
        end.setblocking(False)

    def start(self, first: wire.Message, fds: Sequence[int]) -> None:
        """Send the first message and serve from now on."""
        wire.send(self._end, first, fds)
        self._hypervisor.call(lambda: self._hypervisor.serve(self._end, selectors.EVENT_READ, self._ready))

    def close(self) -> None:
        """Stop serving; orders under way fail.  Idempotent; not from the hypervisor's thread alone."""
        self._hypervisor.call(self._close)

    def order(self, what: str, args: dict[str, Any], timeout: float) -> Any:
        """Have the guest do something and wait for its answer.  Raises HostError."""
        future: Future[Any] = Future()
        with self._lock:
            if not self._open:
                raise HostError(f"guest {self._domain.name} is not running", errno=3)
            number = next(self._numbers)
            self._orders[number] = future
            self._out.append(({"order": number, "do": what, "args": args}, ()))
        self._hypervisor.post(self._flush)
        try:
            return future.result(timeout)
        except FutureTimeout:
            raise HostError(f"guest {self._domain.name} did not {what} within {timeout:g} seconds", errno=110) from None
        finally:
            with self._lock:
                self._orders.pop(number, None)

    # In the hypervisor's thread --------------------------------------------------------------------------------------

    def _close(self) -> None:
        with self._lock:
            if not self._open:
                return
            self._open = False
            orders, self._orders = self._orders, {}
            self._out.clear()
        self._hypervisor.unserve(self._end)
        self._store.close()
        self._end.close()
        for future in orders.values():
            future.set_exception(HostError(f"guest {self._domain.name} ended", errno=3))

    def _ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ and self._open:
            try:
                alive = self._receive()
            except Exception as error:  # a guest's nonsense ends the guest, never this thread
                self._log(f"hypervisor: domain {self._domain.domid} crashed: {error!r}")
                alive = False
            if alive:
                self._flush()
            else:
                self._close()
                self._gone(self._domain)

    def _receive(self) -> bool:
        try:
            got = wire.receive(self._end)
        except BlockingIOError:
            return True
        if got is None:
            return False
        message, fds = got
        for fd in fds:
            os.close(fd)
        self._hear(message)
        return True

    def _flush(self) -> None:
        with self._lock:
            if not self._open:
                return
            try:
                while self._out:
                    message, fds = self._out[0]
                    wire.send(self._end, message, fds)
                    self._out.popleft()
                    if "watch" in message:
                        self._watches.discard(tuple(message["watch"]))
                events = selectors.EVENT_READ
            except BlockingIOError:
                events = selectors.EVENT_READ | selectors.EVENT_WRITE
            except OSError:
                events = selectors.EVENT_READ  # it is gone; reading will say so
        self._hypervisor.serve(self._end, events, self._ready)

    def _send(self, message: wire.Message, fds: Sequence[int] = ()) -> None:
        with self._lock:
            self._out.append((message, fds))

    def _fired(self, path: str, token: str) -> None:
        """From any thread, with the store's lock held."""
        with self._lock:
            if not self._open or (path, token) in self._watches:
                return
            self._watches.add((path, token))
            self._out.append(({"watch": [path, token]}, ()))
        self._hypervisor.post(self._flush)

    def _hear(self, message: wire.Message) -> None:
        if "log" in message:
            self._log(str(message["log"]))
        elif "done" in message:
            with self._lock:
                future = self._orders.pop(message["done"], None)
            if future and "error" in message:
                future.set_exception(HostError(f"guest {self._domain.name}: {message['error']}"))
            elif future:
                future.set_result(message.get("result"))
        elif "call" in message:
            try:
                value, fds = self._hypercall(str(message["call"]), list(message.get("args", ())))
                self._send({"n": message.get("n"), "value": value}, fds)
            except HostError as error:
                self._send({"n": message.get("n"), "errno": error.errno or 22, "why": error.problem})
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                self._send({"n": message.get("n"), "errno": 22, "why": f"no such hypercall: {error}"})

    def _hypercall(self, name: str, args: list[Any]) -> tuple[Any, Sequence[int]]:
        match name, args:
            case "read", [str(path)]:
                return self._store.read(path).decode(errors="surrogateescape"), ()
            case "list", [str(path)]:
                return self._store.list(path), ()
            case "commit", [dict(keys)]:
                self._store.commit([Put(path, value) for path, value in keys.items()])
            case "remove", [str(path)]:
                self._store.commit([Remove(path)])
            case "watch", [str(path), str(token)]:
                self._store.watch(path, token)
            case "unwatch", [str(path), str(token)]:
                self._store.unwatch(path, token)
            case "alloc_unbound", [int(remote)]:
                number, port = self._domain.alloc_unbound(remote)
                return number, (port.to_guest, port.to_backend)
            case "close_port", [int(number)]:
                self._domain.close_port(number)
            case "notebook", [int(devid)]:
                return None, (self._notebook(devid),)
            case _:
                raise ValueError(name)
        return None, ()
