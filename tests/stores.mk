# Object stores: real servers on 127.0.0.1, counted and spoiled by a proxy. Included by the Makefile.
#
#   make test-stores    s3:// moto's server, by pip; gs:// the same one, behind a proxy that speaks
#                       Cloud Storage's XML; az:// Azurite, where `make azurite` has been run

STORES := build/stores
AZURITE := $(STORES)/node_modules/azurite/dist/src/blob/main.js

.PHONY: azurite test-stores

$(VENV)/installed-stores: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test-stores]'
	touch $@

# Some hundred packages of npm: not part of `make test-stores`, which uses it where it is.
azurite: $(AZURITE)

$(AZURITE):
	mkdir -p $(STORES)
	npm install --silent --no-audit --no-fund --prefix $(STORES) azurite

test-stores: $(VENV)/installed-stores
	@test -e $(AZURITE) || echo "make test-stores: az:// is skipped: make azurite installs its server"
	TOKENMILL_AZURITE='$(abspath $(wildcard $(AZURITE)))' $(BIN)/python -m pytest -m stores
