# SPDX-License-Identifier: MIT
"""``demo --list`` and ``demo --scenario``: failures for training, on the screen or told in lines."""

from __future__ import annotations

import argparse
import difflib
import signal
import time

from usblkback_tui.cli.diagnose import document, print_findings
from usblkback_tui.cli.output import JSON_VERSION, UsageError, note, print_json, table
from usblkback_tui.cli.screen import After, Ending, on_terminal, show
from usblkback_tui.cli.signals import Signals
from usblkback_tui.engine.demo import Demo
from usblkback_tui.engine.diagnose import RULES, diagnose
from usblkback_tui.engine.scenarios import GUEST, SCENARIOS, Scenario
from usblkback_tui.engine.settings import Settings
from usblkback_tui.engine.snapshot import Finding

_PATIENCE = 60.0
"""Seconds until a finding has to be there where nobody says how long; the longest deadline has 40."""


def run_list(args: argparse.Namespace) -> int:
    """A line for each."""
    if args.json:
        listed = [{"name": one.name, "finding": one.finding, "sentence": one.sentence} for one in SCENARIOS]
        print_json({"version": JSON_VERSION, "scenarios": listed})
    else:
        for line in table([(one.name, one.finding, one.sentence) for one in SCENARIOS]):
            print(line)
    return 0


def scenario_named(name: str) -> Scenario:
    """The scenario.  Raises UsageError with the nearest names."""
    found = next((one for one in SCENARIOS if one.name == name), None)
    if found is None:
        near = difflib.get_close_matches(name, [one.name for one in SCENARIOS])
        fix = f"did you mean {' or '.join(near)}?" if near else "see usblkback-tui demo --list"
        raise UsageError(f"there is no scenario {name!r}", fix=fix, key="scenario", value=name)
    return found


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Play it: on the screen until the person leaves, else until it is found, which is 0."""
    demo = Demo(settings, scenario_named(args.scenario))
    try:
        if args.headless or args.json or not on_terminal():
            return _told(args, demo)
        demo.open()
        demo.play()
        return show(demo.engine, settings, title=f"demo {args.scenario}", seconds=args.seconds, after=_after(demo))
    finally:
        demo.stop()


def _after(demo: Demo) -> After:
    def after(ending: Ending) -> int:
        demo.stop()
        return 1 if ending.crashed else 0

    return after


def _told(args: argparse.Namespace, demo: Demo) -> int:
    scenario = demo.scenario
    assert scenario is not None
    rule = next(rule for rule in RULES if rule.id == scenario.finding)
    with Signals((signal.SIGTERM, signal.SIGINT)) as signals:
        demo.start()
        if not args.json:
            print(f"{scenario.name}: {scenario.sentence}", flush=True)
            if rule.seconds:
                print(f"{rule.id} has a deadline: this takes {rule.seconds:g} s", flush=True)
        demo.play()
        deadline = time.monotonic() + (_PATIENCE if args.seconds is None else args.seconds)
        findings: tuple[Finding, ...] = ()
        while True:
            snapshot = demo.engine.snapshot()
            findings = diagnose(snapshot, snapshot.time)
            seen = any(one.id == scenario.finding for one in findings)
            if seen or time.monotonic() >= deadline or signals.wait(0.1) is not None:
                break
        names = {domain.domid: domain.name for domain in snapshot.domains}
    if args.json:
        print_json({**document(findings), "scenario": scenario.name, "expected": scenario.finding})
    else:
        print_findings(findings, {**dict.fromkeys((one.domid for one in findings), GUEST), **names})
    if not seen:
        note(f"{scenario.finding} was not found")
    return 0 if seen else 1
