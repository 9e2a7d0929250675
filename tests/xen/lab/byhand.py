# SPDX-License-Identifier: MIT
"""A machine that stays up for a person: one process holds it, others send it commands.

The holder listens on a socket in the cache folder. A client's connection carries one request in the frames of
inside/agent.py, and what comes back for it.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

from .cache import cache_root, say
from .inside.agent import Frames, frame
from .link import Link, LinkLost
from .machine import Machine


def _socket_path() -> Path:
    return cache_root() / "operator.sock"


def hold(state: Path) -> None:
    """Restore a machine and serve clients until it ends, Ctrl+C, or a client's `stop`."""
    path = _socket_path()
    if _is_held():
        raise LinkLost("a machine is up already: end it with 'python -m tests.xen.lab stop'")
    path.unlink(missing_ok=True)
    ended = threading.Event()
    with Machine.restore(state) as machine, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(0.5)
        say(f"up; in another terminal: python -m tests.xen.lab shell (console: {machine.console})")
        try:
            while machine.alive() and not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    client, _ = listener.accept()
                    serve = (client, machine.link, ended)
                    threading.Thread(target=_serve, args=serve, daemon=True).start()
        except KeyboardInterrupt:
            pass
        finally:
            path.unlink(missing_ok=True)
    say("machine ended")


def _serve(client: socket.socket, link: Link, ended: threading.Event) -> None:
    """Pass one client's request on, and the answer back."""

    def answer(verb: str, payload: bytes) -> None:
        with contextlib.suppress(OSError):
            client.sendall(frame(verb, 0, payload))
            if verb == "rc":
                client.shutdown(socket.SHUT_RDWR)

    command = None
    frames = Frames()
    with client, contextlib.suppress(OSError, LinkLost):
        while data := client.recv(1 << 16):
            for verb, _, payload in frames.feed(data):
                if verb == "stop":
                    ended.set()
                elif command is None:
                    command = link.start(verb, payload, listener=answer)
                else:
                    link.send(verb, command.ident, payload)
        if command and command.poll() is None:
            command.kill(signal.SIGHUP)


def attach(command: str) -> int:
    """Run a command in dom0 with this terminal as its own (or without one, when input is none); its exit code."""
    with _connect() as connection:
        if not sys.stdin.isatty():
            connection.sendall(frame("run", 0, command.encode()))
            return _relay(connection, keyboard=None)
        size = shutil.get_terminal_size()
        term = os.environ.get("TERM", "xterm-256color")
        request = (
            f"{size.lines} {size.columns} export TERM={term} COLORTERM={os.environ.get('COLORTERM', '')}; {command}"
        )
        connection.sendall(frame("tty", 0, request.encode()))
        with _raw_terminal(connection) as keyboard:
            return _relay(connection, keyboard)


def copy_in(source: str, target: str) -> int:
    with _connect() as connection:
        connection.sendall(frame("put", 0, target.encode() + b"\0" + Path(source).read_bytes()))
        return _relay(connection, keyboard=None)


def stop() -> int:
    with _connect() as connection:
        connection.sendall(frame("stop", 0))
    return 0


def _is_held() -> bool:
    try:
        _connect().close()
    except LinkLost:
        return False
    return True


def _connect() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(_socket_path()))
    except OSError as error:
        connection.close()
        raise LinkLost("no machine is up: start one with 'python -m tests.xen.lab boot'") from error
    return connection


def _relay(connection: socket.socket, keyboard: int | None) -> int:
    """Copy keys in and output out until the exit code comes."""
    frames = Frames()
    while True:
        watched = [connection.fileno()] + ([] if keyboard is None else [keyboard])
        ready, _, _ = select.select(watched, [], [])
        if keyboard is not None and keyboard in ready:
            connection.sendall(frame("in", 0, os.read(keyboard, 4096)))
        if connection.fileno() in ready:
            data = connection.recv(1 << 18)
            if not data:
                raise LinkLost("the machine went away")
            for verb, _, payload in frames.feed(data):
                if verb == "rc":
                    rc = int(payload)
                    return rc if rc >= 0 else 128 - rc
                sys.stdout.buffer.write(payload)
                sys.stdout.buffer.flush()


@contextlib.contextmanager
def _raw_terminal(connection: socket.socket) -> Iterator[int]:
    """The keyboard without line editing; a resized window is passed on."""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)

    def resized(*_: object) -> None:
        size = shutil.get_terminal_size()
        connection.sendall(frame("size", 0, f"{size.lines} {size.columns}".encode()))

    signal.signal(signal.SIGWINCH, resized)
    tty.setraw(keyboard)
    try:
        yield keyboard
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
