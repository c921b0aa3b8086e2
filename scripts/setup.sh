#!/usr/bin/env bash
# Brings a bare Debian or Ubuntu machine with Rust to where a make target works:
#   scripts/setup.sh run|test|test-full|browser|bench|lint
#
# Idempotent: what is there is left alone, and then it takes under a second. Installs packages as root or with sudo;
# where neither works it prints exactly what to install. Needed things that are missing end with status 1; the wasm
# toolchain is only wished for by `run` (without it every API works, but there is no UI), and so are OpenSSL's headers.
set -euo pipefail
. "$(dirname "$0")/env.sh"

MIN_RUST=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Is dotted version $1 at least $2?
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

apt_updated=no
# Installs Debian packages; 1 when that cannot be done here.
apt_install() {
  command -v apt-get >/dev/null 2>&1 || return 1
  local as=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || return 1
    if [ -t 0 ]; then as=(sudo); else as=(sudo -n); fi
    "${as[@]}" true 2>/dev/null || return 1
  fi
  if [ $apt_updated = no ]; then
    echo "setup: refreshing the package list (up to a minute)"
    "${as[@]}" apt-get -qq -o DPkg::Lock::Timeout=300 update </dev/null || true
    apt_updated=yes
  fi
  echo "setup: installing $* (1 to 3 minutes)"
  "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-remove --no-install-recommends \
    -o DPkg::Lock::Timeout=300 install "$@" </dev/null >/dev/null
}

need_rust() {
  command -v cargo >/dev/null 2>&1 && command -v rustc >/dev/null 2>&1 ||
    fail "Rust $MIN_RUST or later is needed and cargo or rustc was not found. Install it with rustup: https://rustup.rs"
  local version
  version=$(rustc --version | cut -d' ' -f2)
  at_least "${version%%-*}" "$MIN_RUST" ||
    fail "Rust $MIN_RUST or later is needed; this is $version. Try: rustup update stable"
}

# A C compiler: Rust links with it, and zstd and mimalloc are C.
need_cc() {
  if printf '#include <stdio.h>\nint main(void){return 0;}\n' | cc -x c - -o /dev/null 2>/dev/null; then return; fi
  apt_install gcc libc6-dev ||
    fail "a C compiler with its headers is needed. As root: apt-get install gcc libc6-dev"
}

# librdkafka brings C++ along, and is built with make.
need_cxx() {
  if printf 'int main(){return 0;}\n' | c++ -x c++ - -o /dev/null 2>/dev/null && command -v make >/dev/null 2>&1; then return; fi
  apt_install g++ make || fail "a C++ compiler and make are needed. As root: apt-get install g++ make"
}

# cargo's downloads need certificates; minimal images lack them.
need_certificates() {
  if [ -n "${SSL_CERT_FILE:-}" ] || [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs ]; then return; fi
  apt_install ca-certificates || fail "certificates are needed for downloads. As root: apt-get install ca-certificates"
}

wasm_by_rustc() { [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown/lib" ]; }
wasm_by_debian() {
  [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && command -v wasm-ld-19 >/dev/null 2>&1 &&
    [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std" ]
}

# The wasm target by rustup, else Debian's packages that build it; 1 when neither can be had.
wish_wasm() {
  local route=${SPANLIGHT_WASM_ROUTE:-any}
  if [ "$route" != debian ]; then
    if wasm_by_rustc; then return; fi
    if command -v rustup >/dev/null 2>&1; then
      echo "setup: rustup target add wasm32-unknown-unknown (half a minute)"
      timeout 300 rustup target add wasm32-unknown-unknown </dev/null >/dev/null 2>&1 || true
      if wasm_by_rustc; then return; fi
    fi
  fi
  if [ "$route" != rustup ]; then
    if wasm_by_debian; then return; fi
    if apt_install rustc-web cargo-web rust-web-src lld-19 && wasm_by_debian; then return; fi
  fi
  cat >&2 <<'TEXT'
setup: the web UI needs the wasm target of Rust, which could not be installed. Either of:
         rustup target add wasm32-unknown-unknown
         apt-get install rustc-web cargo-web rust-web-src lld-19        (as root; Debian 12 or later)
TEXT
  return 1
}

need_browser() {
  local have=yes
  command -v chromium >/dev/null 2>&1 || have=no
  command -v chromedriver >/dev/null 2>&1 || have=no
  if [ $have = yes ]; then return; fi
  apt_install chromium chromium-driver && command -v chromium >/dev/null && command -v chromedriver >/dev/null ||
    fail "what looks at the web UI needs chromium and chromedriver. On Debian, as root: apt-get install chromium chromium-driver
       (Ubuntu: snap install chromium, which brings chromium.chromedriver; link both to names on the PATH)"
}

# What builds the S3 server that the tests talk to.
need_go() {
  if command -v go >/dev/null 2>&1; then return; fi
  apt_install golang-go && command -v go >/dev/null ||
    fail "the tests with an object store build an S3 server with Go. As root: apt-get install golang-go"
}

# What brings and runs Apache Kafka for the tests.
need_java() {
  if command -v java >/dev/null 2>&1 && command -v mvn >/dev/null 2>&1; then return; fi
  apt_install default-jre-headless maven && command -v java >/dev/null && command -v mvn >/dev/null ||
    fail "the tests with Apache Kafka need Java 17 and Maven. As root: apt-get install default-jre-headless maven"
}

# What the tests with Apache Kafka send with, besides our own client.
need_python() {
  if python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then return; fi
  apt_install python3 python3-venv && python3 -c 'import ensurepip, venv' >/dev/null 2>&1 ||
    fail "the tests with Apache Kafka need Python 3 with venv. As root: apt-get install python3 python3-venv"
}

# OpenSSL's headers, for TLS towards Kafka. Without them that feature is neither built nor linted nor tested.
wish_openssl() {
  if pkg-config --exists openssl 2>/dev/null; then return; fi
  apt_install libssl-dev pkg-config && pkg-config --exists openssl 2>/dev/null ||
    echo "setup: going on without OpenSSL's headers (libssl-dev, pkg-config), and so without TLS and SASL/SCRAM towards Kafka" >&2
}

need_lints() {
  if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then return; fi
  if command -v rustup >/dev/null 2>&1; then
    echo "setup: rustup component add rustfmt clippy (half a minute)"
    rustup component add rustfmt clippy </dev/null || true
  fi
  cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 ||
    fail "rustfmt and clippy are needed: rustup component add rustfmt clippy"
}

what=${1:-}
case $what in
  run | test | test-full | kafka | browser | bench | lint) ;;
  *) echo "setup.sh: say run, test, test-full, kafka, browser, bench or lint" >&2; exit 2 ;;
esac

need_rust
need_certificates
need_cc
need_cxx
mkdir -p "$CARGO_TARGET_DIR"
case $what in
  run)
    wish_wasm || true
    wish_openssl
    ;;
  test-full | browser | bench)
    wish_wasm || fail "what looks at the web UI needs it to be built"
    need_browser
    if [ "$what" = test-full ]; then need_go; need_java; need_python; wish_openssl; fi
    ;;
  kafka)
    need_java
    need_python
    ;;
  lint)
    need_lints
    wish_openssl
    ;;
esac
