#!/usr/bin/env bash
# Prints the path of axe-core's file for the tests of the web UI, after fetching it from npm's registry where it is missing.
# Where that cannot be, it says so and prints nothing: the tests go on without it.
set -euo pipefail
. "$(dirname "$0")/env.sh"

VERSION=4.14.1
tools="$CARGO_TARGET_DIR/tools/axe-core-$VERSION"
if [ ! -f "$tools/package/axe.min.js" ]; then
  mkdir -p "$tools"
  if ! (cd "$tools" && npm pack --silent "axe-core@$VERSION" >&2 && tar xzf "axe-core-$VERSION.tgz"); then
    echo "axe.sh: axe-core $VERSION could not be fetched with npm; pages are not checked with it" >&2
    exit 0
  fi
fi
echo "$tools/package/axe.min.js"
