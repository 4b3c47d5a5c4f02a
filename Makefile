# `make run` starts a call server with its page, `make test` runs all tests; both set up what they need.
# Debian packages are installed only where a command is missing; without root, the command to run is printed.

.DEFAULT_GOAL := help
SHELL := /bin/bash

WEB := clients/web
WASM := $(WEB)/src/e2ee/e2ee_frames.wasm
WEB_SOURCES := $(shell find $(WEB) -path $(WEB)/node_modules -prune -o -path $(WEB)/dist -prune -o -type f \
	\( -name '*.ts' -o -name '*.html' -o -name '*.css' -o -name '*.svg' -o -name 'package*.json' \) -print 2>/dev/null)
CRYPTO_SOURCES := $(shell find e2ee-frames -name '*.rs' -o -name Cargo.toml) Cargo.lock
TARGET ?= $(or $(CARGO_TARGET_DIR),target)
# One profile and one feature set for every debug build, so that no dependency is compiled twice. `cargo test` and
# `cargo clippy` take the same arguments; `--tests` keeps the features of development dependencies.
WORKSPACE := --locked --workspace --features tacet-native/device-audio

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

## Setting up

# $(call install,COMMAND,DEBIAN PACKAGE): install the package unless the command is there.
install = $(call install_unless,command -v $(1),$(2))

# $(call install_unless,CHECK,DEBIAN PACKAGE): the same for libraries and headers.
define install_unless
@$(1) >/dev/null 2>&1 || { \
	if [ "$$(id -u)" = 0 ]; then sudo=; elif command -v sudo >/dev/null; then sudo=sudo; \
	else echo "Missing: $(2). Install it, for example: apt-get install $(2)" >&2; exit 1; fi; \
	command -v apt-get >/dev/null || { echo "Missing, and this is no Debian: $(2)" >&2; exit 1; }; \
	echo "Installing $(2)"; \
	$$sudo apt-get update -qq; \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(2) >/dev/null; }
endef

.PHONY: setup
setup: ## Install what building needs: a C compiler, cmake, the wasm target, npm packages.
	@command -v cargo >/dev/null || { echo "Rust is missing: https://rustup.rs" >&2; exit 1; }
	@cargo --version >/dev/null 2>&1 || rustup toolchain install
	@command -v node >/dev/null || { echo "Node.js 20.19 or newer is missing: https://nodejs.org" >&2; exit 1; }
	@node -e 'process.exit(+(process.versions.node.split(".").reduce((n, part, i) => n + part / 1e3 ** i, 0) < 20.019))' \
		|| { echo "Node.js 20.19 or newer is needed, this is $$(node --version)" >&2; exit 1; }
	$(call install,cc,gcc libc6-dev)
	$(call install,cmake,cmake)
	@rustc --print target-libdir --target wasm32-unknown-unknown | xargs -I{} test -d {} \
		|| rustup target add wasm32-unknown-unknown
	@$(MAKE) --no-print-directory $(WEB)/node_modules/.package-lock.json

.PHONY: setup-browsers
setup-browsers: ## Install what the browser tests need: Chromium, Firefox, vpxenc, ip and unshare.
	$(call install,chromium,chromium)
	$(call install,firefox-esr,firefox-esr)
	$(call install,vpxenc,vpx-tools)
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
test: test-rust test-dashboard test-c test-python test-examples test-web test-browsers ## Run all tests.

# Headers of ALSA, for the microphone and loudspeaker. Tests use ALSA's file devices, so no sound card is needed.
.PHONY: setup-rust
setup-rust: web setup-namespace
	$(call install,vpxenc,vpx-tools)
	$(call install_unless,test -e /usr/include/alsa/asoundlib.h,libasound2-dev pkg-config)
	$(call install_unless,ls /usr/lib/postgresql/*/bin/postgres,postgresql)

.PHONY: test-rust
test-rust: setup-rust ## Run the Rust tests; fuzz corpora and short simulations are among them.
	cargo test $(WORKSPACE)

.PHONY: debug
debug: setup-rust ## Build every crate in the debug profile: target/debug/tacet.
	cargo build $(WORKSPACE) --lib --bins --tests

# Unit tests of the crates with changes since they left origin/main (or BASE=…), after the quick checks.
BASE ?= $(shell git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD)
.PHONY: check
check: setup-rust ## Check format, words and lints, and run the unit tests of crates that changed: the quick loop.
	cargo fmt --all --check
	docs/lint/words.py
	cargo clippy $(WORKSPACE) --all-targets -- -D warnings
	docs/lint/changed_tests.py $(BASE) $(WORKSPACE)

PYTHON := $(TARGET)/python/bin/python -B

# The C library comes last: the whole workspace makes one of the same name with another cipher library.
.PHONY: test-python
test-python: debug c-library $(TARGET)/python/installed ## Check signaling, the HTTP API, frame encryption, identities, messages and transparency log against Python.
	$(PYTHON) e2ee-frames/vectors/check.py
	$(PYTHON) e2ee-frames/identity/vectors/check.py
	$(PYTHON) e2ee-frames/messages/vectors/check.py
	$(PYTHON) e2ee-frames/vectors/peer.py $(TARGET)/debug/libe2ee_frames_ffi.so
	$(PYTHON) e2ee-frames/tlog/vectors/check.py
	PYTHONPATH=e2ee-frames/vectors $(PYTHON) signaling/tests/python/check.py $(TARGET)/debug/tacet
	$(PYTHON) signaling/tests/python/api.py $(TARGET)/debug/tacet

$(TARGET)/python/installed: e2ee-frames/vectors/requirements.txt signaling/tests/python/requirements.txt \
		signaling/tests/python/api-requirements.txt
	$(call install_unless,python3 -c "import ensurepip; import venv",python3 python3-venv)
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes $(foreach file,$^,--requirement $(file))
	@touch $@

EXAMPLES := $(TARGET)/examples

.PHONY: test-examples
test-examples: debug ## Run the web apps of docs/examples against a server, with a caller.
	cd $(WEB) && npx --no-install tsc --ignoreConfig --outDir $(abspath $(EXAMPLES)) --target es2022 --module nodenext \
		--moduleResolution nodenext --types node --typeRoots node_modules/@types --strict --noUncheckedIndexedAccess \
		../../docs/examples/support_tickets.ts
	docs/examples/check.py $(TARGET)/debug/tacet docs/examples/support_tickets.py $(EXAMPLES)/support_tickets.js

# With the features it is shipped with: the whole workspace would give it another cipher library.
.PHONY: c-library
c-library: setup
	cargo build --locked --package e2ee-frames-ffi

FFI := e2ee-frames/ffi
FFI_LIBRARY := $(TARGET)/debug/libe2ee_frames_ffi.a
CC_STRICT := cc -std=c11 -g -Wall -Wextra -Werror -pedantic -I$(FFI)/include

# AddressSanitizer watches the C side and what it frees; valgrind watches every byte that the library itself touches.
.PHONY: test-c
test-c: c-library ## Build and run the C example and the C tests, also under AddressSanitizer and valgrind.
	$(call install,cc,gcc libc6-dev)
	$(call install,g++,g++)
	$(call install,valgrind,valgrind)
	mkdir -p $(TARGET)/c
	g++ -std=c++11 -Wall -Wextra -Werror -pedantic -fsyntax-only -x c++ $(FFI)/include/e2ee_frames.h
	set -e; for source in $(FFI)/examples/call.c $(FFI)/tests/exact_buffers.c; do \
		program=$(TARGET)/c/$$(basename $$source .c); \
		$(CC_STRICT) $$source $(FFI_LIBRARY) -o $$program -lpthread -ldl -lm; \
		$(CC_STRICT) -fsanitize=address,undefined -fno-sanitize-recover=all $$source $(FFI_LIBRARY) \
			-o $$program-checked -lpthread -ldl -lm; \
		$$program; \
		$$program-checked; \
		valgrind --quiet --error-exitcode=1 --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all \
			$$program; \
	done

PROMETHEUS := $(TARGET)/prometheus/usr/bin

.PHONY: test-dashboard
test-dashboard: debug $(PROMETHEUS)/promtool ## Check dashboard and alerts against a real Prometheus and a call.
	PATH="$(abspath $(PROMETHEUS)):$$PATH" docs/grafana/check.py $(TARGET)/debug/tacet

# Debian's package is unpacked and not installed, which would start a service.
$(PROMETHEUS)/promtool:
	@command -v apt-get >/dev/null || { echo "Missing, and this is no Debian: prometheus" >&2; exit 1; }
	@mkdir -p $(TARGET)/prometheus
	cd $(TARGET)/prometheus && rm -f *.deb && { apt-get download -qq prometheus \
		|| { sudo=$$(command -v sudo || true); $$sudo apt-get update -qq && apt-get download -qq prometheus; }; }
	dpkg-deb --extract $(TARGET)/prometheus/*.deb $(TARGET)/prometheus

.PHONY: test-web
test-web: web ## Run the unit tests of the web client.
	cd $(WEB) && npm run --silent test

.PHONY: test-browsers
test-browsers: setup-browsers debug ## Call between real browsers through the built binary.
	cd $(WEB) && TACET=$(abspath $(TARGET))/debug/tacet e2e/namespace npm run --silent test:e2e

## Exploring: longer runs of what `make test` does briefly

.PHONY: layers
layers: setup-browsers debug ## Switch layers between real browsers, every codec both ways, and print what it cost.
	cd $(WEB) && TACET=$(abspath $(TARGET))/debug/tacet e2e/namespace npm run --silent layers

.PHONY: record-descriptors
record-descriptors: setup-browsers $(WASM) $(WEB)/node_modules/.package-lock.json ## Record the RTP headers of browsers for the tests.
	cd $(WEB) && e2e/namespace npm run --silent record descriptors

.PHONY: record-images
record-images: setup-browsers $(WEB)/node_modules/.package-lock.json ## Record the images that the bots of `tacet load` send.
	cd $(WEB) && npm run --silent record images

.PHONY: chaos
chaos: chaos-native chaos-browsers ## Kill servers, cut networks and freeze pages under calls, for a long time.

.PHONY: chaos-native
chaos-native: setup-rust
	for seed in 1 2 3; do CHAOS_SEED=$$seed CHAOS_PEOPLE=5 CHAOS_BLOWS=20 CHAOS_LONGEST=$$((seed * 20 - 12)) \
		cargo test $(WORKSPACE) --test client chaos -- --nocapture || exit; done

.PHONY: chaos-browsers
chaos-browsers: setup-browsers debug
	cd $(WEB) && CHAOS=1 TACET=$(abspath $(TARGET))/debug/tacet e2e/namespace npm run --silent test:e2e -- outages states

# SOAK_SEED=7 for other networks, SOAK_MINUTES=3 for a look.
.PHONY: soak-network
soak-network: setup-browsers debug ## Keep a call of 24 going for 30 minutes, through networks that change at random.
	cd $(WEB) && TACET=$(abspath $(TARGET))/debug/tacet e2e/namespace npm run --silent soak

.PHONY: chaos-narrow
chaos-narrow: setup-browsers debug ## Narrow the path of a browser, and print what it gets meanwhile.
	cd $(WEB) && CHAOS=1 TACET=$(abspath $(TARGET))/debug/tacet e2e/namespace npm run --silent test:e2e -- narrow

.PHONY: explore
explore: simulate fuzz verify miri ## Simulate, fuzz, verify and interpret for a long time.

.PHONY: simulate
simulate: ## Simulate calls from 100,000 seeds, and messages from 10,000; SEEDS=1000000 FIRST_SEED=500000 for others.
	SEEDS=$(or $(SEEDS),100000) REAL_SEEDS=$(or $(REAL_SEEDS),500) cargo test --locked --package e2ee-frames --lib \
		--profile simulation simulation -- --nocapture --test-threads=1
	SEEDS=$(or $(SEEDS),10000) cargo test --locked --package e2ee-messages --test simulation --profile simulation -- --nocapture

.PHONY: verify
verify: $(TARGET)/verifpal/bin/verifpal ## Check the formal models of the key protocol.
	VERIFPAL=$(abspath $<) e2ee-frames/formal/verify

# A separate tool (GPL-3.0, never linked) that needs a newer Rust than this project.
$(TARGET)/verifpal/bin/verifpal:
	@command -v rustup >/dev/null || { echo "rustup is missing: https://rustup.rs" >&2; exit 1; }
	rustup toolchain install 1.98 --profile minimal --no-self-update
	cargo +1.98 install --quiet --locked verifpal --version 1.6.7 --root $(TARGET)/verifpal --target-dir $(TARGET)/verifpal/build

## Measuring

.PHONY: bench
bench: ## Run the benchmarks.
	cargo bench --locked --package tacet-benches --package tacet-tlog --package e2ee-identity --package e2ee-messages \
		--package tacet-store

# The cost of the media plane beside that of kernel and cipher in the same run: docs/performance.md.
.PHONY: perf
perf: build setup-namespace ## Measure the media plane: in process, over sockets, at its limit, and flooded.
	@mkdir -p $(TARGET)/perf
	cargo build --locked --release --package tacet-peers
	$(WEB)/e2e/namespace $(TARGET)/release/tacet-peers compare --subscribers 100 --runs 5 \
		--peers floor,floor-gso4,floor-gso8,floor-gso16,tacet --json $(TARGET)/perf/compare.json
	$(WEB)/e2e/namespace $(TARGET)/release/tacet-peers limit --peers floor,tacet
	$(WEB)/e2e/namespace $(TARGET)/release/tacet-peers limit --peers floor-gso16,tacet --burst 16
	$(WEB)/e2e/namespace $(TARGET)/release/tacet-peers flood
	cargo bench --locked --package tacet-benches --bench worker
	cargo test --locked --package tacet-benches --test allocations

# A thousand listeners share the machine with the server: nothing else should run on it.
.PHONY: large-rooms
large-rooms: web ## Measure a webinar and an audience of a thousand, and an overloaded server: docs/benchmarks.md.
	cargo build --locked --release
	$(TARGET)/release/tacet load --quiet --scenario webinar
	$(TARGET)/release/tacet load --quiet --scenario audience --seconds 120
	$(TARGET)/release/tacet load --quiet --overload

.PHONY: gallery
gallery: setup-browsers web ## Page through 200 cameras in Chromium, and print how long tiles are black: docs/benchmarks.md.
	cargo build --locked --release --no-default-features --features serve,load
	cd $(WEB) && TACET=$(abspath $(TARGET))/release/tacet e2e/namespace npm run --silent gallery

# 50 packets a second of each of six voices: the last lines say how many times the CPU of the floor that takes.
.PHONY: voices
voices: build setup-namespace ## Measure six voices at once beside the floor for packets of that size.
	cargo build --locked --release --package tacet-peers
	$(WEB)/e2e/namespace $(TARGET)/release/tacet-peers compare --loads voices --peers floor,tacet --subscribers 100,300

# In virtual time, so that load on the machine changes nothing.
.PHONY: cc
cc: ## Judge congestion control by the cases of RFC 8867 to 8869, beside libwebrtc's: docs/congestion.md.
	@mkdir -p $(TARGET)/cc
	cargo test --locked --package tacet-congestion-lab --profile simulation --test yardstick -- --include-ignored
	cargo run --locked --package tacet-congestion-lab --example evaluate --profile simulation -- --seeds $(or $(SEEDS),5) \
		--json $(TARGET)/cc/congestion.json --document docs/congestion.md --plots docs/images

# Instructions, unlike time, can be compared while other programs run. Fails over 1.03 times the count before there were layers.
.PHONY: instructions
instructions: ## Count the instructions that a room takes for a forwarded packet.
	$(call install,valgrind,valgrind)
	cargo run --locked --release --package tacet-benches --bin instructions

.PHONY: memory
memory: ## Print the memory that a receiving participant costs the server, by owner.
	cargo test $(WORKSPACE) --test memory -- --nocapture

# On a quiet machine: noise hides small differences, and a migration between cores makes some.
.PHONY: timing
timing: ## Measure whether the time of a refusal depends on where a secret is wrong.
	cargo run --locked --release --package tacet-benches --bin timing

.PHONY: sockets
sockets: web ## Measure what idle connections cost the server, of every kind and 9,000 WebSockets.
	cargo test --locked --release --package tacet --test sockets -- --ignored --nocapture

.PHONY: profile
profile: build setup-namespace ## Show where the server's time goes under load, the kernel's part too (needs root).
	$(call install,perf,linux-perf)
	cargo build --locked --release --package tacet-peers
	loadtest/peers/profile $(TARGET)/release/tacet-peers --subscribers 100

# The newest that `go install` accepts: some later versions replace modules by forks.
LIVEKIT_VERSION := 1.9.11
PEERS_ARGS ?= compare --json $(TARGET)/peers/comparison.json

# In a separate network namespace: Janus does not serve loopback addresses, and nothing leaves the machine.
.PHONY: peers
peers: build setup-peers ## Compare with Janus, LiveKit, an SFU on str0m and the kernel: docs/benchmarks.md.
	cargo build --locked --release --package tacet-peers
	$(WEB)/e2e/namespace $(TARGET)/release/tacet-peers $(PEERS_ARGS)

.PHONY: setup-namespace
setup-namespace:
	$(call install,ip,iproute2)
	$(call install,unshare,util-linux)

# A server that cannot be installed is missing from the table, with the reason.
.PHONY: setup-peers
setup-peers: setup-namespace
	@mkdir -p $(TARGET)/peers
	@command -v janus >/dev/null || ! command -v apt-get >/dev/null || $(MAKE) --no-print-directory setup-janus || true
	@test -x $(TARGET)/peers/livekit-server || ! command -v go >/dev/null || { \
		echo "Building LiveKit $(LIVEKIT_VERSION)"; \
		GOBIN=$(abspath $(TARGET))/peers go install github.com/livekit/livekit-server/cmd/server@v$(LIVEKIT_VERSION) \
			&& mv $(TARGET)/peers/server $(TARGET)/peers/livekit-server; } || true

.PHONY: setup-janus
setup-janus:
	$(call install,janus,janus)

.PHONY: bench-browsers
bench-browsers: setup-browsers debug ## Compare wasm and WebCrypto in both browsers, and what a camera costs by its size.
	cd $(WEB) && TACET=$(abspath $(TARGET))/debug/tacet e2e/namespace npm run --silent bench:browsers

# Runs the Rust tests of the C ABI, ciphers included, in about two minutes. Left out are the header test, which starts
# cargo, and code that is compiled for wasm only, which Miri cannot interpret.
.PHONY: miri
miri: ## Run the tests of the C ABI under Miri, which detects undefined behaviour (nightly Rust).
	@rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
	@rustup component list --toolchain nightly --installed | grep -q '^miri' \
		|| rustup component add --toolchain nightly miri rust-src
	MIRIFLAGS=-Zmiri-strict-provenance cargo +nightly miri test --locked --package e2ee-frames-ffi --lib --test abi

# Some targets only: `make fuzz FUZZ_TARGETS="room worker"`.
FUZZ_SECONDS ?= 60
FUZZ_CRATES ?= e2ee-frames e2ee-frames/messages e2ee-frames/tlog sfu signaling signaling/store
FUZZ_TARGETS ?= $(notdir $(basename $(wildcard $(FUZZ_CRATES:%=%/fuzz/fuzz_targets/*.rs))))
FUZZ_LIMITS := -max_len=1024 -timeout=120
# Inputs that were found on this machine, beside the committed ones, and inputs that fail.
FUZZ_FOUND := $(TARGET)/fuzz/found
# In a shell: the committed inputs of $$target.
FUZZ_CORPUS = $$(dirname $$(ls $(FUZZ_CRATES:%=%/fuzz/fuzz_targets/$$target.rs) 2>/dev/null))/../corpus/$$target

.PHONY: fuzz-build
fuzz-build:
	$(call install,c++,g++)
	RUSTC_WRAPPER=$(abspath fuzz/rustc-coverage) cargo build --locked --profile fuzz \
		$(patsubst %,--package %-fuzz,$(notdir $(FUZZ_CRATES))) --features libfuzzer --bins

.PHONY: fuzz
fuzz: fuzz-build ## Fuzz e2ee-frames, messages, the transparency log, the SFU, signaling and the store for FUZZ_SECONDS (60) a target.
	@for target in $(FUZZ_TARGETS); do \
		found=$(FUZZ_FOUND)/$$target; mkdir -p $$found; \
		if $(TARGET)/fuzz/$$target -max_total_time=$(FUZZ_SECONDS) $(FUZZ_LIMITS) -len_control=10 \
			-artifact_prefix=$$found- $$found $(FUZZ_CORPUS) >$$found.log 2>&1; \
		then echo "$$target: $$(grep DONE $$found.log)"; \
		else grep -a -A3 'panicked at' $$found.log; tail -n 5 $$found.log; \
			echo "$$target fails. Again: $(TARGET)/fuzz/$$target $$(sed -n 's/.*Test unit written to //p' $$found.log)"; \
			exit 1; \
		fi; \
	done

.PHONY: fuzz-corpus
fuzz-corpus: fuzz-build ## Commit what fuzzing has found: the fewest inputs that reach everything.
	@for target in $(FUZZ_TARGETS); do \
		corpus=$(FUZZ_CORPUS); least=$(FUZZ_FOUND)/$$target-least; \
		rm -rf $$least; mkdir -p $$least $$corpus $(FUZZ_FOUND)/$$target; \
		$(TARGET)/fuzz/$$target -set_cover_merge=1 -use_counters=0 $(FUZZ_LIMITS) \
			-artifact_prefix=$(FUZZ_FOUND)/$$target- $$least $$corpus $(FUZZ_FOUND)/$$target >/dev/null 2>&1 || exit 1; \
		rm -rf $$corpus; mv $$least $$corpus; \
		echo "$$target: $$(ls $$corpus | wc -l) inputs, $$(cat $$corpus/* | wc -c) bytes"; \
	done

## Keeping the code well

.PHONY: lint
lint: setup-rust $(TARGET)/typos/bin/typos ## Check format, words, secrets, unsafe code, spelling, lints, features, documentation, types, licences.
	cargo fmt --all --check
	docs/lint/words.py
	docs/lint/secrets.py
	docs/lint/unsafe.py
	docs/lint/web_sinks.py
	docs/lint/advisories.py --self-test
	$(TARGET)/typos/bin/typos --format brief
	cargo clippy $(WORKSPACE) --all-targets -- -D warnings
	docs/lint/features.sh
	RUSTDOCFLAGS="-D warnings" cargo doc $(WORKSPACE) --no-deps --lib
	cd $(WEB) && npm run --silent lint
	@command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny@0.20.2
	@# Its metadata needs the crates of every platform; builds have fetched those of this one.
	cargo fetch --locked --quiet
	cargo deny --offline --workspace check licenses bans sources

$(TARGET)/typos/bin/typos: docs/lint/requirements.txt
	$(call install_unless,python3 -c "import ensurepip; import venv",python3 python3-venv)
	python3 -m venv --clear $(TARGET)/typos
	$(TARGET)/typos/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.PHONY: portable
portable: web ## Check that the server compiles for Windows (installs MinGW's C compiler).
	$(call install,x86_64-w64-mingw32-gcc,gcc-mingw-w64-x86-64)
	rustup target add x86_64-pc-windows-gnu
	cargo check --locked --target x86_64-pc-windows-gnu --package tacet --no-default-features --features serve

.PHONY: audit
audit: setup ## Check dependencies for published vulnerabilities, and the history for secrets (needs RustSec's database and npm's).
	docs/lint/advisories.py --self-test
	docs/lint/secrets.py --history
	@node -e 'process.exit(Object.keys(require("./$(WEB)/package.json").dependencies ?? {}).length)' \
		|| { echo "error: the page ships packages of npm, which must be audited one by one" >&2; exit 1; }
	docs/lint/advisories.py
	cd $(WEB) && npm audit || { echo "error: npm's advisories apply, or its audit cannot be reached" >&2; exit 1; }

.PHONY: fmt
fmt: setup ## Format the code.
	cargo fmt --all
	cd $(WEB) && npm run --silent format

.PHONY: types
types: ## Regenerate TypeScript types, JSON Schema and documentation of the wire messages, the document of the HTTP API, and the tables of limits.
	UPDATE=1 cargo test -p tacet-proto --test typescript --test protocol
	UPDATE=1 cargo test -p tacet-signaling --lib -- openapi limits_table as_the_document_says

.PHONY: unicode
unicode: ## Regenerate the tables for names, after an update of the Unicode crates.
	UPDATE=1 cargo test --locked -p e2ee-frames --lib names::generate

.PHONY: header
header: ## Regenerate the C header of e2ee-frames and the TypeScript constants of its wasm ABI.
	UPDATE=1 cargo test -p e2ee-frames-ffi --test header --test typescript

.PHONY: vectors
vectors: ## Regenerate the published vectors of e2ee-frames, its sister crates and tacet-tlog, after a change of a protocol.
	UPDATE=1 cargo test --locked -p e2ee-frames -p e2ee-identity -p e2ee-messages --lib vectors
	UPDATE=1 cargo test --locked -p tacet-tlog --test vectors
