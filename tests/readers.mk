# The trainers' own readers, in an environment of their own: every token that they give is compared
# with the build. Then the loader inside PyTorch and grain, and what the README says of training. It takes some gigabytes of disk; where the index has a CPU build of torch, say
#   make test-readers TORCH='torch torchvision --index-url URL'

READERS_VENV ?= .venv-readers
TORCH ?= torch torchvision
READERS_DATA ?= $(READERS_VENV)/data

.PHONY: readers test-readers

readers: $(READERS_VENV)/installed

$(READERS_VENV)/installed: tests/readers/packages.txt tests/readers/needs.txt
	$(PYTHON) -m venv $(READERS_VENV)
	$(READERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(READERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--requirement tests/readers/needs.txt
	$(READERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--requirement tests/readers/packages.txt
	touch $@

test-readers: readers $(VENV)/installed-test
	$(BIN)/python tests/readers/write_exports.py $(READERS_DATA)
	$(READERS_VENV)/bin/python tests/readers/read_back.py $(READERS_DATA)
	PYTHONPATH=. $(READERS_VENV)/bin/python -m pytest -p no:cacheprovider -rs \
		tests/test_loader_frameworks.py tests/test_readme_training.py
