# SPDX-License-Identifier: MIT
"""Settings: precedence, every range at both its ends, and errors that name file, key, value and fix."""

from __future__ import annotations

import dataclasses
import os
import re
import typing
from enum import Enum
from pathlib import Path

import pytest
import tomli

from usblkback_tui.engine.config import default_files, environment_names, load_settings, read_file
from usblkback_tui.engine.config_rules import RULES
from usblkback_tui.engine.config_values import ConfigError, key_of
from usblkback_tui.engine.settings import (
    FLAT,
    NAMED,
    AlertSettings,
    DemoSettings,
    DirectIo,
    DiskOptions,
    DiskSettings,
    EngineSettings,
    GuestSettings,
    IoChoice,
    Settings,
    ThemeSettings,
    UiSettings,
)

EXAMPLE = Path(__file__).parents[2] / "config.toml"


@pytest.fixture
def write(tmp_path: Path) -> typing.Callable[[str], Path]:
    def put(text: str) -> Path:
        file = tmp_path / "config.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return put


Write = typing.Callable[[str], Path]


def test_the_example_is_the_defaults() -> None:
    assert read_file(EXAMPLE) == Settings()


def test_the_example_shows_every_key() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    for cls in (EngineSettings, DiskSettings, DiskOptions, GuestSettings, UiSettings, AlertSettings):
        for field in dataclasses.fields(cls):
            shown = f"[ui.{field.name}." if NAMED in field.metadata else f"{field.name} = "
            assert FLAT in field.metadata or shown in text, f"{cls.__name__}.{field.name}"


def test_each_rule_names_a_field() -> None:
    for cls, name in RULES:
        assert name in {field.name for field in dataclasses.fields(cls)}


def test_a_whole_file(write: Write) -> None:
    settings = read_file(
        write(
            """
            [engine]
            kinds = ["vbd", "usblkback"]
            max_disks = 3
            detach_seconds = 2
            persistent_grants = false
            [[disk]]
            domain = "g1"
            image = "/img/a"
            vdev = "xvdb"
            mode = "r"
            [[disk]]
            domain = "g1"
            image = "/img/b"
            vdev = "xvdc"
            [demo]
            guest = [{name = "a", disks = ["xvda", "xvdb"], rate = 5}]
            [ui]
            refresh_hz = 10
            """
        )
    )
    assert settings.engine == EngineSettings(
        kinds=("vbd", "usblkback"), max_disks=3, detach_seconds=2.0, persistent_grants=False
    )
    assert isinstance(settings.engine.detach_seconds, float)
    assert settings.disks == (
        DiskSettings("g1", "/img/a", "xvdb", "r"),
        DiskSettings("g1", "/img/b", "xvdc", "w"),
    )
    assert settings.demo == DemoSettings((GuestSettings("a", ("xvda", "xvdb"), rate=5),))
    assert settings.ui.refresh_hz == 10.0


def test_an_empty_file_is_the_defaults(write: Write) -> None:
    assert read_file(write("")) == Settings()


@pytest.mark.parametrize(
    ("text", "key", "value", "words"),
    [
        ("[engine]\nmax_disk = 3", "engine.max_disk", "", "did you mean 'max_disks'?"),
        ("[engin]\n", "engin", "", "did you mean 'engine'?"),
        ("[engine]\nqqq = 3", "engine.qqq", "", "the keys here are affinity, "),
        ("[[disks]]\ndomain = 'a'", "disks", "", "did you mean 'disk'?"),
        ("[engine]\nmax_disks = '3'", "engine.max_disks", "3", "is '3'; set it to a whole number from 1 to 4096"),
        ("[engine]\nmax_disks = true", "engine.max_disks", "True", "is true; set it to a whole number"),
        ("[engine]\nmax_disks = 2.0", "engine.max_disks", "2.0", "a whole number from 1 to 4096"),
        ("[engine]\npersistent_grants = 1", "engine.persistent_grants", "1", "true or false"),
        ("[engine]\nsocket = 1", "engine.socket", "1", "text in quotes"),
        ("[engine]\nkinds = 'vbd'", "engine.kinds", "vbd", "a list of names"),
        ("[engine]\nkinds = []", "engine.kinds", "[]", "at least one"),
        ("[engine]\nkinds = ['vbd', 'VBD']", "engine.kinds[1]", "VBD", "lower-case letters"),
        ("[engine]\nkinds = ['vbd', 'vbd']", "engine.kinds", "vbd", "twice"),
        ("[engine]\nkinds = ['']", "engine.kinds[0]", "", "lower-case letters"),
        ("[engine]\ndetach_seconds = nan", "engine.detach_seconds", "nan", "a number from 0 to 600"),
        ("[engine]\naffinity = 5000", "engine.affinity", "5000", "a CPU this process may run on"),
        ("engine = 3", "engine", "3", "a table, written as [engine]"),
        ("disk = 3", "disk", "3", "[[disk]]"),
        ("disk = [3]", "disk[0]", "3", "a table"),
        ("[[disk]]\ndomain='a'\nimage='b'\nvdev='xvda'\n[[disk]]\nvdev='xvdb'", "disk[1].domain", "", "is missing"),
        ("[[disk]]\ndomain='a'\nimage='b'\nvdev='vda'", "disk[0].vdev", "vda", "such as xvdb"),
        ("[[disk]]\ndomain='a'\nimage=' '\nvdev='xvda'", "disk[0].image", " ", "not empty"),
        ("[[disk]]\ndomain='a'\nimage='b'\nvdev='xvda'\nmode='rw'", "disk[0].mode", "rw", '"r" or "w"'),
        (
            "[[disk]]\ndomain='a'\nimage='b'\nvdev='xvda'\n[[disk]]\ndomain='a'\nimage='c'\nvdev='xvda'",
            "disk[1].vdev",
            "xvda",
            "the same domain and vdev as disk[0]",
        ),
        ("[[demo.guest]]\nname='a'\n[[demo.guest]]\nname='a'", "demo.guest[1].name", "a", "the same name"),
        ("[[demo.guest]]\nname='a'\ndisks=['xvda', 3]", "demo.guest[0].disks[1]", "3", "such as xvdb"),
        ("[[demo.guest]]\nname='a'\nblock_kib = 6", "demo.guest[0].block_kib", "6", "a multiple of 4"),
        ("[ui]\ntheme = ''", "ui.theme", "", "not empty"),
    ],
)
def test_refusals(write: Write, text: str, key: str, value: str, words: str) -> None:
    file = write(text)
    with pytest.raises(ConfigError) as caught:
        read_file(file)
    assert caught.value.key == key
    assert caught.value.value == value
    assert str(caught.value).startswith(f"{file}: {key} ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "key", "good", "bad"),
    [
        ("engine", "max_disks", (1, 4096), (0, 4097)),
        ("engine", "detach_seconds", (0, 600), (-0.1, 600.1)),
        ("engine", "max_ring_page_order", (0, 4), (-1, 5)),
        ("engine", "max_queues", (1, 16), (0, 17)),
        ("engine", "indirect_segments", (0, 12, 4096), (-1, 1, 11, 4097)),
        ("engine", "persistent_pages", (0, 65536), (-1, 65537)),
        ("engine", "grant_budget", (0, 1048576), (-1, 1048577)),
        ("engine", "persistent_idle_seconds", (0, 86400), (-0.1, 86400.1)),
        ("engine", "response_batch", (1, 64), (0, 65)),
        ("engine", "response_wait_us", (0, 1000), (-1, 1001)),
        ("engine", "poll_us", (0, 1000), (-1, 1001)),
        ("ui", "refresh_hz", (0.5, 10), (0.49, 10.01)),
        ("alerts", "p99_ms", (0, 60000), (-0.5, 60000.5)),
        ("alerts", "errors_percent", (0, 100), (-0.1, 100.1)),
        ("alerts", "stuck_seconds", (0, 86400), (-0.5, 86400.5)),
        ("alerts", "queue_full_seconds", (0, 86400), (-0.5, 86400.5)),
        ("demo.guest", "size_mib", (1, 100_000), (0, -1)),
        ("demo.guest", "read_percent", (0, 100), (-1, 101)),
        ("demo.guest", "block_kib", (4, 1024), (0, 3, 1028)),
        ("demo.guest", "depth", (1, 256), (0, 257)),
        ("demo.guest", "rate", (0, 1_000_000), (-1,)),
    ],
)
def test_ranges(write: Write, table: str, key: str, good: tuple[float, ...], bad: tuple[float, ...]) -> None:
    head = "[[demo.guest]]\nname = 'a'" if table == "demo.guest" else f"[{table}]"
    for value in good:
        settings = read_file(write(f"{head}\n{key} = {value}"))
        part = settings.demo.guests[0] if table == "demo.guest" else getattr(settings, table)
        assert getattr(part, key) == value
    for value in bad:
        with pytest.raises(ConfigError, match=f"{key} is {value}; set it to "):
            read_file(write(f"{head}\n{key} = {value}"))


DISK = "[[disk]]\ndomain = 'g'\nimage = '/i'\nvdev = 'xvdb'"


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("max_ring_page_order", ("0", "4"), ("-1", "5", "true", "'4'")),
        ("max_queues", ("1", "16"), ("0", "17")),
        ("indirect_segments", ("0", "12", "4096"), ("11", "4097")),
        ("persistent_pages", ("0", "65536"), ("-1", "65537")),
        ("sector_size", ("512", "4096"), ("0", "1024", "'512'")),
        ("device_type", ("'disk'", "'cdrom'"), ("'floppy'", "1")),
        ("io_engine", ("'auto'", "'sync'", "'io_uring'", "'mmap'"), ("'null'", "true")),
        ("direct_io", ("'auto'", "true", "false"), ("'yes'", "1")),
    ],
)
def test_options_of_a_disk(write: Write, key: str, good: tuple[str, ...], bad: tuple[str, ...]) -> None:
    for text in good:
        (disk,) = read_file(write(f"{DISK}\n{key} = {text}")).disks
        found = getattr(disk.options, key)
        assert (found.value if isinstance(found, Enum) else found) == tomli.loads(f"v = {text}")["v"]
    for text in bad:
        with pytest.raises(ConfigError, match=rf"disk\[0\]\.{key} is .*; set it to "):
            read_file(write(f"{DISK}\n{key} = {text}"))


def test_an_unknown_option_of_a_disk_is_refused_with_a_suggestion(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"disk\[0\]\.max_queue is unknown; did you mean 'max_queues'"):
        read_file(write(f"{DISK}\nmax_queue = 2"))
    with pytest.raises(ConfigError, match=r"disk\[0\]\.options is unknown"):
        read_file(write(f"{DISK}\noptions = {{}}"))


def test_a_disk_is_served_with_its_own_options_and_else_with_those_of_the_engine() -> None:
    engine = EngineSettings(max_queues=3, persistent_pages=7)
    own = engine.for_disk(DiskOptions(max_queues=1, direct_io=DirectIo.NO))
    assert (own.max_queues, own.persistent_pages, own.direct_io) == (1, 7, DirectIo.NO)
    assert engine.for_disk(DiskOptions()) == engine


def test_an_enum_in_the_words_of_the_file(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"engine\.direct_io is .maybe.; set it to .auto., true or false"):
        read_file(write("[engine]\ndirect_io = 'maybe'"))


def test_affinity_of_an_existing_cpu(write: Write) -> None:
    cpu = min(os.sched_getaffinity(0))
    assert read_file(write(f"[engine]\naffinity = {cpu}")).engine.affinity == cpu


def test_syntax_errors_name_file_and_line(write: Write) -> None:
    file = write("[engine]\nmax_disks = = 3\n")
    with pytest.raises(ConfigError, match=r"no valid TOML: .*line 2") as caught:
        read_file(file)
    assert str(file) in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(b"# ok\n\xff\n")
    with pytest.raises(ConfigError, match="no UTF-8 text at byte 5"):
        read_file(file)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: cannot be read: no such file.*--config"):
        load_settings(tmp_path / "missing.toml", env={})
    with pytest.raises(ConfigError, match="is a directory"):
        load_settings(tmp_path, env={})


def test_keys_are_a_table_of_any_names(write: Write) -> None:
    settings = load_settings(write('[keys]\nattach = ["A"]\nfreeze = ["space", "f"]\nhelp = []\n'), env={})
    assert dict(settings.keys) == {"attach": ("A",), "freeze": ("space", "f"), "help": ()}


@pytest.mark.parametrize(
    "text", ['keys = "a"\n', '[keys]\nattach = "A"\n', "[keys]\nattach = [1]\n", '[keys]\na = [""]\n']
)
def test_keys_that_are_no_lists_of_texts_are_refused(write: Write, text: str) -> None:
    with pytest.raises(ConfigError, match="keys"):
        load_settings(write(text), env={})


def test_precedence(write: Write) -> None:
    file = write("[engine]\nmax_disks = 3\npoll_us = 3\npersistent_pages = 3\n")
    env = {"USBLKBACK_MAX_DISKS": "4", "USBLKBACK_POLL_US": "4"}
    engine = load_settings(file, env=env, options={"max_disks": 5}).engine
    assert (engine.max_disks, engine.poll_us, engine.persistent_pages, engine.indirect_segments) == (5, 4, 3, 256)


def test_default_files_in_order(tmp_path: Path) -> None:
    assert [str(one) for one in default_files({"HOME": "/home/u"})] == [
        "/home/u/.config/usblkback-tui/config.toml",
        "/etc/usblkback-tui/config.toml",
    ]
    assert [str(one) for one in default_files({})] == ["/etc/usblkback-tui/config.toml"]
    own = tmp_path / "usblkback-tui" / "config.toml"
    own.parent.mkdir()
    own.write_text("[engine]\nmax_disks = 7\n")
    assert load_settings(env={"XDG_CONFIG_HOME": str(tmp_path)}).engine.max_disks == 7


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("USBLKBACK_SOCKET", "/tmp/s", "/tmp/s"),
        ("USBLKBACK_KINDS", "vbd, qdisk", ("vbd", "qdisk")),
        ("USBLKBACK_HIGH_PRIORITY", "yes", True),
        ("USBLKBACK_GRANT_COPY", "0", False),
        ("USBLKBACK_DETACH_SECONDS", "2.5", 2.5),
        ("USBLKBACK_AFFINITY", "", None),
        ("USBLKBACK_READ_ONLY", "1", True),
        ("USBLKBACK_REFRESH_HZ", "2", 2.0),
        ("USBLKBACK_THEME", "nord", "nord"),
        ("USBLKBACK_IO_ENGINE", "mmap", IoChoice.MMAP),
        ("USBLKBACK_DIRECT_IO", "auto", DirectIo.AUTO),
        ("USBLKBACK_DIRECT_IO", "off", DirectIo.NO),
        ("USBLKBACK_MAX_QUEUES", "2", 2),
    ],
)
def test_environment(name: str, text: str, value: object) -> None:
    settings = load_settings(Path(EXAMPLE), env={name: text})
    key = name.removeprefix("USBLKBACK_").lower()
    part = settings.ui if key in ("refresh_hz", "theme") else settings.engine
    assert getattr(part, key) == value


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("USBLKBACK_MAX_DISKS", "many", "USBLKBACK_MAX_DISKS is 'many'; set it to a whole number from 1 to 4096"),
        ("USBLKBACK_MAX_DISKS", "0", "USBLKBACK_MAX_DISKS is 0; set it to"),
        ("USBLKBACK_WAIT", "perhaps", "USBLKBACK_WAIT is 'perhaps'; set it to 1 or 0"),
        ("USBLKBACK_MAXDISKS", "3", "USBLKBACK_MAXDISKS is unknown; did you mean 'USBLKBACK_MAX_DISKS'?"),
        ("USBLKBACK_DIRECT_IO", "maybe", "USBLKBACK_DIRECT_IO is 'maybe'; set it to \"auto\", true or false"),
        ("USBLKBACK_IO_ENGINE", "null", 'USBLKBACK_IO_ENGINE is \'null\'; set it to "auto", "sync"'),
        ("USBLKBACK_KINDS", "", "USBLKBACK_KINDS is []; set it to a list with at least one element"),
    ],
)
def test_environment_refusals(name: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(EXAMPLE, env={name: text})
    assert words in str(caught.value)
    assert caught.value.key == name


def test_themes_are_tables_of_any_names(write: Write) -> None:
    settings = load_settings(write('[ui.themes.sea]\nprimary = "#4fa3d1"\ndark = false\n'), env={})
    assert settings.ui.themes == (("sea", ThemeSettings("#4fa3d1", dark=False)),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '[ui.themes.sea]\nprimary = "blue"\n',
            "ui.themes.sea.primary is 'blue'; set it to a colour such as \"#1e90ff\"",
        ),
        ("[ui.themes.sea]\nprimary = 3\n", "ui.themes.sea.primary is 3; set it to a colour"),
        ('[ui.themes.sea]\nerror = "#fff"\n', "ui.themes.sea.primary is missing"),
        (
            '[ui.themes.sea]\nprimary = "#fff"\nprimry = "#fff"\n',
            "ui.themes.sea.primry is unknown; did you mean 'primary'",
        ),
        ('[ui]\nthemes = "sea"\n', "ui.themes is 'sea'; set it to a table"),
        ('[ui.themes]\nsea = "#fff"\n', "ui.themes.sea is '#fff'; set it to a table"),
    ],
)
def test_a_theme_that_cannot_be_names_key_and_fix(write: Write, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        load_settings(write(text), env={})


def test_themes_have_no_variable(write: Write) -> None:
    with pytest.raises(ConfigError, match="USBLKBACK_THEMES is unknown"):
        load_settings(write(""), env={"USBLKBACK_THEMES": "sea"})


def test_options_are_checked_like_keys() -> None:
    with pytest.raises(ConfigError, match="option: --affinity is 9999; set it to the number of a CPU"):
        load_settings(EXAMPLE, env={}, options={"affinity": 9999})


def test_every_engine_and_ui_key_has_a_variable() -> None:
    fields = [*dataclasses.fields(EngineSettings), *dataclasses.fields(UiSettings)]
    fields = [field for field in fields if NAMED not in field.metadata]
    assert set(environment_names()) == {f"USBLKBACK_{field.name.upper()}" for field in fields}
    assert len(fields) == len({field.name for field in fields}), "a key in two tables has one variable"


def test_every_key_and_variable_is_documented() -> None:
    text = (EXAMPLE.parent / "docs" / "settings.md").read_text(encoding="utf-8")
    for name in environment_names():
        assert f"`{name}`" in text
    for table, cls in (
        ("[disk]", DiskSettings),
        ("[disk]", DiskOptions),
        ("[demo.guest]", GuestSettings),
        ("alerts", AlertSettings),
        ("ui.themes.NAME", ThemeSettings),
    ):
        assert f"`[{table}]`" in text
        for field in dataclasses.fields(cls):
            assert FLAT in field.metadata or f"`{field.name}`" in text
    for (owner, name), rule in RULES.items():
        if owner in (EngineSettings, UiSettings, AlertSettings):
            (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` ")]
            for number in re.findall(r"[0-9.]+", rule.expected):
                assert number in row, f"{name}: {rule.expected}"


def test_singular_names_are_for_tables_only() -> None:
    hints = typing.get_type_hints(GuestSettings)
    assert [key_of(field, hints[field.name]) for field in dataclasses.fields(GuestSettings)][:2] == ["name", "disks"]
