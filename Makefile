# Every target does its own set-up (scripts/setup.sh) and says what it installs. Compiled dependencies are kept in
# $XDG_CACHE_HOME/spanlight/target, one folder for every clone on a machine; set CARGO_TARGET_DIR to choose another.
#
#   make run ARGS="--http-addr 127.0.0.1:8000"      arguments for `spanlight serve`
#   make bench FILTER=ingest                        benchmarks whose name contains a word

.DEFAULT_GOAL := help
.PHONY: help run demo test test-full bench lint

help:
	@echo "make run        build the web UI and the server, serve on http://127.0.0.1:7726 with data in ./data"
	@echo "make demo       the same, with a simulated shop that sends telemetry"
	@echo "make test       all tests that need nothing but this machine"
	@echo "make test-full  more seeds, a real S3 server, conformance suites, and the UI in headless Chromium"
	@echo "make bench      benchmarks beside their targets (about 40 minutes), kept in target/bench.json"
	@echo "make lint       rustfmt, clippy, and cargo-deny where it is installed"

run:
	@bash scripts/run.sh serve $(ARGS)

demo:
	@bash scripts/run.sh demo $(ARGS)

test:
	@bash scripts/test.sh

test-full:
	@bash scripts/test.sh full

bench:
	@bash scripts/setup.sh bench
	@bash scripts/cargo.sh xtask web
	@bash scripts/cargo.sh xtask bench $(FILTER)

lint:
	@bash scripts/lint.sh
