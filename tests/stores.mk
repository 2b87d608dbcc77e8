# Object stores: real servers on 127.0.0.1, counted and spoiled by a proxy. Included by the Makefile.
#
#   make test-stores    s3:// moto's server, by pip; gs:// the same one, behind a proxy that speaks
#                       Cloud Storage's XML; az:// Azurite, by npm (skipped without npm)

STORES := build/stores
AZURITE := $(STORES)/node_modules/azurite/dist/src/blob/main.js

.PHONY: test-stores

$(VENV)/installed-stores: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test-stores]'
	touch $@

ifeq ($(shell command -v npm),)
$(AZURITE):
	@echo "make test-stores: az:// is skipped: needs npm (nodejs.org)"
else
$(AZURITE):
	mkdir -p $(STORES)
	npm install --silent --no-audit --no-fund --prefix $(STORES) azurite
endif

test-stores: $(VENV)/installed-stores $(AZURITE)
	TOKENMILL_AZURITE='$(abspath $(wildcard $(AZURITE)))' $(BIN)/python -m pytest -m stores
