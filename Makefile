# `make search` and `make test` on a fresh machine: each target does the set-up that it needs, once.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
BUDGET ?= 6m
TEST_WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev search netadapt detect segment compare test test-slow test-long test-all coverage lint format docs bench clean

help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## Install what running needs, into .venv
setup-dev: $(VENV)/.installed-dev ## ... and what developing needs

search: $(VENV)/.installed ## Run the main job, a search from pretrained weights on the embedded photos, for BUDGET (6m)
	$(BIN)/nas-search --preset quick --budget $(BUDGET)

netadapt: $(VENV)/.installed ## Narrow the network that the last search found to 70% of its latency
	@test -f runs/seed.pt || $(MAKE) search
	$(BIN)/netadapt --seed runs/seed.pt --device pieces:cpu --target-ratio 0.7 --delta 0.05 --finetune-steps 20 --final finetune --final-epochs 5

detect: runs/scenes ## Search a detector on drawn images with boxes, for BUDGET (6m)
	$(BIN)/nas-search --data runs/scenes --task detect --preset quick --budget $(BUDGET) --runs runs/detect

segment: runs/scenes ## Search a segmentation network on drawn images with masks, for BUDGET (6m)
	$(BIN)/nas-search --data runs/scenes --task segment --preset quick --budget $(BUDGET) --runs runs/segment

runs/scenes: $(VENV)/.installed
	$(BIN)/nas scenes runs/scenes

compare: $(VENV)/.installed ## Search the embedded photos, and compare the result with its rivals, 5 seeds each (20 min)
	@if [ -f runs/embedded/config.yaml ]; then $(BIN)/nas-search --resume runs/embedded; \
	  else $(BIN)/nas-search --preset quick --budget 10m --run-name embedded; fi
	$(BIN)/nas compare runs/embedded

test: $(VENV)/.installed-dev lint ## Run linters, type checks and the tests, but for the slow ones
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal -m "not slow"

test-slow: $(VENV)/.installed-dev ## Run the slow tests: real kills, Ray, a browser, real photos
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal -m "slow and not long"

test-long: $(VENV)/.installed-dev ## Run what the slow tests nearly cover: more kills, more workers
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal -m long

test-all: test test-slow test-long ## Run all tests

coverage: $(VENV)/.installed-dev ## Run all tests, and say which lines they leave out
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal --cov --cov-report=term:skip-covered

lint: $(VENV)/.installed-dev ## Run ruff, mypy and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.installed-dev ## Format the code and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-docs ## Build the documentation's site, into site/
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.installed-dev ## Run the benchmarks (benchmarks/README.md; leave the machine alone meanwhile)
	$(BIN)/python -m benchmarks

clean: ## Remove .venv and caches; runs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .coverage htmlcov dist build site

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: give a newer one, as make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml
	@echo "installing into $(VENV): PyTorch is large, this takes a minute or more"
	$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) install --quiet --editable '.[docs]'
	@touch $@
