# SPDX-License-Identifier: MIT
"""Every command and option.  Imports no command: ``--help`` has to be quick, and most need only a few modules.

Options of the whole program are taken before and after the command's name; their defaults are left out of the namespace
so that one place does not undo the other.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from usblkback_tui import __version__
from usblkback_tui.cli.arguments import json_option as _json
from usblkback_tui.cli.arguments import number, whole
from usblkback_tui.cli.arguments import seconds as _seconds
from usblkback_tui.cli.parser_recordings import add_record, add_replay

_EXAMPLES = """\
examples:
  usblkback-tui                          the terminal UI on this machine's engine
  usblkback-tui demo                     the same on guests simulated in this process, without Xen
  usblkback-tui serve                    an engine without a screen
  usblkback-tui attach web disk.img xvdb give domain web the image disk.img as xvdb
  usblkback-tui status --json            what is attached, for scripts
  usblkback-tui connect                  the terminal UI on an engine that runs already
  usblkback-tui record day.usbr          keep what it does, for usblkback-tui replay day.usbr
  usblkback-tui doctor                   what is missing on this machine, and how to mend it
  usblkback-tui diagnose                 what is wrong with its disks, and what to try

environment: USBLKBACK_SOCKET, USBLKBACK_MAX_DISKS, ... for every key of [engine] and [ui] (docs/settings.md); NO_COLOR
settings:    options over environment over --config FILE, else $XDG_CONFIG_HOME/usblkback-tui/config.toml, else
             /etc/usblkback-tui/config.toml
exit codes:  0 done, 1 failed, 2 wrong usage or nothing to talk to
"""

SORTS = ("dom", "vdev", "reads", "writes", "bytes", "qd", "p50", "p99", "errors", "health")
"""What ``top`` can sort by."""

FRONTENDS = ("linux", "winvbd", "ovmf", "grub", "uboot", "minios", "freebsd", "netbsd", "illumos")
"""What guests of the ``demo`` can have for a driver: ``engine.settings.FRONTENDS``."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The namespace of a command line; ``run`` is the command.  Exits like argparse."""
    return _parser().parse_args(argv)


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    _common_options(common)
    engine = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    _engine_options(engine)
    parser = _Parser(
        prog="usblkback-tui",
        description="A completely userspace block backend for Xen guests, run from a terminal UI.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common, engine],
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--version", action="version", version=f"usblkback-tui {__version__}")
    parser.set_defaults(run=_lazy("tui"))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, summary: str, examples: str, *parents: _Parser) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common, *parents],
        )
        made.set_defaults(run=_lazy(name))
        return made

    demo = command(
        "demo",
        "guests simulated in this process, with the terminal UI or without",
        "  usblkback-tui demo\n  usblkback-tui demo --headless --seconds 5\n"
        "  usblkback-tui demo --json | jq .verified\n  usblkback-tui demo --frontend winvbd\n"
        "  usblkback-tui demo --list\n  usblkback-tui demo --scenario three-of-four",
        engine,
    )
    demo.add_argument("--headless", action="store_true", help="print a line a second instead of showing the UI")
    demo.add_argument(
        "--seconds", type=_seconds, metavar="N", help="end after N seconds (10 when there is no terminal)"
    )
    demo.add_argument("--frontend", choices=FRONTENDS, default="linux", help="the block driver of the guests")
    demo.add_argument(
        "--scenario", metavar="NAME", help="play a failure for training; --list names them (docs/diagnosis.md)"
    )
    demo.add_argument("--list", action="store_true", help="name the failures that can be played, with a sentence each")
    _json(demo, "print the summary as JSON; implies --headless")

    command(
        "serve",
        "run the engine without a screen until SIGTERM",
        "  usblkback-tui serve\n  usblkback-tui serve --config /etc/usblkback-tui/config.toml --wait",
        engine,
    )

    attach = command(
        "attach",
        "give a domain an image as a disk",
        "  usblkback-tui attach web /img/web.raw xvdb\n  usblkback-tui attach 3 /dev/vg/data xvdc --mode r --wait 10\n"
        "  usblkback-tui attach web /img/web.raw xvdb --max-queues 1 --dry-run\n"
        "  usblkback-tui attach new /img/new.raw xvdb --wait    as soon as domain new appears",
    )
    attach.add_argument("domain", metavar="DOMAIN", help="name or domid")
    attach.add_argument("image", metavar="IMAGE", help="raw image file or block device")
    attach.add_argument("vdev", metavar="VDEV", help="the disk's name in the guest, such as xvdb")
    attach.add_argument("--mode", choices=("r", "w"), default="w", help="r: the guest may only read (default: w)")
    attach.add_argument(
        "--dry-run", action="store_true", help="check everything, print what would be written and offered, do nothing"
    )
    attach.add_argument(
        "--device-type", choices=("disk", "cdrom"), default="disk", help="cdrom: always read-only (default: disk)"
    )
    attach.add_argument(
        "--sector-size",
        type=int,
        choices=(512, 4096),
        default=512,
        help="bytes the guest reads and writes at least; 4096 only for guests that are known to take it (default: 512)",
    )
    _disk_options(attach)
    attach.add_argument(
        "--wait",
        dest="wait_seconds",
        type=_seconds,
        metavar="SECONDS",
        nargs="?",
        const=86400.0,
        help="wait for the domain to appear, then until both ends are Connected; exit 1 when they are not after "
        "SECONDS (without a number a day; the option then stands last)",
    )
    _json(attach, "print the disk as JSON")

    resize = command(
        "resize",
        "give a disk another size while the guest uses it",
        "  usblkback-tui resize web xvdb 20G     grow the image file to 20 GiB\n"
        "  usblkback-tui resize web xvdb +5G     by 5 GiB\n"
        "  usblkback-tui resize web xvdb         take over the size the image has by now (block devices)",
    )
    resize.add_argument("domain", metavar="DOMAIN", help="name or domid")
    resize.add_argument("vdev", metavar="VDEV", help="the disk's name in the guest, such as xvdb")
    resize.add_argument(
        "size", metavar="SIZE", nargs="?", help="bytes, or with a suffix: 512M, 10G, 1.5T; +10G grows by that much"
    )
    _json(resize, "print the disk as JSON")

    detach = command(
        "detach",
        "take a disk from a domain",
        "  usblkback-tui detach web xvdb\n  usblkback-tui detach web xvdb --force --wait 3",
    )
    detach.add_argument("domain", metavar="DOMAIN", help="name or domid")
    detach.add_argument("vdev", metavar="VDEV", help="the disk's name in the guest, such as xvdb")
    detach.add_argument("--force", action="store_true", help="take it away when the guest does not let go in time")
    detach.add_argument(
        "--wait",
        dest="wait_seconds",
        type=_seconds,
        metavar="SECONDS",
        help="how long the guest has to let go (default: detach_seconds of the config)",
    )
    _json(detach, "print the outcome as JSON")

    status = command(
        "status", "show what is attached", "  usblkback-tui status\n  usblkback-tui status --json | jq .disks"
    )
    _json(status, "print it as JSON (docs/json.md)")

    watch = command(
        "watch", "print events as they happen", "  usblkback-tui watch\n  usblkback-tui watch --json | jq .text"
    )
    _json(watch, "print each event as a line of JSON (docs/json.md)")

    _top(
        command(
            "top",
            "rates, latency and health of every disk, again and again",
            "  usblkback-tui top\n  usblkback-tui top --sort p99 -d 5\n  usblkback-tui top -b -n 10 > rates.txt\n"
            "  usblkback-tui top --json -n 1 | jq '.disks[].p99_ns'",
        )
    )
    connect = command(
        "connect",
        "the terminal UI on an engine that runs already",
        "  usblkback-tui connect\n  usblkback-tui connect /run/usblkback-tui/engine.sock",
    )
    connect.add_argument(
        "place", nargs="?", metavar="SOCKET", help="its control socket (default: --socket, else this user's place)"
    )
    add_record(command)
    add_replay(command)

    _image(
        command(
            "image",
            "create and look at images",
            "  usblkback-tui image create disk.img 10G\n  usblkback-tui image info disk.img --json",
        ),
        common,
    )

    diagnose = command(
        "diagnose",
        "say what is wrong with disks, with evidence, whose turn it is and what to try",
        "  usblkback-tui diagnose\n  usblkback-tui diagnose web xvdb --json\n"
        "  xenstore-ls -fp > store.txt; usblkback-tui diagnose --from store.txt\n"
        "  ssh host xenstore-ls -fp | usblkback-tui diagnose --from -",
    )
    diagnose.add_argument("domain", nargs="?", metavar="DOMAIN", help="only the disks of this domain (name or domid)")
    diagnose.add_argument("vdev", nargs="?", metavar="VDEV", help="only this disk, such as xvdb")
    diagnose.add_argument(
        "--from",
        dest="dump",
        metavar="FILE",
        help="read what xenstore-ls printed on any host, with -f, -p, both or neither, instead of asking the engine; "
        "- for stdin",
    )
    _json(diagnose, "print it as JSON (docs/json.md)")

    doctor = command(
        "doctor",
        "say what is missing on this machine, and how to mend it",
        "  usblkback-tui doctor\n  usblkback-tui doctor --json | jq .ready",
    )
    _json(doctor, "print it as JSON (docs/json.md)")
    return parser


def _top(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-b", "--batch", action="store_true", help="print one table after the other; for a file")
    parser.add_argument("-n", "--count", type=whole("count", 1, 10**9), metavar="N", help="end after N tables")
    parser.add_argument(
        "-d",
        "--delay",
        type=number("time", 0.1, 3600),
        default=1.0,
        metavar="SECONDS",
        help="from one table to the next; rates are over that long (default: 1)",
    )
    parser.add_argument(
        "--sort",
        choices=SORTS,
        default="dom",
        metavar="COLUMN",
        help=f"what is first: {', '.join(SORTS)} (default: dom)",
    )
    _json(parser, "print each table as a line of JSON (docs/json.md)")


def _image(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = verbs.add_parser(
        "create",
        help="create a raw image of zeros",
        description="Create a raw image of zeros; never overwrites.",
        epilog="examples:\n  usblkback-tui image create disk.img 10G\n"
        "  usblkback-tui image create disk.img 1.5G --preallocate",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    create.add_argument("path", metavar="PATH", help="the file to create")
    create.add_argument("size", metavar="SIZE", help="bytes, or with a suffix: 512M, 10G, 1.5T")
    create.add_argument("--preallocate", action="store_true", help="reserve the space now")
    _json(create, "print the new image as JSON")
    create.set_defaults(run=_lazy("image", "run_create"))
    info = verbs.add_parser(
        "info",
        help="say what an image holds and who uses it",
        description="Say what an image holds and who uses it; writes nothing.",
        epilog="examples:\n  usblkback-tui image info disk.img\n  usblkback-tui image info /dev/vg/data --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    info.add_argument("path", metavar="PATH", help="an image file or a block device")
    _json(info, "print it as JSON (docs/json.md)")
    info.set_defaults(run=_lazy("image", "run_info"))


def _common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read settings from FILE instead of the default places"
    )
    parser.add_argument("--socket", metavar="PATH", help="the engine's control socket")


def _engine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--affinity", type=int, metavar="CPU", help="pin the whole process to one CPU")
    parser.add_argument(
        "--high-priority", action="store_true", default=argparse.SUPPRESS, help="run at a higher scheduling priority"
    )
    parser.add_argument(
        "--wait",
        action="store_true",
        default=argparse.SUPPRESS,
        help="wait for the hypervisor's devices and store to appear instead of failing",
    )
    parser.add_argument(
        "--read-only",
        action="store_true",
        default=argparse.SUPPRESS,
        help="refuse attach, detach, resize and writes to xenstore",
    )
    _disk_options(parser)


def _disk_options(parser: argparse.ArgumentParser) -> None:
    """Settings of [engine] that one command may override; their ranges are checked with those of the file."""
    for name, metavar, text in (
        ("max-ring-page-order", "N", "offer rings of up to 2 to the power of N pages, 0 to 4"),
        ("max-queues", "N", "offer N queues, each with a ring and a thread of its own"),
        ("indirect-segments", "N", "4 KiB pages in one request, 12 to 4096; 0: 11 and no indirect requests"),
        ("persistent-pages", "N", "pages of a guest kept mapped per disk"),
        ("io-engine", "NAME", "auto, sync, io_uring or mmap"),
        ("direct-io", "HOW", "open images past the page cache: yes, no, or auto for block devices alone"),
    ):
        parser.add_argument(f"--{name}", metavar=metavar, default=argparse.SUPPRESS, help=text)


def _lazy(module: str, function: str = "run") -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        command = importlib.import_module(f"usblkback_tui.cli.{module}")
        return int(getattr(command, function)(args))

    return run


class _Parser(argparse.ArgumentParser):
    """One line on stderr in place of argparse's usage and line."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options["allow_abbrev"] = False
        super().__init__(*args, **options)

    def error(self, message: str) -> Any:
        self.exit(2, f"usblkback-tui: {message}; see {self.prog} --help\n")
