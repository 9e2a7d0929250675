# SPDX-License-Identifier: MIT
"""What a redacted recording still says, and what it no longer does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tests.engine.control.fake_backend import a_disk
from tests.engine.recording.made import event, frames, snapshot
from usblkback_tui.engine.control.codec import encode
from usblkback_tui.engine.recording.frame import Frame
from usblkback_tui.engine.recording.lines import dump
from usblkback_tui.engine.recording.redact import Redactor, _walk
from usblkback_tui.engine.snapshot import (
    DomainView,
    Finding,
    ForeignDisk,
    Health,
    Party,
    Severity,
    Snapshot,
    StoreKeys,
    StoreWrite,
)
from usblkback_tui.protocol.states import XenbusState as S

SECRET = "/srv/customers/acme corp/ledger.img"


def made(text: str, *, image: str = SECRET, domain: str = "acme", sentence: str = "ok") -> Frame:
    finding = Finding(
        "X", Severity.ERROR, 3, "xvdb", sentence, (("backend/params", image),), Party.OPERATOR, 0.0, (sentence,)
    )
    disk = a_disk(
        image=image,
        domain=domain,
        health=Health(Severity.WARNING, sentence),
        problem=sentence,
        findings=(finding,),
        keys=StoreKeys(back=(("params", f"aio:{image}"),), back_error=f"22 {sentence}"),
    )
    shot = replace(snapshot(0.0, disk), domains=(DomainView(0, "Domain-0"), DomainView(3, domain)), foreign=())
    return Frame(0.0, shot, (event(1, text),))


def told(text: str, *, names: bool = False) -> str:
    return Redactor(names=names).frame(made(text)).events[0].text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"xvdb of g1 is attached: {SECRET} (writable)", "xvdb of g1 is attached: image-1 (writable)"),
        (f"image {SECRET} is empty; give it a size: truncate -s 1G {SECRET}", None),
        ("image '/srv/other dir/x y.img' is not there; create it", "image 'image-2' is not there; create it"),
        ("image /srv/other dir/x.img does not exist; create it", "image image-2 does not exist; create it"),
        ("image /srv/x.img cannot be opened: Permission denied", "image image-2 cannot be opened: Permission denied"),
        ("block device /dev/vg/acme is in use", "block device image-2 is in use"),
        ("nbd://storage.acme/export is gone", "image-2 is gone"),
        ("aio:/srv/other.img", "aio:image-2"),
        ("it was ledger.img that failed", "it was image-1 that failed"),
        ("both /a/one; /b/two", "both image-2; image-3"),
        ("/local/domain/3/device/vbd/51728/state is missing", "/local/domain/3/device/vbd/51728/state is missing"),
        ("12 r/s and 3 w/s, and/or more", "12 r/s and 3 w/s, and/or more"),
        ("a/b/c stays, ./x too", "a/b/c stays, ./x too"),
    ],
)
def test_paths_in_sentences(text: str, redacted: str | None) -> None:
    done = told(text)
    assert done == (redacted or text.replace(SECRET, "image-1"))


def test_nothing_of_a_path_is_left_anywhere() -> None:
    frame = Redactor().frame(made(f"attached {SECRET}", sentence=f"image {SECRET} is locked; look at ledger.img"))
    text = dump(encode(frame)).decode()
    for part in ("srv", "customers", "acme corp", "ledger"):
        assert part not in text
    assert "acme" in text, "names stay unless they are to go"
    assert frame.snapshot.disks[0].image == "image-1"
    assert frame.snapshot.disks[0].health.sentence == "image image-1 is locked; look at image-1"


def test_the_same_everywhere_and_always() -> None:
    redactor = Redactor(names=True)
    one = redactor.frame(made("1", image="/a.img", domain="web")).snapshot.disks[0]
    other = redactor.frame(made("2", image="/a.img.2", domain="web-2")).snapshot.disks[0]
    again = redactor.frame(made("3", image="/a.img", domain="web")).snapshot.disks[0]
    assert (one.image, other.image, again.image) == ("image-1", "image-2", "image-1")
    assert (one.domain, other.domain, again.domain) == ("domain-1", "domain-2", "domain-1")


@pytest.mark.parametrize(
    ("domain", "text", "redacted"),
    [
        ("web", "xvdb of web is attached", "xvdb of domain-1 is attached"),
        ("web", "web has ended", "domain-1 has ended"),
        ("web", "webserver and my-web are others", "webserver and my-web are others"),
        ("5", "domain 5 has 5 disks", "domain 5 has 5 disks"),
        ("Connected", "Connected", "Connected"),
        ("a.b+c", "xvda of a.b+c", "xvda of domain-1"),
    ],
)
def test_names_in_sentences(domain: str, text: str, redacted: str) -> None:
    assert Redactor(names=True).frame(made(text, domain=domain)).events[0].text == redacted


def test_words_that_are_no_text_stay_what_they_are() -> None:
    frame = Redactor(names=True).frame(made("x", domain="usblkback"))
    disk = frame.snapshot.disks[0]
    assert (disk.domain, disk.kind, disk.mode, disk.vdev) == ("domain-1", "usblkback", "w", "xvdb")
    assert frame.snapshot.domains == (DomainView(0, "Domain-0"), DomainView(3, "domain-1"))


def test_fields_to_come_are_walked_as_well() -> None:
    @dataclass(frozen=True)
    class Write:
        path: str
        value: str
        pairs: tuple[tuple[str, int], ...] = ()
        other: str | None = None

    globals()["Write"] = Write  # the annotations are looked up here
    redactor = Redactor(names=True)
    redactor.learn(made("").snapshot)
    walk = _walk(Write)
    assert walk is not None
    done = walk(redactor, Write("params", SECRET, ((SECRET, 1),), SECRET))
    assert done == Write("params", "image-1", (("image-1", 1),), "image-1")
    assert walk(redactor, Write("domain", "acme")) == Write("domain", "domain-1")
    assert walk(redactor, Write("domain", "x")) == Write("domain", "x")


def test_what_has_no_secret_stays_the_same_object() -> None:
    redactor = Redactor()
    frame = next(frames(1))
    done = redactor.frame(frame)
    was, now = frame.snapshot.disks[0], done.snapshot.disks[0]
    assert now.transitions is was.transitions
    assert now.rings is was.rings
    assert now.latency is was.latency
    empty: Snapshot = replace(frame.snapshot, disks=(), foreign=())
    assert redactor.frame(Frame(0.0, empty)).snapshot is empty


def test_disks_that_others_serve() -> None:
    other = ForeignDisk(
        *(0, "qdisk", "qemu", 4, "bank", 51712, "xvda", "aio:/srv/bank/x y.qcow2", "w", "disk"),
        *(
            0,
            512,
            S.CONNECTED,
            S.CONNECTED,
            1.0,
            True,
            Health(Severity.WARNING, "/srv/bank/x y.qcow2 is slow for bank"),
        ),
    )
    frame = made("x y.qcow2 of bank")
    done = Redactor(names=True).frame(replace(frame, snapshot=replace(frame.snapshot, foreign=(other,))))
    text = dump(encode(done)).decode()
    for part in ("bank", "srv", "qcow2"):
        assert part not in text
    (seen,) = done.snapshot.foreign
    assert seen.image.startswith("image-")
    assert (seen.kind, seen.server, seen.mode, seen.domain) == ("qdisk", "qemu", "w", "domain-2")


def test_the_store_writes_of_a_handshake() -> None:
    writes = (
        StoreWrite(1.0, "backend", "params", SECRET, "backend"),
        StoreWrite(1.0, "backend", "domain", "acme", "toolstack"),
        StoreWrite(1.0, "backend", "frontend", "/local/domain/3/device/vbd/51728", "backend"),
        StoreWrite(1.0, "frontend", "params", f"{SECRET[:20]}…", "frontend"),
    )
    frame = made("")
    disk = replace(frame.snapshot.disks[0], writes=writes)
    done = Redactor(names=True).frame(replace(frame, snapshot=replace(frame.snapshot, disks=(disk,))))
    values = [write.value for write in done.snapshot.disks[0].writes]
    assert values[:3] == ["image-1", "domain-1", "/local/domain/3/device/vbd/51728"]
    assert values[3].startswith("image-")
