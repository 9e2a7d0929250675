# SPDX-License-Identifier: MIT
"""dom0's PID 1: runs shell commands that come over a virtio serial port.

Both directions carry frames: a line "VERB ID LENGTH" and LENGTH bytes. The host's requests:

    run     a shell command, input from /dev/null
    tty     "ROWS COLUMNS COMMAND": the same in a terminal of its own
    open    the path of a terminal device, to be bridged (a guest's console)
    in      bytes for the terminal of a tty or open
    size    "ROWS COLUMNS" of a tty
    kill    a signal number for all processes of a run or tty; closes an open
    put     "PATH\\0CONTENT": write a file
    clock   seconds since 1970
    warm    "FOLDER MODULE:FUNCTION MODULE[:PREPARE] ...": import all of these, run each PREPARE once, for calls
    call    "NAME\\0ARGUMENT\\0...": the function of warm with its arguments, in a process called NAME

Each request that has an end is answered by `rc` (the exit code, or minus the signal's number); `out` carries output.
Commands run side by side, each in its own session.  A call is a fork of this process, which has everything imported:
it begins at once, where under emulation an interpreter and its imports take 10 s and more.
This file runs alone in dom0, on the standard library; the host imports the framing from it.
"""

import fcntl
import gc
import importlib
import os
import select
import signal
import struct
import sys
import termios
import threading
import time
import traceback
import tty
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

PORT = "lab"
Frame = tuple[str, int, bytes]


def frame(verb: str, ident: int, payload: bytes = b"") -> bytes:
    return b"%s %d %d\n" % (verb.encode(), ident, len(payload)) + payload


class Frames:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        self._pending += data
        while (end := self._pending.find(b"\n")) >= 0:
            verb, ident, length = self._pending[:end].split()
            start, stop = end + 1, end + 1 + int(length)
            if len(self._pending) < stop:
                return
            payload = bytes(self._pending[start:stop])
            del self._pending[:stop]
            yield verb.decode(), int(ident), payload


class Agent:
    def __init__(self, port: int) -> None:
        self._port = port
        self._poll = select.poll()
        self._idents: dict[int, int] = {}  # process -> request
        self._outputs: dict[int, int] = {}  # file descriptor -> request
        self._terminals: dict[int, int] = {}  # request -> file descriptor that takes input
        self._function: Callable[[list[str]], int] | None = None  # what a call runs

    def serve(self) -> None:
        children, wakeup = os.pipe()
        os.set_blocking(children, False)
        os.set_blocking(wakeup, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakeup)
        self._poll.register(children, select.POLLIN)
        self._poll.register(self._port, select.POLLIN)
        frames = Frames()
        self._send("rc", 0, b"0")
        while True:
            for fd, _ in self._poll.poll():
                if fd == children:
                    os.read(children, 512)
                elif fd == self._port:
                    for verb, ident, payload in frames.feed(self._receive()):
                        self._obey(verb, ident, payload)
                elif fd in self._outputs:
                    self._drain(fd)
            self._reap()

    def _receive(self) -> bytes:
        try:
            data = os.read(self._port, 1 << 16)
        except OSError:
            data = b""
        if not data:
            time.sleep(0.05)  # nobody holds the other end: the port polls readable all the time
        return data

    def _send(self, verb: str, ident: int, payload: bytes) -> None:
        data = memoryview(frame(verb, ident, payload))
        while data:
            data = data[os.write(self._port, data) :]

    def _obey(self, verb: str, ident: int, payload: bytes) -> None:
        try:
            if verb == "run":
                self._run(ident, payload)
            elif verb == "tty":
                rows, columns, command = payload.split(b" ", 2)
                self._run_in_terminal(ident, int(rows), int(columns), command)
            elif verb == "open":
                fd = os.open(payload, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
                tty.setraw(fd)
                self._watch(ident, fd, takes_input=True)
            elif verb == "in":
                self._feed(ident, payload)
            elif verb == "size":
                rows, columns = payload.split()
                fcntl.ioctl(self._terminals[ident], termios.TIOCSWINSZ, _window(int(rows), int(columns)))
            elif verb == "kill":
                self._kill(ident, int(payload))
            elif verb == "put":
                path, content = payload.split(b"\0", 1)
                with open(path, "wb") as file:
                    file.write(content)
                self._send("rc", ident, b"0")
            elif verb == "clock":
                time.clock_settime(time.CLOCK_REALTIME, float(payload))
                self._send("rc", ident, b"0")
            elif verb == "warm":
                folder, function, *modules = payload.decode().split()
                self._warm(folder, function, modules)
                self._send("rc", ident, b"0")
            elif verb == "call":
                self._call(ident, payload.decode().split("\0"))
        except (OSError, KeyError, ImportError) as error:
            self._send("out", ident, f"agent: {verb}: {error}\n".encode())
            self._send("rc", ident, b"126")

    def _run(self, ident: int, command: bytes) -> None:
        if self._fork(ident) == 0:
            os.execv("/bin/sh", ["sh", "-c", os.fsdecode(command)])

    def _warm(self, folder: str, function: str, modules: list[str]) -> None:
        if folder not in sys.path:
            sys.path.append(folder)  # this interpreter was started without `site`
        self._function = _imported(function)
        for module in modules:
            _imported(module)()
        gc.freeze()  # a child that collects garbage would copy all pages

    def _call(self, ident: int, words: list[str]) -> None:
        if self._function is None:
            raise KeyError("nothing was warmed")
        if self._fork(ident) == 0:
            _become_program(self._function, words)

    def _fork(self, ident: int) -> int:
        """Start a child without input whose output is the request's; 0 in the child."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            _settle(writing)
            return 0
        os.close(writing)
        os.set_blocking(reading, False)
        self._idents[pid] = ident
        self._watch(ident, reading, takes_input=False)
        return pid

    def _run_in_terminal(self, ident: int, rows: int, columns: int, command: bytes) -> None:
        master, slave = os.openpty()
        fcntl.ioctl(master, termios.TIOCSWINSZ, _window(rows, columns))
        pid = os.fork()
        if pid == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            os.dup2(slave, 0)
            _settle(slave)
            os.execv("/bin/sh", ["sh", "-c", os.fsdecode(command)])
        os.close(slave)
        os.set_blocking(master, False)
        self._idents[pid] = ident
        self._watch(ident, master, takes_input=True)

    def _watch(self, ident: int, fd: int, *, takes_input: bool) -> None:
        self._outputs[fd] = ident
        if takes_input:
            self._terminals[ident] = fd
        self._poll.register(fd, select.POLLIN)

    def _feed(self, ident: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._terminals[ident], rest) :]
            except BlockingIOError:
                time.sleep(0.005)  # a terminal takes 4 KB at a time

    def _kill(self, ident: int, number: int) -> None:
        for pid, owner in self._idents.items():
            if owner == ident:
                os.killpg(pid, number)
                return
        if ident in self._terminals:
            self._release(self._terminals[ident])
            self._send("rc", ident, b"0")

    def _drain(self, fd: int) -> None:
        while fd in self._outputs:
            try:
                data = os.read(fd, 1 << 16)
            except BlockingIOError:
                return
            except OSError:  # the other side of a terminal is gone
                data = b""
            if data:
                self._send("out", self._outputs[fd], data)
            else:
                self._release(fd)

    def _release(self, fd: int) -> None:
        self._poll.unregister(fd)
        os.close(fd)
        self._terminals.pop(self._outputs.pop(fd), None)

    def _reap(self) -> None:
        """Answer for children that ended, and bury orphans: we are PID 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ident = self._idents.pop(pid, None)
            if ident is None:
                continue
            for fd in [fd for fd, owner in self._outputs.items() if owner == ident]:
                self._drain(fd)
                if fd in self._outputs:  # a daemon it left behind still holds the pipe
                    self._release(fd)
            self._send("rc", ident, b"%d" % os.waitstatus_to_exitcode(status))


def _imported(name: str) -> Callable[..., Any]:
    """What MODULE:FUNCTION names; of a module alone, something that does nothing."""
    module, _, function = name.partition(":")
    found = importlib.import_module(module)
    return getattr(found, function) if function else lambda: None


def _settle(output: int) -> None:
    """In a child: nothing but input and output is open."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, 256)
    os.chdir("/root")


def _become_program(function: Callable[[list[str]], int], words: list[str]) -> NoReturn:
    """In a child: run it as its own program would, to the end that every interpreter has.

    Only the modules are not taken down: that would touch, and so copy, each page this child shares with us.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with open("/proc/self/comm", "w") as file:
        file.write(words[0])
    sys.argv = words
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    code = 1
    try:
        code = function(words[1:])
    except Exception:
        traceback.print_exc()
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    sys.stdout.flush()
    os._exit(code)


def _window(rows: int, columns: int) -> bytes:
    return struct.pack("HHHH", rows, columns, 0, 0)


def _open_port() -> int:
    """Wait for the port of our name; QEMU numbers them as it likes."""
    while True:
        for name in os.listdir("/sys/class/virtio-ports"):
            with open(f"/sys/class/virtio-ports/{name}/name") as file:
                if file.read().strip() == PORT:
                    return os.open(f"/dev/{name}", os.O_RDWR)
        time.sleep(0.02)


if __name__ == "__main__":
    Agent(_open_port()).serve()
