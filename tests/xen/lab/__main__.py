# SPDX-License-Identifier: MIT
"""Play with the lab by hand: python -m tests.xen.lab boot|shell|exec|copy|stop|build|clean."""

import argparse
import sys

from . import states
from .byhand import attach, copy_in, hold, stop
from .cache import cache_root, remove
from .host import CommandFailed, LabUnavailable, prepare_host
from .link import LinkLost
from .recipes import build_all

STATES = {"base": states.base, "staged": states.staged}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.xen.lab", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("build", help="build everything and freeze the machines")
    boot = verbs.add_parser("boot", help="start a machine and hold it until Ctrl+C or 'stop'")
    boot.add_argument("--state", choices=STATES, default="staged", help="the frozen machine (default: %(default)s)")
    verbs.add_parser("shell", help="a root shell in dom0 of the machine that 'boot' holds")
    execute = verbs.add_parser("exec", help="run one command there and exit with its code")
    execute.add_argument("command", nargs="+")
    copy = verbs.add_parser("copy", help="copy a file into dom0")
    copy.add_argument("source")
    copy.add_argument("target", help="absolute path in dom0")
    verbs.add_parser("stop", help="end the machine that 'boot' holds")
    verbs.add_parser("clean", help="remove all that was built")
    args = parser.parse_args()
    try:
        return _do(args)
    except (LabUnavailable, CommandFailed, LinkLost, OSError) as error:
        print(f"xen lab: {error}", file=sys.stderr)
        return 1


def _do(args: argparse.Namespace) -> int:
    match args.verb:
        case "build":
            _build()
            states.staged().get()
        case "boot":
            _build()
            hold(STATES[args.state]().get())
        case "shell":
            return attach("exec bash -l")
        case "exec":
            return attach(" ".join(args.command))
        case "copy":
            return copy_in(args.source, args.target)
        case "stop":
            return stop()
        case "clean":
            remove(cache_root())
    return 0


def _build() -> None:
    prepare_host()
    build_all()


if __name__ == "__main__":
    sys.exit(main())
