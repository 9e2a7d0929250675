# SPDX-License-Identifier: MIT
"""Stopping, running again, closing."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.engine.datapath.conftest import Serve
from tests.engine.datapath.frontend import Frontend, whole
from usblkback_tui.engine.datapath.ring import End, GrantMode, RingConfig, RingServer, Vbd, VbdConfig
from usblkback_tui.engine.host.seam import ChannelOps, GrantOps
from usblkback_tui.protocol.blkif import Op


def reads(front: Frontend, count: int, first: int = 0) -> list[bytes]:
    page = front.page()
    return [front.layout.rw(Op.READ, first + i, 0, whole([page])) for i in range(count)]


def test_stop_while_idle_is_prompt(serve: Serve) -> None:
    s = serve()
    s.front.do(*reads(s.front, 1))
    began = time.monotonic()
    assert s.stop() == End.STOPPED
    assert time.monotonic() - began < 0.5


def test_stop_while_busy_answers_what_was_begun(serve: Serve, mode: GrantMode) -> None:
    """The stop comes while the third request is worked on: three answers, and the rest wait for the next run."""
    begun = 0

    def enter(real: Any, *args: Any) -> Any:
        nonlocal begun
        begun += 1
        if begun == 3:
            s.server.stop()
        return real(*args)

    s = serve(mode, hooks={"map": enter, "copy": enter}, persistent_pages=0, running=False)
    s.front.push(*reads(s.front, 20))
    s.start()
    assert s.ended() == End.STOPPED
    assert [r.id for r in s.front.take()] == [0, 1, 2]
    s.start()
    assert [r.id for r in s.front.collect(17)] == list(range(3, 20))


def test_stop_before_run_is_not_lost(serve: Serve) -> None:
    s = serve(running=False)
    s.server.stop()
    s.start()
    assert s.ended(1) == End.STOPPED


def test_run_again_many_times(serve: Serve) -> None:
    s = serve()
    for i in range(100):
        assert s.front.do(*reads(s.front, 1, i))[0].id == i
        assert s.stop() == End.STOPPED
        s.start()
    assert s.counters.responses == 100


def test_a_port_masked_at_the_stop_is_unmasked_by_the_next_run(serve: Serve) -> None:
    def copy(real: Any, *args: Any) -> Any:
        s.server.stop()  # in the midst of the work a wake-up brought
        return real(*args)

    hooks = {"copy": copy}
    s = serve(hooks=hooks)
    time.sleep(0.05)
    s.front.submit(*reads(s.front, 1))
    assert s.ended() == End.STOPPED
    s.start()
    time.sleep(0.05)
    s.front.take()
    s.front.submit(*reads(s.front, 1, 1))
    assert s.ended() == End.STOPPED
    assert [r.id for r in s.front.take()] == [1]


def test_a_stop_signal_that_comes_after_its_run_ended_costs_nothing(serve: Serve) -> None:
    """stop() is a flag and a signal; a run that sees the flag may be over, and begun again, when the signal comes."""
    before = _eventfds()
    s = serve(running=False, waits=False)
    # the event channel's descriptors are made first, the ring's last, and each as the lowest number that is free
    late = max(_eventfds() - before)
    os.eventfd_write(late, 1)
    s.start()
    s.front.do(*reads(s.front, 1))
    used = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - used < 0.1, "the ring spins on a stale signal"
    assert s.stop() == End.STOPPED
    with pytest.raises(BlockingIOError):
        os.eventfd_read(late)  # so it was the ring's, and it was cleared


def test_a_poke_that_comes_after_its_run_ended_costs_nothing(serve: Serve) -> None:
    s = serve(running=False)
    ops = s.channel.ops
    notify = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32)(ops.notify)
    assert notify(ops.handle, ops.poke_port) == 0
    s.start()
    s.front.do(*reads(s.front, 1))
    used = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - used < 0.1, "the ring spins on a stale poke"
    assert s.stop() == End.STOPPED


def _eventfds() -> set[int]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if "[eventfd]" in str(entry.readlink()):
                found.add(int(entry.name))
    return found


def test_close_unmaps_what_was_kept(serve: Serve) -> None:
    s = serve(GrantMode.PERSISTENT)
    pages = s.front.pages(bytes(4096 * 11))
    s.front.do(s.front.layout.rw(Op.READ, 0, 0, whole(pages)))
    assert s.counters.grants_mapped == s.domain.mapped - 1 == 11
    assert all(s.front.in_use(page.ref) for page in pages)
    s.stop()
    last = s.server.close()
    assert (last.maps, last.unmaps, last.grants_mapped) == (11, 11, 0)
    assert not any(s.front.in_use(page.ref) for page in pages)


def test_a_closed_ring_can_be_asked_anything(serve: Serve) -> None:
    """The control thread may look or stop once more after the close."""
    s = serve()
    s.front.do(*reads(s.front, 3))
    s.stop()
    last = s.server.close()
    assert last.responses == 3
    assert s.server.counters() == last
    assert sum(s.server.latency().read.counts) == 3
    assert (s.vbd.poisoned, s.vbd.last_io_errno, s.server.trace()) == (0, 0, ())
    s.server.stop()
    assert s.server.close() == last


@pytest.mark.parametrize(
    "impossible",
    [{"ring_pages": 0}, {"ring_pages": 3}, {"ring_pages": 32}, {"max_segments": 4097}, {"grant_mode": GrantMode.COPY}],
    ids=str,
)
def test_impossible_configuration(image: Path, impossible: dict[str, Any]) -> None:
    with image.open("rb") as file:
        config: dict[str, Any] = {
            "grants": GrantOps(1, 1, 1, 0),
            "channel": ChannelOps(1, 0, 1, 1, 1, 1),
            "domid": 1,
            "ring_address": 0,
            "ring_pages": 1,
            "grant_mode": GrantMode.MAP,
        }
        with pytest.raises(MemoryError):
            RingServer(Vbd(VbdConfig(file.fileno(), 8)), RingConfig(**{**config, **impossible}))


def test_unknown_protocol() -> None:
    with pytest.raises(ValueError, match="sparc"):
        RingServer(
            Vbd(VbdConfig(0, 8)),
            RingConfig(GrantOps(1, 1, 1), ChannelOps(1, 0, 1, 1, 1, 1), 1, 0, 1, protocol="sparc"),
        )


def test_rings_of_several_guests_at_once(serve: Serve) -> None:
    rings = [serve(mode) for mode in GrantMode for _ in range(2)]
    failures: list[BaseException] = []

    def load(s: Any) -> None:
        try:
            for i in range(50):
                assert [r.status for r in s.front.do(*reads(s.front, 4, i))] == [0] * 4
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=load, args=(s,)) for s in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not failures
    assert [s.counters.responses for s in rings] == [200] * 6
