#!/usr/bin/env bash
# Prints the folder of Debian's prometheus and promtool for the tests, after fetching them where they are missing. Prints nothing where
# they cannot be had; the test says so.
set -euo pipefail
. "$(dirname "$0")/env.sh"

tools="$CARGO_TARGET_DIR/tools/prometheus"
if [ ! -x "$tools/usr/bin/promtool" ]; then
  command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 || exit 0
  mkdir -p "$tools"
  echo "prometheus.sh: fetching Debian's package prometheus" >&2
  (cd "$tools" && apt-get -qq download prometheus </dev/null >&2 && dpkg -x prometheus_*.deb .) || exit 0
fi
echo "$tools/usr/bin"
