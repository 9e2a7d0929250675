# SPDX-License-Identifier: MIT
"""Who carries what, and that no target asks for somebody who is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pytest

from benchmarks import cost, embedded, scale
from benchmarks.conclude import Section
from benchmarks.jobs import DIRECT_JOBS, JOBS, Job
from benchmarks.ours import Ours
from benchmarks.peers import PEERS
from benchmarks.stats import Target
from benchmarks.variants import DEFAULTS, Variant

TWO = (DEFAULTS, Variant("sync", ('io_engine = "sync"',)))


def names(job: Job) -> list[str]:
    return [one.name for one in embedded.contenders(job, TWO, tuple(PEERS.values()), 0, 1)]


def scale_names(_job: Job) -> list[str]:
    return [Ours(0, 1).name, Ours(0, 1, screen=True).name]


@pytest.mark.parametrize(
    ("targets", "jobs", "carriers"),
    [(embedded.TARGETS, embedded.ALL_JOBS, names), (scale.TARGETS, scale.ALL_JOBS, scale_names)],
    ids=["embedded", "scale"],
)
def test_every_target_can_be_judged(
    targets: Iterable[Target], jobs: Iterable[Job], carriers: Callable[[Job], list[str]]
) -> None:
    by_name = {job.name: job for job in jobs}
    for target in targets:
        assert target.contender in carriers(by_name[target.job]), target.sentence
        if target.peer:
            assert target.peer in carriers(by_name[target.peer_job or target.job]), target.sentence


@pytest.mark.parametrize(
    ("sections", "jobs"),
    [
        (embedded.SECTIONS, embedded.ALL_JOBS),
        (scale.SECTIONS, scale.ALL_JOBS),
        (cost.SECTIONS, cost.ALL_JOBS),
    ],
    ids=["embedded", "scale", "cost"],
)
def test_every_job_is_in_one_table(sections: Sequence[Section], jobs: Sequence[Job]) -> None:
    tabled = [job.name for section in sections if section.table for job in section.jobs]
    assert sorted(tabled) == sorted(job.name for job in jobs)
    assert len({section.name for section in sections}) == len(sections)


def test_a_contender_has_a_name_of_its_own() -> None:
    for job in embedded.ALL_JOBS:
        assert len(set(names(job))) == len(names(job))


@pytest.mark.parametrize("job", [*JOBS, *DIRECT_JOBS], ids=lambda job: job.name)
def test_ours_stand_side_by_side_with_those_who_can(job: Job) -> None:
    carried = names(job)
    assert carried[:2] == ["usblkback", "usblkback sync"]
    assert {"fio io_uring", "fio psync", "qsd io_uring"} <= set(carried)
    assert ("fio mmap" in carried) is ("nbdkit file" in carried) is not job.direct


def test_a_shape_is_as_deep_as_its_rings_when_they_are_full() -> None:
    same = cost.contenders(cost.SAME, DEFAULTS, 0, 1)
    full = cost.contenders(cost.FULL, DEFAULTS, 0, 1)
    assert {one.depth for one in same} == {0}
    depths = {one.name: one.depth for one in full}
    assert depths["1 queue, 1 page"] == 32
    assert depths["1 queue, 16 pages"] == 512
    assert depths["3 queues, 1 page"] == 96
    assert depths["4 queues, 16 pages"] == 2048
