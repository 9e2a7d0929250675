# SPDX-License-Identifier: MIT
"""``diagnose``: what is wrong with the disks of the running engine, or of a saved dump of xenstore.

Exit codes: 0 nothing is wrong, 1 something is, 2 it could not be told.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from usblkback_tui.cli.common import remote, settings_of
from usblkback_tui.cli.output import JSON_VERSION, UsageError, counted, one_line, paint, print_json, table
from usblkback_tui.engine.diagnose import diagnose
from usblkback_tui.engine.diagnose.offline import diagnose_dump
from usblkback_tui.engine.snapshot import Finding, Snapshot
from usblkback_tui.engine.storedump import MAX_BYTES, decode, parse_dump
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.vdev import parse_vdev, vdev_name

Key = tuple[int, int]

_SIGNS = {"error": "✖", "warning": "▲", "info": "·", "good": "●"}


@dataclass(frozen=True, slots=True)
class _Report:
    """What was looked at, and what was found."""

    findings: tuple[Finding, ...]
    vbds: tuple[Key, ...]
    names: dict[int, str]


def run(args: argparse.Namespace) -> int:
    """Print the findings."""
    try:
        report = _chosen(_from_dump(args.dump) if args.dump else _from_engine(args), args.domain, args.vdev)
    except UserError as error:
        raise UsageError(error.problem, fix=error.fix, key=error.key, value=error.value) from None
    if args.json:
        print_json(document(report.findings))
    else:
        print_findings(report.findings, report.names)
        looked = counted(len(report.vbds), "disk")
        found = counted(len(report.findings), "finding") if report.findings else "nothing is wrong"
        print(f"{found}; {looked} looked at")
    return 1 if report.findings else 0


def document(findings: Iterable[Finding]) -> dict[str, Any]:
    """``diagnose --json``: a contract, so it is spelled out."""
    return {
        "version": JSON_VERSION,
        "findings": [
            {
                "id": one.id,
                "severity": one.severity.value,
                "domid": one.domid,
                "vdev": one.vdev,
                "sentence": one.sentence,
                "evidence": dict(one.evidence),
                "waiting_for": one.waiting_for.value,
                "try": list(one.tries),
            }
            for one in findings
        ],
    }


def print_findings(findings: Iterable[Finding], names: dict[int, str]) -> None:
    """For people: what, why, whose turn, what to try."""
    for one in findings:
        name = names.get(one.domid)
        domain = f"{name} (domain {one.domid})" if name else f"domain {one.domid}"
        title = f"{one.vdev} of {domain}" if one.vdev else "the engine"
        print(paint(one_line(f"{_SIGNS[one.severity.value]} {title}: {one.sentence}"), one.severity.value))
        rows = [("rule", f"{one.id} ({one.severity.value})"), *one.evidence]
        deadline = f", who should not take longer than {one.deadline:g} s" if one.deadline else ""
        rows.append(("waiting for", one.waiting_for.value + deadline))
        rows += [("try" if at == 0 else "", what) for at, what in enumerate(one.tries)]
        for line in table([("  ", *row) for row in rows]):
            print(line)
        print()


def _from_engine(args: argparse.Namespace) -> _Report:
    with remote(settings_of(args)) as engine:
        snapshot = engine.snapshot()
    names = {domain.domid: domain.name for domain in snapshot.domains}
    names |= {disk.domid: disk.domain for disk in snapshot.disks if disk.domain != str(disk.domid)}
    return _Report(diagnose(snapshot, snapshot.time), tuple(_vbds(snapshot)), names)


def _vbds(snapshot: Snapshot) -> Iterable[Key]:
    yield from (disk.key for disk in snapshot.disks)
    yield from (disk.key for disk in snapshot.foreign)
    yield from ((one.domid, one.devid) for one in snapshot.refused)


def _from_dump(place: str) -> _Report:
    try:
        if place == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open(place, "rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(
            f"{place} cannot be read: {error.strerror}", fix="name a saved xenstore-ls", key="from"
        ) from error
    seen = diagnose_dump(parse_dump(decode(data)))
    return _Report(seen.findings, seen.vbds, seen.names)


def _chosen(report: _Report, domain: str | None, vdev: str | None) -> _Report:
    """Only what a domain, or a disk of it, is concerned with.  Raises UserError when there is none."""
    if domain is None:
        return report
    domids = {domid for domid, name in report.names.items() if name == domain} or {
        domid for domid in (*report.names, *(one for one, _ in report.vbds)) if str(domid) == domain
    }
    number = parse_vdev(vdev).number if vdev else None
    vbds = tuple(key for key in report.vbds if key[0] in domids and number in (None, key[1]))
    if not vbds:
        what = f"{vdev_name(number)} of {domain}" if number is not None else f"a disk of {domain}"
        known = ", ".join(
            f"{vdev_name(devid)} of {report.names.get(domid, domid)}" for domid, devid in report.vbds[:20]
        )
        raise UserError(f"{what} is not there", fix=known or "there are no disks", key="domain", value=domain)
    wanted = {(domid, vdev_name(devid)) for domid, devid in vbds}
    findings = tuple(one for one in report.findings if (one.domid, one.vdev) in wanted or not one.vdev)
    return _Report(findings, vbds, report.names)
