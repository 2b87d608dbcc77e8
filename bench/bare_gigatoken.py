"""The peer's best case: gigatoken in a bare script, no checks, no books, no resume.

usage: bare_gigatoken.py GLOB OUT NAME.tiktoken [PROCESSES]

Every input (.jsonl.zst, .jsonl.gz, .parquet, .warc.wet.gz or .warc.gz of HTML) becomes
OUT/<input>.npy: its documents' ids, uint32, the end-of-text id after each. Stands alone on purpose:
it is what a user would write with the fastest libraries that are published for each format.
"""

import glob
import os
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from typing import Any

_BATCH_DOCUMENTS = 512
_END_OF_TEXT = {
    "r50k_base.tiktoken": 50256,
    "cl100k_base.tiktoken": 100257,
    "o200k_base.tiktoken": 199999,
}


def read_texts(path: str) -> list[str]:
    """The text of every document."""
    if path.endswith(".parquet"):
        import pyarrow.parquet as pq

        texts: list[str] = pq.read_table(path, columns=["text"], use_threads=False)[0].to_pylist()
        return texts
    if path.endswith((".warc.wet.gz", ".warc.gz")):
        return list(_texts_of_archive(path))
    return _texts_of_lines(path)


def _texts_of_archive(path: str) -> Iterator[str]:

    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    with open(path, "rb") as file:
        if path.endswith(".wet.gz"):
            kind = WarcRecordType.conversion
            for record in ArchiveIterator(file, record_types=kind, parse_http=False):
                yield record.reader.read().decode()
            return
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            body = record.reader.read()
            page = bytes_to_str(body, record.http_charset or detect_encoding(body))
            text = extract_plain_text(page, main_content=True)
            if text.strip():
                yield text


def _texts_of_lines(path: str) -> list[str]:
    import msgspec
    import zstandard
    from isal import igzip

    class Line(msgspec.Struct):
        text: str

    with open(path, "rb") as file:
        if path.endswith(".zst"):
            decompressor = zstandard.ZstdDecompressor()
            lines = decompressor.stream_reader(file, read_across_frames=True).read()
        else:
            lines = igzip.decompress(file.read())
    return [line.text for line in msgspec.json.Decoder(Line).decode_lines(lines)]


def load(vocabulary: str) -> Any:
    """The tokenizer; special-token text is plain text, or a document could forge its end."""
    from gigatoken import Tokenizer

    return Tokenizer.from_tiktoken(vocabulary, special_tokens={})


_tokenizer: Any = None
_end_of_text = 0


def _start(vocabulary: str) -> None:
    global _tokenizer, _end_of_text
    _tokenizer = load(vocabulary)
    _end_of_text = _END_OF_TEXT[os.path.basename(vocabulary)]


def _tokenize(job: tuple[str, str]) -> int:
    import awkward as ak
    import numpy as np

    path, output = job
    texts = read_texts(path)
    parts = [np.zeros(0, np.uint32)]
    for first in range(0, len(texts), _BATCH_DOCUMENTS):
        batch = _tokenizer.encode_batch(texts[first : first + _BATCH_DOCUMENTS], parallel=False)
        ends = np.cumsum(np.asarray(ak.num(batch)))
        parts.append(np.insert(np.asarray(ak.flatten(batch)), ends, _end_of_text))
    tokens = np.concatenate(parts).astype(np.uint32, copy=False)
    np.save(os.path.join(output, os.path.basename(path)), tokens)
    return len(tokens)


def main() -> None:
    pattern, output, vocabulary = sys.argv[1:4]
    processes = int(sys.argv[4]) if len(sys.argv) > 4 else 2
    os.makedirs(output, exist_ok=True)
    jobs = [(path, output) for path in sorted(glob.glob(pattern))]
    with get_context("spawn").Pool(processes, _start, (vocabulary,)) as pool:
        print(sum(pool.imap_unordered(_tokenize, jobs)), "tokens")


if __name__ == "__main__":
    main()
