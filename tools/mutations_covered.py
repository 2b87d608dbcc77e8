"""Which tests cover which module, and which changes make no difference, for tools/mutate.py."""

from pathlib import Path

# Which tests cover a module: the first line whose prefix fits, and always those named after it.
COVERING = {
    "pipeline/lease.py": "lease recovery",
    "pipeline/plan.py": "resume ownership",
    "pipeline/inputs.py": "inputs plan ownership unit_parts",
    "pipeline/books.py": "books build",
    "pipeline/failures.py": "failures plan",
    "pipeline/config.py": "books build",
    "pipeline/runners/remote_job.py": "engine_jobs failures lease stores_commands",
    "pipeline/runners/engine_log.py": "on_beam",
    "pipeline/runners/on_beam.py": "on_beam engine_jobs failures",
    "pipeline/runners/": "failures workers run_pass build",
    "pipeline/commands/build.py": "ownership resume books build",
    "pipeline/commands/verify.py": "verify retokenize inputs",
    "pipeline/commands/inspect.py": "inspect",
    "pipeline/commands/export.py": "export_commands export",
    "pipeline/commands/find.py": "find",
    "pipeline/document_search.py": "find inspect",
    "pipeline/tokenizers.py": "verify hub inspect",
    "pipeline/preview.py": "inspect inputs",
    "pipeline/token_view.py": "inspect",
    "pipeline/token_text.py": "inspect find",
    "pipeline/verify_versions.py": "versions watch",
    "pipeline/versions.py": "versions watch",
    "pipeline/growing_build.py": "watch versions",
    "pipeline/rounds.py": "watch versions",
    "pipeline/arrivals.py": "watch",
    "pipeline/interrupts.py": "watch",
    "pipeline/notices.py": "watch",
    "pipeline/commits.py": "watch tokenize_windows",
    "pipeline/commands/watch.py": "watch versions",
    "pipeline/verify_": "verify verify_export retokenize",
    "pipeline/export_": "export_commands export verify_export",
    "pipeline/shuffling.py": "shuffle export",
    "pipeline/calls.py": "tokenmill export_commands",
    "pipeline/": "cli progress plan build books",
    "transforms/shards/mark.py": "ownership fuzz/records",
    "transforms/shards/receipt.py": "resume fuzz/records books verify",
    "transforms/shards/json_records.py": "fuzz/records ownership resume",
    "transforms/shards/index.py": "unit_writer verify",
    "transforms/shards/formats/": "unit_writer verify",
    "transforms/shards/unit_names.py": "inputs unit_parts",
    "transforms/shards/layout.py": "inputs recovery ownership resume",
    "transforms/shards/input_versions.py": "resume",
    "transforms/shards/recovery.py": "recovery lease staged_file",
    "transforms/shards/staged_file.py": "staged_file recovery",
    "transforms/shards/build.py": "staged_file failures lease inputs recovery",
    "transforms/tokenize_shards.py": "run_pass",
    "transforms/shards/unit_writer.py": "unit_writer build verify",
    "transforms/shards/corpus.py": "loader find tokenmill",
    "transforms/shards/build_source.py": "loader",
    "transforms/shards/joined_build.py": "mixtures",
    "transforms/shards/shard_maps.py": "shard_maps loader",
    "transforms/shards/version.py": "versions watch",
    "transforms/shards/hashed_file.py": "hashed_file",
    "transforms/shards/": "staged_file unit_writer resume ownership verify hub",
    "transforms/passes/tokenize.py": "resume unit_writer failures hub",
    "transforms/passes/work_pass.py": "lease failures run_pass",
    "transforms/passes/export.py": "export sequences",
    "transforms/passes/scatter.py": "shuffle export",
    "transforms/passes/verify_export.py": "verify_export",
    "transforms/passes/document_check.py": "verify verify_vocabularies",
    "transforms/passes/": "verify verify_limits retokenize fuzz/records",
    "transforms/reading/raw_input.py": "raw_input reading_streams",
    "transforms/reading/parquet": "reading_parquet* reading_field_sample reading_coverage",
    "transforms/reading/thrift": "reading_parquet*",
    "transforms/reading/json_": "reading_json_lines reading_json_objects reading_field_sample",
    "transforms/reading/gzip_": "reading_streams reading_coverage reading_record_lengths",
    "transforms/reading/zstd_": "reading_streams reading_coverage reading_record_lengths",
    "transforms/reading/byte_stream": "reading_streams reading_coverage reading_web_archive",
    "transforms/reading/record_": "reading_record_lengths reading_web_archive reading_coverage",
    "transforms/reading/web_": "reading_record_lengths reading_web_archive reading_coverage",
    "transforms/reading/h": "reading_payloads reading_web_archive reading_record_lengths",
    "transforms/reading/": "reading_* build",
    "transforms/loading/": "loader loader_exports shard_maps",
    "transforms/stores/object_": "object_reader stores stores_commands",
    "transforms/stores/hadoop": "hadoop_store",
    "transforms/stores/upload": "filesystem hadoop_store stores",
    "transforms/stores/hub": "web_stores hub",
    "transforms/stores/web_": "web_stores",
    "transforms/stores/read_only": "web_stores stores",
    "transforms/stores/": "filesystem staged_file stores",
    "transforms/exports/formats/": "export_formats verify_export export",
    "transforms/exports/corpus_source.py": "loader_exports loader",
    "transforms/exports/index.py": "export_formats export",
    "transforms/exports/": "export sequences splits mixtures shuffle verify_export",
    "transforms/token_coders.py": "shuffle run_pass",
    "transforms/filesystem.py": "filesystem staged_file",
    "transforms/apply_merge_rules.py": "apply_merge_rules",
    "transforms/encoding_do_fns.py": "apply_merge_rules",
    "transforms/": "run_pass build apply_merge_rules books",
    "tokenizer/split/plan.py": "split_stages tokenizer",
    "tokenizer/split/": "split_* native_split unicode_properties",
    "tokenizer/vocabularies/": "vocabulary tokenizer_json tekken hub tokenizer",
    "tokenizer/text/alignment.py": "route inspect",
    "tokenizer/text/": "normalizers tokenizer_json tokenizer",
    "tokenizer/native/vocabulary": "native_ids vocabulary tokenizer_json tekken tokenizer",
    "tokenizer/native/": "native_split native_edges native_ids tokenizer vocabulary split_table",
    "tokenizer/route.py": "route verify_vocabularies tokenizer",
    "tokenizer/id_table.py": "native_ids route verify_vocabularies",
    "tokenizer/": "tokenizer vocabulary tokenizer_json",
}
# What a change that makes no difference begins with, and why it makes none.
EQUIVALENT: dict[str, str] = {
    "pipeline/lease.py: `1` -> `2` in `self._beat": "a beat that is another will do",
    "transforms/exports/formats/arrayrecord.py: `self._writer.close()` -> `pass`": (
        "whoever calls `finish` calls `close` next, before the file is looked at"
    ),
    "transforms/reading/json_lines.py: `2` -> `3` in `if len(piece)": (
        "two ways to one result, and when to take which"
    ),
    "transforms/reading/json_lines.py: `len(piece) - begin` -> `(len(piece) + begin)`": (
        "two ways to one result, and when to take which"
    ),
    "transforms/reading/parquet.py: `2 * settings.batch_bytes`": "how much is decoded at a time",
    "transforms/reading/parquet_pages.py: `page is None and wanted <=": (
        "reads on after a header that is known, and finds the same"
    ),
    "transforms/reading/record_heads.py: `offset // _BYTES_A_STEP`": (
        "a limit of time alone, which honest files never come near"
    ),
    "transforms/reading/record_window.py: `0` -> `1` in `bare =": (
        "an empty line is never the first thing in the window"
    ),
    'transforms/reading/thrift_compact.py: `raise ValueError(f"a field of type': (
        "None can not be unpacked: the same refusal by another error"
    ),
    "transforms/stores/beam_store.py: `not has_wildcard": "the same files, by a listing",
    "transforms/stores/object_store.py: `not has_wildcard": "the same files, by a listing",
    "transforms/stores/hub_store.py: `False` -> `True` in `return next": (
        "the same file, by a listing that goes deeper"
    ),
    "transforms/reading/json_objects.py: `int(np.count_nonzero(sample > 127)) <=": (
        "which of two ways, with one result"
    ),
    "transforms/reading/zstd_frames.py: `raise` -> `pass`": (
        "blocks that fail together fail one by one, and are reported there"
    ),
    "tokenizer/vocabularies/tiktoken_file.py: `len(tokens) <= MAX_RANK + 1`": (
        "which of two ways, with one result"
    ),
    "tokenizer/vocabularies/tiktoken_file.py: `1` -> `2` in `is_valid =": (
        "which of two ways, with one result"
    ),
    "tokenizer/split/fast/windows.py: `1` -> `2` in `block = outcomes": (
        "NumPy takes any negative size for what is left"
    ),
    "transforms/reading/parquet_decoding.py: `break` -> `continue`": (
        "reads on, and finds the same dictionary"
    ),
    "transforms/reading/record_window.py: `self.available < count` ->": "a piece more is buffered",
    "transforms/exports/formats/pbin.py: `raise pickle.UnpicklingError(f": (
        "nothing can not be called either: the same refusal by another error"
    ),
    "tokenizer/vocabulary.py: `0` -> `1` in `return max(len(self.token_offsets)": (
        "the size of a vocabulary of one token"
    ),
    "tokenizer/split/fast/windows.py: `0` -> `1` in `happens[place]": (
        "what could happen in one window more: the table decides there"
    ),
    "transforms/reading/http_payload.py: `1` -> `2` in `room, remaining": (
        "a byte more is decoded of what is refused anyway"
    ),
    "pipeline/commands/export.py: `receipt.fingerprint != work.fingerprint or": (
        "a second look: what does not fit was done again before"
    ),
    "transforms/reading/json_documents.py: `counts > MAX_DEPTH` -> `(counts >=": (
        "a first look: what it picks out is counted exactly"
    ),
    "transforms/reading/json_block.py: `self.parsed.clear()`": "memory is given back a line later",
    "tokenizer/text/alignment.py: `True` -> `False` in `for begin, end in zip(edges, edges": (
        "a list is as long as itself"
    ),
    "tokenizer/split/fast/composition.py: `0` -> `1` in `columns =": "all rows are of one length",
    "tokenizer/vocabularies/merge_ranks.py: `byte < 0x80`": (
        "where bytes have tokens of their own, no other token is the byte 80 alone"
    ),
    "tokenizer/native/pretoken_cache.cc: `if (index_[i].places[slot] >= begin": (
        "a place that is not forgotten: what stands there is compared with the word"
    ),
    "tokenizer/native/encoder.cc: `if (token.size() > ShortKey": (
        "which of two tables keeps a token of 15 bytes"
    ),
    "tokenizer/native/pretoken_cache.cc: `return pretoken.size() <= ShortKey": (
        "which of two kinds of key a pretoken of 15 bytes has"
    ),
    "tokenizer/native/binding.cc: `if (size + TokenBytes::kAtOnce > sizeof few)": (
        "which of two buffers holds a text of just that length"
    ),
    "tokenizer/native/split.cc: `while (count <= kBlockPretokens - 65": (
        "how many pretokens are split at a time"
    ),
    "tokenizer/native/vocabulary.cc: `is_in_order_ &= result > std::max": (
        "no merge makes one of its own parts"
    ),
}
# What nothing of `make test` can notice, and what does; these count as survivors.
KNOWN: dict[str, str] = {
    "tokenizer/native/split.cc: `while (block.count < kBlockPretokens": (
        "a write behind the block: AddressSanitizer (make sanitize)"
    ),
    "tokenizer/native/pretoken_cache.cc: `for (size_t i = 0; i < 2; ++i)": (
        "a write behind the mask: AddressSanitizer (make sanitize)"
    ),
    "tokenizer/native/pretoken_cache.cc: `for (size_t slot = 0; slot < kSlots": (
        "a write behind the slots: UndefinedBehaviorSanitizer (make sanitize)"
    ),
    "tokenizer/native/split_table.cc: `for (uint8_t byte = 0; byte < 128": (
        "a write behind the classes: UndefinedBehaviorSanitizer (make sanitize)"
    ),
    "transforms/stores/object_store.py: `self.look_up(path) is not None`": "make test-stores",
    "transforms/stores/object_store.py: `self._delete_one_by_one": (
        "where a store refuses to delete many at once; no server here does"
    ),
}


def tests_of(path: str, tree: Path) -> list[str]:
    """The test files that cover a module, those of its own name first."""
    own = Path(path).stem
    names = next((value for prefix, value in COVERING.items() if path.startswith(prefix)), "build")
    files: list[str] = []
    for name in [own, *names.split()]:
        folder, _, stem = name.rpartition("/")
        pattern = f"tests/{folder}/test_{stem}.py" if folder else f"tests/test_{stem}.py"
        for found in sorted(tree.glob(pattern)):
            relative = found.relative_to(tree).as_posix()
            if relative not in files:
                files.append(relative)
    return files
