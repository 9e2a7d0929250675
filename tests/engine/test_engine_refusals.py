# SPDX-License-Identifier: MIT
"""Bad input from operators, toolstacks and guests: one sentence, nothing half-written, no other disk notices."""

import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.rig import MIB, Rig, rig, wait_for
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.engine import Engine
from usblkback_tui.engine.host.seam import Put, Remove
from usblkback_tui.engine.host.sim.host import SimHost
from usblkback_tui.engine.image.raw import open_image
from usblkback_tui.engine.settings import EngineSettings, Settings
from usblkback_tui.engine.snapshot import Severity
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.states import XenbusState as S


def odd(r: Rig) -> str:
    return str(r.image("odd.img", 1000))


def locked(r: Rig) -> str:
    path = r.image("locked.img")
    r.attach("g1", path, "xvdz")
    return str(path)


def folder(r: Rig) -> str:
    return str(r.folder)


@pytest.mark.parametrize(
    ("domain", "image", "vdev", "mode", "key", "words"),
    [
        ("nobody", None, "xvdb", "w", "domain", "not running; running: g1 (1)"),
        ("0", None, "xvdb", "w", "domain", "own domain"),
        ("g1", None, "xvda", "w", "vdev", "xvda is in use in g1"),
        ("g1", None, "floppy", "w", "vdev", "not a virtual device"),
        ("g1", None, "xvdb", "x", "mode", "use r or w"),
        ("g1", lambda r: "/no/such/image", "xvdb", "w", "image", "does not exist"),
        ("g1", odd, "xvdb", "w", "image", "512"),
        ("g1", folder, "xvdb", "w", "image", "is a directory"),
        ("g1", locked, "xvdb", "w", "image", "attached as xvdz of g1"),
        ("g1", locked, "xvdb", "r", "image", "attached as xvdz of g1"),
    ],
)
def test_an_attach_that_cannot_be(
    tmp_path: Path, domain: str, image: Callable[[Rig], str] | None, vdev: str, mode: str, key: str, words: str
) -> None:
    with rig(tmp_path) as r:
        r.guest()
        r.attach("g1", r.image("first.img"), "xvda")
        path = image(r) if image else str(r.image("second.img"))
        before = r.vbd_keys()
        fds = len(os.listdir("/proc/self/fd"))
        request = AttachRequest(domain, path, vdev, mode)
        for verb in (r.engine.attach, r.engine.plan):
            with pytest.raises(UserError) as error:
                verb(request)
            assert error.value.key == key
            assert words in str(error.value)
            assert error.value.fix
        assert r.vbd_keys() == before
        assert len(os.listdir("/proc/self/fd")) == fds
        disk = r.disk("g1", "xvda")
        assert disk is not None
        assert disk.health.severity is Severity.GOOD


def test_an_unreadable_image_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        path = "/proc/self/mem"  # root may read everything; this is no image for anybody
    else:
        path = str(tmp_path / "secret")
        Path(path).write_bytes(bytes(512))
        Path(path).chmod(0)
    with rig(tmp_path) as r:
        r.guest()
        with pytest.raises(UserError) as error:
            r.engine.attach(AttachRequest("g1", path, "xvdb"))
        assert error.value.key == "image"


def test_a_plan_writes_nothing_and_says_what_an_attach_would(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest, image = r.guest(), r.image()
        plan = r.engine.plan(AttachRequest("g1", str(image), "xvdb"))
        assert r.vbd_keys() == {}
        assert (plan.domid, plan.devid, plan.sectors) == (guest.domid, 51728, 16 * MIB // 512)
        assert plan.writes[-1] == (f"/local/domain/{guest.domid}/device/vbd/51728/state", "1")
        r.attach("g1", image, "xvdb")
        keys = r.vbd_keys()
        for path, value in plan.writes:
            assert path.endswith("/state") or keys[path] == value


def test_max_disks_counts_up_and_down(tmp_path: Path) -> None:
    with rig(tmp_path, max_disks=2) as r:
        r.guest()
        for _ in range(3):
            r.attach("g1", r.image("a"), "xvda")
            r.attach("g1", r.image("b"), "xvdb")
            with pytest.raises(UserError, match="max_disks"):
                r.engine.attach(AttachRequest("g1", str(r.image("c")), "xvdc"))
            r.engine.detach("g1", "xvda")
            r.attach("g1", r.image("c"), "xvdc")
            r.engine.detach("g1", "xvdb")
            r.engine.detach("g1", "xvdc")


def test_detaching_what_is_not_there(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        r.attach("g1", r.image(), "xvda")
        with pytest.raises(UserError, match=r"xvdb of g1 is not attached here; xvda of g1"):
            r.engine.detach("g1", "xvdb")


def test_next_vdev_is_the_first_free_name(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        assert r.engine.next_vdev("g1") == "xvda"
        r.attach("g1", r.image(), "xvda")
        assert r.engine.next_vdev("g1") == "xvdb"


# a guest that writes nonsense ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"event_channel": "5"}, "ring-ref is missing"),
        ({"ring_ref": "8"}, "event-channel is missing"),
        ({"ring_ref": "-8", "event_channel": "5"}, "ring-ref is '-8'"),
        ({"ring_ref": " 8", "event_channel": "5"}, "ring-ref is ' 8'"),
        ({"ring_ref": "9" * 40, "event_channel": "5"}, "must be a decimal number below 4294967296"),
        ({"ring_ref": "4000000000", "event_channel": "5"}, "ring-ref 4000000000 of domain"),
        ({"ring_ref": "8", "event_channel": "5"}, "ring-ref 8 of domain"),
        ({"ring_ref": "8", "event_channel": "5", "protocol": "vax-abi"}, "protocol is 'vax-abi'"),
        ({"ring_ref": "8", "event_channel": "5", "ring_page_order": "9"}, "ring-page-order is 9"),
    ],
)
@pytest.mark.parametrize("state", ["3", "4"])
def test_malformed_frontend_keys_end_in_a_sentence_everywhere(
    tmp_path: Path, keys: dict[str, str], words: str, state: str
) -> None:
    with rig(tmp_path) as r:
        neighbour = r.guest("good")
        r.attach("good", r.image("good.img"), "xvda")
        domain = r.bare_domain()
        r.engine.attach(AttachRequest("evil", str(r.image()), "xvda"), wait=0)
        wait_for(lambda: (d := r.disk("evil", "xvda")) is not None and d.backend_state is S.INIT_WAIT)
        front = f"/local/domain/{domain.domid}/device/vbd/51712"
        r.write(domain.domid, front, **keys, state=state)
        wait_for(lambda: (d := r.disk("evil", "xvda")) is not None and d.backend_state is S.CLOSING)
        disk = r.disk("evil", "xvda")
        assert disk is not None
        assert disk.health.severity is Severity.ERROR
        assert words in disk.health.sentence
        assert words in r.texts()
        error = r.store(f"/local/domain/0/error/backend/usblkback/{domain.domid}/51712")
        assert words in error[f"/local/domain/0/error/backend/usblkback/{domain.domid}/51712/error"]
        assert domain.mapped == 0
        # the frontend closes, starts again: it is met as if nothing had been
        r.write(domain.domid, front, state="6")
        wait_for(lambda: (d := r.disk("evil", "xvda")) is not None and d.backend_state is S.CLOSED)
        r.write(domain.domid, front, state="1")
        wait_for(lambda: (d := r.disk("evil", "xvda")) is not None and d.backend_state is S.INIT_WAIT)
        healed = r.disk("evil", "xvda")
        assert healed is not None
        assert healed.health.severity is not Severity.ERROR
        neighbour.start_load()
        wait_for(lambda: neighbour.stats().writes > 20)
        assert neighbour.verify().mismatches == 0


def test_an_event_channel_that_cannot_be_bound_leaves_the_ring_unmapped(tmp_path: Path) -> None:

    with rig(tmp_path) as r:
        domain = r.bare_domain()
        r.engine.attach(AttachRequest("evil", str(r.image()), "xvda"), wait=0)
        wait_for(lambda: (d := r.disk("evil", "xvda")) is not None and d.backend_state is S.INIT_WAIT)
        # grant entry 8: permit_access to domain 0, a frame behind the grant table
        os.pwrite(domain.memory, struct.pack("<HHI", 1, 0, 100), 8 * 8)
        r.write(
            domain.domid, f"/local/domain/{domain.domid}/device/vbd/51712", ring_ref="8", event_channel="77", state="3"
        )
        wait_for(lambda: (d := r.disk("evil", "xvda")) is not None and d.backend_state is S.CLOSING)
        disk = r.disk("evil", "xvda")
        assert disk is not None
        assert "event-channel 77 of domain" in disk.health.sentence
        assert domain.mapped == 0
        assert domain.maps >= 1


# a toolstack's directories ---------------------------------------------------------------------------------------


def toolstack(r: Rig, domid: int, image: str, **changes: str) -> str:
    """Both directories as libxl writes them for kind vbd; the backend's path."""
    back, front = f"/local/domain/0/backend/vbd/{domid}/51712", f"/local/domain/{domid}/device/vbd/51712"
    keys = {
        "frontend": front,
        "params": image,
        "script": "/etc/xen/scripts/block-usblkback",
        "frontend-id": str(domid),
        "online": "1",
        "removable": "0",
        "bootable": "1",
        "dev": "xvda",
        "type": "phy",
        "mode": "w",
        "device-type": "disk",
        "discard-enable": "1",
        "state": "1",
    } | {key.replace("_", "-"): value for key, value in changes.items()}
    r.host.hypervisor.store.connect(0, lambda path, token: None).commit(
        [
            Put(back, "", owner=0, readers=(domid,)),
            *(Put(f"{back}/{key}", value) for key, value in keys.items()),
            Put(front, "", owner=domid, readers=(0,)),
            Put(f"{front}/backend", back),
            Put(f"{front}/backend-id", "0"),
            Put(f"{front}/virtual-device", "51712"),
            Put(f"{front}/device-type", "disk"),
            Put(f"{front}/state", "1"),
        ]
    )
    return back


def test_what_a_toolstack_attached_is_served_closed_and_left_to_it(tmp_path: Path) -> None:
    with rig(tmp_path, kinds=("usblkback", "vbd")) as r:
        guest = r.guest()
        back = toolstack(r, guest.domid, str(r.image()))
        guest.wait_state("xvda")
        guest.start_load()
        wait_for(lambda: guest.stats().writes > 20)
        assert guest.verify().mismatches == 0
        disk = r.engine.snapshot().disks[0]
        assert (disk.kind, disk.owned) == ("vbd", False)
        r.write(0, back, online="0", state="5")  # xl block-detach
        wait_for(lambda: r.store(back)[f"{back}/state"] == "6")
        wait_for(lambda: guest.mapped == 0)
        assert r.store(back)[f"{back}/state"] == "6"  # and stays until the toolstack removes it
        r.host.hypervisor.store.connect(0, lambda path, token: None).commit([Remove(back)])
        wait_for(lambda: r.engine.snapshot().disks == ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"params": "/no/such/image"}, "does not exist"),
        ({"params": ""}, "params names no image"),
        ({"frontend": "/local/domain/9/device/vbd/51712"}, "backend key frontend"),
        ({"frontend_id": "9"}, "backend key frontend-id"),
    ],
)
def test_a_toolstack_is_told_why_a_vbd_is_not_served(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    with rig(tmp_path, kinds=("usblkback", "vbd")) as r:
        guest = r.guest()
        back = toolstack(r, guest.domid, str(r.image()), **changes)
        wait_for(lambda: r.store(back).get(f"{back}/hotplug-status") == "error")
        assert words in r.store(back)[f"{back}/hotplug-error"]
        assert words in "\n".join(r.store("/local/domain/0/error").values())
        assert words in r.texts()
        # it gives up: what we said about the vbd goes with it
        r.host.hypervisor.store.connect(0, lambda path, token: None).commit([Remove(back)])
        wait_for(lambda: not any("/vbd/" in path for path in r.store("/local/domain/0/error")))


def test_a_guest_cannot_point_us_elsewhere_with_its_backend_key(tmp_path: Path) -> None:
    """XSA-175: what a guest writes about where its backend is changes nothing."""
    with rig(tmp_path) as r:
        guest = r.guest()
        disk = r.attach("g1", r.image(), "xvda")
        r.write(guest.domid, f"/local/domain/{guest.domid}/device/vbd/51712", backend="/local/domain/1/data/fake")
        guest.start_load()
        wait_for(lambda: guest.stats().writes > 20)
        r.engine.detach("g1", "xvda")
        assert disk.image in r.texts()
        assert r.vbd_keys() == {}


def test_a_guest_that_flips_its_state_neither_floods_the_log_nor_starves_its_neighbour(tmp_path: Path) -> None:
    """XSA-349: watch events coalesce; what is logged of one disk is bounded."""
    with rig(tmp_path) as r:
        neighbour = r.guest("good")
        r.attach("good", r.image("good.img"), "xvda")
        domain = r.bare_domain()
        r.engine.attach(AttachRequest("evil", str(r.image()), "xvda"), wait=0)
        front = f"/local/domain/{domain.domid}/device/vbd/51712"
        neighbour.start_load()
        for flip in range(3000):
            r.write(domain.domid, front, state="156"[flip % 3])
        r.write(domain.domid, front, state="1")
        wait_for(lambda: (d := r.disk("evil", "xvda")) is not None and d.backend_state is S.INIT_WAIT)
        changes = [e for e in r.engine.events(0) if e.kind == "state" and e.domid == domain.domid]
        assert len(changes) <= 3 * 32
        if len(changes) >= 32:
            assert "not every change is logged" in r.texts()
        done = neighbour.stats().writes
        wait_for(lambda: neighbour.stats().writes > done + 20)
        assert neighbour.verify().mismatches == 0


def test_a_plan_that_is_being_made_does_not_stand_in_the_way_of_the_attach(tmp_path: Path) -> None:

    with rig(tmp_path) as r:
        r.guest()
        image = r.image()
        held = open_image(str(image), writable=True)  # what a plan does for a moment
        threading.Timer(0.3, held.close).start()
        r.attach("g1", image, "xvda")


def test_the_same_image_under_another_name_is_still_the_same(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        image = r.image()
        r.attach("g1", image, "xvda")
        (tmp_path / "link.img").symlink_to(image)
        with pytest.raises(UserError, match="is attached as xvda of g1"):
            r.engine.attach(AttachRequest("g1", str(tmp_path / "link.img"), "xvdb"))


def test_a_kind_that_somebody_else_serves_is_refused_before_it_can_bite(monkeypatch: pytest.MonkeyPatch) -> None:
    host = SimHost()
    host.open()
    monkeypatch.setattr(host, "rivals", lambda: {"vbd": "the kernel's xen-blkback"})
    try:
        with pytest.raises(UserError, match="the kernel's xen-blkback serves too: both would answer; unload it"):
            Engine(host, Settings(engine=EngineSettings(kinds=("usblkback", "vbd")))).start()
        harmless = Engine(host, Settings())
        harmless.start()
        harmless.stop()
    finally:
        host.close()
