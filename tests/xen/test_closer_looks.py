# SPDX-License-Identifier: MIT
"""What an engine sees on real Xen beyond its own disks: the kernel's vbds, xenstore, its rings' slots and requests."""

import json
from typing import Any

import pytest

from .engine import Engine
from .lab.dom0 import Dom0
from .lab.guest import Guest

pytestmark = pytest.mark.xen

LOOK = """
import json, sys, time
from pathlib import Path
from usblkback_tui.engine.control.client import RemoteBackend
from usblkback_tui.engine.control.codec import encode
from usblkback_tui.protocol.errors import UserError
engine = RemoteBackend(Path("/run/usblkback-tui/engine.sock"), timeout=60)
end = time.monotonic() + 60
while True:  # foreign disks are found with the next full look, counters are read once a second
    snapshot = engine.snapshot()
    found = [disk for disk in snapshot.foreign if disk.counters and disk.counters.bytes_read >= 32768 << 10]
    if found or time.monotonic() > end:
        break
    time.sleep(0.3)
(disk,) = snapshot.disks
home = f"/local/domain/{disk.domid}"
engine.store_write(f"{home}/device/vbd/{disk.devid}/note", "by hand")
note = engine.store(f"{home}/device/vbd/{disk.devid}/note")
engine.store_remove(f"{home}/device/vbd/{disk.devid}/note")
try:
    engine.store(f"{home}/device/vbd/{disk.devid}/note")
    gone = ""
except UserError as error:
    gone = str(error)
print(json.dumps({
    "foreign": encode(snapshot.foreign),
    "disk": encode(disk),
    "engine": encode(snapshot.engine),
    "home": encode(engine.store(home)),
    "front": encode(engine.store(f"{home}/device/vbd/{disk.devid}")),
    "note": encode(note),
    "gone": gone,
    "requests": encode(engine.requests(disk.domid, disk.devid, limit=50)),
    "slots": encode(engine.ring_slots(disk.domid, disk.devid, 0)),
}))
"""


def test_an_engine_looks_around(dom0: Dom0, g1: Guest) -> None:
    dom0.run("modprobe xen-blkback; modprobe brd rd_nr=1 rd_size=32768")
    dom0.run("usblkback-tui image create /tmp/a.img 8M")
    dom0.write_file("/tmp/look.py", LOOK)
    with Engine(dom0) as engine:
        engine.attach("g1", "/tmp/a.img", "xvdb")
        dom0.run("xl block-attach g1 phy:/dev/ram0 xvdk r")
        g1.run("until [ -b /dev/xvdk ]; do sleep 0.2; done", timeout=60)
        g1.run("cat /dev/xvdk >/dev/null; dd if=/dev/zero of=/dev/xvdb bs=64k count=16 conv=fsync 2>/dev/null")
        seen: dict[str, Any] = json.loads(dom0.run("python3 /tmp/look.py", timeout=120).out)
        dom0.run("xl block-detach g1 xvdk")
        engine.detach("g1", "xvdb")

    (kernel,) = seen["foreign"]
    assert (kernel["kind"], kernel["server"], kernel["vdev"], kernel["domain"]) == ("vbd", "xen-blkback", "xvdk", "g1")
    assert (kernel["image"], kernel["mode"], kernel["sectors"]) == ("/dev/ram0", "r", 32768 * 2)
    assert (kernel["frontend_state"], kernel["backend_state"]) == ("Connected", "Connected")
    assert kernel["health"]["severity"] == "good"
    assert kernel["counters"]["bytes_read"] >= 32768 << 10, "all of it, and what the guest reads of each new disk"
    assert kernel["counters"]["reads"] > 0

    disk = seen["disk"]
    assert disk["expected"] is None
    written = {(write["by"], write["end"], write["path"]): write["value"] for write in disk["writes"]}
    assert written["backend", "backend", "state"] == "4"
    assert written["frontend", "frontend", "state"] == "4"
    assert written["frontend", "frontend", "event-channel"].isdecimal()
    assert written["frontend", "frontend", "protocol"] == "x86_64-abi"
    assert not any(by == "toolstack" for by, _, _ in written)

    assert "device" in seen["home"]["children"]
    assert {"domid": disk["domid"], "access": "r"} in seen["home"]["permissions"]
    assert (seen["front"]["owner"], seen["front"]["others"]) == (disk["domid"], "n")
    assert seen["front"]["permissions"] == [{"domid": 0, "access": "r"}]
    assert (seen["note"]["value"], seen["note"]["owner"]) == ("by hand", disk["domid"])
    assert "is not in the store" in seen["gone"]

    assert {"write", "flush"} <= {request["op"] for request in seen["requests"]}
    assert {request["status"] for request in seen["requests"]} == {"ok"}
    slots = seen["slots"]
    assert slots["req_prod"] == slots["rsp_prod"]
    assert any(slot["response"] for slot in slots["slots"])
    assert not any(slot["request"] for slot in slots["slots"])

    assert seen["engine"]["resident_bytes"] > 1 << 20
    assert any(thread["name"].startswith("vbd-") for thread in seen["engine"]["threads"])
