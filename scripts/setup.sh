# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Set-up shared by ./start and ./check; sourced, with the project's root as working directory.
#
#   setup run      Python, a C compiler, a venv in .venv and the project in it
#   setup check    the same, the C code with warnings as errors, the test and lint tools and what the Xen lab is built with
#
# Only what is missing is installed, and a second run with nothing changed takes a fraction of a second.

PYTHON_PACKAGES="python3 python3-venv python3-dev"
COMPILER_PACKAGES="gcc libc6-dev"
LAB_PACKAGES="fdisk qemu-system-x86 mmdebstrap kmod cpio busybox-static erofs-utils xz-utils binutils gcc make libaio-dev zlib1g-dev"

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "$(basename "$0"): $*"
    exit 1
}

# Print the first Python of at least 3.11, or nothing.
find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
}

# Does this Python make a venv with pip in it, and has it the headers that C extensions need?
python_is_whole() {
    [ -n "$1" ] && "$1" -c '
import ensurepip, os, sys, sysconfig, venv
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' 2>/dev/null
}

# Install the Debian packages among the arguments that are missing.
install_packages() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
    done
    [ -z "$missing" ] && return
    command -v apt-get >/dev/null || die "these are missing and there is no apt-get to install them:$missing"
    become=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "these packages are missing:$missing; install them as root"
        become=sudo
    fi
    say "installing$missing"
    # A list of packages that is days old names versions that are gone, so a first failure asks for a new one.
    # shellcheck disable=SC2086
    if ! $become env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1; then
        $become apt-get update -qq || die "apt-get update failed; see its message above"
        $become env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null ||
            die "apt-get could not install$missing; see its message above"
    fi
}

# What the installed project depends on: its packaging, its C sources, the Python below it and the kind of set-up.
fingerprint() {
    {
        echo "$1 $2"
        "$2" -c 'import sys; print(sys.version)'
        find pyproject.toml setup.py usblkback_tui -type f \
            \( -name '*.toml' -o -name '*.h' -o -name '*.c' -o -name setup.py -o -name build.py \) ! -name '_core.c' ! -name '_sim.c' |
            LC_ALL=C sort | xargs cat
    } | cksum
}

setup() {
    kind=$1
    python=$(find_python)
    if ! python_is_whole "$python"; then
        # shellcheck disable=SC2086
        install_packages $PYTHON_PACKAGES
        python=$(find_python)
        [ -n "$python" ] || die "Python 3.11 or newer is missing; install it as python3 or python3.11"
        python_is_whole "$python" || die "$python has no venv module or no headers; install python3-venv and python3-dev for it"
    fi
    if ! echo 'int main(void) { return 0; }' | "${CC:-gcc}" -x c -o /dev/null - 2>/dev/null; then
        # shellcheck disable=SC2086
        install_packages $COMPILER_PACKAGES
    fi
    if [ "$kind" = check ]; then
        # shellcheck disable=SC2086
        install_packages $LAB_PACKAGES
    fi

    wanted=$(fingerprint "$kind" "$python")
    if [ "$(cat .venv/set-up 2>/dev/null)" = "$wanted" ] && [ -x .venv/bin/usblkback-tui ]; then
        return
    fi
    # A checkout that was moved, or a Python that was upgraded, leaves a venv that no longer starts.
    .venv/bin/python -m pip --version >/dev/null 2>&1 || rm -rf .venv
    [ -d .venv ] || "$python" -m venv .venv || die "$python could not make a venv in .venv"
    rm -f .venv/set-up
    extras=
    if [ "$kind" = check ]; then
        extras='[test,lint,bench]'
        USBLK_WERROR=1
        export USBLK_WERROR
    fi
    say "installing usblkback-tui into .venv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$extras" ||
        die "pip could not install the project; see its message above"
    echo "$wanted" >.venv/set-up
}
