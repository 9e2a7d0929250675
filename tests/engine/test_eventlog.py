# SPDX-License-Identifier: MIT
import threading

from usblkback_tui.engine.eventlog import KEPT, EventLog
from usblkback_tui.engine.snapshot import Severity


def test_a_reader_sees_each_event_once_and_in_order() -> None:
    log = EventLog()
    assert log.after(0) == ()
    for text in ("one", "two", "three"):
        log.add(Severity.INFO, text)
    first = log.after(0)
    assert [(event.seq, event.text) for event in first] == [(1, "one"), (2, "two"), (3, "three")]
    assert log.after(3) == ()
    log.add(Severity.ERROR, "four", "error", domid=1, devid=51712, vdev="xvda")
    (fourth,) = log.after(3)
    assert (fourth.seq, fourth.kind, fourth.vdev) == (4, "error", "xvda")
    assert log.after(99) == ()


def test_the_log_is_bounded_and_numbers_go_on() -> None:
    log = EventLog()
    for number in range(KEPT + 10):
        log.add(Severity.INFO, str(number))
    kept = log.after(0)
    assert len(kept) == KEPT
    assert [kept[0].seq, kept[-1].seq] == [11, KEPT + 10]


def test_writers_on_several_threads_leave_no_holes() -> None:
    log = EventLog()

    def write() -> None:
        for _ in range(100):
            log.add(Severity.INFO, "x")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.seq for event in log.after(0)] == list(range(1, 401))
