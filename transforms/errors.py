"""The errors of files and passes; those of vocabularies are in tokenizer/errors.py.

TokenmillError
├── ConfigurationError     tokenizer/errors.py: settings that can not work; exit code 2
├── BooksError             counts that must be equal are not: nothing is committed
├── MismatchError          what is on disk is not what the settings or the manifest say
├── UnitFailedError        one unit could not be done; the others can
│   └── UnitTakenError     its name has a receipt already, which is not written over
├── StorageError           the disk is full or gone: no unit can be done
└── BuildLostError         somebody else has taken the build over while this run was working
"""

from tokenizer.errors import TokenmillError


class BooksError(TokenmillError):
    """Counts that must be equal are not; the unit is not committed."""


class MismatchError(TokenmillError):
    """What is on disk is not what the settings or the manifest say."""


class UnitFailedError(TokenmillError):
    """One unit could not be done; the message names its input, the record and the cause."""


class UnitTakenError(UnitFailedError):
    """The unit has a receipt already, in a build where none is ever written over."""


class StorageError(TokenmillError):
    """The disk is full or gone; the message says where. No unit can be done."""


class BuildLostError(TokenmillError):
    """Somebody else has taken the build over; this run may not write there any more."""
