"""Libraries that not everybody needs: where one is absent, the sentence that says which command installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tdfusion.errors import InputError


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Put around the imports of libraries that one of the package's extras brings.

    Args:
        name: the extra, as in ``pip install "tdfusion[name]"``.
        what: what they are needed for.

    Raises:
        InputError: a library is not installed; names it and the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in ("", "tdfusion"):  # a mistake of ours
            raise
        raise InputError(
            f'{library} is not installed, and it is needed for {what}: pip install "tdfusion[{name}]"'
        ) from error
