# SPDX-License-Identifier: MIT
"""An engine to talk to, and a command line that reads no settings of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engine.control.fake_backend import FakeBackend
from usblkback_tui.cli import main
from usblkback_tui.engine.control.server import ControlServer


@dataclass(frozen=True)
class Output:
    """What one command line did."""

    code: int
    out: str
    err: str


Cli = Callable[..., Output]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("USBLKBACK_SOCKET", str(tmp_path / "run" / "engine.sock"))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*words: str) -> Output:
        code = main(words)
        captured = capsys.readouterr()
        return Output(code, captured.out, captured.err)

    return run


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def engine(backend: FakeBackend, tmp_path: Path) -> Iterator[ControlServer]:
    server = ControlServer(backend, tmp_path / "run" / "engine.sock")
    server.start()
    yield server
    server.stop()
