"""The one exception that a user's input can cause."""

from __future__ import annotations


class InputError(ValueError):
    """Input that cannot be used: a file, a shape, a name or a value.

    The message is one sentence that names the culprit and says what was expected. The commands
    print it after ``tdfusion: error:`` and exit with status 2; in Python it is an ordinary
    ``ValueError``.
    """
