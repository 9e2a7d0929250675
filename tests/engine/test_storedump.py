# SPDX-License-Identifier: MIT
"""What xenstore-ls prints is read back as it was; what is no dump is refused in one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.diagnose.printed import in_order, indented, whole_paths
from usblkback_tui.engine import storedump
from usblkback_tui.engine.storedump import Dump, decode, parse_dump, tree
from usblkback_tui.protocol.errors import UserError

NAMES = st.text("abcXYZ019-_@", min_size=1, max_size=6)
VALUES = st.binary(max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape"))
TRICKY = st.sampled_from(
    ['"', '" (n0)', '"   (n5,r0)', '\\"', "\\...", " . . .", ' = "x"', "\\x41", 'a\nb = "c"', "", ":"]
)
ACCESS = st.lists(st.tuples(st.sampled_from("nrwb"), st.integers(0, 65535)), min_size=1, max_size=3)


def with_parents(leaves: dict[tuple[str, ...], str]) -> dict[str, str]:
    nodes: dict[str, str] = {}
    for path, value in leaves.items():
        for end in range(1, len(path)):
            nodes.setdefault("/" + "/".join(path[:end]), "")
        nodes["/" + "/".join(path)] = value
    return nodes


STORES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=5).map(tuple), VALUES | TRICKY, min_size=1, max_size=12
).map(with_parents)


def values(dump: Dump) -> dict[str, str]:
    return {path: node.value for path, node in dump.items()}


@given(STORES, ACCESS, st.booleans())
def test_round_trips_of_all_four_forms(store: dict[str, str], access: list[tuple[str, int]], permissions: bool) -> None:
    shown = ",".join(f"{letter}{domid}" for letter, domid in access)
    for printer in (whole_paths, indented):
        dump = parse_dump(printer(in_order(store), (lambda path: shown) if permissions else None))
        assert values(dump) == store
        assert {node.access for node in dump.values()} == {shown if permissions else ""}


def refusal(text: str) -> str:
    try:
        parse_dump(text)
    except UserError as error:
        return str(error)
    return ""


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_garbage_is_a_dump_or_one_line(text: str) -> None:
    said = refusal(text)
    assert said.isprintable()
    assert not said or "xenstore-ls" in said


@given(STORES, st.integers(0, 200), st.integers(0, 20))
def test_a_damaged_dump_is_read_as_far_as_it_goes(store: dict[str, str], at: int, length: int) -> None:
    text = whole_paths(in_order(store))
    damaged = text[:at] + text[at + length :]
    assert not (said := refusal(damaged)) or "no dump of xenstore" in said


def test_the_forms_of_a_line() -> None:
    dump = parse_dump(
        "root@dom0:~# xenstore-ls -fp\n"
        '/tool = ""   . . . . . .  (n0)\r\n'
        '/tool/a = "1\\n2\\t\\\\\\x00\\007\\""  (n0,r5)\n'
        "/secret:\n"
        "  (n0)\n"
        '/long = "abc\\..."\n'
        '/utf = "\\xc3\\xa9\\xff"\n'
    )
    assert values(dump) == {
        "/tool": "",
        "/tool/a": '1\n2\t\\\0\7"',
        "/secret": "",
        "/long": "abc",
        "/utf": "é\udcff",
    }
    assert (dump["/long"].cut, dump["/utf"].cut) == (True, False)
    assert dump["/tool/a"].access == "n0,r5"


def test_an_indented_tree() -> None:
    text = 'tool = ""\n xenstored = ""\nlocal = ""\n domain = ""\n  0 = ""\n   name = "Domain-0"\n  5 = ""\nvm = ""\n'
    dump = parse_dump(text)
    assert dump["/local/domain/0/name"].value == "Domain-0"
    assert tree(dump)["/local/domain"] == ("0", "5")
    assert tree(dump)["/"] == ("tool", "local", "vm")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("\n \n", "it is empty"),
        ("hello world\n", 'its line "hello world" is no node'),
        ("#!/bin/sh\nset -e\n" + '/a = ""\n', "is no node"),
        ('   deep = ""\n', "is no node"),
        ("\x1b[31mred\n", "\\x1b[31mred"),
    ],
)
def test_what_is_no_dump(text: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        parse_dump(text)
    assert words in str(error.value)


def test_a_dump_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storedump, "MAX_NODES", 3)
    with pytest.raises(UserError, match="more than 3 nodes"):
        parse_dump("".join(f'/a{n} = ""\n' for n in range(4)))
    monkeypatch.setattr(storedump, "MAX_BYTES", 1 << 20)
    with pytest.raises(UserError, match="more than 1 MiB"):
        decode(bytes((1 << 20) + 1))
    deep = "/a" * 100
    with pytest.raises(UserError, match="no node"):
        parse_dump(f'{deep} = ""\n')
