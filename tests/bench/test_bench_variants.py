# SPDX-License-Identifier: MIT
"""Settings from the command line."""

from __future__ import annotations

import argparse

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.variants import Variant, add_options, line, settings, variants


def asked(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(words)


def test_without_options_ours_has_its_defaults() -> None:
    assert variants(asked()) == (Variant(),)
    assert Variant().name == "usblkback"


def test_what_is_set_holds_for_all_and_a_variant_adds_to_it() -> None:
    base, other = variants(asked("--set", "poll_us=20", "--variant", "poll_us=50,grant_copy=false"))
    assert (base.name, base.lines) == ("usblkback", ("poll_us = 20",))
    assert other.name == "usblkback poll_us=50 grant_copy=false"
    assert settings(base.lines).engine.poll_us == 20
    assert settings(other.lines).engine.poll_us == 50, "the last one counts"
    assert settings(other.lines).engine.grant_copy is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("poll_us=20", "poll_us = 20"),
        ("grant_copy = false", "grant_copy = false"),
        ("io_engine=sync", 'io_engine = "sync"'),
        ('kinds=["a"]', 'kinds = ["a"]'),
    ],
)
def test_a_setting_is_a_line_of_toml(text: str, said: str) -> None:
    assert line(text) == said


@pytest.mark.parametrize("text", ["poll_us", "=1", "poll_us="])
def test_half_a_setting_is_refused(text: str) -> None:
    with pytest.raises(BenchmarkError, match="key=value"):
        line(text)


@pytest.mark.parametrize("words", [("--set", "pol_us=1"), ("--variant", "poll_us=-1"), ("--set", "poll_us=fast")])
def test_what_the_engine_would_refuse_is_refused_before_anything_is_measured(words: tuple[str, ...]) -> None:
    with pytest.raises(BenchmarkError, match="pol"):
        variants(asked(*words))
