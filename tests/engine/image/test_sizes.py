# SPDX-License-Identifier: MIT
"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usblkback_tui.engine.image.sizes import MAX_BYTES, human_size, parse_new_size, parse_size, size_problem
from usblkback_tui.protocol.errors import UserError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10G", 10 << 30),
        ("512M", 512 << 20),
        ("1.5G", 3 << 29),
        ("1.5gib", 3 << 29),
        ("0.5k", 512),
        ("1048576", 1 << 20),
        ("1024b", 1024),
        ("4096s", 2 << 20),
        ("1s", 512),
        (" 1T ", 1 << 40),
        ("7E", 7 << 60),
        (str(MAX_BYTES), MAX_BYTES),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a size"),
        ("big", "is not a size"),
        ("-1G", "is not a size"),
        ("1GB", "is not a size"),
        ("1,5G", "is not a size"),
        ("1 G", "is not a size"),
        ("١G", "is not a size"),
        ("0", "is empty"),
        ("0.1", "is empty"),
        ("1000", "the next one that is: 1024"),
        ("0.7k", "the next one that is: 1024"),
        ("1.5s", "the next one that is: 1024"),
        ("8E", "more than a file can hold"),
        (str(MAX_BYTES + 512), "more than a file can hold"),
    ],
)
def test_refusals_name_key_value_and_fix(text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_size(text)
    assert words in str(caught.value)
    assert caught.value.key == "size"
    assert caught.value.value == text
    assert caught.value.fix


@given(st.integers(1, MAX_BYTES // 512))
def test_every_sector_count_survives(sectors: int) -> None:
    assert parse_size(f"{sectors}s") == parse_size(str(sectors * 512)) == sectors * 512


@pytest.mark.parametrize(
    ("size", "text"),
    [(512, "512 B"), (1536, "1.5 KiB"), (100 << 20, "100 MiB"), (3 << 29, "1.5 GiB"), (1 << 60, "1 EiB"), (0, "0 B")],
)
def test_human(size: int, text: str) -> None:
    assert human_size(size) == text


def test_an_odd_image_is_told_how_to_be_padded() -> None:
    problem = size_problem(1000, "/d/a.raw")
    assert problem is not None
    assert str(problem) == (
        "image /d/a.raw has 1000 bytes, no whole number of 512-byte sectors; pad it: truncate -s 1024 /d/a.raw"
    )
    assert size_problem(1024, "/d/a.raw") is None


@pytest.mark.parametrize(
    ("text", "sectors"), [("1M", 2048), ("+1M", 2049), (" +512 ", 2), ("4096s", 4096), ("+1.5K", 4), ("+1s", 2)]
)
def test_a_new_size_is_absolute_or_what_is_added(text: str, sectors: int) -> None:
    assert parse_new_size(text, 1) == sectors


@pytest.mark.parametrize("text", ["", "+", "++1M", "-1M", "+0", "+1", "lots", "9E", "+7.9999E"])
def test_what_is_no_new_size(text: str) -> None:
    with pytest.raises(UserError) as error:
        parse_new_size(text, 1 << 50)
    assert error.value.key == "size"
    assert error.value.fix
