# Each target sets up what it needs. python3 and make are all that must be there already; `make help` lists the targets.
PY := .venv/bin/python
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench bench-cold docs clean

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: $(READY) ## make .venv with tenantry and its tools at their locked versions

$(READY): pyproject.toml uv.lock
	@scripts/uv sync --quiet --locked --compile-bytecode
	@$(PY) -m compileall -q src
	@touch $@

demo: $(READY) ## deploy the example with sam, play every request, show the answers (DEMO="--keep" leaves it running)
	@scripts/clients/install sam aws
	@$(PY) scripts/demo.py $(DEMO)

test: $(READY) ## run the tests, the real clients included (TESTS="path or option" narrows it)
	@scripts/clients/install sam aws aws-v2 curl
	@$(PY) -m pytest -n 2 --dist loadfile $(TESTS)

check: $(READY) ## format, lint, types, layers, documents
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(PY) scripts/docs.py check

bench: $(READY) ## measure start-up, memory and latency of the running platform
	@$(PY) bench/outside.py

bench-cold: $(READY) ## measure a new tenant's first answer, memory per tenant and creations per second (BENCH="--rounds 50")
	@$(PY) bench/cold.py $(BENCH)

docs: $(READY) ## write the generated documents anew and check every link
	@$(PY) scripts/docs.py write
	@$(PY) scripts/docs.py check

clean: ## remove what the targets made here
	@rm -rf .venv .tools .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis examples/*/.aws-sam
