"""tiktoken in a bare script, no checks, no books, no resume.

usage: bare_tiktoken.py GLOB OUT NAME.tiktoken [PROCESSES]

Every input (.jsonl.zst or .jsonl.gz) becomes OUT/<input>.npy: its documents' ids, uint32, the
end-of-text id after each. Stands alone on purpose: it is what a user would write.
"""

import base64
import glob
import json
import os
import sys
from multiprocessing import get_context
from pathlib import Path
from typing import Any

_BATCH_DOCUMENTS = 512


def read_texts(path: str) -> list[str]:
    """The `text` of every line."""
    import gzip

    import zstandard

    with open(path, "rb") as file:
        if path.endswith(".zst"):
            decompressor = zstandard.ZstdDecompressor()
            lines = decompressor.stream_reader(file, read_across_frames=True).read()
        else:
            lines = gzip.decompress(file.read())
    return [json.loads(line)["text"] for line in lines.splitlines()]


def load(vocabulary: str) -> Any:
    """The published encoding of that name, its ranks read from the file.

    tiktoken fetches them from the network by itself; all the rest is its own.
    """
    import tiktoken
    from tiktoken_ext import openai_public

    lines = (line.split() for line in Path(vocabulary).read_bytes().splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    openai_public.load_tiktoken_bpe = lambda *_, **__: ranks
    return tiktoken.Encoding(**getattr(openai_public, Path(vocabulary).stem)())


_encoding: Any = None


def _start(vocabulary: str) -> None:
    global _encoding
    _encoding = load(vocabulary)


def _tokenize(job: tuple[str, str]) -> int:
    import numpy as np

    path, output = job
    texts = read_texts(path)
    parts = [np.zeros(0, np.uint32)]
    for first in range(0, len(texts), _BATCH_DOCUMENTS):
        batch = texts[first : first + _BATCH_DOCUMENTS]
        encoded = _encoding.encode_ordinary_batch(batch, num_threads=1)
        parts += [np.array([*ids, _encoding.eot_token], np.uint32) for ids in encoded]
    tokens = np.concatenate(parts)
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
