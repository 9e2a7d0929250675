# SPDX-License-Identifier: MIT
"""What the data path asks of the kernel, written down by a library that stands before libc in a process of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from usblkback_tui.protocol.blkif import PAGE

ROOT = Path(__file__).parents[3]

SERVED = """
import os, sys
from tests.engine.datapath.frontend import whole
from tests.engine.datapath.served import Served
from usblkback_tui.engine.datapath.ring import GrantMode, IoEngine
from usblkback_tui.engine.host.sim import Hypervisor
from usblkback_tui.protocol.blkif import PAGE, SECTOR, Op

fd = os.memfd_create("image")
os.ftruncate(fd, 1 << 20)
os.environ["IMAGE_FD"] = str(fd)
hypervisor = Hypervisor()

def served(**config):
    return Served(hypervisor, fd, GrantMode.COPY, sectors=2048, **config)

def data(s, op, ident, sector):
    return s.front.layout.rw(op, ident, sector, whole(s.front.pages(bytes(PAGE))))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("calls") / "calls.so"
    compiler = shlex.split(os.environ.get("CC", "gcc"))
    source = Path(__file__).with_name("calls.c")
    # a sanitizer that stands before this process is none of the compiler's
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    command = [*compiler, "-O1", "-shared", "-fPIC", str(source), "-o", str(made), "-ldl"]
    subprocess.run(command, check=True, timeout=60, env=environment)
    return made


def calls(library: Path, tmp_path: Path, script: str, **environment: str) -> list[tuple[str, int, int]]:
    """Run the script; what it asked of the image, with offsets and lengths."""
    log = tmp_path / "calls"
    log.touch()
    environment |= {
        "LD_PRELOAD": " ".join(filter(None, (os.environ.get("LD_PRELOAD"), str(library)))),
        # an interpreter gives not everything back
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0",
        "CALLS": str(log),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", SERVED + script],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in log.read_text().splitlines()]
    return [(call, int(offset), int(length)) for call, offset, length in lines]


@pytest.mark.parametrize("engine", ["SYNC", "MMAP", "IO_URING", "AUTO"])
def test_a_barrier_is_between_two_flushes_and_a_flush_with_data_behind_one(
    library: Path, tmp_path: Path, engine: str
) -> None:
    """Whatever came before is durable before it, and a barrier's data before its answer.  They never go elsewhere."""
    asked = calls(
        library,
        tmp_path,
        f"""
with served(io=IoEngine.{engine}) as s:
    assert not any(r.status for r in s.front.do(data(s, Op.WRITE_BARRIER, 1, 64), data(s, Op.FLUSH_DISKCACHE, 2, 128),
                                                s.front.layout.rw(Op.WRITE_BARRIER, 3, 0)))
""",
    )
    flush = ("flush", 0, 0)
    assert asked == [flush, ("write", 64 * 512, PAGE), flush, flush, ("write", 128 * 512, PAGE), flush]


def test_without_io_uring_reads_and_writes_are_the_threads_own(library: Path, tmp_path: Path) -> None:
    """A kernel may forbid it: the ring says what serves it instead, and serves."""
    asked = calls(
        library,
        tmp_path,
        """
with served(io=IoEngine.IO_URING) as s:
    assert s.server.io_engine is IoEngine.SYNC
    assert s.front.do(data(s, Op.WRITE, 1, 8), data(s, Op.READ, 2, 8))[0].status == 0
with served(io=IoEngine.AUTO) as s:
    assert s.server.io_engine in (IoEngine.SYNC, IoEngine.MMAP)
    assert not any(r.status for r in s.front.do(data(s, Op.WRITE, 1, 16), data(s, Op.READ, 2, 8),
                                                s.front.layout.rw(Op.FLUSH_DISKCACHE, 3, 0)))
""",
        NO_IO_URING="1",
    )
    # the second write went through the mapping, with which AUTO begins
    assert asked == [("write", 8 * 512, PAGE), ("flush", 0, 0)]


DISCARDS = """
with served(io=IoEngine.{engine}, discard=True, secure_discard=True, discard_granularity={piece},
            discard_alignment={shift}) as s:
    for sector, count in {ranges}:
        assert s.front.do(s.front.layout.discard(1, sector, count, {flags}))[0].status == 0
"""


@pytest.mark.parametrize("engine", ["SYNC", "IO_URING", "AUTO"])
@pytest.mark.parametrize(("piece", "shift"), [(4096, 0), (4096, 512), (1536, 1024), (65536, 61440), (512, 0), (0, 0)])
def test_of_a_block_device_only_whole_pieces_are_discarded(
    library: Path, tmp_path: Path, engine: str, piece: int, shift: int
) -> None:
    ranges = [(0, 1), (0, 8), (0, 9), (1, 8), (1, 15), (1, 16), (7, 300), (120, 8), (120, 136), (2047, 1), (0, 2048)]
    asked = calls(
        library,
        tmp_path,
        DISCARDS.format(engine=engine, piece=piece, shift=shift, ranges=ranges, flags=0),
        BLOCK_DEVICE="1",
    )
    expected = []
    step = max(piece, 512)
    for sector, count in ranges:
        begin, end = sector * 512, (sector + count) * 512
        whole = [at for at in range(shift % step, end, step) if at >= begin and at + step <= end]
        if whole:
            expected.append(("discard", whole[0], whole[-1] + step - whole[0]))
    assert asked == expected


def test_a_secure_discard_is_all_of_it(library: Path, tmp_path: Path) -> None:
    ranges = [(1, 8), (0, 1), (7, 300)]
    for engine in ("SYNC", "IO_URING"):
        (tmp_path / engine).mkdir()
        asked = calls(
            library,
            tmp_path / engine,
            DISCARDS.format(engine=engine, piece=4096, shift=0, ranges=ranges, flags=1),
            BLOCK_DEVICE="1",
        )
        assert asked == [("secure", sector * 512, count * 512) for sector, count in ranges]
