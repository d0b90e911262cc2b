# Every target makes the environment it needs: Python 3.11 or newer, make and a network are enough.
#
#   make tour     one pass over the six levels, with a report in output/tour/index.html
#   make test     lint, layering, types, and the whole suite
#   make lint     ruff, import-linter and mypy alone
#   make bench    speed against the libraries, one thread each
#   make ledger   every measured number anew: the ledger, the notes, their figures
#   make site     the web site, in site/_build/html ('groundup site' opens it, too)
#   make test-site  the site in a browser without a network
#   make install  the environment alone, in .venv

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
WORKERS ?= 2

# One thread for each process: two test workers on two cores must not fight over them.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install tour test lint bench site test-site ledger clean

help:
	@sed -n 's/^#   //p' Makefile

install: $(READY)

# torch comes first and pinned: without a version pip may choose a build for graphics cards, of many gigabytes.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Ground Up needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making the environment in $(VENV): some two gigabytes, a few minutes, once."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "  1 of 2: torch, the largest of the libraries that we compare with"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@echo "  2 of 2: the other libraries, and the tools of the tests and the site"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

tour: $(READY)
	$(BIN)/groundup tour

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

bench: $(READY)
	$(BIN)/groundup bench

ledger: $(READY)
	$(BIN)/groundup ledger --write

site: $(READY)
	$(BIN)/groundup site --no-open

# Headless Chromium with the network blocked; where there is no browser, those tests say so and are skipped.
test-site: site
	$(BIN)/python -m pytest site/tests -rs

clean:
	rm -rf $(VENV) output site/_build site/_pages .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
