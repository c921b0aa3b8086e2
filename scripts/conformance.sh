#!/usr/bin/env bash
# Runs a conformance suite against the binary that the tests use: scripts/conformance.sh [name [flags]]
#
# It is built as `cargo test --workspace` builds it, so that no dependency is built twice.
set -euo pipefail
. "$(dirname "$0")/env.sh"

if [ -z "${SPANLIGHT_BIN:-}" ]; then
  cargo test --workspace --test it --no-run ${LOCKED[@]+"${LOCKED[@]}"}
  export SPANLIGHT_BIN="$CARGO_TARGET_DIR/debug/spanlight"
fi
exec cargo xtask conformance "${@:-otlp}"
