#!/bin/sh
# Make .venv ready: scripts/setup.sh base|dev. Safe to repeat; does nothing when nothing changed.
set -eu
cd "$(dirname "$0")/.."
want=${1:?usage: scripts/setup.sh base|dev}
lock=requirements/$want.txt
stamp=.venv/.littoral-$want

die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if is_new_enough "$candidate"; then command -v "$candidate"; return; fi
    done
    die 'Python 3.11 or newer is needed. On Debian 12 or Ubuntu 24.04: apt-get install python3 python3-venv. Or name one: make up PYTHON=/path/to/python3'
}

install_ensurepip() {
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    command -v apt-get >/dev/null || die "$1 cannot make virtual environments: its module ensurepip is missing"
    [ "$(id -u)" = 0 ] || die "$1 cannot make virtual environments; run: sudo apt-get install -y python$version-venv"
    printf 'setup: installing python%s-venv\n' "$version"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "python$version-venv" >/dev/null ||
        die "apt-get install python$version-venv failed; install it by hand and try again"
}

make_venv() {
    python=$(find_python) || exit 1
    "$python" -c 'import ensurepip' 2>/dev/null || install_ensurepip "$python"
    rm -rf .venv
    "$python" -m venv .venv
}

digest=$(cat "$lock" pyproject.toml scripts/setup.sh | sha256sum | cut -d ' ' -f 1)
is_new_enough .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1 || make_venv
if [ "$(cat "$stamp" 2>/dev/null)" != "$digest" ]; then
    printf 'setup: installing %s packages into .venv\n' "$(grep -c '==' "$lock")"
    pip='.venv/bin/python -m pip --disable-pip-version-check --no-input'
    $pip install --quiet --require-hashes --only-binary :all: -r "$lock"
    $pip install --quiet --no-deps --no-build-isolation --no-index -e .
    printf '%s\n' "$digest" >"$stamp"
fi
