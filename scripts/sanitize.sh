#!/bin/sh
# SPDX-License-Identifier: MIT
# Run the tests of the C code under gcc's address, leak and undefined-behaviour sanitizers: scripts/sanitize.sh [pytest options]
#
# Both extensions are built with the sanitizers into a temporary copy of the package, so the working ones stay as they are.
# Memory the interpreter never gives back is not ours and is suppressed; what our C code allocates and loses is reported.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-$(command -v python || command -v python3)}
cc=${CC:-gcc}
copy=$(mktemp -d "${TMPDIR:-/tmp}/usblkback-sanitize.XXXXXX")
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT TERM

mkdir -p "$copy/tests/engine" "$copy/tests/host"
cp -r usblkback_tui "$copy/"
cp -r tests/engine/datapath "$copy/tests/engine/"
cp -r tests/host/sim "$copy/tests/host/"
cp pyproject.toml "$copy/"
cd "$copy"
find usblkback_tui \( -name '*.so' -o -name '*.o' -o -name _core.c -o -name _sim.c \) -delete

flags="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1"
for build in engine/datapath engine/host/sim; do
    CC=$cc CFLAGS="$flags" LDFLAGS="$flags" USBLK_WERROR=1 PYTHONPATH=$copy \
        "$python" "usblkback_tui/$build/build.py" >build.log 2>&1 || { cat build.log >&2; exit 1; }
done

# Who allocated, two calls deep at most (malloc_context_size), so that none of these can stand behind an allocation of ours:
# the interpreter's own allocators, and the two libraries that call C for it.
cat >leaks.supp <<'END'
leak:PyObject_
leak:PyMem_
leak:gc_alloc
leak:_cffi_backend
leak:_ctypes
END

# The interpreter is not sanitized, so the runtime must be there before it.  Guests are processes of their own: all reports
# go to files, and one file is a failure.
outcome=0
PYTHONPATH=$copy \
    LD_PRELOAD=$($cc -print-file-name=libasan.so) \
    ASAN_OPTIONS=detect_leaks=1:malloc_context_size=3:detect_stack_use_after_return=1:log_path=$copy/report \
    LSAN_OPTIONS=suppressions=$copy/leaks.supp:print_suppressions=0 \
    UBSAN_OPTIONS=print_stacktrace=1:log_path=$copy/report \
    "$python" -m pytest -q -p no:cacheprovider -m "not slow" "$@" tests/engine/datapath tests/host/sim || outcome=$?
for report in "$copy"/report.*; do
    [ -e "$report" ] || continue
    cat "$report" >&2
    outcome=1
done
exit "$outcome"
