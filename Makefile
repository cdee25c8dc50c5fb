# Three commands matter: `make demo`, `make check` and `make test`. `make help` lists the others.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# `make test EXTRAS=dev,fuzz,diffusers` as CI does: a true diffusers pipeline takes 1 GB, with CUDA 6.
EXTRAS ?= dev
# Test files that run at the same time: on two cores three, as half of their time is waiting.
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest -q -rs -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Compiled modules are kept: some hundred processes of the tests import the same ones.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help

.PHONY: help demo check test versions soak lab lint bench notebooks browser compiled clean

help:  ## show this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

demo: $(VENV)/.sandbox  ## describe six photographs in the sandbox, show the table, write a report
	@$(BIN)/imgopen demo --report imgopen-demo.html

lab: $(VENV)/.lab  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

check: $(VENV)/.dev lint  ## lint, types and the tests that start no browser, server or kernel
	$(PYTEST) -m "not browser and not kernel and not server"

test: $(VENV)/.dev  ## lint, types and all tests, notebooks and browser included
	@$(MAKE) --no-print-directory -j 3 lint browser compiled
	$(PYTEST) --durations 40 --durations-min 8

versions: $(VENV)/.dev  ## a core of the tests with the lowest and the newest version of every dependency
	$(BIN)/python -m pip install -q uv
	$(BIN)/python -m tests.versions

soak: $(VENV)/.dev  ## the random tests for an hour: kills, odd requests, schemathesis
	$(BIN)/python -m pip install -q -e '.[fuzz]'
	IMGOPEN_SOAK=1 IMGOPEN_FUZZ=165 $(PYTEST) --timeout 3600 -k "soak or hypothesis or endurance or gallery"

lint: $(VENV)/.dev  ## ruff, ruff format and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev  ## run the benchmarks and rewrite benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

notebooks: $(VENV)/.dev  ## run the notebooks in the sandbox, each with a history of its own, and save their outputs
	for notebook in notebooks/*.ipynb; do \
	  env -u IMGOPEN_ACCESS_KEY_ID -u IMGOPEN_ACCESS_KEY_SECRET -u IMGOPEN_HOME IMGOPEN_BACKEND=sandbox \
	    $(BIN)/python -m tests.notebook_server $(BIN)/jupyter nbconvert --to notebook --execute --inplace \
	    --ExecutePreprocessor.store_widget_state=False $$notebook || exit 1; \
	done

browser: $(VENV)/.dev
	@sh tests/get_chromium.sh
	@sh tests/get_proxy.sh $(CURDIR)/$(VENV)

compiled: $(VENV)/.dev  # collect the tests once before the workers do: this compiles all modules
	@$(BIN)/python -m pytest -qq --collect-only >$(VENV)/collected.txt || { cat $(VENV)/collected.txt; exit 1; }

clean:  ## remove the environment and what the tests leave
	rm -rf $(VENV) artifacts imgopen-demo.html .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@sh -c '$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))"' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); \
	  else echo "python3-venv is needed: sudo apt-get install python3-venv"; exit 1; fi; }

$(VENV)/.sandbox: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e '.[sandbox]'
	@touch $@

$(VENV)/.lab: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e '.[sandbox]' jupyterlab
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -c tests/constraints.txt -e '.[$(EXTRAS)]'
	@touch $@ $(VENV)/.sandbox $(VENV)/.lab
