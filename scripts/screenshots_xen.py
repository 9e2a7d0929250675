# SPDX-License-Identifier: MIT
"""Draws screenshots/xen-*.svg anew: the UI in dom0 of a real, emulated Xen, with two Linux guests at work."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.xen.lab import states  # noqa: E402
from tests.xen.lab.dom0 import Dom0  # noqa: E402
from tests.xen.lab.guest import Guest  # noqa: E402
from tests.xen.lab.host import prepare_host  # noqa: E402
from tests.xen.lab.machine import Machine  # noqa: E402
from tests.xen.lab.recipes import build_all  # noqa: E402
from tests.xen.screen import Screen  # noqa: E402
from usblkback_tui.ui.actions import VIEWS  # noqa: E402

OUT = ROOT / "screenshots"
DISKS = (
    ("g1", "xvda", "randrw", "root-of-g1"),
    ("g1", "xvdb", "read", "data-of-g1"),
    ("g2", "xvda", "randwrite", "root-of-g2"),
)
WARM_UP = 60
"""Seconds of load, so that the charts have something to show."""


def load(guest: Guest, device: str, how: str) -> None:
    """I/O without end."""
    guest.start(
        f"fio --name={device} --filename=/dev/{device} --rw={how} --bsrange=4k-32k --ioengine=libaio --direct=1 "
        "--iodepth=4 --time_based --runtime=3600 --output=/dev/null --thinktime=20ms"
    )


def picture(dom0: Dom0, screen: Screen, name: str) -> None:
    """What the screen shows, as the UI's own export writes it."""
    before = set(dom0.run("ls /root").out.split())
    screen.press("x")
    screen.wait("Export", "Kind")
    screen.press("Enter", "Down", "Down", "Enter")  # the third kind is SVG
    screen.wait(".svg")
    screen.press("Tab", "Enter")
    screen.wait("Wrote ")
    (made,) = set(dom0.run("ls /root").out.split()) - before
    (OUT / f"xen-{name}.svg").write_bytes(dom0.read_file(f"/root/{made}"))
    print(f"screenshots/xen-{name}.svg", flush=True)  # noqa: T201
    screen.wait_gone("Wrote ")


def main() -> None:
    """Every picture, one after another on the same machine."""
    OUT.mkdir(exist_ok=True)
    prepare_host()
    build_all()
    with Machine.restore(states.staged().get()) as machine:
        dom0 = Dom0(machine)
        screen = Screen(dom0, "cd /root && USBLKBACK_REFRESH_HZ=1 usblkback-tui", 160, 50)
        screen.wait("domain 0", "attach", seconds=120)
        for guest, vdev, how, image in DISKS:
            dom0.run(f"mkdir -p /srv && head -c 16M /dev/urandom >/srv/{image}.raw")
            dom0.run(f"usblkback-tui attach {guest} /srv/{image}.raw {vdev} --wait 60", timeout=120)
            load(dom0.guest(guest), vdev, how)
        screen.press("j")
        dom0.run(f"sleep {WARM_UP}")
        for digit, name in enumerate(VIEWS, 1):
            screen.press(str(digit))
            dom0.run("sleep 6")
            picture(dom0, screen, name)
        screen.close()


if __name__ == "__main__":
    main()
