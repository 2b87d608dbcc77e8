# Streams from a real broker on 127.0.0.1. Included by the Makefile.
#
#   make test-pubsub   Pub/Sub: Beam's ReadFromPubSub on the direct runner, and Google's in-memory
#                      server; needs Go
#
# Google's client is kept apart: in the environment of the other tests Beam would tell in every
# command that the rest of its Google packages is missing.

PUBSUB := build/pubsub

.PHONY: test-pubsub

test-pubsub: $(VENV)/installed-test
	@if command -v go > /dev/null; then $(MAKE) --no-print-directory $(PUBSUB)/server $(PUBSUB)/packages; \
	else echo "make test-pubsub: skipped: go is not installed"; fi
	TOKENMILL_PUBSUB='$(abspath $(PUBSUB)/server)' PYTHONPATH='$(abspath $(PUBSUB)/packages)' \
		$(BIN)/python -m pytest -m brokers tests/test_pubsub.py

$(PUBSUB)/server: $(wildcard tests/pubsub/*)
	mkdir -p $(PUBSUB)
	cd tests/pubsub && go build -o '$(abspath $@)' .

$(PUBSUB)/packages:
	mkdir -p $(PUBSUB)
	$(BIN)/python -m pip freeze --exclude-editable > $(PUBSUB)/constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $@ \
		--constraint $(PUBSUB)/constraints.txt google-cloud-pubsub
