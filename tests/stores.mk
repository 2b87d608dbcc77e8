# Stores: real servers on 127.0.0.1, counted and spoiled by a proxy. Included by the Makefile.
#
#   make test-stores    s3://    moto's server, by pip
#                       gs://    fake-gcs-server where Go is, else moto's, each behind a proxy that
#                                speaks Cloud Storage's XML
#                       az://    Azurite, where `make azurite` has been run
#                       hdfs://  Hadoop's, where Java 17, Maven, Cargo and a C compiler are
#   make bench-stores   what small units cost: requests and seconds; needs Go

STORES := build/stores
AZURITE := $(STORES)/node_modules/azurite/dist/src/blob/main.js
HDFS := $(STORES)/hdfs
VERSITYGW := $(STORES)/bin/versitygw
FAKE_GCS := $(STORES)/bin/fake-gcs-server

.PHONY: azurite bench-stores fake-gcs-server hdfs test-stores test-stores-slow versitygw

$(VENV)/installed-stores: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test-stores]'
	touch $@

# Some hundred packages of npm: not part of `make test-stores`, which uses it where it is.
azurite: $(AZURITE)

$(AZURITE):
	mkdir -p $(STORES)
	npm install --silent --no-audit --no-fund --prefix $(STORES) azurite

# 90 MB of jars, and libhdfs from the sources that a Rust crate carries, for the Java that is here.
hdfs: $(HDFS)/libhdfs.so

$(HDFS)/libhdfs.so: tests/hadoop/pom.xml tests/hadoop/Cargo.toml
	rm -rf $(HDFS)
	mkdir -p $(HDFS)
	mvn --quiet --batch-mode --file tests/hadoop/pom.xml dependency:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory='$(abspath $(HDFS)/jars)'
	cp tests/hadoop/Cargo.toml $(HDFS)
	touch $(HDFS)/none.rs
	cd $(HDFS) && cargo vendor --quiet crates > vendored
	java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.home = //p' > $(HDFS)/java-home
	cd $(HDFS)/crates/hdfs-sys/libhdfs && java=$$(cat $(abspath $(HDFS)/java-home)) && \
		$(CC) -shared -fPIC -O2 -w -fcommon -I. -Ihdfs_3_3 -Ihdfs_3_3/include -Ihdfs_3_3/os/posix \
		-I$$java/include -I$$java/include/linux hdfs_3_3/*.c hdfs_3_3/os/posix/*.c \
		-L$$java/lib/server -Wl,-rpath,$$java/lib/server -ljvm -ldl -lpthread -o $(abspath $@)

# An S3-compatible server that answers in a fraction of moto's time: for figures.
versitygw: $(VERSITYGW)

$(VERSITYGW):
	GOBIN='$(abspath $(@D))' go install github.com/versity/versitygw/cmd/versitygw@v1.8.0

# Of its JSON interface's objects, generations and conditions; its XML one has no uploads.
fake-gcs-server: $(FAKE_GCS)

$(FAKE_GCS):
	GOBIN='$(abspath $(@D))' go install github.com/fsouza/fake-gcs-server@v1.56.1

bench-stores: $(VENV)/installed-stores $(VERSITYGW)
	$(BIN)/python -m bench.stores --server moto versitygw=$(VERSITYGW)

test-stores: $(VENV)/installed-stores
	@test -e $(AZURITE) || echo "make test-stores: az:// is skipped: make azurite installs its server"
	@if command -v go > /dev/null; then $(MAKE) --no-print-directory fake-gcs-server; \
	else echo "make test-stores: gs:// is tested on moto's server: go is not installed"; fi
	@for tool in java mvn cargo $(CC); do \
		command -v $$tool > /dev/null && continue; \
		echo "make test-stores: hdfs:// is skipped: $$tool is not installed"; exit 0; \
	done; $(MAKE) --no-print-directory hdfs
	$(test_stores) 'stores and not slow'

# Outages and stalled connections as long as they are in life.
test-stores-slow: $(VENV)/installed-stores
	$(test_stores) 'stores and slow'

on_stores = TOKENMILL_AZURITE='$(abspath $(wildcard $(AZURITE)))' TOKENMILL_HDFS='$(abspath $(HDFS))'
test_stores = $(on_stores) TOKENMILL_FAKE_GCS='$(abspath $(FAKE_GCS))' $(BIN)/python -m pytest -m
