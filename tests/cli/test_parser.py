# SPDX-License-Identifier: MIT
"""The command line itself: help, options before and after the command, usage errors, and how soon it is there."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from usblkback_tui import __version__
from usblkback_tui.cli.common import settings_of
from usblkback_tui.cli.parser import parse
from usblkback_tui.engine.settings import DirectIo, IoChoice

COMMANDS = (
    *("demo", "serve", "attach", "resize", "detach", "status", "watch"),
    *("top", "connect", "record", "replay", "image", "doctor"),
)


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"usblkback-tui {__version__}\n"


def test_options_of_the_engine_win_over_the_environment_and_are_checked(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USBLKBACK_MAX_QUEUES", "3")
    engine = settings_of(parse(["serve", "--max-queues", "2", "--direct-io", "yes", "--io-engine", "mmap"])).engine
    assert (engine.max_queues, engine.direct_io, engine.io_engine) == (2, DirectIo.YES, IoChoice.MMAP)
    assert settings_of(parse(["serve"])).engine.max_queues == 3
    shown = cli("serve", "--max-queues", "99")
    assert (shown.code, shown.out) == (2, "")
    assert "--max-queues is 99; set it to a whole number from 1 to 16" in shown.err


def test_help_names_every_command(cli: Cli) -> None:
    shown = cli("--help")
    assert shown.code == 0
    for name in COMMANDS:
        assert f"\n  {name}" in shown.out or f"\n    {name}" in shown.out
    assert "exit codes:  0 done" in shown.out


@pytest.mark.parametrize("words", [*((name,) for name in COMMANDS), ("image", "create"), ("image", "info")])
def test_every_command_has_help_with_examples(cli: Cli, words: tuple[str, ...]) -> None:
    shown = cli(*words, "--help")
    assert shown.code == 0
    assert f"usage: usblkback-tui {' '.join(words)}" in shown.out
    assert f"examples:\n  usblkback-tui {' '.join(words)}" in shown.out
    assert "--socket" in shown.out
    assert "--config" in shown.out


@pytest.mark.parametrize(
    "words",
    [("--socket", "/s", "status"), ("status", "--socket", "/s"), ("--socket", "/x", "status", "--socket", "/s")],
)
def test_common_options_go_before_or_after(words: tuple[str, ...]) -> None:
    assert parse(words).socket == "/s"


def test_options_that_are_not_given_are_not_there() -> None:
    args = parse(["serve"])
    assert not any(
        hasattr(args, name) for name in ("socket", "config", "affinity", "high_priority", "wait", "read_only")
    )
    args = parse(["--high-priority", "--wait", "serve", "--affinity", "1", "--config", "/c", "--read-only"])
    assert (args.high_priority, args.wait, args.affinity, args.config) == (True, True, 1, Path("/c"))
    assert args.read_only is True


def test_the_two_waits_are_kept_apart() -> None:
    args = parse(["--wait", "attach", "g", "/i", "xvdb", "--wait", "3"])
    assert (args.wait, args.wait_seconds) == (True, 3.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("reboot",), "invalid choice: 'reboot'"),
        (("attach", "g1"), "the following arguments are required: IMAGE, VDEV; see usblkback-tui attach --help"),
        (("attach", "g", "i", "v", "--mode", "rw"), "invalid choice: 'rw'"),
        (("attach", "g", "i", "v", "--wait", "soon"), "'soon' is no time: use seconds from 0 to 86400"),
        (("detach", "g", "v", "--wait", "-1"), "'-1' is no time"),
        (("demo", "--seconds", "nan"), "'nan' is no time"),
        (("serve", "--affinity", "x"), "invalid int value: 'x'"),
        (("status", "--jso"), "unrecognized arguments: --jso"),
        (("image",), "the following arguments are required: COMMAND"),
    ],
)
def test_usage_errors_are_one_line_and_two(cli: Cli, words: tuple[str, ...], said: str) -> None:
    shown = cli(*words)
    assert shown.code == 2
    assert shown.out == ""
    assert shown.err.startswith("usblkback-tui: ")
    assert said in shown.err
    assert shown.err.count("\n") == 1


def test_a_command_is_loaded_when_it_runs() -> None:
    assert isinstance(parse(["status"]), argparse.Namespace)
    code = (
        "import sys; from usblkback_tui.cli import main; main(['--help'])\n"
        "heavy = {'textual', 'rich', 'cffi', 'tomli', 'asyncio', 'socket', 'usblkback_tui.engine'} & set(sys.modules)\n"
        "sys.exit(f'loaded for --help: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [("status",), ("top",), ("record", "/nowhere/r")])
def test_a_client_loads_no_ui_and_no_c(words: tuple[str, ...]) -> None:
    code = (
        f"import sys; from usblkback_tui.cli import main; code = main([*{words}, '--socket', '/nowhere/s'])\n"
        "heavy = {'textual', 'rich', 'cffi', '_cffi_backend', 'asyncio'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2, done.stderr
    assert "no engine answers at /nowhere/s" in done.stderr


def test_help_is_quick() -> None:
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "usblkback_tui", "--help"], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(5)) < 0.3
