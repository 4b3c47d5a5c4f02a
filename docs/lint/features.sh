#!/usr/bin/env bash
# Lints every combination of features that someone may choose: a binary for one purpose, a crate without its defaults.
# The full set is linted by `make lint` itself.
set -euo pipefail
cd "$(dirname "$0")/../.."

lint() {
    echo "cargo clippy $*"
    cargo clippy --quiet --locked "$@" -- -D warnings
}

for feature in serve call load; do
    lint --package tacet --no-default-features --features "$feature"
done
lint --package tacet --features device-audio
lint --package tacet-native --no-default-features
lint --package tacet-impair --no-default-features
lint --package e2ee-frames --no-default-features
lint --package e2ee-frames --features aws-lc,external-cipher,interop-ctr
lint --package e2ee-identity --no-default-features
lint --package e2ee-messages --no-default-features
lint --package tacet-store
lint --package e2ee-frames-ffi --target wasm32-unknown-unknown
