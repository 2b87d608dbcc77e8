"""Which bundled vocabulary a model uses, for those who name the model: `gpt-4o` -> `o200k_base`.

Facts of tiktoken's own table (openai/tiktoken, tiktoken/model.py); the longest beginning counts.
"""

_VOCABULARIES = {
    "gpt2": "gpt2",
    "gpt3": "r50k_base",
    "gpt35": "cl100k_base",
    "gpt4": "cl100k_base",
    "gpt4o": "o200k_base",
    "gpt41": "o200k_base",
    "gpt45": "o200k_base",
    "gpt5": "o200k_base",
    "chatgpt4o": "o200k_base",
    "o1": "o200k_base",
    "o3": "o200k_base",
    "o4mini": "o200k_base",
    "davinci": "r50k_base",
    "textdavinci003": "p50k_base",
    "textdavinci002": "p50k_base",
    "textembedding": "cl100k_base",
    "r50k": "r50k_base",
    "p50k": "p50k_base",
    "cl100k": "cl100k_base",
    "o200k": "o200k_base",
}


def vocabulary_of_model(name: str) -> str | None:
    """The bundled vocabulary of a model, or None where nobody knows.

    >>> [vocabulary_of_model(name) for name in ("gpt-4", "GPT-4o-mini", "bert")]
    ['cl100k_base', 'o200k_base', None]
    """
    plain = "".join(character for character in name.lower() if character.isalnum())
    known = [start for start in _VOCABULARIES if plain.startswith(start)]
    return _VOCABULARIES[max(known, key=len)] if known else None
