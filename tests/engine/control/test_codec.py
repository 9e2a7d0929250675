# SPDX-License-Identifier: MIT
"""Values survive JSON: every snapshot and event that can be made, and what does not fit is refused by its path."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.control.fake_backend import FakeBackend, a_disk
from usblkback_tui.engine.control.codec import CodecError, decode, encode
from usblkback_tui.engine.snapshot import DiskView, Event, Severity, Snapshot, StateChange
from usblkback_tui.protocol.states import XenbusState

finite = st.floats(allow_nan=False, allow_infinity=False)
st.register_type_strategy(float, finite)


@settings(max_examples=60, deadline=None)
@given(st.from_type(DiskView))
def test_any_disk_survives(disk: DiskView) -> None:
    assert decode(DiskView, json.loads(json.dumps(encode(disk))), strict=True) == disk


@settings(max_examples=60, deadline=None)
@given(st.from_type(Event))
def test_any_event_survives(event: Event) -> None:
    assert decode(Event, json.loads(json.dumps(encode(event))), strict=True) == event


def test_a_whole_snapshot() -> None:
    snapshot = FakeBackend().snapshot()
    assert decode(Snapshot, json.loads(json.dumps(encode(snapshot))), strict=True) == snapshot


def test_states_are_words_and_enums_their_values() -> None:
    data = encode(StateChange(1.0, "backend", XenbusState.INIT_WAIT, XenbusState.CONNECTED))
    assert data == {"time": 1.0, "end": "backend", "old": "InitWait", "new": "Connected"}
    assert encode(Severity.WARNING) == "warning"


def test_unknown_members_are_passed_over_unless_strict() -> None:
    data = {**encode(a_disk()), "colour": "blue"}
    assert decode(DiskView, data) == a_disk()
    with pytest.raises(CodecError, match=r"^colour is unknown$"):
        decode(DiskView, data, strict=True)


def test_missing_members_take_their_default() -> None:
    data = encode(a_disk())
    del data["rings"]
    assert decode(DiskView, data).rings == ()
    del data["image"]
    with pytest.raises(CodecError, match=r"^image is missing$"):
        decode(DiskView, data)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("disks", 0, "backend_state"), "Conected", r"^disks\[0\]\.backend_state is 'Conected', which is none"),
        (("disks", 0, "backend_state"), [], "which is none"),
        (("disks", 0, "health", "severity"), "bad", r"^disks\[0\]\.health\.severity is 'bad'"),
        (("disks", 0, "latency", "read", "counts"), [1, "2"], r"counts\[1\] is '2', not a whole number"),
        (("disks", 0, "latency", "read", "counts"), [True], r"counts\[0\] is True, not a whole number"),
        (("disks", 0, "online"), 1, "online is 1, not true or false"),
        (("disks", 0, "image"), None, "image is None, not text"),
        (("disks",), {}, "^disks is not an array$"),
        (("disks", 0), 3, r"^disks\[0\] is not an object$"),
        (("time",), "now", "^time is 'now', not a number$"),
    ],
)
def test_what_does_not_fit_is_named(path: tuple[str | int, ...], value: object, words: str) -> None:
    data = json.loads(json.dumps(encode(FakeBackend().snapshot())))
    part = data
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    with pytest.raises(CodecError, match=words):
        decode(Snapshot, data)


@dataclass(frozen=True, slots=True)
class Pairs:
    pairs: tuple[tuple[str, int], ...] = ()
    limit: int | None = None


def test_pairs_and_none() -> None:
    value = Pairs((("a", 1), ("b", 2)), None)
    assert encode(value) == {"pairs": [["a", 1], ["b", 2]], "limit": None}
    assert decode(Pairs, encode(value)) == value
    with pytest.raises(CodecError, match=r"^pairs\[0\] is not an array of 2$"):
        decode(Pairs, {"pairs": [["a"]]})
