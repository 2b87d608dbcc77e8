# Real engines on 127.0.0.1, set up from package registries alone. Included by the Makefile.
#
#   make test-flink   a JobManager and two TaskManagers      needs Java 17 and Maven, and Go for the
#                     workers that are sent tokenmill
#   make test-spark   a master and two workers               needs Java 17 and Maven
#   make test-prism   Beam's own portable runner             needs Go
#
# Each also on a store: Spark on s3://, the others also on gs://, and on az:// and hdfs:// where
# `make azurite` and `make hdfs` have installed the servers. The first time fetches some hundred MB
# into build/clusters; later runs use what is there. Where a tool is missing the target says so and
# is skipped.

CLUSTERS := build/clusters
BOOT := $(CLUSTERS)/boot
FLINK_VERSION := 1.19.3
SPARK_VERSION := 3.5.3
GO_BEAM_VERSION := v2.77.0
STAND_INS := $(wildcard tests/clusters/java/org/apache/beam/runners/jobsubmission/*.java)

.PHONY: test-flink test-spark test-prism

test-flink: $(VENV)/installed-stores
	$(call with_tools,flink,java javac jar mvn,$(if $(shell command -v go),$(BOOT)/installed))

test-spark: $(VENV)/installed-stores
	$(call with_tools,spark,java javac jar mvn)

test-prism: $(VENV)/installed-stores
	$(call with_tools,prism,go,$(BOOT)/installed)

# $(call with_tools,ENGINE,TOOLS,MORE): installs the engine, and makes more files, and tests with it,
# where the tools are there.
define with_tools
@for tool in $(2); do \
	command -v $$tool > /dev/null && continue; \
	echo "make $@: skipped: $$tool is not installed"; exit 0; \
done; \
$(MAKE) --no-print-directory $(CLUSTERS)/$(1)/installed $(3) && \
TOKENMILL_ENGINE=$(1) TOKENMILL_ENGINE_HOME='$(abspath $(CLUSTERS)/$(1))' \
	TOKENMILL_BOOT='$(abspath $(BOOT))' $(on_stores) \
	$(BIN)/python -m pytest -m clusters tests/clusters
endef

# $(call runner_jars,ENGINE): Beam's runner for it, and the jar that the Python SDK fills and submits.
define runner_jars
rm -rf $(@D)
mkdir -p $(@D)/classes
mvn --quiet --batch-mode --file tests/clusters/pom.xml --activate-profiles $(1) \
	dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory='$(abspath $(@D)/jars)'
javac --release 11 -cp '$(@D)/jars/*' -d $(@D)/classes $(STAND_INS)
jar --create --file $(@D)/jars/submit.jar -C $(@D)/classes org
endef

$(CLUSTERS)/flink/installed: tests/clusters/pom.xml tests/clusters/uber_jar.py $(STAND_INS) \
		| $(VENV)/installed-test
	$(call runner_jars,flink)
	$(BIN)/python tests/clusters/uber_jar.py $(@D)/jars $(@D)/uber.jar
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps \
		--no-binary :all: --dest $(@D) apache-flink-libraries==$(FLINK_VERSION)
	tar --extract --gzip --file $(@D)/apache*flink*libraries-$(FLINK_VERSION).tar.gz -C $(@D)
	mv $(@D)/apache-flink-libraries-$(FLINK_VERSION)/deps/lib $(@D)/lib
	rm -rf $(@D)/apache* $(@D)/classes
	touch $@

$(CLUSTERS)/spark/installed: tests/clusters/pom.xml $(STAND_INS) | $(VENV)/installed-test
	$(call runner_jars,spark)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--target $(@D)/python pyspark==$(SPARK_VERSION)
	cp -n $(@D)/python/pyspark/jars/*.jar $(@D)/jars/
	rm -rf $(@D)/python $(@D)/classes
	touch $@

# Prism listens on every interface and has no option for it: a copy of Beam's module, in which the
# line that does is another, is what is built.
GO_BEAM := github.com/apache/beam/sdks/v2
PRISM_SERVER := go/pkg/beam/runners/prism/internal/jobservices/server.go

$(CLUSTERS)/prism/installed: tests/clusters.mk
	rm -rf $(@D)
	mkdir -p $(@D)/module
	cd $(@D)/module && go mod init prism 2> /dev/null \
		&& go get $(GO_BEAM)/go/cmd/prism@$(GO_BEAM_VERSION)
	cd $(@D)/module && cp -r "$$(go list -m -f '{{.Dir}}' $(GO_BEAM))" beam && chmod -R u+w beam \
		&& sed -i 's/Sprintf(":%d", port)/Sprintf("127.0.0.1:%d", port)/' beam/$(PRISM_SERVER) \
		&& grep -q '127.0.0.1:%d' beam/$(PRISM_SERVER) \
		&& go mod edit -replace $(GO_BEAM)=./beam \
		&& go build -o ../prism $(GO_BEAM)/go/cmd/prism
	rm -rf $(@D)/module
	touch $@

# What starts a worker in Beam's container images and installs what was sent along, and an
# environment that holds Beam alone.
$(BOOT)/installed: tests/clusters.mk | $(VENV)/installed-test
	rm -rf $(@D)
	mkdir -p $(@D)
	GOBIN='$(abspath $(@D))' go install $(GO_BEAM)/python/container@$(GO_BEAM_VERSION)
	mv $(@D)/container $(@D)/boot
	$(PYTHON) -m venv $(@D)/beam
	$(@D)/beam/bin/python -m pip install --quiet --disable-pip-version-check \
		apache-beam==$$($(BIN)/python -c 'import apache_beam; print(apache_beam.__version__)')
	touch $@
