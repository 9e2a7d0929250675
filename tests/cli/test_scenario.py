# SPDX-License-Identifier: MIT
"""``demo --list`` and ``demo --scenario``."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.cli.conftest import Cli
from tests.cli.test_demo import usblkback
from tests.cli.test_screen import terminal
from usblkback_tui.engine.scenarios import SCENARIOS


def test_the_list(cli: Cli) -> None:
    shown = cli("demo", "--list")
    assert shown.code == 0
    assert len(shown.out.splitlines()) == len(SCENARIOS)
    listed = json.loads(cli("demo", "--list", "--json").out)["scenarios"]
    assert listed[0] == {
        "name": SCENARIOS[0].name,
        "finding": SCENARIOS[0].finding,
        "sentence": SCENARIOS[0].sentence,
    }


def test_a_scenario_is_played_and_found() -> None:
    shown = usblkback("demo", "--scenario", "three-of-four", "--headless")
    assert shown.code == 0, shown.err
    assert shown.out.startswith("three-of-four: a ring of four pages of which the frontend names three\n")
    assert "✖ xvdb of patient (domain 2): frontend key ring-ref3 is missing" in shown.out
    as_json = usblkback("demo", "--scenario", "three-of-four", "--json")
    document = json.loads(as_json.out)
    assert (document["scenario"], document["expected"]) == ("three-of-four", "FE-RING-ORDER")
    assert [one["id"] for one in document["findings"]] == ["FE-RING-ORDER"]


def test_on_a_terminal_it_is_on_the_screen(tmp_path: Path) -> None:
    with terminal(tmp_path, "demo", "--scenario", "three-of-four") as screen:
        screen.wait_for(lambda: "frontend key ring" in screen.text() and "1 problem" in screen.text())
        screen.process.send_signal(signal.SIGTERM)
        screen.wait_for(screen.ended)
        assert screen.process.returncode == 0


def test_a_scenario_whose_time_is_too_short() -> None:
    shown = usblkback("demo", "--scenario", "no-driver", "--headless", "--seconds", "0")
    assert shown.code == 1
    assert "FE-NO-DRIVER has a deadline: this takes 10 s" in shown.out
    assert "FE-NO-DRIVER was not found" in shown.err


def test_a_scenario_that_is_not_there(cli: Cli) -> None:
    shown = cli("demo", "--scenario", "no-drivers")
    assert shown.code == 2
    assert "there is no scenario 'no-drivers'; did you mean no-driver" in shown.err
