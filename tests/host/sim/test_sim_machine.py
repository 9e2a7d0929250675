# SPDX-License-Identifier: MIT
"""Domains and the processes in them: they come, reboot, crash and go as under a toolstack."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.host.sim.oracle import Oracle
from usblkback_tui.engine.host.seam import HostError, Put
from usblkback_tui.engine.host.sim import GuestOptions, Hypervisor, Load, SimGuest, SimHost, wire
from usblkback_tui.engine.host.sim.domains import MAX_PORTS
from usblkback_tui.engine.host.sim.report import percentile_us
from usblkback_tui.engine.host.sim.service import GuestService
from usblkback_tui.engine.settings import GuestSettings
from usblkback_tui.protocol.states import XenbusState

RELEASE = "@releaseDomain"


def wait_gone(pid: int, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


@pytest.fixture
def guest(host: SimHost) -> SimGuest:
    return host.add_guest(GuestSettings("web"), GuestOptions(memory_mib=16))


def drain(host: SimHost) -> set[str]:
    tokens: set[str] = set()
    while found := host.wait(0).tokens:
        tokens |= found
    return tokens


def test_what_libxl_writes(host: SimHost, guest: SimGuest) -> None:
    home = f"/local/domain/{guest.domid}"
    assert host.read(f"{home}/name") == "web"
    assert host.read(f"{home}/domid") == str(guest.domid)
    assert host.read(f"{home}/vm") == guest.vm
    assert host.read(f"{guest.vm}/name") == "web"
    assert host.read("/local/domain/0/name") == "Domain-0"
    assert [(domain.domid, domain.name) for domain in host.domains()] == [(0, "Domain-0"), (guest.domid, "web")]
    assert host.domains()[1].vm == guest.vm
    inside = host.hypervisor.store.connect(guest.domid, lambda path, token: None)
    inside.commit([Put("error/device/vbd/1/error", "x"), Put("data/y", "z")])
    with pytest.raises(HostError):
        inside.commit([Put("device/vbd/1/state", "1")])
    with pytest.raises(HostError):
        inside.commit([Put("name", "Domain-0")])


def test_two_domains_of_one_name(host: SimHost, guest: SimGuest) -> None:
    with pytest.raises(HostError, match="'web' exists already"):
        host.add_guest(GuestSettings("web"))


def test_coming_and_going_is_announced(host: SimHost, guest: SimGuest) -> None:
    host.watch(RELEASE, "gone")
    host.watch("@introduceDomain", "come")
    drain(host)
    other = host.add_guest(GuestSettings("db"), GuestOptions(memory_mib=16))
    assert drain(host) == {"come"}
    other.destroy()
    assert drain(host) == {"gone"}
    assert host.list(f"/local/domain/{other.domid}") == ()
    assert host.read(other.vm) is None
    assert host.read(f"/local/domain/{other.domid}/name") is None
    assert [domain.name for domain in host.domains()] == ["Domain-0", "web"]
    other.destroy()
    assert drain(host) == set()


@pytest.mark.parametrize("clean", [True, False])
def test_reboot(host: SimHost, guest: SimGuest, image: Path, clean: bool) -> None:
    guest.set_load(Load(read_percent=0))
    oracle = Oracle(host, guest.domid, image).serve()
    guest.wait_state("xvda")
    while guest.disk("xvda").writes < 50:
        time.sleep(0.005)
    domid, vm, pid = guest.domid, guest.vm, guest.pid
    host.watch(RELEASE, "gone")
    drain(host)
    if clean:
        host.watch(oracle.front, "front")
        guest_states: list[str | None] = []

        def follow() -> None:
            while host.read(oracle.front) is not None:
                state = host.read(f"{oracle.front}/state")
                if state == "5":
                    oracle.set_state(5)
                if guest_states[-1:] != [state]:
                    guest_states.append(state)
                time.sleep(0.001)

        follower = threading.Thread(target=follow)
        follower.start()
        guest.reboot()
        follower.join()
        assert guest_states[:2] == ["4", "5"]
    else:
        guest.reboot(clean=False)
    assert guest.domid != domid
    assert guest.vm == vm
    assert host.read(f"{vm}/name") == "web"
    assert "gone" in drain(host)
    assert host.list(f"/local/domain/{domid}") == ()
    assert host.read(f"{oracle.back}/state") is not None, "a backend directory the toolstack did not write stays"
    wait_gone(pid)
    oracle.close()
    again = Oracle(host, guest.domid, image).serve()
    guest.wait_state("xvda")
    report = guest.verify()
    assert report.ok
    assert report.read_back > 0, "what was written before the reboot is still known"
    again.close()
    assert host.hypervisor.mapped == 0


def test_a_process_that_dies_takes_its_domain_along(host: SimHost, guest: SimGuest) -> None:
    host.watch(RELEASE, "gone")
    drain(host)
    os.kill(guest.pid, signal.SIGKILL)
    assert host.wait(5).tokens == {"gone"}
    assert host.list(f"/local/domain/{guest.domid}") == ()
    assert not guest.alive
    with pytest.raises(HostError, match="not running"):
        guest.start_load()
    guest.reboot(clean=False)
    guest.start_load()


def test_crash_under_load(host: SimHost, guest: SimGuest, image: Path) -> None:
    oracle = Oracle(host, guest.domid, image).serve()
    guest.wait_state("xvda")
    guest.crash()
    assert host.list("/local/domain") == ("0",)
    oracle.close()
    assert host.hypervisor.mapped == 0


def test_a_hung_guest_does_not_hang_us(host: SimHost, guest: SimGuest) -> None:
    os.kill(guest.pid, signal.SIGSTOP)
    with pytest.raises(HostError, match="did not stop within"):
        guest.stop_load(timeout=0.2)
    other = host.add_guest(GuestSettings("db"), GuestOptions(memory_mib=16))
    other.start_load()
    for i in range(20000):  # more than its socket holds
        host.commit([Put(f"/local/domain/{guest.domid}/device/vbd/{i % 5000}/x", "1")])
    other.stop_load()
    began = time.monotonic()
    guest.close()
    assert time.monotonic() - began < 2


def test_verify_without_a_disk(guest: SimGuest) -> None:
    with pytest.raises(HostError, match="not connected"):
        guest.verify()


def test_a_guest_never_outlives_its_parent() -> None:
    script = (
        "import os, sys\n"
        "from usblkback_tui.engine.host.sim import SimHost, GuestOptions\n"
        "from usblkback_tui.engine.settings import GuestSettings\n"
        "host = SimHost()\n"
        "host.open()\n"
        "guest = host.add_guest(GuestSettings('web'), GuestOptions(memory_mib=16))\n"
        "guest.start_load()\n"
        "print(guest.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    assert ended.returncode == -signal.SIGKILL
    wait_gone(int(ended.stdout))


def test_close_ends_everything() -> None:
    host = SimHost()
    host.open()
    guests = [host.add_guest(GuestSettings(f"g{i}"), GuestOptions(memory_mib=16)) for i in range(3)]
    pids = [guest.pid for guest in guests]
    fds = len(os.listdir("/proc/self/fd"))
    host.close()
    host.close()
    for pid in pids:
        wait_gone(pid)
    assert len(os.listdir("/proc/self/fd")) < fds
    with pytest.raises(HostError, match="not open"):
        host.read("/")


def test_descriptors_are_given_back(host: SimHost, image: Path) -> None:
    def once() -> int:
        guest = host.add_guest(GuestSettings("web"), GuestOptions(memory_mib=16))
        oracle = Oracle(host, guest.domid, image).serve()
        guest.wait_state("xvda")
        oracle.close()
        guest.close()
        return len(os.listdir("/proc/self/fd"))

    first = once()
    # A dead domain's memory stays for who may still have it mapped: one descriptor each until the hypervisor ends.
    assert once() <= first + 1


def test_wait_and_wake(host: SimHost) -> None:
    assert host.wait(0).tokens == frozenset()
    host.wake()
    assert host.wait(5).tokens == frozenset()
    host.watch("/a", "one")
    host.watch("/", "two")
    host.commit([Put("/a", "1"), Put("/a/b", "2"), Put("/b", "3")])
    assert host.wait(5).tokens == {"one", "two"}
    host.unwatch("/", "two")
    host.unwatch("/", "never set")
    host.commit([Put("/b", "4")])
    assert host.wait(0).tokens == frozenset()


def test_a_second_host_takes_over(hypervisor: Hypervisor, host: SimHost, guest: SimGuest, image: Path) -> None:
    first = Oracle(host, guest.domid, image).serve()
    guest.set_load(Load(read_percent=0))
    while guest.disk("xvda").writes < 50:
        time.sleep(0.005)
    first.disconnect()
    host.close()
    assert guest.alive
    second = SimHost(hypervisor)
    second.open()
    first.host = second
    first.reconnect()
    assert guest.state("xvda") is XenbusState.CONNECTED
    report = guest.verify()
    assert report.ok
    assert report.read_back > 0
    first.close()
    second.close()


def test_bytes_that_are_no_text(host: SimHost, guest: SimGuest) -> None:
    inside = host.hypervisor.store.connect(guest.domid, lambda path, token: None)
    inside.commit([Put("data", b"a\xffb".decode(errors="surrogateescape"))])
    assert host.read(f"/local/domain/{guest.domid}/data") == "a�b"


class Rogue:
    """A guest's end of a wire, without a guest."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self.domain = hypervisor.create("rogue", memory_mib=1)
        self.lines: list[str] = []
        ours, self.end = wire.pair()
        self.service = GuestService(
            hypervisor,
            self.domain,
            ours,
            lambda devid: 0,
            self.lines.append,
            lambda domain: hypervisor.destroy(domain.domid),
        )
        self.service.start({"boot": {}}, ())
        assert self.receive() == {"boot": {}}

    def receive(self) -> wire.Message:
        message, fds = wire.receive(self.end) or ({}, [])
        for fd in fds:
            os.close(fd)
        return message

    def call(self, name: object, *args: object) -> wire.Message:
        wire.send(self.end, {"n": 1, "call": name, "args": args})
        return self.receive()


class TestRogue:
    @pytest.mark.parametrize(
        ("call", "errno"),
        [
            (("read", 7), 22),
            (("read",), 22),
            (("read", "a//b"), 22),
            (("read", "/local/domain/0/name"), 13),
            (("nothing", 1), 22),
            ((None,), 22),
            (("commit", {"name": "x"}), 13),
            (("commit", {"data": 5}), 22),
            (("close_port", 99), 22),
            (("close_port", "3"), 22),
            (("watch", "@releaseDomain", "t"), 13),
        ],
    )
    def test_calls_that_are_refused(self, hypervisor: Hypervisor, call: tuple[object, ...], errno: int) -> None:
        rogue = Rogue(hypervisor)
        assert rogue.call(*call).get("errno") == errno
        assert rogue.call("read", "name").get("value") == "rogue"
        rogue.service.close()
        rogue.end.close()

    @pytest.mark.parametrize("junk", [b"{", b"[" * 100000, b"[]", b"\0"])
    def test_nonsense_ends_the_guest_and_nothing_else(self, hypervisor: Hypervisor, host: SimHost, junk: bytes) -> None:
        rogue, other = Rogue(hypervisor), host.add_guest(GuestSettings("web"), GuestOptions(memory_mib=16))
        rogue.end.send(junk)
        assert rogue.receive() == {}
        other.start_load()
        assert [domain.name for domain in host.domains()] == ["Domain-0", "web"]
        rogue.end.close()

    def test_event_channels_end(self, hypervisor: Hypervisor) -> None:
        rogue = Rogue(hypervisor)
        for _ in range(MAX_PORTS):
            assert "value" in rogue.call("alloc_unbound", 0)
        assert rogue.call("alloc_unbound", 0).get("errno") == 28
        rogue.service.close()
        rogue.end.close()


class TestWire:
    def test_messages_are_whole(self) -> None:
        a, b = wire.pair()
        wire.send(a, {"n": 1, "value": "x" * 60000}, (0,))
        message, fds = wire.receive(b) or ({}, [])
        assert message["n"] == 1
        assert len(fds) == 1
        os.close(fds[0])
        a.close()
        assert wire.receive(b) is None
        b.close()

    @pytest.mark.parametrize("junk", [b"{", b"[1]", b"\xff", b'{"n":'])
    def test_what_is_no_message_is_the_end(self, junk: bytes) -> None:
        a, b = wire.pair()
        before = len(os.listdir("/proc/self/fd"))
        socket.send_fds(a, [junk], [0])
        assert wire.receive(b) is None
        assert len(os.listdir("/proc/self/fd")) == before
        a.close()
        b.close()


def test_percentiles() -> None:
    buckets = [0] * 512
    assert percentile_us(buckets, 0.5) == 0
    buckets[(10 - 3) * 8] = 99  # 1024 ns up to 1152
    buckets[(20 - 3) * 8 + 7] = 1  # up to 2^21 ns
    assert percentile_us(buckets, 0.5) == pytest.approx(1.152)
    assert percentile_us(buckets, 1.0) == pytest.approx(2097.152)
