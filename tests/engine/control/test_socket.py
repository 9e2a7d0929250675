# SPDX-License-Identifier: MIT
"""Server and client together over a real Unix socket, and each alone against an end that misbehaves."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.control.fake_backend import FakeBackend, a_disk
from usblkback_tui.engine.api import AttachRequest, Backend
from usblkback_tui.engine.control import server as server_module
from usblkback_tui.engine.control.claim import Claim
from usblkback_tui.engine.control.client import NoEngine, RemoteBackend
from usblkback_tui.engine.control.server import ControlServer
from usblkback_tui.engine.control.wire import MAX_REQUEST
from usblkback_tui.engine.settings import DirectIo, DiskOptions
from usblkback_tui.engine.snapshot import Event
from usblkback_tui.protocol.errors import UserError


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "engine.sock"


@pytest.fixture
def server(backend: FakeBackend, path: Path) -> Iterator[ControlServer]:
    server = ControlServer(backend, path, max_connections=4)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def remote(server: ControlServer) -> Iterator[RemoteBackend]:
    remote = RemoteBackend(server.path)
    yield remote
    remote.close()


class Raw:
    """A client that may say anything."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(str(path))
        self.file = self.sock.makefile("rb")

    def ask(self, line: bytes | dict[str, Any]) -> dict[str, Any]:
        data = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
        self.sock.sendall(data)
        return self.hear()

    def hear(self) -> dict[str, Any]:
        line = self.file.readline()
        return dict(json.loads(line)) if line else {}

    def close(self) -> None:
        self.file.close()
        self.sock.close()


def wait_until(condition: Any, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def test_the_socket_is_ours_alone(server: ControlServer) -> None:
    found = server.path.stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o700


def test_a_remote_engine_is_a_backend(remote: RemoteBackend, backend: FakeBackend) -> None:
    far: Backend = remote
    assert far.snapshot() == backend.snapshot()
    backend.say("one")
    two = backend.say("two", kind="attached", domid=3, devid=51728, vdev="xvdb")
    assert far.events(1) == (two,)
    request = AttachRequest("g3", "/img/b", "xvdc", "r")
    assert far.plan(request) == backend.plan(request)
    assert far.attach(request, wait=2.5) == backend.disks[-1]
    assert ("attach", request, 2.5) in backend.calls
    own = AttachRequest("g3", "/img/b", "xvdc", "w", DiskOptions(max_queues=2, direct_io=DirectIo.NO, sector_size=4096))
    far.attach(own)
    assert ("attach", own, 0.0) in backend.calls
    assert far.resize("g3", "xvdc", 1 << 20).sectors == 1 << 20
    assert far.resize("g3", "xvdc").sectors == 262144
    assert ("resize", "g3", "xvdc", None) in backend.calls
    far.detach("g3", "xvdc", force=True, wait=0.5)
    assert backend.calls[-1] == ("detach", "g3", "xvdc", True, 0.5)
    assert far.next_vdev("g3") == "xvdc"
    assert remote.engine_pid() == os.getpid()


def test_closer_looks_cross_whole(remote: RemoteBackend, backend: FakeBackend) -> None:
    far: Backend = remote
    assert far.requests(3, 51728, after=(5, 2**40), limit=7) == backend.requests(3, 51728, (5, 2**40), 7)
    assert backend.calls[0] == backend.calls[1]
    assert far.ring_slots(3, 51728, 1) == backend.ring_slots(3, 51728, 1)
    assert far.store("/local") == backend.store("/local")
    far.store_write("/local/a", "größe\n")
    far.store_remove("/local/a")
    assert backend.calls[-2:] == [("store_write", "/local/a", "größe\n"), ("store_remove", "/local/a")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"queues": 2}, "options.queues is unknown"),
        ({"max_queues": "two"}, "options.max_queues is 'two', not a whole number"),
        ({"direct_io": "perhaps"}, "options.direct_io is 'perhaps', which is none of its names"),
        (7, "options is not an object"),
    ],
)
def test_options_that_are_none_are_refused(remote: RemoteBackend, options: object, words: str) -> None:
    args = {"domain": "g3", "image": "/img/b", "vdev": "xvdc", "options": options}
    with pytest.raises(UserError) as caught:
        remote._call("attach", args)
    assert words in str(caught.value)


def test_errors_cross_with_key_and_fix(remote: RemoteBackend) -> None:
    with pytest.raises(UserError) as caught:
        remote.plan(AttachRequest("g3", "/missing", "xvdc"))
    assert (caught.value.problem, caught.value.fix) == ("image '/missing' is not there", "create it")
    assert (caught.value.key, caught.value.value) == ("image", "/missing")
    assert not isinstance(caught.value, NoEngine)
    assert remote.next_vdev("g3") == "xvdc", "the connection is still good"


def test_an_engine_that_fails_says_so(remote: RemoteBackend, backend: FakeBackend) -> None:
    backend.error = ZeroDivisionError("by zero")
    with pytest.raises(UserError, match="the engine failed at snapshot: ZeroDivisionError: by zero"):
        remote.snapshot()
    backend.error = None
    assert remote.snapshot().host == "sim"


def test_a_slow_verb_keeps_nobody_waiting(remote: RemoteBackend, backend: FakeBackend) -> None:
    backend.hold.clear()
    slow = threading.Thread(target=remote.detach, args=("g3", "xvdb"))
    slow.start()
    try:
        wait_until(lambda: backend.calls)
        assert remote.snapshot().disks
        assert slow.is_alive()
    finally:
        backend.hold.set()
        slow.join(5)
    assert not slow.is_alive()


def test_status_for_scripts(remote: RemoteBackend) -> None:
    status = remote.status()
    assert status["version"] == 1
    assert status["engine"]["pid"] == os.getpid()
    (disk,) = status["disks"]
    assert disk == {
        "domid": 3,
        "domain": "g3",
        "vdev": "xvdb",
        "devid": 51728,
        "image": "/img/größe 1.img",
        "mode": "w",
        "kind": "usblkback",
        "sectors": 131072,
        "sector_size": 512,
        "device_type": "disk",
        "direct": False,
        "frontend_state": "Connected",
        "backend_state": "Connected",
        "online": True,
        "queues": 1,
        "limits": {"queues": 1, "ring_pages": 1, "segments": 0, "persistent_pages": 0},
        "rings": [
            {
                "index": 0,
                "pages": 1,
                "slots": 32,
                "protocol": "x86_64-abi",
                "grant_mode": "persistent",
                "io_engine": "pread",
                "in_flight": 0,
                "grants_mapped": 0,
            }
        ],
        "reads": 70,
        "writes": 30,
        "flushes": 0,
        "discards": 0,
        "bytes_read": 286720,
        "bytes_written": 122880,
        "errors": 1,
        "in_flight": 2,
        "health": {"severity": "warning", "sentence": "slow"},
    }


def test_watching(remote: RemoteBackend, backend: FakeBackend, server: ControlServer) -> None:
    backend.say("before")
    seen: list[Event] = []
    watcher = threading.Thread(target=lambda: seen.extend(remote.watch()))
    watcher.start()
    wait_until(lambda: len(server._connections) == 1)
    time.sleep(0.2)
    new = [backend.say(text) for text in ("one", "two")]
    stream = remote.watch(after=0)
    assert next(stream).text == "before"
    time.sleep(0.3)
    stream.close()  # type: ignore[attr-defined]
    wait_until(lambda: len(server._connections) == 1)
    server.stop()
    watcher.join(5)
    assert not watcher.is_alive(), "a watch ends with the engine"
    assert seen == new


def test_stop_is_for_engines_without_a_screen(path: Path, backend: FakeBackend, remote: RemoteBackend) -> None:
    with pytest.raises(UserError, match="belongs to a terminal UI; quit it there"):
        remote.stop()
    asked = threading.Event()
    other = path.with_name("other.sock")
    server = ControlServer(backend, other, on_stop=asked.set)
    server.start()
    try:
        RemoteBackend(other).stop()
        assert asked.wait(90)
    finally:
        server.stop()


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(NoEngine, match=r"no engine answers at .*; start one with .*--socket"):
        RemoteBackend(tmp_path / "engine.sock").snapshot()
    (tmp_path / "file").write_text("")
    with pytest.raises(NoEngine, match="no engine answers"):
        RemoteBackend(tmp_path / "file").snapshot()


def test_a_client_outlives_its_engine(path: Path, backend: FakeBackend) -> None:
    first = ControlServer(backend, path)
    first.start()
    remote = RemoteBackend(path)
    assert remote.next_vdev("g3") == "xvdc"
    first.stop()
    assert not path.exists()
    with pytest.raises(NoEngine):
        remote.snapshot()
    second = ControlServer(backend, path)
    second.start()
    try:
        assert remote.snapshot() == backend.snapshot()
    finally:
        second.stop()


def test_an_engine_that_dies_in_a_verb(server: ControlServer, remote: RemoteBackend, backend: FakeBackend) -> None:
    backend.hold.clear()
    errors: list[Exception] = []

    def detach() -> None:
        try:
            remote.detach("g3", "xvdb")
        except UserError as error:
            errors.append(error)

    thread = threading.Thread(target=detach)
    thread.start()
    wait_until(lambda: backend.calls)
    started = time.monotonic()
    server.stop(timeout=0.2)
    thread.join(5)
    assert time.monotonic() - started < 2
    assert isinstance(errors[0], NoEngine)
    assert "ended while it was asked to detach" in str(errors[0])
    backend.hold.set()


def test_a_live_engine_is_not_replaced(server: ControlServer, backend: FakeBackend) -> None:
    second = ControlServer(backend, server.path)
    with pytest.raises(UserError, match=f"an engine with pid {os.getpid()} already answers at .*; use that one"):
        second.start()
    assert RemoteBackend(server.path).next_vdev("g3") == "xvdc"


def test_a_live_engine_whose_lock_was_swept_away(server: ControlServer, backend: FakeBackend) -> None:
    Path(f"{server.path}.lock").unlink()
    with pytest.raises(UserError, match=f"an engine with pid {os.getpid()} already answers"):
        ControlServer(backend, server.path).start()


def test_the_socket_of_a_killed_engine_is_replaced(path: Path, backend: FakeBackend) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from tests.engine.control.fake_backend import FakeBackend\n"
        "from usblkback_tui.engine.control.server import ControlServer\n"
        "ControlServer(FakeBackend(), Path(sys.argv[1])).start(); print('up', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"up\n"
        with pytest.raises(UserError, match=f"pid {victim.pid} already"):
            ControlServer(backend, path).start()
        victim.send_signal(signal.SIGKILL)
        victim.wait(90)
    assert path.exists()
    server = ControlServer(backend, path)
    server.start()
    try:
        assert RemoteBackend(path).engine_pid() == os.getpid()
    finally:
        server.stop()


def test_a_claim_keeps_the_place_before_there_is_a_socket(path: Path, backend: FakeBackend) -> None:
    with Claim(path) as claim:
        assert not path.exists()
        with pytest.raises(UserError, match=f"pid {os.getpid()} already"):
            ControlServer(backend, path).start()
        server = ControlServer(backend, path, claim=claim)
        server.start()
        server.stop()
        with pytest.raises(UserError, match="already"):
            Claim(path)
    Claim(path).release()


def test_what_is_no_socket_stays(path: Path, backend: FakeBackend) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_text("precious")
    with pytest.raises(UserError, match="is there and no socket; remove it"):
        ControlServer(backend, path).start()
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"hello\n", "a line is no JSON"),
        (b"[1]\n", "a line is no JSON object"),
        (b"[" * 60000 + b"\n", "a line is no JSON"),
        (b"\xff\xfe\n", "a line is no JSON"),
        (b"x" * (MAX_REQUEST + 1), f"a line is longer than {MAX_REQUEST} bytes"),
    ],
)
def test_lines_that_are_none_end_the_connection(server: ControlServer, line: bytes, words: str) -> None:
    raw = Raw(server.path)
    assert raw.ask(line)["error"]["problem"] == words
    try:
        assert raw.hear() == {}
    except ConnectionResetError:
        pass
    raw.close()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"version": 2, "verb": "status"}, "the request has version 2; this engine speaks version 1"),
        ({"verb": "status"}, "the request has version None"),
        ({"version": 1, "verb": "reboot"}, "the verb 'reboot' is unknown; use one of status, snapshot, "),
        ({"version": 1}, "the verb 'None' is unknown"),
        ({"version": 1, "verb": "next_vdev"}, "argument domain is missing in the request next_vdev"),
        ({"version": 1, "verb": "next_vdev", "args": []}, "argument the value is not an object"),
        ({"version": 1, "verb": "status", "args": {"x": 1}}, "argument x is unknown in the request status"),
        ({"version": 1, "verb": "detach", "args": {"domain": 3, "vdev": "xvda"}}, "argument domain is 3, not text"),
        (
            {"version": 1, "verb": "detach", "args": {"domain": "3", "vdev": "xvda", "wait": -1}},
            "wait is -1; use seconds from 0 to 86400",
        ),
        (
            {"version": 1, "verb": "attach", "args": {"domain": "3", "image": "a", "vdev": "b", "wait": float("nan")}},
            "wait is nan",
        ),
    ],
)
def test_requests_that_cannot_be_done(server: ControlServer, request_: dict[str, Any], words: str) -> None:
    raw = Raw(server.path)
    reply = raw.ask({**request_, "id": 7})
    assert (reply["version"], reply["id"], reply["ok"]) == (1, 7, False)
    assert reply["error"]["message"].startswith(words)
    assert raw.ask({"version": 1, "id": "x", "verb": "status"})["ok"] is True, "the connection is still good"
    raw.close()


def test_connections_are_bounded(server: ControlServer, remote: RemoteBackend) -> None:
    raws = [Raw(server.path) for _ in range(4)]
    wait_until(lambda: len(server._connections) == 4)
    with pytest.raises(UserError, match="serves 4 connections already; close one"):
        remote.snapshot()
    raws[0].close()
    wait_until(lambda: len(server._connections) == 3)
    assert remote.snapshot()
    for raw in raws[1:]:
        raw.close()


def test_another_user_is_not_served(
    server: ControlServer, remote: RemoteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "peer_of", lambda sock: (1, 4711))
    with pytest.raises(UserError, match="does not serve uid 4711"):
        remote.snapshot()
    monkeypatch.setattr(server_module, "peer_of", lambda sock: (1, 0))
    assert remote.snapshot()


def test_stopping_twice_and_with_clients_connected(path: Path, backend: FakeBackend) -> None:
    server = ControlServer(backend, path)
    server.start()
    raw = Raw(path)
    wait_until(lambda: server._connections)
    server.stop()
    server.stop()
    assert raw.hear() == {}
    assert not server._connections
    raw.close()


class Liar:
    """An engine that answers every request with the same bytes."""

    def __init__(self, path: Path, reply: bytes | None) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen()
        self.reply = reply
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        sock, _ = self.listener.accept()
        with sock:
            sock.recv(65536)
            if self.reply is not None:
                sock.sendall(self.reply)
            else:
                sock.recv(1)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "ended while it was asked to snapshot"),
        (b"hello\n", "answers in another language: a line is no JSON"),
        (b'{"version":1,"id":1,"ok":true', "the last line is cut off"),
        (b"{}\n", "neither result nor error"),
        (b'{"id":1,"ok":true,"result":{}}\n', "time is missing"),
        (b'{"id":null,"ok":false,"error":{"message":"go away"}}\n', "^go away$"),
        (None, "did not answer in time"),
    ],
)
def test_an_end_that_is_no_engine(tmp_path: Path, reply: bytes | None, words: str) -> None:
    Liar(tmp_path / "s", reply)
    with pytest.raises(UserError, match=words):
        RemoteBackend(tmp_path / "s", timeout=0.5).snapshot()


def test_a_large_engine(remote: RemoteBackend, backend: FakeBackend) -> None:
    backend.disks = tuple(a_disk(domid) for domid in range(1, 501))
    assert remote.snapshot().disks == backend.disks
