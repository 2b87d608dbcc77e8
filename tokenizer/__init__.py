"""Text to token ids by byte-pair encoding; knows nothing of Beam."""

from tokenizer.encoded import EncodedDocuments, Reencoded, TracedPretoken
from tokenizer.errors import ConfigurationError, PatternError, TokenmillError, VocabularyError
from tokenizer.text.hashes import text_hashes
from tokenizer.tokenizer import Tokenizer
from tokenizer.vocabularies.sources import BUNDLED_NAMES, vocabulary_file
from tokenizer.vocabulary import Vocabulary

__all__ = [
    "BUNDLED_NAMES",
    "ConfigurationError",
    "EncodedDocuments",
    "PatternError",
    "Reencoded",
    "Tokenizer",
    "TokenmillError",
    "TracedPretoken",
    "Vocabulary",
    "VocabularyError",
    "text_hashes",
    "vocabulary_file",
]
