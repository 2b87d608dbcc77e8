"""Forks and sub-interpreters: a tokenizer works there, or is refused."""

import multiprocessing
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tokenizer import Tokenizer

REPOSITORY = Path(__file__).resolve().parent.parent

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def run_python(code: str) -> str:
    """What a fresh interpreter prints; a process of its own since it may hang or crash."""
    # Python warns of forks beside threads from 3.12 on, rightly: that is what is tested.
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    result = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout.strip()


@needs_fork
def test_a_child_forked_while_other_threads_encode_can_encode() -> None:
    """Without the GIL around loans 11 of 200 children waited for ever for the pool's mutex."""
    printed = run_python(
        """
        import os, signal, threading
        from tokenizer import Tokenizer

        tokenizer = Tokenizer.load("r50k_base", cache_bytes=1)
        expected = tokenizer.encode("hello world").tolist()
        running = True

        def encode():
            while running:
                tokenizer.encode("a")

        threads = [threading.Thread(target=encode) for _ in range(4)]
        for thread in threads:
            thread.start()
        failed = 0
        for _ in range(60):
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                os._exit(tokenizer.encode("hello world").tolist() != expected)
            failed += os.waitpid(child, 0)[1] != 0
            if failed == 3:  # half a minute each is enough
                break
        running = False
        for thread in threads:
            thread.join()
        print(failed, "failed")
        """
    )
    assert printed == "0 failed"


@needs_fork
def test_processes_forked_after_encoding_encode_the_same() -> None:
    printed = run_python(
        """
        import multiprocessing
        from tokenizer import Tokenizer

        texts = [f"text {number} of some" for number in range(100)]
        tokenizer = Tokenizer.load("cl100k_base", cache_bytes=1)
        expected = [tokenizer.encode(text).tolist() for text in texts]

        def encode(text):
            return tokenizer.encode(text).tolist()

        with multiprocessing.get_context("fork").Pool(3) as pool:
            print(pool.map_async(encode, texts).get(timeout=60) == expected)
        """
    )
    assert printed == "True"


def test_a_spawned_process_unpickles_the_tokenizer_and_encodes_the_same() -> None:
    tokenizer = Tokenizer.load("r50k_base")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply_async(tokenizer.encode, ("hello world",)).get(timeout=60)
    assert found.tolist() == tokenizer.encode("hello world").tolist()


def test_a_sub_interpreter_is_refused_and_the_main_one_goes_on() -> None:
    """numpy refuses first; where it does not (its own guard is young), the engine does."""
    printed = run_python(
        """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        from tokenizer import Tokenizer

        tokenizer = Tokenizer.load("r50k_base", cache_bytes=1)
        code = '''if True:
            try:
                import tokenizer
                print("imported", flush=True)
            except ImportError:
                print("refused", flush=True)
        '''
        interpreters.run_string(interpreters.create(), code)
        print(tokenizer.encode("hello world").tolist())
        """
    )
    assert printed.splitlines() == ["refused", "[31373, 995]"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="before 3.12 nothing guards an import")
def test_the_native_module_by_itself_is_refused_in_a_sub_interpreter() -> None:
    printed = run_python(
        """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        from tokenizer import _native

        code = f'''if True:
            import importlib.util
            found = importlib.util.spec_from_file_location(
                "tokenizer._native", {_native.__file__!r})
            try:
                importlib.util.module_from_spec(found)
                print("imported", flush=True)
            except ImportError as error:
                print("refused:", error, flush=True)
        '''
        interpreters.run_string(interpreters.create(), code)
        """
    )
    assert printed.startswith("refused:")
    assert "does not support loading in subinterpreters" in printed
