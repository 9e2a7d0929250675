# SPDX-License-Identifier: MIT
"""What a guest's console says becomes a reading; what it does not say is an error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.jobs import Job
from benchmarks.reading import Pace
from benchmarks.variants import DEFAULTS, OURS, Variant
from benchmarks.xen import TARGETS, XEN_JOBS
from benchmarks.xen_fio import dom0_seconds, guest_command, guest_reading
from benchmarks.xen_machine import LOOP, PEERS, QDISK, disks

READ = Job("seqread-1m", "1 MiB sequential read, QD4", 1 << 20, 4, sequential=True)
WRITE = Job("randwrite-qd32", "4 KiB random write, QD32", 4096, 32, write=True)

BEFORE = "    8918        0   972080   205451     8590        0  1314672   105084        0    24640   310535        0"
AFTER = "    9198        0   992560   206022     8600        0  1314752   105084        0    25200   311107        0"
"""/sys/block/xvdb/stat: 20480 sectors read in between, which is 10 MiB, and 80 written, which is 40 KiB."""


def side(iops: float, bytes_per_second: float, total: int = 200) -> dict[str, Any]:
    percentiles = {"50.000000": 20_500_000, "99.000000": 41_000_000}
    return {"iops": iops, "bw_bytes": bytes_per_second, "total_ios": total, "lat_ns": {"percentile": percentiles}}


def said(*, error: int = 0, total: int = 200) -> str:
    job = {"error": error, "read": side(50.0, 50e6, total), "write": side(700.0, 2.8e6, total)}
    return f"{BEFORE}\n{AFTER}\n{json.dumps({'fio version': 'fio-3.33', 'jobs': [job]}, indent=2)}\n"


def test_reads_are_charged_with_what_dom0_spent_on_the_sectors_read() -> None:
    reading = guest_reading(said(), READ, dom0_spent=0.2)
    assert (reading.requests_per_second, reading.bytes_per_second) == (50.0, 50e6)
    assert reading.cpu_us == pytest.approx(20_000), "ten requests of 1 MiB, the ramp's among them"
    assert (reading.p50_us, reading.p99_us) == (20_500, 41_000)


def test_writes_are_charged_with_the_sectors_written() -> None:
    reading = guest_reading(said(), WRITE, dom0_spent=0.2)
    assert reading.requests_per_second == 700.0
    assert reading.cpu_us == pytest.approx(20_000), "ten requests of 4 KiB"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no figures"),
        (f"{BEFORE}\nfio: failed to open\n", "failed to open"),
        (f"{BEFORE}\n" + said().partition(AFTER)[2], "no figures"),
        (said().replace(AFTER, BEFORE), "did nothing"),
        (said(error=5), "error 5"),
        (said(total=0), "did nothing"),
    ],
    ids=["nothing", "fio failed", "counters once", "counters stand still", "an error", "no request"],
)
def test_a_run_without_figures_is_an_error(text: str, word: str) -> None:
    with pytest.raises(BenchmarkError, match=word):
        guest_reading(text, READ, dom0_spent=0.2)


def test_dom0_has_worked_what_is_neither_idle_nor_stolen() -> None:
    #                            user nice system idle iowait irq softirq steal guest guest_nice
    assert dom0_seconds("cpu  100 10 1000 77777 8888 20 70 99999 0 0\n") == pytest.approx(12.0)


def test_the_guest_is_told_what_the_job_says() -> None:
    line = guest_command("xvdd", READ, Pace(3.5, 0.5))
    words = set(line.split())
    assert {"--filename=/dev/xvdd", "--rw=read", "--bs=1048576", "--iodepth=4", "--direct=1"} <= words
    assert {"--runtime=3500ms", "--ramp_time=500ms"} <= words
    assert line.count("cat /sys/block/xvdd/stat") == 2


def test_every_contender_has_a_disk_of_its_own() -> None:
    ours = (DEFAULTS, Variant("poll_us=50", ("poll_us = 50",)))
    served = disks(ours)
    assert [disk.ours for disk in served] == [DEFAULTS, None, None, None, ours[1]]
    assert [disk.name for disk in served] == [OURS, *PEERS, f"{OURS} poll_us=50"]
    assert len({disk.device for disk in served}) == len({disk.image for disk in served}) == len(served)
    assert [disk.name for disk in disks(ours[:1], [QDISK])] == [OURS, QDISK]


def test_targets_are_about_what_is_measured() -> None:
    names = {OURS, *PEERS}
    jobs = {job.name for job in XEN_JOBS}
    assert all({target.contender, target.peer} <= names and target.job in jobs for target in TARGETS)
    assert {target.job for target in TARGETS if target.peer == LOOP and target.least == 1.0} == jobs
