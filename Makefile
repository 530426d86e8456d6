# Everything a contributor runs. `.venv` makes itself, from the lock files, with plain venv and pip.
PYTHON ?= python3
BIN := .venv/bin
export OPENBLAS_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.PHONY: help demo test test-schema lint docs format bench train-fusion lock clean

help:  ## Say what each target does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# Two stamps: what engram needs, which is quick, and what working on it needs. A changed lock is installed at the next make.
.venv/.base: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'engram needs Python 3.11 or newer: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	touch $@

.venv/.dev: .venv/.base requirements-dev.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	touch $@

.venv: .venv/.dev  ## Make the virtual environment

demo: .venv/.base  ## Remember seven months of conversation, then ask about it
	$(BIN)/engram demo

# One more than there are cores: many tests wait for a process that they have started.
test: WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(os.cpu_count() + 1, 5))')
test: .venv/.dev  ## Run the tests, a file at a time in each of WORKERS processes
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-schema: export SCHEMA_SECONDS ?= 120
test-schema: .venv/.dev  ## Ask a service at random, from its OpenAPI file, for SCHEMA_SECONDS
	$(BIN)/python -m pytest tests/serve/test_schema.py -k for_long

lint: .venv/.dev  ## Check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/basedpyright

docs: .venv/.dev  ## Build the documentation's site in site/
	@# --quiet would hide warnings from --strict
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: .venv/.dev  ## Let ruff lay out the code and mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

DATA ?= ../shared/data
bench: .venv/.base  ## Measure quality on $(DATA), then speed
	$(BIN)/engram bench $(DATA)
	$(BIN)/engram bench speed

train-fusion: .venv/.dev  ## Learn the fusion weights again from $(DATA)
	$(BIN)/python scripts/train_fusion.py $(DATA)

# The newest versions pyproject.toml allows, for every platform and Python, with hashes. The last two are the
# image's: what it runs, and what its wheel is built with.
LOCK = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock'
IMAGE = ann anthropic google graph mcp openai postgres serve telemetry
lock: .venv/.dev  ## Resolve the dependencies anew
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) pyproject.toml --group dev --constraint requirements.lock -o requirements-dev.lock
	$(LOCK) pyproject.toml $(IMAGE:%=--extra %) --constraint requirements-dev.lock -o deploy/requirements.lock
	echo 'hatchling>=1.27,<2' | $(LOCK) - -o deploy/build.lock

clean:  ## Remove what make made
	rm -rf .venv build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
