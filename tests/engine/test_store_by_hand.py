# SPDX-License-Identifier: MIT
"""The store browser's verbs, and an engine that refuses to change anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.control.fake_backend import FakeBackend
from tests.engine.rig import rig
from usblkback_tui.engine.api import AttachRequest, Backend
from usblkback_tui.engine.host.seam import Put
from usblkback_tui.engine.inspection import Permission
from usblkback_tui.engine.readonly import ReadOnly
from usblkback_tui.protocol.errors import UserError


def test_a_node_with_its_children_and_permissions(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        domain = r.bare_domain()
        home = f"/local/domain/{domain.domid}"
        node = r.engine.store(home)
        assert {"name", "domid", "device", "data"} <= set(node.children)
        assert (node.path, node.value, node.owner, node.others) == (home, "", 0, "n")
        assert node.permissions == (Permission(domain.domid, "r"),)
        assert r.engine.store(f"{home}/name").value == "evil"
        assert r.engine.store("/").children == tuple(sorted(r.engine.store("/").children))
        for number in (10, 9, 100):
            r.engine.store_write(f"{home}/data/{number}", "")
        assert r.engine.store(f"{home}/data").children == ("9", "10", "100"), "domids in the order of their numbers"


def test_values_that_are_no_text_are_shown_escaped(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        domain = r.bare_domain()
        path = f"/local/domain/{domain.domid}/data/raw"
        store = r.host.hypervisor.store.connect(0, lambda path, token: None)
        store.commit([Put(path, b"a\x1b[31m\xff".decode(errors="surrogateescape"))])
        store.close()
        node = r.engine.store(path)
        assert (node.value, node.is_text) == ("a\\x1b[31m\\xff", False)
        r.engine.store_write(path, "größe")
        node = r.engine.store(path)
        assert (node.value, node.is_text) == ("größe", True)


def test_writing_and_removing(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.engine.store_write("/tool/note/deep", "1")
        assert r.engine.store("/tool/note").children == ("deep",)
        r.engine.store_remove("/tool/note")
        with pytest.raises(UserError, match="/tool/note/deep is not in the store"):
            r.engine.store("/tool/note/deep")
        with pytest.raises(UserError, match="/tool/note is not in the store"):
            r.engine.store_remove("/tool/note")
        assert "/tool/note/deep in xenstore was written by hand" in r.texts()
        assert "/tool/note in xenstore was removed by hand" in r.texts()


@pytest.mark.parametrize("path", ["", "tool", "/tool/", "//tool", "/a b", "/a\n", "/ä", "/" + "a" * 4000])
def test_what_is_no_path(tmp_path: Path, path: str) -> None:
    with rig(tmp_path) as r:
        for call in (r.engine.store, r.engine.store_remove, lambda path: r.engine.store_write(path, "")):
            with pytest.raises(UserError, match="is no xenstore path; begin with /"):
                call(path)


def test_what_a_hand_may_not_do(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        for path in ("/", "/local", "/local/domain", "/local/domain/0", "/vm", "/tool"):
            with pytest.raises(UserError, match="is what every domain here stands on"):
                r.engine.store_remove(path)
        with pytest.raises(UserError, match="the root of the store has no value"):
            r.engine.store_write("/", "x")
        with pytest.raises(UserError, match="the value has 4000 bytes; write at most 3072"):
            r.engine.store_write("/tool/x", "x" * 4000)
        with pytest.raises(UserError, match="the value is no text"):
            r.engine.store_write("/tool/x", "\ud800")
        assert r.engine.store("/local/domain/0/name").value == "Domain-0"


def test_a_read_only_engine_refuses_hands_and_serves_toolstacks(tmp_path: Path) -> None:
    with rig(tmp_path, read_only=True) as r:
        domain = r.bare_domain()
        image = r.image()
        assert r.engine.snapshot().read_only
        request = AttachRequest("evil", str(image), "xvdb")
        assert r.engine.plan(request).devid == 51728
        for call, words in (
            (lambda: r.engine.attach(request), "nothing is attached"),
            (lambda: r.engine.detach("evil", "xvdb"), "nothing is detached"),
            (lambda: r.engine.resize("evil", "xvdb"), "nothing is resized"),
            (lambda: r.engine.store_write("/tool/x", ""), "the store is not written"),
            (lambda: r.engine.store_remove("/tool/x"), "the store is not written"),
        ):
            with pytest.raises(UserError, match=f"this engine is read-only, so {words}; start it without --read-only"):
                call()
        assert r.engine.snapshot().disks == ()
        assert r.engine.store(f"/local/domain/{domain.domid}/name").value == "evil"


def test_looking_at_another_engine_without_touching_it() -> None:
    backend = FakeBackend()
    only: Backend = ReadOnly(backend)
    assert only.snapshot() == backend.snapshot()
    assert only.events(0) == ()
    assert only.next_vdev("g3") == "xvdc"
    assert only.store("/tool").path == "/tool"
    assert only.ring_slots(3, 51728, 0) == backend.ring_slots(3, 51728, 0)
    assert only.requests(3, 51728, (1,), 2) == backend.requests(3, 51728, (1,), 2)
    request = AttachRequest("g3", "/img/b", "xvdc")
    assert only.plan(request).vdev == "xvdc"
    seen = len(backend.calls)
    for call in (
        lambda: only.attach(request),
        lambda: only.detach("g3", "xvdb", force=True),
        lambda: only.resize("g3", "xvdb"),
        lambda: only.store_write("/a", ""),
        lambda: only.store_remove("/a"),
    ):
        with pytest.raises(UserError, match="read-only"):
            call()
    assert len(backend.calls) == seen
