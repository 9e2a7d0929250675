# SPDX-License-Identifier: MIT
"""What is drawn is what was measured."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest
from rich.console import Console

from benchmarks import svg
from benchmarks.chart import Bar, BarGroup, Chart, as_text, ratios, values
from benchmarks.foreign import LIMIT, CpuUse
from benchmarks.jobs import Job
from benchmarks.reading import Reading
from benchmarks.rounds import Measurement
from benchmarks.stats import Spread

ONE, TWO, UNRUN = (Job(name, f"job {name}", 4096, 32) for name in ("one", "two", "unrun"))


def taken(job: Job, contender: str, *rates: float, foreign: float = 0.0, cpu_us: float = 2.0) -> list[Measurement]:
    return [
        Measurement(
            number, job.name, contender, Reading(rate, 0.0, cpu_us, 1.0, 2.0), CpuUse(foreign, 1.0, 0.0, 1.0), 1
        )
        for number, rate in enumerate(rates)
    ]


MEASURED = [
    *taken(ONE, "we", 150, 130, 140),
    *taken(ONE, "peer", 100, 100, 100),
    *taken(TWO, "we", 30, 40, 50, cpu_us=0.5),
]


def test_ratios_are_of_the_jobs_that_the_peer_carried() -> None:
    chart = ratios(MEASURED, (ONE, TWO, UNRUN), "peer")
    assert chart.groups == (
        BarGroup("job one", (Bar("we", Spread(1.4, 1.3, 1.5, 3)), Bar("peer", Spread(1.0, 1.0, 1.0, 3)))),
    )
    assert chart.mark == 1.0


def test_values_are_those_of_a_field() -> None:
    chart = values(MEASURED, (TWO, UNRUN), "cpu_us", "CPU")
    assert chart.groups == (BarGroup("job two", (Bar("we", Spread(0.5, 0.5, 0.5, 3)),)),)


def test_disturbed_rounds_are_drawn_only_where_there_is_nothing_else() -> None:
    disturbed = [*taken(ONE, "we", 1000, foreign=LIMIT * 2), *taken(TWO, "we", 7, foreign=LIMIT * 2)]
    chart = values([*MEASURED[:3], *disturbed], (ONE, TWO), "requests_per_second", "rate")
    assert [group.bars[0].value.high for group in chart.groups] == [150, 7]


def text_of(chart: Chart) -> str:
    out = io.StringIO()
    Console(file=out, width=100).print(as_text(chart))
    return out.getvalue()


def test_a_bar_of_text_is_as_long_as_its_value() -> None:
    text = text_of(ratios([*MEASURED, *taken(ONE, "half", 70, 70, 70)], (ONE,), "peer"))
    bars = {line.split()[0]: line.count("█") for line in text.splitlines() if "█" in line}
    assert bars["we"] == 2 * bars["half"] > 0
    assert "1.4 [1.3–1.5]" in text
    assert "job one" in text


def test_a_picture_has_every_name_and_value_and_is_the_same_each_time() -> None:
    chart = ratios(MEASURED, (ONE,), "peer")
    drawn = svg.draw(chart)
    assert drawn == svg.draw(chart)
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    for word in ("we", "peer", "job one", "1.4", "1.3", "1.5"):
        assert word in drawn
    assert "<script" not in drawn


def test_a_picture_may_have_more_names_than_there_are_colours() -> None:
    many = Chart("t", (BarGroup("g", tuple(Bar(f"name{n}", Spread(n, n, n, 1)) for n in range(30))),))
    drawn = svg.draw(many)
    assert all(f"name{n}" in drawn for n in range(30))


def test_nothing_measured_is_nothing_drawn() -> None:
    chart = ratios([], (ONE,), "peer")
    assert chart.groups == ()
    assert text_of(chart).strip() == chart.title


def test_large_values_are_whole_numbers() -> None:
    chart = Chart("t", (BarGroup("g", (Bar("a", Spread(123456.7, 1.0, 234567.8, 3)),)),))
    assert "123,457 [1–234,568]" in text_of(chart)
    assert "123,457" in svg.draw(chart)


def test_no_pygal_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from benchmarks.errors import BenchmarkError

    monkeypatch.setitem(sys.modules, "pygal", None)
    with pytest.raises(BenchmarkError, match="pip install"):
        svg.draw(Chart("t", ()))
