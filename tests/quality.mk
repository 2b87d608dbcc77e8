# How much the tests notice, and what hostile inputs do. Included by the Makefile; both take long and
# write their table to docs/reliability.md.
#
#   make mutate MUTANTS=150     single changes of the code, each run against the tests that cover it;
#                               goes on where it was interrupted, by .mutate.jsonl
#   make torture                inputs that hurt, kills and full disks, with memory and time

MUTANTS ?= 150
MUTATE_SEED ?= 20261126

.PHONY: mutate torture

mutate: $(VENV)/installed-test
	$(BIN)/python -m tools.mutate --count $(MUTANTS) --seed $(MUTATE_SEED) --journal .mutate.jsonl

torture: $(VENV)/installed-test
	PYTHONPATH=.:tests $(BIN)/python tests/torture.py
