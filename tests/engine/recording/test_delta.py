# SPDX-License-Identifier: MIT
"""Changes of dataclasses: any two values, what a change looks like, what stays the same object, what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.control.fake_backend import a_disk
from tests.engine.recording.made import busy, snapshot
from usblkback_tui.engine.control.codec import CodecError
from usblkback_tui.engine.latency import BUCKETS
from usblkback_tui.engine.recording.delta import apply, diff
from usblkback_tui.engine.snapshot import DiskView, Histogram, Snapshot, StateChange
from usblkback_tui.protocol.states import XenbusState as S

st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))


@dataclass(frozen=True, slots=True)
class Inner:
    number: int = 0
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outer:
    inner: Inner = Inner()
    maybe: Inner | None = None
    limit: int | None = None
    rows: tuple[Inner, ...] = ()
    counts: tuple[int, ...] = ()
    pairs: tuple[tuple[str, int], ...] = ()
    state: S = S.UNKNOWN
    on: bool = False


def again(old: Any, new: Any) -> Any:
    return apply(old, json.loads(json.dumps(diff(old, new))))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.from_type(Outer), st.from_type(Outer))
def test_any_two_values(old: Outer, new: Outer) -> None:
    assert again(old, new) == new
    assert diff(new, new) == {}


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.from_type(DiskView), st.from_type(DiskView))
def test_any_two_disks(old: DiskView, new: DiskView) -> None:
    assert again(old, new) == new


@settings(deadline=None, derandomize=True)
@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_any_two_windows(old: list[str], new: list[str]) -> None:
    assert again(Inner(words=tuple(old)), Inner(words=tuple(new))).words == tuple(new)


def test_only_what_changed_is_told() -> None:
    was = snapshot(0.0, a_disk(), a_disk(4))
    now = replace(was, monotonic=was.monotonic + 1, disks=(was.disks[0], busy(was.disks[1], 3)))
    change = diff(was, now)
    assert set(change) == {"monotonic", "disks"}
    ((place, disk),) = change["disks"]["at"]
    assert place == 1
    assert disk["counters"] == {"reads": 3, "bytes_read": 12288, "in_flight": 1}
    assert disk["latency"] == {"read": {"counts": [60, 1, 61, 1, 62, 1]}}
    assert again(was, now) == now


def test_a_window_that_moves_on_is_told_by_its_ends() -> None:
    steps = tuple(StateChange(float(n), "backend", S.CLOSED, S.INITIALISING) for n in range(66))
    change = diff(a_disk(transitions=steps[:64]), a_disk(transitions=steps[2:]))
    assert change["transitions"]["drop"] == 2
    assert len(change["transitions"]["add"]) == 2
    assert "at" not in change["transitions"]


def test_what_did_not_change_stays_the_same_object() -> None:
    was = snapshot(0.0, a_disk(), a_disk(4))
    now = again(was, replace(was, disks=(was.disks[0], busy(was.disks[1], 3))))
    assert now.disks[0] is was.disks[0]
    assert now.disks[1].transitions is was.disks[1].transitions
    assert now.disks[1].latency.write is was.disks[1].latency.write
    assert apply(was, {}) is was


def test_fields_of_a_later_program_are_passed_over() -> None:
    assert apply(Inner(1), {"number": 2, "colour": {"red": 1}}) == Inner(3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ([], "is not an object"),
        ({"domid": "1"}, "domid has '1' added, which is no whole number"),
        ({"domid": True}, "domid has 'True' added"),
        ({"vdev": 3}, "vdev is 3, not text"),
        ({"health": {"severity": "bad"}}, "severity is 'bad'"),
        ({"latency": {"read": {"counts": [1]}}}, "counts is no list of places"),
        ({"latency": {"read": {"counts": [BUCKETS, 1]}}}, "changes number 160 of 160"),
        ({"latency": {"read": {"counts": [-1, 1]}}}, "changes number -1 of 160"),
        ({"latency": {"read": {"counts": [3, 1, 3, 1]}}}, "changes number 3 of 160"),
        ({"latency": {"read": {"counts": [3, 1.5]}}}, "counts is no list of places"),
        ({"latency": {"read": {"counts": {"all": [1, "2"]}}}}, "counts[1] is '2'"),
        ({"rings": []}, "rings is not an object"),
        ({"rings": {"drop": 2}}, "rings drops 2 of 1"),
        ({"rings": {"drop": -1}}, "rings drops -1 of 1"),
        ({"rings": {"len": 2}}, "rings leaves 2 of 1"),
        ({"rings": {"at": [[0, {}], [0, {}]]}}, "rings changes element 0 of 1"),
        ({"rings": {"at": [[1, {}]]}}, "rings changes element 1 of 1"),
        ({"rings": {"at": [0]}}, "rings has a change without a place"),
        ({"rings": {"at": {}}}, "rings has no list of changes"),
        ({"rings": {"add": [{}]}}, "rings[0].index is missing"),
    ],
)
def test_what_does_not_fit_is_refused(change: object, words: str) -> None:
    disk = a_disk(latency=replace(a_disk().latency, read=Histogram((0,) * BUCKETS)))
    with pytest.raises(CodecError) as caught:
        apply(disk, change)
    assert words in str(caught.value)


def test_a_whole_snapshot_survives_a_day() -> None:
    value: Snapshot = snapshot()
    for second in range(20):
        new = replace(snapshot(float(second)), disks=tuple(busy(disk, second) for disk in value.disks))
        assert again(value, new) == new
        value = new
