# Real engines on 127.0.0.1, set up from package registries alone. Included by the Makefile.
#
#   make test-flink   a JobManager and two TaskManagers      needs Java 17 and Maven
#   make test-spark   a master and two workers               needs Java 17 and Maven
#   make test-prism   Beam's own portable runner             needs Go
#
# The first time fetches some hundred MB into build/clusters; later runs use what is there. Where a
# tool is missing the target says so and is skipped.

CLUSTERS := build/clusters
FLINK_VERSION := 1.19.3
SPARK_VERSION := 3.5.3
PRISM_VERSION := v2.77.0
STAND_INS := $(wildcard tests/clusters/java/org/apache/beam/runners/jobsubmission/*.java)

.PHONY: test-flink test-spark test-prism

test-flink: $(VENV)/installed-test
	$(call with_tools,flink,java javac jar mvn)

test-spark: $(VENV)/installed-test
	$(call with_tools,spark,java javac jar mvn)

test-prism: $(VENV)/installed-test
	$(call with_tools,prism,go)

# $(call with_tools,ENGINE,TOOLS): installs the engine and tests with it, where the tools are there.
define with_tools
@for tool in $(2); do \
	command -v $$tool > /dev/null && continue; \
	echo "make $@: skipped: $$tool is not installed"; exit 0; \
done; \
$(MAKE) --no-print-directory $(CLUSTERS)/$(1)/installed && \
TOKENMILL_ENGINE=$(1) TOKENMILL_ENGINE_HOME='$(abspath $(CLUSTERS)/$(1))' \
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

$(CLUSTERS)/flink/installed: tests/clusters/pom.xml $(STAND_INS) | $(VENV)/installed-test
	$(call runner_jars,flink)
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
# line that does is another, is what is built. Beside it are `boot`, which starts a worker in Beam's
# container images and installs what was sent along, and an environment that holds Beam alone.
PRISM := github.com/apache/beam/sdks/v2
PRISM_SERVER := go/pkg/beam/runners/prism/internal/jobservices/server.go

$(CLUSTERS)/prism/installed: tests/clusters.mk | $(VENV)/installed-test
	rm -rf $(@D)
	mkdir -p $(@D)/module
	cd $(@D)/module && go mod init prism 2> /dev/null \
		&& go get $(PRISM)/go/cmd/prism@$(PRISM_VERSION) $(PRISM)/python/container@$(PRISM_VERSION)
	cd $(@D)/module && cp -r "$$(go list -m -f '{{.Dir}}' $(PRISM))" beam && chmod -R u+w beam \
		&& sed -i 's/Sprintf(":%d", port)/Sprintf("127.0.0.1:%d", port)/' beam/$(PRISM_SERVER) \
		&& grep -q '127.0.0.1:%d' beam/$(PRISM_SERVER) \
		&& go mod edit -replace $(PRISM)=./beam \
		&& go build -o ../prism $(PRISM)/go/cmd/prism \
		&& go build -o ../boot $(PRISM)/python/container
	$(PYTHON) -m venv $(@D)/beam
	$(@D)/beam/bin/python -m pip install --quiet --disable-pip-version-check \
		apache-beam==$$($(BIN)/python -c 'import apache_beam; print(apache_beam.__version__)')
	rm -rf $(@D)/module
	touch $@
