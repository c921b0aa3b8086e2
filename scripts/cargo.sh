#!/usr/bin/env bash
# cargo with the project's build folder: scripts/cargo.sh xtask bench
set -euo pipefail
. "$(dirname "$0")/env.sh"
exec cargo "$@"
