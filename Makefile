# `make run` and `make test` do all their set-up by themselves; `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made

.PHONY: help run test quick check lint types bench images clean lock
.DEFAULT_GOAL := help

help:  ## what each target does
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)$$/  make \1\t\2/' | expand -t 16

run: $(STAMP)  ## reproduce the crafting burst, before and after its fix: verdict and report
	$(BIN)/flashcrowd run crafting-burst --variant before --variant after --stack embedded

test: $(STAMP)  ## all tests, with real servers
	@# Most tests wait for servers: four files at a time, the long ones first. What judges a whole incident has the machine to itself.
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder --ignore tests/acceptance
	$(BIN)/pytest tests/acceptance

quick: $(STAMP)  ## unit tests only, no server
	$(BIN)/pytest tests/unit

check: lint types test  ## what CI runs: lint, types, all tests

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP)  ## the figures we promise, measured as ratios in one run: table and JSON
	$(BIN)/python -m tests.bench

images: $(STAMP)  ## container images of PostgreSQL and MongoDB, without a registry
	$(BIN)/flashcrowd images build postgres postgres:15 mongo

clean:  ## remove the environment, caches and runs (not the gallery)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
	find reports -mindepth 1 -maxdepth 1 ! -name gallery -exec rm -rf {} +

lock: $(STAMP)  ## pin every package anew from pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-annotate \
	    --no-header --extra dev pyproject.toml --output-file requirements/lock.txt

$(STAMP): pyproject.toml requirements/lock.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "flashcrowd needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12 …" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements/lock.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
