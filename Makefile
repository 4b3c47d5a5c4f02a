# `make run` starts a call server with its page, `make test` passes all tests; both set up what they need.
# Debian packages are installed only where a command is missing; without root rights the command to run is printed.

.DEFAULT_GOAL := help
SHELL := /bin/bash

WEB := clients/web
WASM := $(WEB)/src/e2ee/e2ee_frames.wasm
WEB_SOURCES := $(shell find $(WEB) -path $(WEB)/node_modules -prune -o -path $(WEB)/dist -prune -o -type f \
	\( -name '*.ts' -o -name '*.html' -o -name '*.css' -o -name '*.svg' -o -name 'package*.json' \) -print 2>/dev/null)
CRYPTO_SOURCES := $(shell find e2ee-frames -name '*.rs' -o -name Cargo.toml) Cargo.lock
TARGET ?= $(or $(CARGO_TARGET_DIR),target)

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

## Setting up

# $(call install,COMMAND,DEBIAN PACKAGE): install the package unless the command is there.
define install
@command -v $(1) >/dev/null || { \
	if [ "$$(id -u)" = 0 ]; then sudo=; elif command -v sudo >/dev/null; then sudo=sudo; \
	else echo "$(1) is missing. Install it, for example: apt-get install $(2)" >&2; exit 1; fi; \
	command -v apt-get >/dev/null || { echo "$(1) is missing, and this is no Debian: install $(2)" >&2; exit 1; }; \
	echo "Installing $(2)"; \
	$$sudo apt-get update -qq; \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(2) >/dev/null; }
endef

.PHONY: setup
setup: ## Install what building needs: a C compiler, cmake, the wasm target, npm packages.
	@command -v cargo >/dev/null || { echo "Rust is missing: https://rustup.rs" >&2; exit 1; }
	@command -v node >/dev/null || { echo "Node.js 20.19 or newer is missing: https://nodejs.org" >&2; exit 1; }
	@node -e 'process.exit(+(process.versions.node.split(".").reduce((n, part, i) => n + part / 1e3 ** i, 0) < 20.019))' \
		|| { echo "Node.js 20.19 or newer is needed, this is $$(node --version)" >&2; exit 1; }
	$(call install,cc,gcc libc6-dev)
	$(call install,cmake,cmake)
	@rustc --print target-libdir --target wasm32-unknown-unknown | xargs -I{} test -d {} \
		|| rustup target add wasm32-unknown-unknown
	@$(MAKE) --no-print-directory $(WEB)/node_modules/.package-lock.json

.PHONY: setup-browsers
setup-browsers: ## Install what the browser tests need: Chromium, Firefox, ip and unshare.
	$(call install,chromium,chromium)
	$(call install,firefox-esr,firefox-esr)
	$(call install,ip,iproute2)
	$(call install,unshare,util-linux)

$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json
	cd $(WEB) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

## Building

$(WASM): $(CRYPTO_SOURCES)
	cargo build --locked --package e2ee-frames-ffi --target wasm32-unknown-unknown --profile wasm
	cp $(TARGET)/wasm32-unknown-unknown/wasm/e2ee_frames_ffi.wasm $@

.PHONY: web
web: setup $(WEB)/dist/index.html ## Build the web client that the binary embeds.

$(WEB)/dist/index.html: $(WASM) $(WEB_SOURCES) $(WEB)/node_modules/.package-lock.json
	cd $(WEB) && npm run --silent build
	@touch $@

.PHONY: build
build: web ## Build the call server with its page: target/release/tacet.
	cargo build --locked --release --no-default-features --features serve

.PHONY: run
run: build ## Start a call server with its page on this machine.
	$(TARGET)/release/tacet serve

## Testing

.PHONY: test
test: test-rust simulate test-web test-browsers ## Pass all tests.

.PHONY: test-rust
test-rust: web ## Pass the Rust tests.
	cargo test --locked --workspace

.PHONY: simulate
simulate: ## Simulate calls from 100,000 seeds; SEEDS=1000000 FIRST_SEED=500000 for others.
	SEEDS=$(or $(SEEDS),100000) REAL_SEEDS=$(or $(REAL_SEEDS),500) cargo test --locked --package e2ee-frames --lib \
		--profile simulation simulation -- --nocapture --test-threads=1

.PHONY: test-web
test-web: web ## Pass the unit tests of the web client.
	cd $(WEB) && npm run --silent test

.PHONY: test-browsers
test-browsers: setup-browsers web ## Call between real browsers through the built binary.
	cargo build --locked
	cd $(WEB) && TACET=$(abspath $(TARGET))/debug/tacet e2e/namespace npm run --silent test:e2e

.PHONY: bench
bench: ## Run the benchmarks.
	cargo bench --locked --package tacet-benches

## Keeping the code well

.PHONY: lint
lint: setup ## Check formatting, lints, types and licences.
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cd $(WEB) && npm run --silent lint
	@command -v cargo-deny >/dev/null || cargo install --quiet cargo-deny@0.20.2
	cargo deny --offline check licenses bans sources

.PHONY: fmt
fmt: setup ## Format the code.
	cargo fmt --all
	cd $(WEB) && npm run --silent format

.PHONY: types
types: ## Regenerate the TypeScript types of the wire messages.
	UPDATE=1 cargo test -p tacet-proto --test typescript
