#!/usr/bin/env bash
# Runs the tests and sums them up: scripts/test.sh [full|kafka|browser]
#
# Plain:   whatever needs nothing but this machine and cargo's registry.
# full:    all of it with more simulation seeds, a real S3 server, Apache Kafka, Debian's Prometheus, the conformance suites, and the UI in headless Chromium.
# kafka:   only those with Apache Kafka itself.
# browser: only the UI in headless Chromium.
set -euo pipefail
. "$(dirname "$0")/env.sh"

mode=${1:-plain}
case $mode in
  plain) bash scripts/setup.sh test ;;
  full)
    bash scripts/setup.sh test-full
    # Again: OpenSSL's headers may have come.
    . scripts/env.sh
    ;;
  kafka | browser) bash scripts/setup.sh "$mode" ;;
  *) echo "test.sh: say nothing, full, kafka or browser, not $mode" >&2; exit 2 ;;
esac

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Prints how many tests ran, from cargo's own closing lines; called on success and on failure.
summary() {
  awk '
    /^test result:/ {
      binaries++
      for (i = 1; i < NF; i++) {
        if ($(i + 1) ~ /^passed/) passed += $i
        if ($(i + 1) ~ /^failed/) failed += $i
        if ($(i + 1) ~ /^ignored/) ignored += $i
      }
    }
    /^test .* \.\.\. FAILED$/ { names[++n] = $2 }
    END {
      printf "\n== %d passed, %d failed, %d ignored in %d test binaries\n", passed, failed, ignored, binaries
      for (i = 1; i <= n; i++) printf "   FAILED %s\n", names[i]
    }' "$log"
}

run() {
  say "$*"
  local status=0
  "$@" 2>&1 | tee -a "$log" || status=$?
  if [ "$status" -ne 0 ]; then
    summary
    echo "test.sh: failed: $*" >&2
    exit "$status"
  fi
}

# The browser tests look at the bundle that the binary embeds, so it is built first.
build_web() {
  local status=0
  say "cargo xtask web"
  cargo xtask web || status=$?
  if [ "$status" -ne 0 ]; then
    echo "test.sh: the browser tests need the web UI, and it was not built" >&2
    exit "$status"
  fi
}

echo "Tests: a first build takes about 15 minutes on 2 cores, later ones a few."
case $mode in
  plain)
    run cargo test --workspace ${LOCKED[@]+"${LOCKED[@]}"}
    ;;
  full)
    build_web
    export SPANLIGHT_SIM_SEEDS="${SPANLIGHT_SIM_SEEDS:-5000}" SPANLIGHT_KILLS="${SPANLIGHT_KILLS:-50}"
    SPANLIGHT_S3_SERVER=$(bash scripts/s3.sh)
    SPANLIGHT_AXE=$(bash scripts/axe.sh)
    export SPANLIGHT_AXE
    SPANLIGHT_PROMETHEUS=$(bash scripts/debian.sh prometheus promtool)
    SPANLIGHT_NODE_EXPORTER=$(bash scripts/debian.sh prometheus-node-exporter prometheus-node-exporter)
    export SPANLIGHT_PROMETHEUS SPANLIGHT_NODE_EXPORTER
    SPANLIGHT_KAFKA_LIB=$(bash scripts/kafka.sh)
    SPANLIGHT_KAFKA_PYTHON=$(bash scripts/kafka_python.sh)
    export SPANLIGHT_KAFKA_PYTHON SPANLIGHT_KAFKA_LIB SPANLIGHT_KAFKA_MESSAGES="${SPANLIGHT_KAFKA_MESSAGES:-200000}"
    export SPANLIGHT_S3_SERVER AWS_ACCESS_KEY_ID=test-access AWS_SECRET_ACCESS_KEY=test-secret
    SPANLIGHT_BROWSER=1 run cargo test --workspace ${TLS[@]+"${TLS[@]}"} ${LOCKED[@]+"${LOCKED[@]}"}
    run cargo test --package xtask --features web ${LOCKED[@]+"${LOCKED[@]}"}
    run bash scripts/conformance.sh otlp
    run bash scripts/conformance.sh traceql
    run bash scripts/conformance.sh jaeger
    run bash scripts/conformance.sh promql
    run bash scripts/conformance.sh promql --http
    ;;
  kafka)
    SPANLIGHT_KAFKA_LIB=$(bash scripts/kafka.sh)
    SPANLIGHT_KAFKA_PYTHON=$(bash scripts/kafka_python.sh)
    export SPANLIGHT_KAFKA_LIB SPANLIGHT_KAFKA_PYTHON
    # The same features as `cargo test --workspace`, so that no dependency is built twice.
    run cargo test --workspace --test it ${LOCKED[@]+"${LOCKED[@]}"} -- kafka::real
    ;;
  browser)
    build_web
    run cargo test --package xtask --features web ${LOCKED[@]+"${LOCKED[@]}"}
    SPANLIGHT_AXE=$(bash scripts/axe.sh)
    export SPANLIGHT_AXE
    # The same features as `cargo test --workspace`, so that no dependency is built twice.
    SPANLIGHT_BROWSER=1 run cargo test --workspace --test it ${LOCKED[@]+"${LOCKED[@]}"} -- browser
    ;;
esac
summary
