#!/usr/bin/env bash
# Prints the path of an S3 server for the tests, after building it where it is missing (a few minutes, once).
#
# versitygw: S3 on a folder, which survives its stop and compares `If-None-Match` under a lock. Needs Go.
set -euo pipefail
. "$(dirname "$0")/env.sh"

VERSION=v1.8.0
tools="$CARGO_TARGET_DIR/tools/versitygw-$VERSION"
if [ ! -x "$tools/versitygw" ]; then
  echo "s3.sh: building the S3 server versitygw $VERSION (a few minutes)" >&2
  GOBIN="$tools" GOFLAGS= go install "github.com/versity/versitygw/cmd/versitygw@$VERSION" >&2
fi
echo "$tools/versitygw"
