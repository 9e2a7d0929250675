# SPDX-License-Identifier: MIT
"""The terminal UI on a terminal in dom0, operated with keys alone."""

import pytest

from .lab.dom0 import Dom0
from .lab.guest import Guest
from .leftovers import assert_nothing_left
from .screen import Screen

pytestmark = pytest.mark.xen

VERIFIED = (
    "fio --name=t --filename=/dev/{} --size=2m --rw=randwrite --bsrange=4k-32k --ioengine=libaio --direct=1 "
    "--iodepth=8 --verify=crc32c"
)


def start(dom0: Dom0, columns: int, rows: int) -> Screen:
    # at the default of 4 pictures a second the emulated processor would do little else
    screen = Screen(dom0, "USBLKBACK_REFRESH_HZ=1 usblkback-tui", columns, rows)
    screen.wait("domain 0" if columns > 100 else "0/64 disks", "attach", "quit", seconds=120)
    return screen


def test_attach_watch_detach_and_quit_on_a_small_terminal(dom0: Dom0, g1: Guest) -> None:
    dom0.run("truncate -s 16M /tmp/image-of-g1.raw")
    screen = start(dom0, 80, 24)

    screen.press("a")
    screen.wait("Attach a disk", "1 g1", "xvda")
    screen.type("/tmp/image-o")
    screen.press("Tab")
    screen.wait("/tmp/image-of-g1.raw", "32,768 sectors")
    screen.press("Enter")
    screen.wait("xvda of g1 is Connected after")
    screen.press("Escape")
    seen = screen.wait_gone("is Connected after")
    assert "xvda Connected Connected" in " ".join(seen.split()), seen
    screen.press("2")
    screen.wait("● ok", "both ends are Connected")
    screen.press("1")
    screen.wait("1▸Overview")

    assert "err= 0" in g1.run(VERIFIED.format("xvda"), timeout=180).out
    seen = screen.wait("1/64 disks", "all well")
    row = next(line for line in seen.splitlines() if "xvda" in line)
    assert "g1" in row, seen

    screen.press("d")
    screen.wait("Detach xvda of g1?", "/tmp/image-of-g1.raw")
    screen.press("BTab", "Enter")
    screen.wait("0/64 disks")
    assert "xvda" not in g1.run("ls /sys/block").out

    screen.press("q")
    assert screen.wait_end() == 0
    screen.close()
    assert_nothing_left(dom0)


def test_quit_with_a_disk_attached_detaches_it_on_a_large_terminal(dom0: Dom0, g1: Guest) -> None:
    dom0.run("truncate -s 16M /tmp/a.img")
    screen = start(dom0, 160, 50)
    # other programs reach the engine of the UI as they reach any other
    dom0.run("usblkback-tui attach g1 /tmp/a.img xvdc --wait 60", timeout=120)
    screen.wait("xvdc", "1/64 disks", "all well", "/tmp/a.img")
    assert "err= 0" in g1.run(VERIFIED.format("xvdc"), timeout=180).out

    screen.press("q")
    screen.wait("Quit with 1 disk attached?", "xvdc of g1", "Stay")
    screen.press("Escape")
    screen.wait_gone("Quit with 1 disk")
    screen.press("q")
    screen.wait("Quit with 1 disk attached?")
    screen.press("Tab", "Enter")
    assert screen.wait_end() == 0
    assert "xvdc" not in g1.run("ls /sys/block").out
    screen.close()
    assert_nothing_left(dom0)
