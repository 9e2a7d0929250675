# SPDX-License-Identifier: MIT
"""xenstore through libxenstore: values, commits that are all or nothing, watches, waking."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.fakexen import FakeXen
from usblkback_tui.engine.host.seam import Change, Conflict, Expect, Hints, HostError, Permissions, Put, Remove
from usblkback_tui.engine.host.xen import XenHost, contact, store

BASE = "/local/domain/0/backend/usblkback/5/51712"


@pytest.fixture
def xen(tmp_path: Path) -> FakeXen:
    return FakeXen(tmp_path)


@pytest.fixture
def host(xen: FakeXen) -> Iterator[XenHost]:
    host = xen.host()
    host.open()
    yield host
    host.close()
    assert xen.count("transactions") == 0
    assert xen.count("connections") == 0


def test_reading(xen: FakeXen, host: XenHost) -> None:
    xen.write(f"{BASE}/mode", "w")
    xen.write(f"{BASE}/empty", "")
    xen.write(f"{BASE}/raw", b"a\0b\xffc")
    assert host.read(f"{BASE}/mode") == "w"
    assert host.read(f"{BASE}/empty") == ""
    assert host.read(BASE) == ""
    assert host.read(f"{BASE}/none") is None
    assert host.read(f"{BASE}/raw") == "a\0b\N{REPLACEMENT CHARACTER}c"
    assert host.read("domid") == "0"


def test_reading_what_is_no_text(xen: FakeXen, host: XenHost) -> None:
    xen.write(f"{BASE}/raw", b"a\0b\xffc")
    assert host.read_bytes(f"{BASE}/raw") == b"a\0b\xffc"
    assert host.read_bytes(f"{BASE}/none") is None


def test_permissions(xen: FakeXen, host: XenHost) -> None:
    assert host.permissions(f"{BASE}/none") is None
    xen.write(f"{BASE}/mode", "w")
    assert host.permissions(f"{BASE}/mode") == Permissions(0, "n")
    host.commit([Put(BASE, "", owner=0, readers=(5, 7))])
    assert host.permissions(BASE) == Permissions(0, "n", ((5, "r"), (7, "r")))
    xen.fault("xs_get_permissions", errno.EACCES)
    with pytest.raises(HostError, match="cannot be asked for its permissions"):
        host.permissions(BASE)


def test_listing(xen: FakeXen, host: XenHost) -> None:
    for key in ("mode", "params", "queue-0/ring-ref"):
        xen.write(f"{BASE}/{key}", "x")
    assert host.list(BASE) == ("mode", "params", "queue-0")
    assert host.list(f"{BASE}/mode") == ()
    assert host.list(f"{BASE}/none") == ()


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EBADF])
def test_every_failure_but_a_missing_key_is_an_error(xen: FakeXen, host: XenHost, number: int) -> None:
    for function in ("xs_read", "xs_directory", "xs_write", "xs_rm", "xs_watch"):
        xen.fault(function, number)
    for call in (
        lambda: host.read(BASE),
        lambda: host.list(BASE),
        lambda: host.commit([Put(BASE, "")]),
        lambda: host.commit([Remove(BASE)]),
        lambda: host.watch(BASE, "t"),
    ):
        with pytest.raises(HostError) as caught:
            call()
        assert caught.value.errno == number
        if number == errno.EBADF:
            assert "connection to xenstore is lost" in str(caught.value)
        else:
            assert BASE in str(caught.value)
            assert caught.value.fix


def test_a_nul_in_a_path_never_reaches_the_wire(host: XenHost) -> None:
    for call in (host.read, host.list, lambda path: host.watch(path, "t"), lambda path: host.commit([Put(path, "")])):
        with pytest.raises(HostError, match="NUL byte"):
            call("/a\0b")


def test_a_commit_sets_values_and_permissions(xen: FakeXen, host: XenHost) -> None:
    xen.write(f"{BASE}/stale/deep", "x")
    host.commit(
        [
            Expect("/local/domain/0", True),
            Expect(f"{BASE}/state", False),
            Remove(f"{BASE}/stale"),
            Remove(f"{BASE}/never-there"),
            Put(BASE, "", owner=0, readers=(5,)),
            Put(f"{BASE}/mode", "w"),
            Put(f"{BASE}/raw", "a\0b"),
            Put(f"{BASE}/state", "1"),
        ]
    )
    assert host.read(f"{BASE}/stale/deep") is None
    assert (host.read(f"{BASE}/mode"), host.read(f"{BASE}/raw"), host.read(f"{BASE}/state")) == ("w", "a\0b", "1")
    assert xen.perms(BASE) == "n0 r5"


@pytest.mark.parametrize(("path", "present", "words"), [("/none", True, "is missing"), (BASE, False, "exists already")])
def test_an_expectation_that_fails_leaves_no_trace(
    xen: FakeXen, host: XenHost, path: str, present: bool, words: str
) -> None:
    xen.write(BASE, "")
    with pytest.raises(Conflict, match=f"{path} {words}") as caught:
        host.commit([Put(f"{BASE}/mode", "w"), Expect(path, present)])
    assert caught.value.path == path
    assert host.read(f"{BASE}/mode") is None
    assert xen.count("transactions") == 0


@pytest.mark.parametrize("function", ["xs_set_permissions", "xs_transaction_start", "xs_transaction_end"])
def test_a_commit_that_fails_half_way_leaves_no_trace(xen: FakeXen, host: XenHost, function: str) -> None:
    xen.fault(function, errno.EACCES)
    with pytest.raises(HostError, match="Permission denied"):
        host.commit([Put(f"{BASE}/mode", "w"), Put(BASE, "", owner=0)])
    assert host.read(f"{BASE}/mode") is None
    assert xen.count("transactions") == 0


def test_what_the_store_refuses_is_named(host: XenHost) -> None:
    with pytest.raises(HostError, match=r"/a b cannot be written in xenstore: Invalid argument; paths have"):
        host.commit([Put("/fine", "x"), Put("/a b", "x")])
    assert host.read("/fine") is None
    with pytest.raises(HostError, match="/fine cannot be written in xenstore: too long; a path and"):
        host.commit([Put("/fine", "x" * 5000)])
    with pytest.raises(HostError) as caught:
        host.commit([Put("/ long" * 500, "x")])
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("collisions", [1, 5])
def test_a_collision_is_tried_again(xen: FakeXen, host: XenHost, collisions: int) -> None:
    xen.collide(collisions)
    host.commit([Expect(BASE, False), Put(BASE, "x"), Put(f"{BASE}/state", "1")])
    assert host.read(f"{BASE}/state") == "1"
    with pytest.raises(Conflict):
        host.commit([Expect(BASE, False)])


def test_a_collision_inside_is_tried_again_too(xen: FakeXen, host: XenHost) -> None:
    xen.fault("xs_write", errno.EAGAIN, times=1)
    host.commit([Expect(BASE, False), Put(BASE, "x")])
    assert host.read(BASE) == "x"


def test_collisions_end(xen: FakeXen, host: XenHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_LONGEST_PAUSE", 0.001)
    xen.collide(10_000)
    with pytest.raises(HostError, match=f"transaction at {BASE} collided 40 times") as caught:
        host.commit([Expect(BASE, False), Put(BASE, "x")])
    assert caught.value.errno == errno.EAGAIN
    assert host.read(BASE) is None


def test_one_write_with_permissions_is_still_all_or_nothing(xen: FakeXen, host: XenHost) -> None:
    xen.fault("xs_set_permissions", errno.EACCES)
    with pytest.raises(HostError, match=f"{BASE} cannot be given permissions"):
        host.commit([Put(BASE, "", owner=0, readers=(5,))])
    assert host.read(BASE) is None


@pytest.mark.parametrize("change", [Put(BASE, "1"), Remove(BASE)])
def test_one_change_needs_no_transaction(xen: FakeXen, host: XenHost, change: Change) -> None:
    xen.fault("xs_transaction_start", errno.ENOSPC)
    host.commit([change])
    with pytest.raises(HostError, match="starts no transaction"):
        host.commit([change, change])


def test_a_watch_fires_at_once_and_for_what_is_below(xen: FakeXen, host: XenHost) -> None:
    host.watch("/local/domain/0/backend/usblkback", "backend")
    host.watch("/local/domain/5", "guest")
    assert host.wait(0).tokens == {"backend", "guest"}
    assert host.wait(0) == Hints()
    xen.write(f"{BASE}/state", "1")
    xen.write(f"{BASE}/state", "2")
    assert host.wait(1).tokens == {"backend"}
    host.commit([Put("/local/domain/5/device/vbd/51712", "", owner=5, readers=(0,))])
    assert host.wait(1).tokens == {"guest"}


def test_a_watch_on_a_path_that_is_removed(xen: FakeXen, host: XenHost) -> None:
    xen.write(f"{BASE}/state", "1")
    host.watch(f"{BASE}/state", "state")
    assert host.wait(0).tokens == {"state"}
    host.commit([Remove("/local/domain/0/backend")])
    assert host.wait(1).tokens == {"state"}
    host.unwatch(f"{BASE}/state", "state")


def test_unwatching_drops_late_events(xen: FakeXen, host: XenHost) -> None:
    host.watch("/a", "first")
    host.unwatch("/a", "first")
    host.watch("/a", "second")
    assert host.wait(0).tokens == {"second"}
    xen.event("/a", "1")
    xen.event("/a", "no number at all")
    assert host.wait(0) == Hints()
    host.unwatch("/a", "never")
    xen.fault("xs_unwatch", errno.ENOENT)
    host.unwatch("/a", "second")


def test_the_same_watch_twice_is_one(xen: FakeXen, host: XenHost) -> None:
    host.watch("/a", "t")
    host.watch("/a", "t")
    assert xen.count("watches") == 1
    assert host.wait(0).tokens == {"t"}


def test_a_refused_watch_is_forgotten(xen: FakeXen, host: XenHost) -> None:
    xen.fault("xs_watch", errno.E2BIG, times=1)
    with pytest.raises(HostError, match="/a cannot be watched"):
        host.watch("/a", "t")
    host.unwatch("/a", "t")
    host.watch("/a", "t")
    assert host.wait(0).tokens == {"t"}


def test_odd_tokens_come_back_as_they_were(host: XenHost) -> None:
    for token in ("", "with blanks / and \0 NUL", "ü", "x" * 5000):
        host.watch("/a", token)
        assert host.wait(0).tokens == {token}
        host.unwatch("/a", token)


def test_a_flood_is_read_in_parts_and_nothing_is_left(xen: FakeXen, host: XenHost) -> None:
    host.watch("/flood", "flood")
    host.watch("/other", "other")
    assert host.wait(0).tokens == {"flood", "other"}
    for _ in range(2500):
        xen.write("/flood", "x")
    xen.write("/other", "x")
    seen = [host.wait(5).tokens for _ in range(3)]
    assert seen == [{"flood"}, {"flood"}, {"flood", "other"}]
    assert host.wait(0) == Hints()


def test_wait_ends_in_time(host: XenHost) -> None:
    start = time.monotonic()
    assert host.wait(0.05) == Hints()
    assert 0.05 <= time.monotonic() - start < 1


def test_wake_ends_the_current_and_the_next_wait(host: XenHost) -> None:
    host.wake()
    host.wake()
    assert host.wait(None) == Hints()
    timer = threading.Timer(0.05, host.wake)
    timer.start()
    assert host.wait(None) == Hints()
    timer.join()
    start = time.monotonic()
    assert host.wait(0.05) == Hints()
    assert time.monotonic() - start >= 0.05


def test_waking_a_closed_host_touches_nothing(xen: FakeXen, host: XenHost) -> None:
    connection = store.XenStore(host._loaded())
    connection.close()
    connection.close()
    connection.wake()
    host.close()
    host.wake()
    with pytest.raises(HostError, match="not open"):
        host.read("/a")
    with pytest.raises(HostError, match="is closed"):
        connection.read("/a")
    assert xen.count("connections") == 0


def test_a_lost_connection_is_an_error_of_wait(xen: FakeXen, host: XenHost) -> None:
    host.watch("/a", "t")
    xen.fault("xs_check_watch", errno.EBADF)
    with pytest.raises(HostError, match="connection to xenstore is lost"):
        host.wait(1)


def test_a_death_between_waits_is_noticed(xen: FakeXen, host: XenHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_QUIET_SECONDS", 0.05)
    assert host.wait(0.12) == Hints()
    xen.fault("xs_read", errno.EBADF)
    with pytest.raises(HostError, match="connection to xenstore is lost"):
        host.wait(None)


def test_a_transaction_on_a_lost_connection(xen: FakeXen, host: XenHost) -> None:
    xen.fault("xs_transaction_start", errno.EPIPE)
    with pytest.raises(HostError, match="connection to xenstore is lost"):
        host.commit([Expect(BASE, True)])


def test_a_store_that_never_answers_does_not_hang_us(xen: FakeXen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact, "CONTACT_SECONDS", 0.1)
    xen.hang("xs_read")
    start, threads = time.monotonic(), threading.active_count()
    for _ in range(3):
        with pytest.raises(HostError, match=r"xenstored has not answered for 0.1 seconds; start it") as caught:
            xen.host().open()
        assert caught.value.errno == errno.ETIMEDOUT
    assert time.monotonic() - start < 5
    assert threading.active_count() == threads + 1
    xen.release()
    monkeypatch.setattr(contact, "CONTACT_SECONDS", 5.0)
    host = xen.host()
    host.open()
    assert xen.count("connections") == 1
    host.close()
    assert xen.open_handles() == 0
