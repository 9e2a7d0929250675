# SPDX-License-Identifier: MIT
"""Signals are waited for, from handlers and from threads, and handlers are put back."""

from __future__ import annotations

import os
import signal
import threading
import time

from usblkback_tui.cli.signals import Signals


def test_a_signal_is_waited_for() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with Signals((signal.SIGUSR1,)) as signals:
        assert signals.wait(0) is None
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signals.wait(90) == signal.SIGUSR1
        assert signals.wait(0) is None
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_signal_while_waiting_ends_the_wait() -> None:
    with Signals((signal.SIGUSR1,)) as signals:
        began = time.monotonic()
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        assert signals.wait(90) == signal.SIGUSR1
        assert time.monotonic() - began < 5


def test_threads_can_send() -> None:
    with Signals(()) as signals:
        threading.Timer(0.05, signals.send, (signal.SIGTERM,)).start()
        assert signals.wait(90) == signal.SIGTERM
    signals.send(signal.SIGTERM)


def test_a_flood_does_not_block() -> None:
    with Signals(()) as signals:
        for _ in range(70_000):
            signals.send(signal.SIGHUP)
        assert signals.wait(0) == signal.SIGHUP
