# `make run` starts a call server with its page, `make test` passes all tests; both set up what they need.

.DEFAULT_GOAL := help
.PHONY: help test lint fmt types

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

test: ## Pass all tests.
	cargo test --workspace --locked

lint: ## Check formatting and lints.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

types: ## Regenerate the TypeScript types of the wire messages.
	UPDATE=1 cargo test -p tacet-proto --test typescript
