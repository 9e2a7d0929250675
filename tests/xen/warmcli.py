# SPDX-License-Identifier: MIT
"""Runs in dom0: the project's command line, over and over, in forks of a process that has imported it already.

Under emulation an interpreter and its imports take 5 s, a fork 0.1 s, and a test asks many times.  Each line of input
is a JSON array: a mark and the arguments.  Each answer is one line of JSON: mark, exit code, output of both kinds.
"""

import importlib
import json
import os
import pkgutil
import sys
import tempfile

import usblkback_tui.cli
import usblkback_tui.engine.control


def serve() -> None:
    for package in (usblkback_tui.cli, usblkback_tui.engine.control):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
    for line in sys.stdin:
        mark, arguments = json.loads(line)
        with tempfile.TemporaryFile() as output:
            pid = os.fork()
            if pid == 0:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                code = usblkback_tui.cli.main(arguments)
                sys.stdout.flush()
                os._exit(code)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            output.seek(0)
            print(json.dumps([mark, code, output.read().decode(errors="replace")]), flush=True)


if __name__ == "__main__":
    serve()
