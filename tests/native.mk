# The native engine under sanitizers, under a fuzzer, and for another processor. Included by the
# Makefile. What a machine has no tools for is skipped, and said.
#
#   make replay                  the stored inputs of the fuzzer, by the engine and its oracle; part
#                                of `make test`
#   make sanitize                the tests of the tokenizer with AddressSanitizer and
#                                UndefinedBehaviorSanitizer; 8 threads with ThreadSanitizer
#   make fuzz FUZZ_SECONDS=60    a coverage-guided search for ids that differ from the oracle's;
#                                what it finds goes to build/fuzz/found
#   make fuzz-corpus             keeps of the corpus and the finds what covers something
#   make aarch64                 the stored inputs on an emulated ARM processor
#
# tests/fuzz/README.md says how to reproduce what was found, and how to make it small.

FUZZ_SECONDS ?= 60
CLANGXX ?= clang++
AARCH64_CXX ?= aarch64-linux-gnu-g++
AARCH64_RUN ?= qemu-aarch64

SANITIZED := build/sanitized
FUZZ := build/fuzz
PACKED := tests/fuzz/corpus.tar.zst
CORPUS := $(FUZZ)/corpus
ENGINE := $(filter-out tokenizer/native/binding.cc,$(wildcard tokenizer/native/*.cc))
DRIVERS := $(wildcard tests/fuzz/*.cc tests/fuzz/*.h)
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wno-char-subscripts -Werror
# Without assertions of libstdc++ an index that is out of a vector's size, but not of what it has
# allocated, goes unseen.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g1 \
	-D_GLIBCXX_ASSERTIONS
# Arrow's headers hold xxHash.
COMPILE = -std=c++17 -Itokenizer/native -I$(FUZZ) -isystem $(ARROW_INCLUDE)
ARROW_INCLUDE = $(shell $(BIN)/python -c 'import pyarrow; print(pyarrow.get_include())')
# Python never frees what it interned, so leaks can not be looked for there. Arrow's own allocator
# would hide the ends of its buffers. libstdc++ goes first, for the interceptor of __cxa_throw.
PRELOAD = LD_PRELOAD='$(shell $(CXX) -print-file-name=libasan.so) \
	$(shell $(CXX) -print-file-name=libstdc++.so)'
UNDER_ASAN = env PYTHONPATH='$(CURDIR)/$(SANITIZED)/lib' ASAN_OPTIONS=detect_leaks=0 \
	ARROW_DEFAULT_MEMORY_POOL=system $(PRELOAD)
# Real documents are mostly tiktoken's time, and add no paths that generated ones do not take.
NATIVE_TESTS := tests/test_tokenizer.py tests/test_vocabulary.py \
	tests/test_native_edges.py tests/test_native_ids.py \
	tests/test_page_shape.py \
	tests/test_native_split.py::test_stages_cut_more_than_a_block_of_pretokens_as_specified \
	-k 'not all_shared_documents'

# `$(call has,command)`: empty where there is none.
has = $(shell command -v $(1))

.PHONY: replay sanitize fuzz fuzz-corpus aarch64

$(CORPUS)/.unpacked: $(PACKED) tests/fuzz/corpus.py | $(VENV)/installed-test
	$(BIN)/python tests/fuzz/corpus.py unpack $(PACKED) $(CORPUS)
	touch $@

$(FUZZ)/tables.h: tests/fuzz/tables.py tests/split_patterns.py \
		$(wildcard tokenizer/split/*.py tokenizer/split/*/*.py) | $(VENV)/installed-test
	mkdir -p $(FUZZ)
	PYTHONPATH=.:tests $(BIN)/python tests/fuzz/tables.py > $@.tmp
	mv $@.tmp $@

# -- the stored inputs

$(FUZZ)/replay: $(NATIVE) $(DRIVERS) $(FUZZ)/tables.h
	$(CXX) $(COMPILE) $(WARNINGS) -O1 -D_GLIBCXX_ASSERTIONS tests/fuzz/encode_fuzzer.cc \
		tests/fuzz/replay.cc $(ENGINE) -o $@

replay: $(FUZZ)/replay $(CORPUS)/.unpacked
	$(FUZZ)/replay $(CORPUS)/*

# -- sanitizers

$(SANITIZED)/built: $(INSTALLED_FROM) tests/native.mk \
		$(wildcard tokenizer/*.py tokenizer/*/*.py tokenizer/*/*/*.py transforms/*.py transforms/*/*.py pipeline/*.py) | $(VENV)/installed-test
	rm -rf $(SANITIZED)
	CFLAGS='$(SANITIZE)' LDFLAGS='-fsanitize=address,undefined' $(BIN)/python setup.py -q build \
		--build-base $(SANITIZED) --build-lib $(SANITIZED)/lib
	touch $@

$(FUZZ)/replay-sanitized: $(NATIVE) $(DRIVERS) $(FUZZ)/tables.h
	$(CXX) $(COMPILE) $(WARNINGS) $(SANITIZE) -O1 tests/fuzz/encode_fuzzer.cc \
		tests/fuzz/replay.cc $(ENGINE) -o $@

# A function compiled twice is chosen before ThreadSanitizer is ready, and crashes.
$(FUZZ)/threads: $(NATIVE) $(DRIVERS) $(FUZZ)/tables.h
	$(CXX) $(COMPILE) $(WARNINGS) -fsanitize=thread -g1 -O1 -D'target_clones(...)=' \
		tests/fuzz/threads.cc $(ENGINE) -pthread -o $@

ifneq ($(shell echo 'int main() {}' | $(CXX) -fsanitize=address,undefined,leak -x c++ - \
	-o /dev/null 2>/dev/null && echo yes),yes)
sanitize:
	@echo "make sanitize: skipped: $(CXX) links no -fsanitize=address,undefined (gcc on Linux does)"
else
sanitize: $(SANITIZED)/built $(FUZZ)/replay-sanitized $(FUZZ)/threads $(CORPUS)/.unpacked
	cd $(SANITIZED) && $(UNDER_ASAN) $(abspath $(BIN))/python \
		-c 'from tokenizer import _native; print(_native.__file__)' | grep $(SANITIZED)/lib
	$(UNDER_ASAN) $(BIN)/pytest -p no:cacheprovider $(NATIVE_TESTS)
	TOKENMILL_INSTRUCTIONS=plain $(UNDER_ASAN) $(BIN)/pytest -p no:cacheprovider $(NATIVE_TESTS)
	$(FUZZ)/replay-sanitized $(CORPUS)/*
	$(FUZZ)/threads
endif

# -- the fuzzer

$(FUZZ)/encode_fuzzer: $(NATIVE) $(DRIVERS) $(FUZZ)/tables.h
	$(CLANGXX) $(COMPILE) $(WARNINGS) $(SANITIZE) -O2 -fsanitize=fuzzer \
		-fno-sanitize-coverage=trace-cmp tests/fuzz/encode_fuzzer.cc $(ENGINE) -o $@

ifneq ($(shell echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' \
	| $(CLANGXX) -fsanitize=fuzzer,address -x c++ - -o /dev/null 2>/dev/null && echo yes),yes)
fuzz fuzz-corpus:
	@echo "make $@: skipped: $(CLANGXX) links no libFuzzer" \
		"(Debian: apt-get install clang libclang-rt-14-dev)"
else
fuzz: $(FUZZ)/encode_fuzzer $(CORPUS)/.unpacked
	mkdir -p $(FUZZ)/found
	ASAN_OPTIONS=quarantine_size_mb=4 $(FUZZ)/encode_fuzzer -max_total_time=$(FUZZ_SECONDS) \
		-max_len=4096 -timeout=60 -print_final_stats=1 -verbosity=0 \
		-dict=tests/fuzz/dictionary -artifact_prefix=$(FUZZ)/ $(FUZZ)/found $(CORPUS)

fuzz-corpus: $(FUZZ)/encode_fuzzer $(CORPUS)/.unpacked
	rm -rf $(FUZZ)/smaller && mkdir -p $(FUZZ)/smaller $(FUZZ)/found
	$(FUZZ)/encode_fuzzer -merge=1 $(FUZZ)/smaller $(CORPUS) $(FUZZ)/found
	$(BIN)/python tests/fuzz/corpus.py pack $(PACKED) $(FUZZ)/smaller
endif

# -- another processor

$(FUZZ)/replay-aarch64: $(NATIVE) $(DRIVERS) $(FUZZ)/tables.h
	$(AARCH64_CXX) $(COMPILE) $(WARNINGS) -O2 -D_GLIBCXX_ASSERTIONS -static \
		tests/fuzz/encode_fuzzer.cc tests/fuzz/replay.cc $(ENGINE) -o $@

ifeq ($(and $(call has,$(AARCH64_CXX)),$(call has,$(AARCH64_RUN))),)
aarch64:
	@echo "make aarch64: skipped: needs $(AARCH64_CXX) and $(AARCH64_RUN)" \
		"(Debian: apt-get install g++-aarch64-linux-gnu qemu-user)"
else
aarch64: $(FUZZ)/replay-aarch64 $(CORPUS)/.unpacked
	$(AARCH64_RUN) $< $(CORPUS)/*
endif
