# SPDX-License-Identifier: MIT
"""Reading from a mapping of the image: a page that is not there is an error of one request, and of nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.datapath.conftest import IMAGE_BYTES, Serve
from tests.engine.datapath.frontend import whole
from usblkback_tui.engine.datapath.ring import GrantMode, IoEngine
from usblkback_tui.protocol.blkif import PAGE, SECTOR, Op, Status

ROOT = Path(__file__).parents[3]


def test_file_truncated_under_a_mapped_read(serve: Serve, image: Path, mode: GrantMode) -> None:
    s = serve(mode, io=IoEngine.MMAP)
    assert s.server.io_engine is IoEngine.MMAP
    disk = image.read_bytes()
    pages = s.front.pages(bytes(40 * PAGE))

    def read(count: int, page: int) -> int:
        segments = whole(pages[:count])
        sector = page * PAGE // SECTOR
        if count > 11:
            return s.front.do(s.front.indirect(Op.READ, 1, sector, segments))[0].status
        return s.front.do(s.front.layout.rw(Op.READ, 1, sector, segments))[0].status

    assert read(11, 90) == Status.OKAY
    os.truncate(image, 100 * PAGE)
    # whole requests behind the end, and such that begin before it
    for count, page in ((1, 100), (11, 100), (11, 99), (11, 90), (40, 61), (1, IMAGE_BYTES // PAGE - 1)):
        assert read(count, page) == Status.ERROR
        assert read(11, 89) == Status.OKAY
        assert s.front.contents(pages[:11]) == disk[89 * PAGE : 100 * PAGE]
    assert s.counters.io_errors == 6
    os.truncate(image, IMAGE_BYTES)
    assert read(11, 100) == Status.OKAY
    assert s.front.contents(pages[:11]) == bytes(11 * PAGE)


def test_a_file_that_grew_is_read_to_its_new_end(serve: Serve, image: Path) -> None:
    s = serve(GrantMode.MAP, io=IoEngine.MMAP)
    page = s.front.page()
    request = s.front.layout.rw(Op.READ, 1, IMAGE_BYTES // SECTOR, whole([page]))
    assert s.front.do(request)[0].status == Status.ERROR
    with image.open("ab") as file:
        file.write(b"n" * 2 * PAGE)
    s.vbd.set_sectors((IMAGE_BYTES + 2 * PAGE) // SECTOR)
    assert s.front.do(request)[0].status == Status.OKAY
    assert s.front.read(page.frame) == b"n" * PAGE


GUARDED = """
import ctypes, faulthandler, mmap, os, signal, sys
from usblkback_tui.engine.datapath.ring import IoEngine, RingConfig, RingServer, GrantMode, Vbd, VbdConfig
from usblkback_tui.engine.host.seam import ChannelOps, GrantOps

fd = os.memfd_create("image")
os.ftruncate(fd, 1 << 20)
ring = mmap.mmap(-1, 4096)
address = ctypes.addressof(ctypes.c_char.from_buffer(ring))

def guard():
    config = RingConfig(GrantOps(1, 1, 1), ChannelOps(1, 0, 1, 1, 1, 1), 1, address, 1, grant_mode=GrantMode.MAP,
                        io=IoEngine.MMAP)
    server = RingServer(Vbd(VbdConfig(fd, 2048)), config)
    assert server.io_engine is IoEngine.MMAP
    return server

def fault():
    other = mmap.mmap(fd, 1 << 20)
    os.ftruncate(fd, 4096)
    return other[8192]

handled = []
def handle(*args):
    handled.append(args)
"""


def _run(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", GUARDED + script]
    # a sanitizer would handle the signal itself, and an interpreter gives not everything back
    options = os.environ.get("ASAN_OPTIONS", "") + ":handle_sigbus=0:detect_leaks=0"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ASAN_OPTIONS": options}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("end", ["fault()", "os.kill(os.getpid(), signal.SIGBUS); signal.sigtimedwait([], 30)"])
@pytest.mark.parametrize(
    "order",
    [
        "kept = guard()",
        "faulthandler.enable(); kept = guard()",
        "kept = guard(); faulthandler.enable()",
        "kept = guard(), guard()",
    ],
)
def test_any_other_sigbus_kills_as_it_would_have(order: str, end: str) -> None:
    done = _run(f"{order}\n{end}\n")
    assert done.returncode == -signal.SIGBUS, (done.returncode, done.stderr)
    assert ("Fatal Python error: Bus error" in done.stderr) == ("faulthandler" in order)


def test_whoever_handled_it_before_still_does() -> None:
    done = _run(
        "signal.signal(signal.SIGBUS, handle)\nkept = guard()\n"
        "os.kill(os.getpid(), signal.SIGBUS)\nos.kill(os.getpid(), signal.SIGBUS)\nassert len(handled) == 2, handled\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_who_ignored_it_before_still_does() -> None:
    done = _run(
        "signal.signal(signal.SIGBUS, signal.SIG_IGN)\nkept = guard()\nos.kill(os.getpid(), signal.SIGBUS)\nfault()\n"
    )
    assert done.returncode == -signal.SIGBUS, "one that was sent is ignored, a fault cannot be"


def test_only_what_is_copied_from_is_guarded() -> None:
    """The bytes go to a page that is not there: that is no failure of the image, and nobody's to hide."""
    done = _run("""
from tests.engine.datapath.frontend import whole
from tests.engine.datapath.served import Served
from usblkback_tui.engine.host.sim import Hypervisor

gone = os.memfd_create("gone")
os.ftruncate(gone, 4096)
page = mmap.mmap(gone, 4096)
os.ftruncate(gone, 0)
into = ctypes.addressof(ctypes.c_char.from_buffer(page))
hooks = {"map": lambda *args: into, "unmap": lambda *args: 0}
s = Served(Hypervisor(), fd, GrantMode.MAP, io=IoEngine.MMAP, hooks=hooks)
s.front.do(s.front.layout.rw(0, 1, 0, whole([s.front.page()])))
""")
    assert done.returncode == -signal.SIGBUS, (done.returncode, done.stderr)
