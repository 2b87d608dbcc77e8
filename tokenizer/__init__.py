"""Text to token ids by byte-pair encoding; knows nothing of Beam."""

from tokenizer.errors import ConfigurationError, PatternError, TokenmillError, VocabularyError
from tokenizer.tokenizer import EncodedDocuments, Tokenizer
from tokenizer.vocabularies.sources import BUNDLED_NAMES, vocabulary_file
from tokenizer.vocabulary import Vocabulary

__all__ = [
    "BUNDLED_NAMES",
    "ConfigurationError",
    "EncodedDocuments",
    "PatternError",
    "Tokenizer",
    "TokenmillError",
    "Vocabulary",
    "VocabularyError",
    "vocabulary_file",
]
