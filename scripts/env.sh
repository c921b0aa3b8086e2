# Sourced by the other scripts: where the repository is, where builds go, and where cargo is found.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT" || exit 1

if ! command -v cargo >/dev/null 2>&1 && [ -x "${CARGO_HOME:-${HOME:-}/.cargo}/bin/cargo" ]; then
  PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi

if [ -z "${CARGO_TARGET_DIR:-}" ]; then
  if [ -n "${XDG_CACHE_HOME:-}${HOME:-}" ]; then
    CARGO_TARGET_DIR="${XDG_CACHE_HOME:-$HOME/.cache}/spanlight/target"
  else
    CARGO_TARGET_DIR="$ROOT/target"
  fi
fi
case $CARGO_TARGET_DIR in
  /*) ;;
  *) CARGO_TARGET_DIR="$ROOT/$CARGO_TARGET_DIR" ;;
esac
export PATH CARGO_TARGET_DIR

# CI builds exactly what the lock file says; a developer's build may update it.
LOCKED=()
if [ "${CI:-}" = true ]; then LOCKED=(--locked); fi

# TLS towards Kafka is built in by `make run` and `make demo`, linted, and in full runs tested, where OpenSSL's headers are.
TLS=()
if pkg-config --exists openssl 2>/dev/null; then TLS=(--features kafka-tls); fi

say() { printf '\n== %s\n' "$*"; }
