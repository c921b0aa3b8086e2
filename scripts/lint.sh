#!/usr/bin/env bash
# Formatting and lints, warnings as errors; licences and advisories too where cargo-deny is installed.
set -euo pipefail
. "$(dirname "$0")/env.sh"

bash scripts/setup.sh lint
# Again: OpenSSL's headers may have come.
. scripts/env.sh

say "rustfmt"
cargo fmt --all --check

say "clippy, the whole workspace"
cargo clippy --workspace --all-targets ${TLS[@]+"${TLS[@]}"} ${LOCKED[@]+"${LOCKED[@]}"} -- -D warnings

say "clippy, the task that bundles the web UI"
cargo clippy --package xtask --features web --all-targets ${LOCKED[@]+"${LOCKED[@]}"} -- -D warnings

if cargo deny --version >/dev/null 2>&1; then
  say "cargo deny: licences, duplicates, sources"
  cargo deny --all-features check bans licenses sources
else
  echo "cargo-deny is not installed: licences, duplicates and sources were not checked (deny.toml)"
fi
