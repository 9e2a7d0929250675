# SPDX-License-Identifier: MIT
"""Opening this machine's engine: waiting for a hypervisor, giving up, and what is missing."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import pytest

from usblkback_tui.engine import open as opening
from usblkback_tui.engine.host.seam import HostError
from usblkback_tui.engine.host.sim.host import SimHost
from usblkback_tui.engine.open import open_engine, readiness
from usblkback_tui.engine.settings import EngineSettings, Settings
from usblkback_tui.protocol.errors import UserError

WAITING = Settings(engine=EngineSettings(wait=True))


class LateHost(SimHost):
    """A hypervisor whose store comes up at the third try."""

    tries = 0
    made: ClassVar[list[LateHost]] = []

    def __init__(self) -> None:
        super().__init__()
        self.made.append(self)

    def open(self) -> None:
        type(self).tries += 1
        if self.tries < 3:
            raise HostError("/dev/xen/evtchn is missing", fix="modprobe xen-evtchn")
        super().open()


@pytest.fixture(autouse=True)
def late_host(monkeypatch: pytest.MonkeyPatch) -> None:
    LateHost.tries = 0
    monkeypatch.setattr(opening, "XenHost", LateHost)


def test_without_waiting_the_first_failure_counts() -> None:
    with pytest.raises(UserError, match=r"^/dev/xen/evtchn is missing; modprobe xen-evtchn$"):
        open_engine(Settings())
    assert LateHost.tries == 1


def test_waiting_reports_each_reason_once_and_then_serves() -> None:
    said: list[str] = []
    slept: list[float] = []
    engine = open_engine(WAITING, pause=lambda seconds: bool(slept.append(seconds)), report=said.append)  # type: ignore[func-returns-value]
    assert engine is not None
    try:
        assert said == ["waiting: /dev/xen/evtchn is missing; modprobe xen-evtchn"]
        assert slept == [1.0, 1.0]
        assert engine.snapshot().host == "sim"
        assert engine.events(0)[0].text.startswith("engine started")
    finally:
        engine.stop(force_after=1)
        LateHost.made[-1].close()


def test_waiting_can_be_given_up() -> None:
    assert open_engine(WAITING, pause=lambda _: True) is None
    assert LateHost.tries == 1


def test_a_store_that_refuses_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    LateHost.tries = 3

    def refuse(self: SimHost, path: str, token: str) -> None:
        raise HostError("the store takes no more watches", fix="raise its quota")

    monkeypatch.setattr(LateHost, "watch", refuse)
    with pytest.raises(UserError, match=r"^the store takes no more watches; raise its quota$"):
        open_engine(Settings())


def test_a_setting_that_cannot_be_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(engine=dataclasses.replace(EngineSettings(), affinity=9999))
    with pytest.raises(UserError, match="cannot be pinned to CPU 9999"):
        open_engine(settings)
    assert LateHost.tries == 0


def test_readiness_starts_with_the_data_path() -> None:
    LateHost.tries = 3
    first, *host = readiness()
    assert (first.name, first.ok) == ("data path", True)
    assert [check.name for check in host] == ["embedded host"]
