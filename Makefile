# The same commands a person and CI run. Needs Python 3.10 or newer and a C++ compiler.
#
#   make demo     install, build a small real sample, verify it, export it for a trainer, show the
#                 first batch
#   make test     install with the test tools, check, run the tests
#
# PYTHON picks the interpreter, VENV the environment: make demo PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
# Compiled modules are kept, whatever the shell here says: a test run starts some hundred processes.
export PYTHONDONTWRITEBYTECODE :=

# Tests take no notice of each other: a process a core, and one for while they wait.
PARALLEL ?= -n $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)') --dist worksteal

BIN := $(VENV)/bin
NATIVE := $(wildcard tokenizer/native/*.cc tokenizer/native/*.h transforms/reading/native/*)
# The installation is editable: what runs and is tested is this checkout, and only a change of
# these needs another one.
INSTALLED_FROM := pyproject.toml setup.py $(NATIVE)

.PHONY: setup demo test test-slow check bench clean

setup: $(VENV)/installed-test

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(INSTALLED_FROM) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-test: $(INSTALLED_FROM) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $(VENV)/installed $@

$(VENV)/installed-bench: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/python -m pipeline.sample $(DEMO)/input
	$(BIN)/tokenmill build --input '$(DEMO)/input/*' --output $(DEMO)/output
	$(BIN)/tokenmill verify $(DEMO)/output --retokenize 1
	$(BIN)/tokenmill export $(DEMO)/output --output $(DEMO)/megatron --format megatron --shuffle 1
	$(BIN)/tokenmill verify $(DEMO)/megatron
	$(BIN)/python -m pipeline.first_batch $(DEMO)/output $(DEMO)/megatron
	@echo 'The command is $(BIN)/tokenmill; . $(BIN)/activate puts it on your PATH.'

test: check replay
	$(BIN)/python -m pytest $(PARALLEL)

# Parity on everything: all shared documents, all published tokenizers that npm can fetch.
test-slow: $(VENV)/installed-test
	$(BIN)/python -m pytest -m "slow and not stores"

check: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/stubtest --mypy-config-file pyproject.toml --allowlist tests/stubtest.allow \
		--ignore-unused-allowlist tokenizer._native transforms.reading._page_shape

bench: $(VENV)/installed-bench
	$(BIN)/python -m bench.whole_job
	$(BIN)/python -m bench.engine

include tests/native.mk
include tests/stores.mk
include tests/clusters.mk
include tests/brokers.mk
include tests/packaging.mk
include tests/readers.mk
include tests/quality.mk

# The environment goes too: without the built extension its editable installation is broken.
clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info tokenizer/*.so transforms/reading/*.so
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .mutate.jsonl
	find pipeline tokenizer transforms tests bench -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
