#!/usr/bin/env bash
# Prints the folder of programs of one of Debian's packages for tests and benchmarks, after fetching it where it is missing:
# scripts/debian.sh PACKAGE PROGRAM. Prints nothing where it cannot be had; who asked says so.
set -euo pipefail
. "$(dirname "$0")/env.sh"

package=$1 program=$2
tools="$CARGO_TARGET_DIR/tools/debian/$package"
if [ ! -x "$tools/usr/bin/$program" ]; then
  command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 || exit 0
  mkdir -p "$tools"
  echo "debian.sh: fetching Debian's package $package" >&2
  (cd "$tools" && apt-get -qq download "$package" </dev/null >&2 && dpkg -x "$package"_*.deb .) || exit 0
fi
echo "$tools/usr/bin"
