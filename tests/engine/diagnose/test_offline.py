# SPDX-License-Identifier: MIT
"""Dumps of other people's hosts."""

from __future__ import annotations

import pytest

from tests.engine.diagnose.printed import in_order, indented, whole_paths
from usblkback_tui.engine.diagnose.offline import diagnose_dump
from usblkback_tui.engine.storedump import parse_dump
from usblkback_tui.protocol.errors import UserError


def host(**domains: str) -> dict[str, str]:
    """A store with domain 0 and these: ``d5="web"``."""
    nodes = {"/local": "", "/local/domain": "", "/local/domain/0": "", "/local/domain/0/name": "Domain-0"}
    for key, name in domains.items():
        nodes[f"/local/domain/{key[1:]}"] = ""
        nodes[f"/local/domain/{key[1:]}/name"] = name
    return nodes


def vbd(
    kind: str, domid: int, devid: int = 51712, *, backend: int = 0, front: str = "4", back: str = "4", **keys: str
) -> dict[str, str]:
    ours = f"/local/domain/{backend}/backend/{kind}/{domid}/{devid}"
    theirs = f"/local/domain/{domid}/device/vbd/{devid}"
    values = {"frontend": theirs, "frontend-id": str(domid), "online": "1", "params": "aio:/img/a", "state": back}
    nodes = {
        f"{ours}/{key}": value for key, value in (values | {k.replace("_", "-"): v for k, v in keys.items()}).items()
    }
    nodes |= {f"{theirs}/backend": ours, f"{theirs}/backend-id": str(backend), f"{theirs}/state": front}
    return whole(nodes)


def whole(nodes: dict[str, str]) -> dict[str, str]:
    """With all parents."""
    for path in tuple(nodes):
        while path := path.rpartition("/")[0]:
            nodes.setdefault(path, "")
    return nodes


def ids(store: dict[str, str]) -> list[tuple[int, str, str]]:
    forms = [whole_paths(in_order(store)), indented(in_order(store))]
    both = [[(one.domid, one.vdev, one.id) for one in diagnose_dump(parse_dump(form)).findings] for form in forms]
    assert both[0] == both[1]
    return both[0]


def test_a_healthy_host_of_many_backends() -> None:
    store = host(d2="storage", d5="web", d6="w[b]in")
    for number, kind in enumerate(("vbd", "qdisk", "vbd3", "usblkback", "tap")):
        store |= vbd(kind, 5, 51712 + 16 * number, physical_device="fe:1")
    store |= vbd("vbd", 6, backend=2)
    for kind in ("vkbd", "vif", "console", "vfb", "9pfs"):
        place = f"/local/domain/0/backend/{kind}/5/0"
        store |= {f"{place}/frontend": f"/local/domain/5/device/{kind}/0", f"{place}/state": "1"}
    seen = diagnose_dump(parse_dump(whole_paths(in_order(store))))
    assert seen.findings == ()
    assert seen.names == {0: "Domain-0", 2: "storage", 5: "web", 6: "w[b]in"}
    assert len(seen.vbds) == 6


def test_what_is_wrong_is_said_of_each() -> None:
    store = host(d2="storage", d5="web", d6="win")
    store |= vbd("vbd", 5, 51712, front="1", back="1")
    store |= vbd("qdisk", 5, 51728, front="6", back="6", online="0")
    store |= vbd("vbd3", 6, 51712, front="3", back="2")
    store |= vbd("vbd", 6, 51728, backend=2, front="4", back="5")
    store |= vbd("usblkback", 9, 51712)
    del store["/local/domain/9/device/vbd/51712/state"]
    store = {path: value for path, value in store.items() if not path.startswith("/local/domain/9")}
    assert set(ids(store)) == {
        (5, "xvda", "BE-NO-BACKEND"),
        (5, "xvdb", "NOT-REMOVED"),
        (6, "xvda", "FE-NO-RING"),
        (9, "xvda", "STALE"),
        (6, "xvdb", "FE-NO-CLOSE"),
    }


def test_a_frontend_without_a_backend() -> None:
    store = host(d5="web")
    front = "/local/domain/5/device/vbd/51712"
    store |= whole({f"{front}/backend": "/local/domain/0/backend/vbd/5/51712", f"{front}/state": "4"})
    assert ids(store) == [(5, "xvda", "BE-GONE")]
    del store[f"{front}/backend"]
    assert ids(store) == [(5, "xvda", "BE-GONE")]
    guests_view = {path: value for path, value in store.items() if path.startswith("/local/domain/5")}
    text = whole_paths(in_order(guests_view | {f"{front}/backend": "/local/domain/0/backend/vbd/5/51712"}))
    assert diagnose_dump(parse_dump(text)).findings == (), "what a guest cannot see may well be there"


def test_permissions_are_read_where_they_are_printed() -> None:
    store = host(d5="web") | vbd("qdisk", 5, front="1", back="2")

    def found(**access: str) -> list[str]:
        rights = {
            "/local/domain/0/backend/qdisk/5/51712": access["back"],
            "/local/domain/5/device/vbd/51712": access["front"],
        }
        text = whole_paths(in_order(store), lambda path: rights.get(path, "n0"))
        return [one.id for one in diagnose_dump(parse_dump(text)).findings]

    assert found(back="n0,r5", front="n5,r0") == ["FE-NO-DRIVER"]
    assert found(back="r0", front="n5") == ["FE-NO-DRIVER"], "domain 0 may do everything"
    assert found(back="n0", front="n5,r0") == ["PERM"]
    assert found(back="n0,r5", front="n0,r5") == ["PERM"]


def test_a_dump_of_something_else() -> None:
    with pytest.raises(UserError, match="this dump has no domain: /local/domain is not in it; make one of the whole"):
        diagnose_dump(parse_dump('/vm = ""\n/vm/1 = ""\n'))


def test_hostile_values_are_shown_escaped() -> None:
    store = host(d5="\x1b[31mred[/]") | vbd(
        "vbd", 5, front="1", back="2", hotplug_error="[bold]\x1b]0;x\x07\n" + "x" * 4000
    )
    seen = diagnose_dump(parse_dump(whole_paths(in_order(store))))
    (finding,) = seen.findings
    assert seen.names[5].isprintable()
    assert finding.sentence.isprintable()
    assert all(key.isprintable() and value.isprintable() for key, value in finding.evidence)
    assert len(finding.sentence) < 300


def test_many_disks_are_bounded() -> None:
    lines = ['/local/domain/0 = ""\n']
    lines += [f'/local/domain/0/backend/vbd/5/{devid}/state = "2"\n' for devid in range(6000)]
    seen = diagnose_dump(parse_dump("".join(lines)))
    assert len(seen.vbds) == 4096
