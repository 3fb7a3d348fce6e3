# Two targets are for everybody: `make demo` and `make test`. Both set up what they need first.
SHELL := /bin/sh
BIN := .venv/bin
# The theme would announce its successor at each run; docs/adr/0023 has it.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs
export PATH := $(CURDIR)/.venv/bin:$(PATH):/usr/sbin:/sbin
# Tests start some thousand processes, each of which would compile the code again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-fast crash-test fuzz lint format generate docs docs-serve bench bench-build bench-memory bench-sbom bench-bytecode bench-pull bench-gate bench-policy bench-pages clean setup setup-test

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: setup ## Build, check, push, pull and run one image; see another refused
	@examples/demo.sh

test: setup-test lint ## Everything: lint, types, unit and acceptance tests
	$(BIN)/pytest -n 2 --dist loadgroup --no-loadscope-reorder

test-fast: setup-test ## Unit tests only, with fewer examples of each property
	$(BIN)/pytest -n 3 --dist worksteal -m "not acceptance" --hypothesis-profile quick

crash-test: setup-test ## Crashes and failures at random, an hour of them at most, and the gate's promises held against each
	$(BIN)/python -m tests.crash --quiet

fuzz: setup-test ## A minute of coverage-guided fuzzing for each reader of policies, waivers, advisories, VEX and threat data
	UV_PROJECT_ENVIRONMENT=.venv $(BIN)/uv sync --quiet --frozen --inexact --group fuzz
	@set -e; for target in policy waiver advisory vex threats; do echo "$$target"; \
		$(BIN)/python -m tests.fuzz.coverage_guided $$target -max_total_time=60 -verbosity=0 -print_final_stats=1; done

lint: setup-test ## ruff, mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup-test ## Rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: setup-test ## Rewrite what is generated: the policy schema and the reference pages
	$(BIN)/python -m compliance.policy.schema
	$(BIN)/python -m gate.reference
	$(BIN)/python -m scripts.reference

docs: setup-test ## Build the documentation site into build/site; a warning is an error
	$(MKDOCS) build --strict --quiet

docs-serve: setup-test ## Show the documentation site on http://127.0.0.1:8000, anew after each change
	$(MKDOCS) serve --strict --dev-addr 127.0.0.1:8000

bench: bench-build bench-memory bench-sbom bench-bytecode bench-pull ## Measure against what you would use instead, side by side

bench-build: setup-test ## Build one image by mlbuild, by buildah with pip, and by buildah with uv
	$(BIN)/python -m benchmarks.build --rounds 3

bench-memory: setup-test ## Peak memory of a build, for 100 MB and for 3 GB of wheels
	$(BIN)/python -m benchmarks.memory

bench-sbom: setup-test ## Write an SBOM from the lock, and read one out of the image
	$(BIN)/python -m benchmarks.sbom

bench-bytecode: setup-test ## Start a program with and without bytecode in its image
	$(BIN)/python -m benchmarks.bytecode

bench-pull: setup-test ## Pull and start one image in gzip and in zstd, by docker, podman and containerd
	$(BIN)/python -m benchmarks.pull

bench-gate: setup-test ## What the gate costs, side by side with the registry alone
	$(BIN)/python -m benchmarks.gate

bench-policy: setup-test ## Judge 10,000 images, and replay a changed policy over them
	$(BIN)/python -m benchmarks.policy

bench-pages: setup-test ## Answer with the gate's pages, from a store of 10,000 images
	$(BIN)/python -m benchmarks.pages

setup:
	@scripts/setup.sh demo

setup-test:
	@scripts/setup.sh test

clean: ## Remove what the targets made
	rm -rf .venv build .mlbuild .mypy_cache .pytest_cache .ruff_cache .hypothesis examples/*/.mlbuild
