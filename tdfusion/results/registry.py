"""Which command makes which file of ``results/``: the rules in ``results/index.json``."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path

from tdfusion.errors import InputError
from tdfusion.results.table import FOLDER


def command_of(file: str | Path, folder: Path = FOLDER) -> str:
    """The command that makes a file of ``results/``.

    Args:
        file: its path inside ``results/``.
        folder: where the results and their ``index.json`` are.

    Raises:
        InputError: no rule makes it.
    """
    for rule in json.loads((folder / "index.json").read_text("utf-8")):
        if any(fnmatch.fnmatch(str(file), pattern) for pattern in rule["files"]):
            return rule["command"]
    raise InputError(f"{folder / file}: no rule of index.json makes it; add the command, or remove the file")
