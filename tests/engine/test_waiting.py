# SPDX-License-Identifier: MIT
"""Attaches that wait for a domain which is not there yet."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.engine.rig import rig, wait_for
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.eventlog import EventLog
from usblkback_tui.engine.settings import DiskOptions
from usblkback_tui.engine.waiting import Waiting
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.vdev import parse_vdev


def test_a_disk_is_attached_when_its_domain_appears(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        request = AttachRequest("late", str(r.image()), "xvdc", "r", DiskOptions(max_queues=1))
        plan = r.engine.plan(request, later=True)
        assert (plan.domid, plan.domain, plan.writes) == (-1, "late", ())
        assert "gets n0,rN and the guest's nN,r0" in " ".join(one.sentence for one in plan.explained)
        assert dict(plan.offers)["multi-queue-max-queues"] == "1"
        pending = r.engine.attach_later(request)
        assert r.engine.snapshot().pending == (pending,)
        assert (pending.title, pending.until) == ("xvdc of late", None)
        r.guest("other")
        assert r.engine.snapshot().disks == ()
        r.guest("late")
        wait_for(lambda: (d := r.disk("late", "xvdc")) is not None and d.frontend_state is S.CONNECTED)
        found = r.disk("late", "xvdc")
        assert found is not None
        assert (found.mode, found.options.max_queues) == ("r", 1)
        assert r.engine.snapshot().pending == ()


def test_a_domain_that_is_there_already_is_not_waited_for(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest("web")
        wait_for(lambda: any(domain.name == "web" for domain in r.engine.snapshot().domains))
        r.engine.attach_later(AttachRequest("web", str(r.image()), "xvdb"))
        wait_for(lambda: (d := r.disk("web", "xvdb")) is not None and d.frontend_state is S.CONNECTED)
        assert r.engine.snapshot().pending == ()
        with pytest.raises(UserError, match="vdev xvdb is in use"):
            r.engine.attach_later(AttachRequest("web", str(r.image("b")), "xvdb"))


def test_what_waits_is_taken_back_by_a_detach_and_ends_with_its_time(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.engine.attach_later(AttachRequest("late", str(r.image()), "xvdb"))
        with pytest.raises(UserError, match="waits for domain late already"):
            r.engine.attach_later(AttachRequest("late", str(r.image("b")), "xvdb"))
        r.engine.detach("late", "xvdb")
        assert r.engine.snapshot().pending == ()
        with pytest.raises(UserError, match="not attached here"):
            r.engine.detach("late", "xvdb")
        r.engine.attach_later(AttachRequest("late", str(r.image()), "xvdb"), 0.1)
        wait_for(lambda: r.engine.snapshot().pending == ())
        assert any("no such domain within" in event.text for event in r.engine.events(0))
        r.guest("late")
        wait_for(lambda: any(domain.name == "late" for domain in r.engine.snapshot().domains))
        assert r.engine.snapshot().disks == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"domain": "7"}, "use its name"),
        ({"domain": "a\nb"}, "use its name"),
        ({"image": "/nowhere.img"}, "nowhere.img"),
        ({"vdev": "zzz"}, "vdev"),
        ({"mode": "x"}, "mode 'x' is unknown"),
    ],
)
def test_what_cannot_be_is_refused_at_once(tmp_path: Path, change: dict[str, str], sentence: str) -> None:
    with rig(tmp_path) as r:
        values = {"domain": "late", "image": str(r.image()), "vdev": "xvdb", "mode": "w"} | change
        with pytest.raises(UserError, match=sentence):
            r.engine.attach_later(AttachRequest(values["domain"], values["image"], values["vdev"], values["mode"]))
        assert r.engine.snapshot().pending == ()


def test_it_is_given_up_only_when_its_time_is_up() -> None:
    events = EventLog()
    waiting = Waiting(events)
    now = time.time()
    short = waiting.add(AttachRequest("a", "/i", "xvda"), parse_vdev("xvda"), "/i", now, 5.0)
    ever = waiting.add(AttachRequest("b", "/i", "xvda"), parse_vdev("xvda"), "/i", now, 0.0)
    waiting.expire(now + 4.9)
    assert waiting.all == (short, ever)
    waiting.expire(now + 5.0)
    assert waiting.all == waiting.of("b") == (ever,)
    assert not waiting.cancel("a", ever.devid)
