#!/usr/bin/env bash
# Builds the web UI and the release binary, then runs it: scripts/run.sh serve|demo [arguments of spanlight]
set -euo pipefail
. "$(dirname "$0")/env.sh"

command=${1:-serve}
if [ $# -gt 0 ]; then shift; fi
case $command in
  serve | demo) ;;
  *) echo "run.sh: say serve or demo, not $command" >&2; exit 2 ;;
esac

bash scripts/setup.sh run
# Again: OpenSSL's headers may have come.
. scripts/env.sh

say "web UI (first time on 2 cores: 5 to 10 minutes; when nothing changed: seconds)"
web=0
cargo xtask web || web=$?
case $web in
  0) ;;
  3) echo "run.sh: going on without a new web UI: every API works, and / says what is missing." ;;
  *) echo "run.sh: the web UI failed to build." >&2; exit "$web" ;;
esac

say "server, release build (first time on 2 cores: about 15 minutes; when nothing changed: seconds)"
cargo build --release -p spanlight ${TLS[@]+"${TLS[@]}"} ${LOCKED[@]+"${LOCKED[@]}"}

say "spanlight $command: data in $ROOT/data, UI on http://127.0.0.1:7726, OTLP on 4317 (gRPC) and 4318 (HTTP); Ctrl-C stops it"
exec "$CARGO_TARGET_DIR/release/spanlight" "$command" --data-dir "$ROOT/data" "$@"
