# What a newcomer types: make demo, make ui, make test. Needs Python 3.11 or newer with pip and venv, and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export DAGSTER_HOME ?= $(CURDIR)/.dagster
export DAGSTER_EVENT_BATCH_SIZE ?= 1000
# tests and runs start hundreds of processes: without compiled modules each would compile the package anew
unexport PYTHONDONTWRITEBYTECODE
# one more than processors: some tests wait, for a schedule's minute or a server's end
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n + 1 : 5)))
# usual: what a change is tried with; all: also servers, a browser, killed processes and many examples (CI)
TIER ?= usual
SELECT_usual :=
SELECT_all := -m "" --hypothesis-profile all
SELECT = $(or $(SELECT_$(TIER)),$(if $(filter usual,$(TIER)),,$(error TIER is usual or all, not $(TIER))))
UI_HOST ?= 127.0.0.1
UI_PORT ?= 3000

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types imports pytest ui bench lock clean

help:  ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)  ## Make the demo sites and build their last months
	$(BIN)/usage-assets demo

test: $(READY)  ## Linter, formatter, types and tests; TIER=all for the slow tests too
	@$(MAKE) --no-print-directory --keep-going --jobs lint format types imports pytest

lint: $(READY)
	$(BIN)/ruff check

format: $(READY)
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports --no-cache

pytest: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder --max-worker-restart 1 $(SELECT)

ui: $(READY)  ## The Dagster UI with its daemon, and the plots beside it
	@exec $(BIN)/usage-assets ui --host $(UI_HOST) --port $(UI_PORT)

bench: $(READY)  ## Time and memory on a full-size made site
	$(BIN)/python -m bench

lock:  ## Resolve requirements.lock and sbom.json anew (needs uv)
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --no-strip-extras --python-version 3.11 \
	  --extra dev pyproject.toml -o requirements.lock
	uv tool run --quiet --from cyclonedx-bom cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
	  --of JSON requirements.lock | $(PYTHON) -m usage_assets_tests.contract.sbom > sbom.json

clean:  ## Remove the environment, caches and Dagster's storage; data/ stays
	rm -rf $(VENV) .dagster .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
