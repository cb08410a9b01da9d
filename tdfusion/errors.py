"""The two exceptions of the library: input that cannot be used, and training that cannot go on."""

from __future__ import annotations


class InputError(ValueError):
    """Input that cannot be used: a file, a shape, a name or a value.

    The message is one sentence that names the culprit and says what was expected. The commands
    print it after ``tdfusion: error:`` and exit with status 2; in Python it is an ordinary
    ``ValueError``.
    """


class TrainingError(RuntimeError):
    """Training cannot go on: a loss is not finite, or G receives no gradient. The message says where."""
