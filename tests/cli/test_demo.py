# SPDX-License-Identifier: MIT
"""The demo as a whole: real guests, real engine, real images, and every command against it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, Output
from tests.cli.test_screen import Terminal, terminal
from usblkback_tui.engine.control.client import NoEngine, RemoteBackend

CONFIG = """
[engine]
detach_seconds = 3
[[disk]]
domain = "one"
image = "{precious}"
vdev = "xvdq"
[[demo.guest]]
name = "one"
size_mib = 8
depth = 4
rate = 500
[[demo.guest]]
name = "two"
disks = ["xvda", "xvdc"]
size_mib = 8
read_percent = 20
block_kib = 64
rate = 100
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "demo.toml"
    precious = tmp_path / "precious.img"
    precious.write_bytes(bytes(1 << 20))
    file.write_text(CONFIG.format(precious=precious))
    return file


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Images go where the test can see that none is left."""
    folder = tmp_path / "images"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    yield
    assert list(folder.iterdir()) == []


def usblkback(*words: str) -> Output:
    done = subprocess.run(
        [sys.executable, "-m", "usblkback_tui", *words], capture_output=True, text=True, timeout=60, check=False
    )
    return Output(done.returncode, done.stdout, done.stderr)


def test_another_frontend(config: Path) -> None:
    shown = usblkback("demo", "--config", str(config), "--frontend", "grub", "--json", "--seconds", "1")
    assert shown.code == 0, shown.err
    assert json.loads(shown.out)["verified"]
    assert usblkback("demo", "--frontend", "dos").code == 2


def test_lines_and_a_summary(config: Path, tmp_path: Path) -> None:
    shown = usblkback("demo", "--config", str(config), "--headless", "--seconds", "1.5")
    assert shown.code == 0, shown.err
    *lines, summary = shown.out.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(r" +\d+ s +\S+ reads/s +\S+ writes/s +\S+ \S+/s read +\S+ \S+/s written  0 errors", line), (
            line
        )
    match = re.fullmatch(
        r"\d\.\d s: (\d+) reads \(.*\), (\d+) writes \(.*\), 0 errors, every block read back as it was written",
        summary,
    )
    assert match, summary
    assert int(match[1]) > 100
    assert int(match[2]) > 50
    assert not any((tmp_path / "precious.img").read_bytes()), "a disk of the config file was attached to a guest here"


def test_json_is_alone_on_stdout(config: Path) -> None:
    shown = usblkback("demo", "--config", str(config), "--json", "--seconds", "1")
    document = json.loads(shown.out)
    assert shown.code == 0
    assert set(document) == {
        "version",
        "seconds",
        "reads",
        "writes",
        "bytes_read",
        "bytes_written",
        "errors",
        "verified",
    }
    assert (document["version"], document["errors"], document["verified"]) == (1, 0, True)
    assert document["seconds"] >= 1.0
    assert document["bytes_written"] > document["writes"] * 4096
    assert " reads/s" in shown.err


def wait_for(condition: Any, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def answers(socket: Path) -> bool:
    try:
        return len(RemoteBackend(socket).snapshot().disks) == 3
    except NoEngine:
        return False


@pytest.fixture
def demo(config: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo with a control socket."""
    socket = tmp_path / "run" / "engine.sock"
    words = ("demo", "--config", str(config), "--headless", "--seconds", "60", "--socket", str(socket))
    with subprocess.Popen(
        [sys.executable, "-m", "usblkback_tui", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(lambda: answers(socket))
        yield process
        process.kill()


def connected(cli: Cli) -> dict[tuple[str, str], dict[str, Any]]:
    disks = json.loads(cli("status", "--json").out)["disks"]
    return {(disk["domain"], disk["vdev"]): disk for disk in disks if disk["frontend_state"] == "Connected"}


def test_every_command_against_a_running_engine(demo: subprocess.Popen[str], cli: Cli, tmp_path: Path) -> None:
    wait_for(lambda: len(connected(cli)) == 3)
    disks = connected(cli)
    assert set(disks) == {("one", "xvda"), ("two", "xvda"), ("two", "xvdc")}
    first = disks["two", "xvdc"]
    assert (first["sectors"], first["backend_state"], first["queues"]) == (16384, "Connected", 1)
    wait_for(lambda: connected(cli)["two", "xvdc"]["writes"] > first["writes"])
    assert cli("status").out.count("Connected  Connected") == 3

    image = tmp_path / "more.img"
    assert cli("image", "create", str(image), "4M").code == 0
    attached = cli("attach", "one", str(image), "xvdb", "--wait", "10")
    assert attached.code == 0, attached.err
    assert attached.out == f"xvdb of one is attached to {image} (frontend Connected, backend Connected)\n"
    taken = cli("attach", "one", str(image), "xvdb")
    assert taken.code == 1
    assert "xvdb is in use in one" in taken.err
    wait_for(lambda: connected(cli)["one", "xvdb"]["writes"] > 0)
    assert "in use" in cli("image", "info", str(image)).out

    detached = cli("detach", "one", "xvdb")
    assert detached.code == 0, detached.err
    assert set(connected(cli)) == set(disks)
    gone = cli("detach", "one", "xvdb")
    assert gone.code == 1
    assert "is not attached" in gone.err

    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=30)
    assert demo.returncode == 0, err
    assert out.endswith("0 errors, every block read back as it was written\n")
    assert cli("status").code == 2


def test_bytes_that_went_wrong_are_found(config: Path, demo: subprocess.Popen[str], tmp_path: Path, cli: Cli) -> None:
    wait_for(lambda: len(connected(cli)) == 3)
    wait_for(lambda: connected(cli)["two", "xvda"]["writes"] > 100)
    (image,) = (tmp_path / "images").glob("*/two-xvda.img")
    with image.open("r+b") as file:
        for block in range(0, 8 << 20, 4096):
            file.seek(block + 2048)
            file.write(b"\xa5" * 16)
    demo.send_signal(signal.SIGTERM)
    out, err = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert "NOT VERIFIED" in out
    assert re.search(r"^usblkback-tui: xvda of two: \d+ blocks read back wrong, the last at sector \d+$", err, re.M)
    assert "of one" not in err


def test_a_guest_that_dies_is_a_problem(demo: subprocess.Popen[str], cli: Cli) -> None:
    wait_for(lambda: len(connected(cli)) == 3)
    found = subprocess.run(
        ["pgrep", "-P", str(demo.pid), "-f", "sim.guest"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(found) == 2
    os.kill(int(found[0]), signal.SIGKILL)
    time.sleep(0.5)
    demo.send_signal(signal.SIGTERM)
    out, err = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert "NOT VERIFIED" in out
    assert err.startswith("usblkback-tui: ")


def test_too_many_disks_for_the_engine(config: Path) -> None:
    text = config.read_text().replace("[engine]", "[engine]\nmax_disks = 2")
    config.write_text(text)
    shown = usblkback("demo", "--config", str(config), "--headless", "--seconds", "1")
    assert shown.code == 1
    assert "max_disks" in shown.err
    assert shown.err.count("\n") == 1


def demo_terminal(tmp_path: Path, *words: str) -> Any:
    return terminal(tmp_path, "demo", *words)


def shows_everything(screen: Terminal) -> bool:
    return all(text in screen.text() for text in ("one", "two", "xvda", "xvdc"))


def test_on_a_terminal_it_is_the_ui(config: Path, tmp_path: Path) -> None:
    with demo_terminal(tmp_path, "--config", str(config)) as screen:
        screen.wait_for(lambda: shows_everything(screen))
        screen.press("q")
        screen.wait_for(lambda: "Quit with 3 disks attached?" in screen.text())
        screen.process.send_signal(signal.SIGTERM)
        screen.wait_for(screen.ended)
        assert screen.process.returncode == 0
        assert "Traceback" not in screen.after_the_screen()


def test_on_a_terminal_for_some_seconds(config: Path, tmp_path: Path) -> None:
    with demo_terminal(tmp_path, "--config", str(config), "--seconds", "15") as screen:
        screen.wait_for(lambda: shows_everything(screen))
        screen.wait_for(screen.ended)
        assert screen.process.returncode == 0


def test_ctrl_c_ends_a_headless_demo_in_order(config: Path, tmp_path: Path) -> None:
    with demo_terminal(tmp_path, "--config", str(config), "--headless") as screen:
        screen.wait_for(lambda: " reads/s" in screen.text())
        screen.press("\x03")
        screen.wait_for(screen.ended)
        assert screen.process.returncode == 0
        assert "every block read back as it was written" in screen.printed.decode()
