# SPDX-License-Identifier: MIT
"""What several commands' options share: numbers in a range, and ``--json``."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def json_option(parser: argparse.ArgumentParser, text: str) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help=text)


def number(what: str, least: float, most: float, unit: str = "") -> Callable[[str], float]:
    """A type for argparse: a number in a range, or a sentence with ``what`` it is no."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}: use {unit}{least:g} to {most:g}")
        return value

    return parse


def whole(what: str, least: int, most: int) -> Callable[[str], int]:
    """The same for whole numbers."""

    def parse(text: str) -> int:
        value = int(text) if text.isascii() and text.removeprefix("-").isdecimal() else least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}: use {least} to {most}")
        return value

    return parse


seconds = number("time", 0, 86400, "seconds from ")
