# SPDX-License-Identifier: MIT
"""A Backend on a Unix socket: one thread that accepts, one for each connection.

Only this user and root are served, told by SO_PEERCRED.  Requests of one connection are answered in order; a slow verb
keeps nobody else waiting.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.control.claim import Claim, unusable
from usblkback_tui.engine.control.codec import encode
from usblkback_tui.engine.control.verbs import NoArgs, WatchArgs, answer, arguments
from usblkback_tui.engine.control.wire import MAX_REQUEST, VERSION, Lines, WireError, peer_of
from usblkback_tui.protocol.errors import UserError

_log = logging.getLogger(__name__)

MAX_CONNECTIONS = 32

_WATCH_SECONDS = 0.1
"""How often a watcher's thread looks for new events."""


class ControlServer:
    """Serves ``backend`` at ``path`` from :meth:`start` to :meth:`stop`.

    ``claim`` is the caller's on ``path``; without one it takes one for that time.  ``on_stop`` is called, in a
    connection's thread, when a client asks the engine to end.
    """

    def __init__(
        self,
        backend: Backend,
        path: Path,
        *,
        claim: Claim | None = None,
        on_stop: Callable[[], None] | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._backend = backend
        self._path = path
        self._on_stop = on_stop
        self._max_connections = max_connections
        self._claim = claim
        self._own_claim: Claim | None = None
        self._listener: socket.socket | None = None
        self._guard = threading.Lock()
        self._stopping = False
        self._connections: dict[Lines, threading.Thread] = {}
        self._acceptor = threading.Thread(target=self._accept, name="control", daemon=True)

    @property
    def path(self) -> Path:
        """Where clients connect."""
        return self._path

    def start(self) -> None:
        """Listen.  Raises UserError when another engine does so there, or the place cannot be used."""
        if self._claim is None:
            self._claim = self._own_claim = Claim(self._path)
        try:
            self._listener = self._listen()
        except OSError as error:
            self._release()
            raise unusable(self._path, error) from None
        self._acceptor.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Stop listening, hang up on everybody and give verbs under way ``timeout`` seconds at most.  Idempotent."""
        with self._guard:
            if self._stopping or self._listener is None:
                return
            self._stopping = True
            connections = dict(self._connections)
        self._path.unlink(missing_ok=True)
        self._listener.shutdown(socket.SHUT_RDWR)
        for lines in connections:
            lines.hang_up()
        deadline = time.monotonic() + timeout
        for thread in (self._acceptor, *connections.values()):
            if thread is not threading.current_thread():
                thread.join(max(deadline - time.monotonic(), 0))
        self._listener.close()
        self._release()

    def _release(self) -> None:
        if self._own_claim is not None:
            self._own_claim.release()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(listener.fileno(), 0o600)  # bind() takes the node's mode from here, so it is never wider
            listener.bind(str(self._path))
            listener.listen(16)
        except OSError:
            listener.close()
            raise
        return listener

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                if self._stopping:
                    return
                time.sleep(0.1)  # out of descriptors or the like: it passes, and clients wait in the backlog
                continue
            self._admit(sock)

    def _admit(self, sock: socket.socket) -> None:
        lines = Lines(sock, MAX_REQUEST)
        refusal = self._refusal(sock)
        with self._guard:
            if self._stopping:
                lines.close()
                return
            if refusal is None and len(self._connections) >= self._max_connections:
                refusal = UserError(
                    f"the engine serves {self._max_connections} connections already", fix="close one and try again"
                )
            if refusal is None:
                thread = threading.Thread(target=self._serve, args=(lines,), name="control-client", daemon=True)
                self._connections[lines] = thread
                thread.start()
                return
        try:
            sock.settimeout(0.2)
            lines.write(_failure(None, refusal))
        except OSError:
            pass
        lines.close()

    def _refusal(self, sock: socket.socket) -> UserError | None:
        _, uid = peer_of(sock)
        if uid in (0, os.geteuid()):
            return None
        return UserError(
            f"the engine does not serve uid {uid}", fix="run the command as root or as the engine's user", value=uid
        )

    def _serve(self, lines: Lines) -> None:
        try:
            while (request := lines.read()) is not None:
                if not self._answer(lines, request):
                    break
        except WireError as error:
            self._say(lines, _failure(None, UserError(str(error), fix="send one JSON object to a line")))
        except OSError:
            pass  # the client went away
        finally:
            with self._guard:
                self._connections.pop(lines, None)
            lines.close()

    def _answer(self, lines: Lines, request: dict[str, Any]) -> bool:
        """Answer one request; False when the connection is over."""
        number, verb = request.get("id"), request.get("verb")
        try:
            if request.get("version") != VERSION:
                raise UserError(
                    f"the request has version {request.get('version')!r}",
                    fix=f"this engine speaks version {VERSION}",
                    key="version",
                    value=request.get("version"),
                )
            if verb == "watch":
                return self._watch(lines, number, arguments("watch", WatchArgs, request.get("args")))
            if verb == "stop":
                arguments("stop", NoArgs, request.get("args"))
                self._request_stop(lines, number)
                return True
            result = answer(self._backend, str(verb), request.get("args"))
        except UserError as error:
            lines.write(_failure(number, error))
        except OSError:
            raise
        except Exception as error:
            _log.exception("the verb %s failed", verb)
            lines.write(_failure(number, UserError(f"the engine failed at {verb}: {type(error).__name__}: {error}")))
        else:
            lines.write(_success(number, result))
        return True

    def _request_stop(self, lines: Lines, number: Any) -> None:
        if self._on_stop is None:
            raise UserError("this engine belongs to a terminal UI", fix="quit it there")
        lines.write(_success(number, None))
        self._on_stop()

    def _watch(self, lines: Lines, number: Any, args: WatchArgs) -> bool:
        after = args.after
        if after is None:
            after = max((event.seq for event in self._backend.events(0)), default=0)
        lines.write(_success(number, {"after": after}))
        while not self._stopping:
            for event in self._backend.events(after):
                lines.write({"version": VERSION, "id": number, "event": encode(event)})
                after = event.seq
            if lines.spoke(_WATCH_SECONDS):
                break  # a watcher has nothing to say: it hung up
        return False

    def _say(self, lines: Lines, data: dict[str, Any]) -> None:
        try:
            lines.write(data)
        except OSError:
            pass


def _success(number: Any, result: Any) -> dict[str, Any]:
    return {"version": VERSION, "id": number, "ok": True, "result": result}


def _failure(number: Any, error: UserError) -> dict[str, Any]:
    return {"version": VERSION, "id": number, "ok": False, "error": error.to_json()}
