# SPDX-License-Identifier: MIT
"""What fio is told, and what is made of what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.fio import command, parse, reading
from benchmarks.jobs import DIRECT_JOBS, JOBS, Job
from benchmarks.reading import Pace

WRITE = Job("w", "a write", 4096, 32, write=True)


def output(**changes: Any) -> dict[str, Any]:
    side = {
        "iops": 200_000.0,
        "bw_bytes": 819_200_000,
        "total_ios": 500_000,
        "lat_ns": {"percentile": {"50.000000": 150_000, "99.000000": 300_000}},
    }
    idle: dict[str, Any] = {"iops": 0.0, "bw_bytes": 0, "total_ios": 0, "lat_ns": {}}
    job = {"error": 0, "usr_cpu": 10.0, "sys_cpu": 50.0, "read": idle, "write": side}
    return {"jobs": [job | changes]}


def test_figures_are_those_of_the_side_that_worked() -> None:
    found = reading(output(), WRITE)
    assert (found.requests_per_second, found.bytes_per_second) == (200_000.0, 819_200_000)
    assert (found.p50_us, found.p99_us) == (150.0, 300.0)


def test_cpu_is_fios_own_unless_somebody_else_worked() -> None:
    own = reading(output(), WRITE)
    assert own.cpu_us == pytest.approx(3.0), "0.6 of a core for 200,000 requests a second"
    assert own.cpu_percent == pytest.approx(60.0)
    server = reading(output(), WRITE, cpu_us=4.0)
    assert server.cpu_us == 4.0
    assert server.cpu_percent == pytest.approx(80.0)


@pytest.mark.parametrize("broken", [output(error=5), output(write=output()["jobs"][0]["read"])])
def test_a_run_that_did_nothing_is_an_error(broken: dict[str, Any]) -> None:
    with pytest.raises(BenchmarkError, match="did nothing"):
        reading(broken, WRITE)


def test_notes_may_precede_the_json() -> None:
    assert parse("note: iodepth has no effect with psync\n" + json.dumps(output())) == output()


@pytest.mark.parametrize("text", ["", "fio: nbd engine not loadable\n", "{ half"])
def test_no_json_is_an_error_that_quotes_it(text: str) -> None:
    with pytest.raises(BenchmarkError, match="printed no JSON"):
        parse(text)


@pytest.mark.parametrize("job", [*JOBS, *DIRECT_JOBS], ids=lambda job: job.name)
def test_fio_is_told_what_the_job_says(job: Job) -> None:
    words = command(job, Pace(2.5, 0.5), "io_uring")
    assert {f"--bs={job.block_bytes}", f"--iodepth={job.depth}", f"--direct={int(job.direct)}"} <= set(words)
    assert ("--rw=" + ("" if job.sequential else "rand") + ("write" if job.write else "read")) in words
    assert {"--runtime=2500ms", "--ramp_time=500ms", "--ioengine=io_uring"} <= set(words)
