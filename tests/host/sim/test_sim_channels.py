# SPDX-License-Identifier: MIT
"""Event channels: who may bind, what masks, what is lost and what is not."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterator

import pytest

from usblkback_tui.engine.host.seam import Channel, HostError
from usblkback_tui.engine.host.sim import Hypervisor, SimHost
from usblkback_tui.engine.host.sim._sim import ffi, lib
from usblkback_tui.engine.host.sim.domains import Port, SimDomain


@pytest.fixture
def domain(hypervisor: Hypervisor) -> SimDomain:
    return hypervisor.create("guest", memory_mib=1)


class Bound:
    """A channel driven as the data path drives it."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._handle = ffi.cast("void *", channel.ops.handle)

    def readable(self) -> bool:
        return bool(select.select([self.channel.ops.fd], [], [], 0)[0])

    def pending(self) -> int:
        return int(lib.sim_channel_pending(self._handle))

    def unmask(self, port: int | None = None) -> int:
        return int(lib.sim_channel_unmask(self._handle, self.channel.ops.port if port is None else port))

    def notify(self, port: int | None = None) -> int:
        return int(lib.sim_channel_notify(self._handle, self.channel.ops.port if port is None else port))

    def drain(self) -> None:
        assert self.pending() == self.channel.ops.port
        assert self.unmask() == 0


def kick(port: Port) -> None:
    """The guest's notify."""
    os.eventfd_write(port.to_backend, 1)


def heard(port: Port) -> int:
    """Events the guest was sent since it last looked."""
    try:
        return os.eventfd_read(port.to_guest)
    except BlockingIOError:
        return 0


@pytest.fixture
def bound(host: SimHost, domain: SimDomain) -> Iterator[tuple[Bound, Port]]:
    number, port = domain.alloc_unbound(0)
    channel = host.bind(domain.domid, number)
    yield Bound(channel), port
    channel.close()


def test_a_bind_raises_an_event_for_what_may_be_lost(bound: tuple[Bound, Port]) -> None:
    channel, _ = bound
    assert channel.readable()
    channel.drain()
    assert not channel.readable()
    assert channel.pending() == -1


def test_an_event_masks_the_port_until_unmask(bound: tuple[Bound, Port]) -> None:
    channel, port = bound
    channel.drain()
    kick(port)
    assert channel.readable()
    assert channel.pending() == channel.channel.ops.port
    kick(port)
    kick(port)
    assert not channel.readable()
    assert channel.pending() == -1
    assert channel.unmask() == 0
    assert channel.readable(), "what came while masked is delivered, once"
    channel.drain()
    assert not channel.readable()


def test_notify_reaches_the_guest_and_nobody_else(bound: tuple[Bound, Port]) -> None:
    channel, port = bound
    channel.drain()
    assert channel.notify() == 0
    assert heard(port) == 1
    assert not channel.readable()


def test_only_our_own_port(bound: tuple[Bound, Port]) -> None:
    channel, port = bound
    wrong = channel.channel.ops.port + 1
    assert channel.notify(wrong) == -1
    assert channel.unmask(wrong) == -1
    assert heard(port) == 0


def test_every_bind_has_its_own_port(host: SimHost, domain: SimDomain) -> None:
    numbers = [domain.alloc_unbound(0)[0] for _ in range(3)]
    assert len(set(numbers)) == 3
    channels = [host.bind(domain.domid, number) for number in numbers]
    assert len({channel.ops.port for channel in channels}) == 3
    channels[1].close()
    again = host.bind(domain.domid, numbers[1])
    assert len({channel.ops.port for channel in (channels[0], again, channels[2])}) == 3
    for channel in (channels[0], again, channels[2]):
        channel.close()


def test_refusals(host: SimHost, domain: SimDomain, hypervisor: Hypervisor) -> None:
    number, _ = domain.alloc_unbound(0)
    for_other, _ = domain.alloc_unbound(7)
    channel = host.bind(domain.domid, number)
    with pytest.raises(HostError, match="bound already") as caught:
        host.bind(domain.domid, number)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(HostError, match="does not exist"):
        host.bind(domain.domid, 77)
    with pytest.raises(HostError, match="not for domain 0"):
        host.bind(domain.domid, for_other)
    with pytest.raises(HostError, match="no domain 99"):
        host.bind(99, number)
    hypervisor.destroy(domain.domid)
    with pytest.raises(HostError) as caught:
        host.bind(domain.domid, number)
    assert caught.value.errno == errno.ESRCH
    channel.close()


def test_a_closed_port_is_unbound_again_and_drops_kicks(host: SimHost, domain: SimDomain) -> None:
    number, port = domain.alloc_unbound(0)
    first = Bound(host.bind(domain.domid, number))
    first.drain()
    first.channel.close()
    first.channel.close()
    kick(port)
    kick(port)
    second = Bound(host.bind(domain.domid, number))
    second.drain()
    assert not second.readable(), "only the bind's own event"
    kick(port)
    assert second.readable()
    second.channel.close()


def test_the_guest_closes_its_end(bound: tuple[Bound, Port], host: SimHost, domain: SimDomain) -> None:
    channel, _ = bound
    channel.drain()
    domain.close_port(3)
    assert channel.notify() == 0, "an event to nobody is no error"
    assert not channel.readable()
    channel.channel.close()
    with pytest.raises(HostError, match="does not exist"):
        host.bind(domain.domid, 3)
    with pytest.raises(HostError):
        domain.close_port(3)


def test_notify_after_the_domain_is_gone(bound: tuple[Bound, Port], hypervisor: Hypervisor, domain: SimDomain) -> None:
    channel, _ = bound
    hypervisor.destroy(domain.domid)
    assert channel.notify() == 0
    channel.channel.close()
