# SPDX-License-Identifier: MIT
"""Our vhost-user frontend: it drives a real device, and finds one that is wrong about the image."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.jobs import DIRECT_JOBS, KIB, MIB, Job
from benchmarks.native import program
from benchmarks.qsd import FRONTEND, daemon, drive, reading
from benchmarks.reading import Pace
from benchmarks.server import Served, serving

READ = Job("r", "reads", 4 * KIB, 32)
WRITE = Job("w", "writes", 4 * KIB, 8, write=True)
PACE = Pace(0.05, 0.0)
daemon_needed = pytest.mark.skipif(
    shutil.which("qemu-storage-daemon") is None, reason="qemu-storage-daemon is not installed"
)


def cpu() -> int:
    return min(os.sched_getaffinity(0))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(os.urandom(4 * MIB))
    return path


@contextmanager
def device(image: Path) -> Iterator[Served]:
    with serving("the daemon", lambda socket: daemon(image, socket, "threads"), cpu()) as at:
        yield at


@daemon_needed
@pytest.mark.parametrize(
    "job",
    [
        READ,
        WRITE,
        Job("sr", "large reads", MIB, 4, sequential=True),
        Job("sw", "medium writes", 128 * KIB, 32, write=True, sequential=True),
    ],
    ids=lambda job: job.name,
)
def test_a_device_that_tells_the_truth_is_measured(image: Path, job: Job) -> None:
    with device(image) as at:
        found = drive(at, image, job, PACE, cpu())
    assert found.requests_per_second > 0
    assert found.bytes_per_second == pytest.approx(found.requests_per_second * job.block_bytes)
    assert found.cpu_us > 0
    assert 0 < found.p50_us <= found.p99_us


@daemon_needed
@pytest.mark.parametrize(("job", "word"), [(READ, "was read wrong"), (WRITE, "was not written")])
def test_a_device_that_serves_something_else_is_found_out(image: Path, tmp_path: Path, job: Job, word: str) -> None:
    other = tmp_path / "other.img"
    other.write_bytes(os.urandom(4 * MIB))
    with device(other) as at, pytest.raises(BenchmarkError, match=word):
        drive(at, image, job, PACE, cpu())


@daemon_needed
def test_a_daemon_that_cannot_serve_says_why(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"missing\.img"), device(tmp_path / "missing.img"):
        pass


def test_o_direct_is_asked_for_where_the_job_wants_it() -> None:
    words = daemon(Path("/i"), Path("/s"), "io_uring", direct=DIRECT_JOBS[0].direct)
    assert "cache.direct=on" in words[2]
    assert "cache.direct=off" in daemon(Path("/i"), Path("/s"), "io_uring")[2]


def test_figures_are_per_second_and_per_request() -> None:
    said = {"seconds": 2.0, "requests": 1000.0, "cpu_seconds": 0.5, "p50_us": 7.0, "p99_us": 9.0, "checked": 3.0}
    found = reading(said, READ)
    assert (found.requests_per_second, found.bytes_per_second) == (500.0, 500.0 * 4096)
    assert found.cpu_us == pytest.approx(500.0)
    assert found.cpu_percent == pytest.approx(25.0)
    assert (found.p50_us, found.p99_us) == (7.0, 9.0)
    for nothing in ("requests", "checked"):
        with pytest.raises(BenchmarkError, match="checked"):
            reading(said | {nothing: 0}, READ)


def test_the_frontend_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = program(FRONTEND)
    assert made.is_relative_to(tmp_path)
    before = made.stat()
    assert program(FRONTEND).stat().st_ino == before.st_ino
    changed = tmp_path / "vhost"
    shutil.copytree(FRONTEND, changed)
    (changed / "load.c").write_text("not C\n")
    with pytest.raises(BenchmarkError, match="cannot be compiled"):
        program(changed)
