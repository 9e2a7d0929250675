# SPDX-License-Identifier: MIT
"""The store: permissions, commits, watches and quotas are those of xenstored."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usblkback_tui.engine.host.seam import Commit, Conflict, Expect, HostError, Put, Remove
from usblkback_tui.engine.host.sim.store import (
    INTRODUCE,
    MAX_NODES,
    MAX_VALUE,
    MAX_WATCHES,
    Connection,
    Store,
    StoreError,
)


class Events:
    """A connection with what its watches told it."""

    def __init__(self, store: Store, domid: int) -> None:
        self.seen: list[tuple[str, str]] = []
        self.c: Connection = store.connect(domid, lambda path, token: self.seen.append((path, token)))

    def take(self) -> list[tuple[str, str]]:
        seen, self.seen[:] = list(self.seen), []
        return seen


@pytest.fixture
def store() -> Store:
    store = Store()
    store.connect(0, lambda path, token: None).commit(
        [
            Put("/local/domain/1", "", owner=0, readers=(1,)),
            Put("/local/domain/1/data", "", owner=1),
            Put("/local/domain/2", "", owner=0, readers=(2,)),
            Put("/local/domain/1/device/vbd/51712/state", "1", owner=1, readers=(0, 2)),
        ]
    )
    return store


@pytest.fixture
def dom0(store: Store) -> Events:
    return Events(store, 0)


@pytest.fixture
def guest(store: Store) -> Events:
    return Events(store, 1)


@pytest.fixture
def other(store: Store) -> Events:
    return Events(store, 2)


def refused(number: int, action: object, *args: object) -> None:
    with pytest.raises(StoreError) as caught:
        action(*args)  # type: ignore[operator]
    assert caught.value.errno == number


def test_relative_paths_are_below_the_domain(guest: Events, dom0: Events) -> None:
    guest.c.commit([Put("data/note", "hi")])
    assert dom0.c.read("/local/domain/1/data/note") == b"hi"
    assert guest.c.read("data/note") == b"hi"


def test_missing_keys(dom0: Events) -> None:
    refused(errno.ENOENT, dom0.c.read, "/local/domain/9")
    refused(errno.ENOENT, dom0.c.list, "/nowhere")


@pytest.mark.parametrize("path", ["", "a//b", "/a/", "/a b", "//", "/a/$", "/" + "a" * 3100])
def test_what_is_no_path(dom0: Events, path: str) -> None:
    refused(errno.EINVAL, dom0.c.read, path)


class TestPermissions:
    def test_a_reader_may_not_write(self, guest: Events) -> None:
        assert guest.c.read("/local/domain/1") == b""
        refused(errno.EACCES, guest.c.commit, [Put("/local/domain/1", "x")])
        refused(errno.EACCES, guest.c.commit, [Put("/local/domain/1/mine", "x")])
        refused(errno.EACCES, guest.c.commit, [Remove("/local/domain/1")])

    def test_a_stranger_may_nothing_not_even_know_what_is_missing(self, other: Events) -> None:
        refused(errno.EACCES, other.c.read, "/local/domain/1/data")
        refused(errno.EACCES, other.c.read, "/local/domain/1/data/missing")
        refused(errno.EACCES, other.c.list, "/local/domain/1")

    def test_a_reader_named_by_the_owner(self, other: Events) -> None:
        assert other.c.read("/local/domain/1/device/vbd/51712/state") == b"1"
        refused(errno.EACCES, other.c.commit, [Put("/local/domain/1/device/vbd/51712/state", "6")])

    def test_children_inherit_and_a_guest_owns_what_it_makes(self, guest: Events, dom0: Events) -> None:
        dom0.c.commit([Put("/local/domain/1/device/vbd/51712/by0", "")])
        assert dom0.c.permissions("/local/domain/1/device/vbd/51712/by0") == ((0, "n"), (1, "r"))
        guest.c.commit([Put("data/a/b", "")])
        assert dom0.c.permissions("/local/domain/1/data/a") == ((1, "n"),)

    def test_a_guest_may_share_what_it_owns_but_not_give_it_away(self, guest: Events, other: Events) -> None:
        guest.c.commit([Put("data/shared", "x", owner=1, readers=(2,))])
        assert other.c.read("/local/domain/1/data/shared") == b"x"
        refused(errno.EPERM, guest.c.commit, [Put("data/shared", "x", owner=2)])
        refused(errno.EACCES, guest.c.commit, [Put("/local/domain/1/device", "", owner=1)])


class TestCommit:
    def test_all_or_nothing(self, dom0: Events, store: Store) -> None:
        before = store.dump()
        dom0.c.watch("/", "all")
        dom0.take()
        with pytest.raises(Conflict) as caught:
            dom0.c.commit(
                [
                    Put("/new/deep", "1", owner=1),
                    Put("/local/domain/1", "changed", owner=2),
                    Remove("/local/domain/1/device"),
                    Expect("/local/domain/1/data", present=False),
                ]
            )
        assert caught.value.path == "/local/domain/1/data"
        assert store.dump() == before
        assert dom0.c.permissions("/local/domain/1") == ((0, "n"), (1, "r"))
        assert dom0.take() == []

    def test_an_expectation_sees_what_the_commit_did_before(self, dom0: Events) -> None:
        dom0.c.commit([Put("/a/b", "1"), Expect("/a/b", present=True), Remove("/a"), Expect("/a/b", present=False)])
        refused(errno.ENOENT, dom0.c.read, "/a")

    def test_the_root_stays(self, dom0: Events) -> None:
        refused(errno.EINVAL, dom0.c.commit, [Remove("/")])


class TestWatches:
    def test_fires_once_at_once_and_for_all_below(self, dom0: Events, guest: Events) -> None:
        dom0.c.watch("/local/domain/1/data", "t")
        assert dom0.take() == [("/local/domain/1/data", "t")]
        guest.c.commit([Put("data/x/y", "1"), Put("data", "2")])
        assert dom0.take() == [("/local/domain/1/data/x/y", "t"), ("/local/domain/1/data", "t")]
        dom0.c.commit([Put("/local/domain/1/database", "")])
        assert dom0.take() == []

    def test_relative_watches_report_relative_paths(self, guest: Events, dom0: Events) -> None:
        guest.c.watch("device", "bus")
        dom0.c.commit([Put("/local/domain/1/device/vbd/51712/state", "2")])
        assert guest.take() == [("device", "bus"), ("device/vbd/51712/state", "bus")]

    def test_removing_a_directory_fires_watches_above_on_and_below(self, dom0: Events) -> None:
        for path in ("/local", "/local/domain/1", "/local/domain/1/device/vbd/51712/state", "/local/domain/1/none"):
            dom0.c.watch(path, path)
        dom0.take()
        dom0.c.commit([Remove("/local/domain/1")])
        assert dom0.take() == [
            ("/local/domain/1", "/local"),
            ("/local/domain/1", "/local/domain/1"),
            ("/local/domain/1/device/vbd/51712/state", "/local/domain/1/device/vbd/51712/state"),
        ]

    def test_only_who_may_read_is_told(self, other: Events, guest: Events) -> None:
        other.c.watch("/local/domain/1", "peek")
        other.take()
        guest.c.commit([Put("data/secret", "x")])
        assert other.take() == []
        guest.c.commit([Put("device/vbd/51712/state", "3")])
        assert other.take() == [("/local/domain/1/device/vbd/51712/state", "peek")]

    def test_unwatch(self, dom0: Events, guest: Events) -> None:
        dom0.c.watch("/local/domain/1/data", "t")
        refused(errno.EEXIST, dom0.c.watch, "/local/domain/1/data", "t")
        dom0.c.unwatch("/local/domain/1/data", "t")
        dom0.take()
        guest.c.commit([Put("data", "1")])
        assert dom0.take() == []
        refused(errno.ENOENT, dom0.c.unwatch, "/local/domain/1/data", "t")

    def test_a_closed_connection_hears_nothing(self, dom0: Events, guest: Events) -> None:
        dom0.c.watch("/", "t")
        dom0.take()
        dom0.c.close()
        guest.c.commit([Put("data", "1")])
        assert dom0.take() == []

    def test_special_watches_are_for_domain_0(self, store: Store, dom0: Events, guest: Events) -> None:
        dom0.c.watch(INTRODUCE, "in")
        assert dom0.take() == [(INTRODUCE, "in")]
        store.fire(INTRODUCE)
        assert dom0.take() == [(INTRODUCE, "in")]
        refused(errno.EACCES, guest.c.watch, INTRODUCE, "in")


class TestQuotas:
    def test_value_length(self, guest: Events, dom0: Events) -> None:
        guest.c.commit([Put("data", "x" * MAX_VALUE)])
        refused(errno.ENOSPC, guest.c.commit, [Put("data", "x" * (MAX_VALUE + 1))])
        dom0.c.commit([Put("/local/domain/1/data", "x" * (MAX_VALUE + 1))])

    def test_nodes_count_down_when_removed_also_by_an_undone_commit(self, guest: Events) -> None:
        room = MAX_NODES - 2  # data and the vbd's state are its own already
        many: Commit = [Put(f"data/{i}", "") for i in range(room)]
        guest.c.commit(many)
        refused(errno.ENOSPC, guest.c.commit, [Put("data/more", "")])
        refused(errno.ENOSPC, guest.c.commit, [Remove("data/1"), Put("data/a", ""), Put("data/b", "")])
        refused(errno.ENOSPC, guest.c.commit, [Put("data/more", "")])
        guest.c.commit([Remove("data/1"), Put("data/a", "")])

    def test_watches(self, guest: Events) -> None:
        for i in range(MAX_WATCHES):
            guest.c.watch("data", str(i))
        refused(errno.ENOSPC, guest.c.watch, "data", "one more")


# The tree against a plain dict ---------------------------------------------------------------------------------------

_paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
_changes = st.one_of(
    st.builds(Put, _paths, st.sampled_from(["0", "1"])),
    st.builds(Remove, _paths),
    st.builds(Expect, _paths, st.booleans()),
)


def _model(tree: dict[str, str], changes: list[Put | Remove | Expect]) -> dict[str, str]:
    tree = dict(tree)
    for change in changes:
        match change:
            case Put(path, value):
                names = path[1:].split("/")
                for i in range(1, len(names)):
                    tree.setdefault("/" + "/".join(names[:i]), "")
                tree[path] = value
            case Remove(path):
                tree = {k: v for k, v in tree.items() if k != path and not k.startswith(path + "/")}
            case Expect(path, present):
                if (path in tree) != present:
                    raise LookupError
    return tree


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(_changes, max_size=5), max_size=8))
def test_like_a_dict(commits: list[list[Put | Remove | Expect]]) -> None:
    store = Store()
    dom0 = Events(store, 0)
    dom0.c.watch("/", "all")
    dom0.take()
    tree: dict[str, str] = {}
    for changes in commits:
        before = tree
        try:
            tree = _model(tree, changes)
        except LookupError:
            with pytest.raises(HostError):
                dom0.c.commit(changes)
        else:
            dom0.c.commit(changes)
        assert {k: v for k, v in store.dump().items() if k != "/"} == tree
        told = [path for path, _ in dom0.take()]
        changed = {path for path in before.keys() | tree.keys() if before.get(path) != tree.get(path)}
        # What changed was told, or something above it that went, or below it that came.
        assert all(any(t == c or c.startswith(t + "/") or t.startswith(c + "/") for t in told) for c in changed)
