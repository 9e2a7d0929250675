# SPDX-License-Identifier: MIT
"""Settings of the engine that ours runs with, several side by side: ``--set``, ``--variant`` and ``--ours``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass

import tomli

from benchmarks.errors import BenchmarkError
from usblkback_tui.engine.config_values import ConfigError, build
from usblkback_tui.engine.settings import Settings

OURS = "usblkback"


@dataclass(frozen=True, slots=True)
class Variant:
    """Lines for ``[engine]``.  ``label`` is what tables put behind our name; empty for the one that targets judge."""

    label: str = ""
    lines: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{OURS} {self.label}".strip()

    def also(self, *lines: str) -> Variant:
        """The same with more lines, which win."""
        return Variant(self.label, (*self.lines, *lines))


DEFAULTS = Variant()


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that :func:`variants` reads."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of [engine] for all of ours, such as poll_us=50; repeatable",
    )
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="KEY=VALUE[,...]",
        help="one more contender of ours with these settings, such as response_batch=16,poll_us=0; repeatable",
    )
    parser.add_argument(
        "--ours", default="", metavar="ENGINE[,...]", help="one more contender of ours for each of these io_engine"
    )


def variants(args: argparse.Namespace) -> tuple[Variant, ...]:
    """Ours as the options say: first the one with only ``--set``.  Raises BenchmarkError."""
    base = tuple(line(one) for one in args.set)
    asked = [[f"io_engine={engine}"] for engine in args.ours.split(",") if engine]
    asked += [text.split(",") for text in args.variant]
    found = [Variant("", base), *(Variant(_label(each), (*base, *map(line, each))) for each in asked)]
    for one in found:
        settings(one.lines)
    return tuple(found)


def line(text: str) -> str:
    """``key=value`` as a line of TOML; what is no number, boolean or list is text.  Raises BenchmarkError."""
    key, equals, value = (part.strip() for part in text.partition("="))
    if not (key and equals and value):
        raise BenchmarkError(f"{text!r} is no setting: write it as key=value, such as poll_us=50")
    try:
        tomli.loads(f"value = {value}")
    except tomli.TOMLDecodeError:
        value = json.dumps(value)
    return f"{key} = {value}"


def settings(lines: Sequence[str]) -> Settings:
    """All settings, with ``lines`` in ``[engine]``; of the same key the last counts.  Raises BenchmarkError."""
    engine: dict[str, object] = {}
    for one in lines:
        engine |= tomli.loads(one)
    try:
        return build(Settings, {"engine": engine}, source="benchmarks")
    except ConfigError as error:
        raise BenchmarkError(str(error)) from None


def _label(texts: Sequence[str]) -> str:
    """Short for one engine, else the settings themselves."""
    if len(texts) == 1 and texts[0].startswith("io_engine="):
        return texts[0].partition("=")[2]
    return " ".join(texts)
