#!/usr/bin/env bash
# Prints a Python with confluent-kafka and OpenTelemetry's messages for the tests, after making it where it is missing (a minute, once).
#
# Needs Python 3 with venv.
set -euo pipefail
. "$(dirname "$0")/env.sh"

KAFKA=2.16.1
PROTO=1.45.2
tools="$CARGO_TARGET_DIR/tools/kafka-python-$KAFKA-$PROTO"
if [ ! -e "$tools/complete" ]; then
  echo "kafka_python.sh: fetching confluent-kafka $KAFKA (a minute)" >&2
  rm -rf "$tools"
  python3 -m venv "$tools" >&2
  "$tools/bin/pip" install -q --disable-pip-version-check "confluent-kafka==$KAFKA" "opentelemetry-proto==$PROTO" </dev/null >&2
  touch "$tools/complete"
fi
echo "$tools/bin/python"
