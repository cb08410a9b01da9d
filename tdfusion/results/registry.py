"""Which command makes which file of ``results/``, by the rules in ``results/index.json``, and what that took."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import NamedTuple

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


class Spent(NamedTuple):
    """What a result took: how many runs, and hours from the start to the end of each, added up."""

    runs: int
    hours: float


def spent(folder: Path = FOLDER) -> dict[str, Spent]:
    """What every study and every kept run took, by its path inside ``results/``, the longest first.

    Runs that were made and not kept are not in it, nor is what a result has replaced.
    """
    found = {}
    for path in folder.rglob("*.json"):
        record = json.loads(path.read_text("utf-8"))
        if path.name == "provenance.json":
            name, runs = path.parent, [record]
        elif isinstance(record, dict) and "provenance" in record:
            name, runs = path.with_suffix(""), record["provenance"]
        else:
            continue
        hours = sum(run["seconds"] for run in runs) / 3600
        found[name.relative_to(folder).as_posix()] = Spent(len(runs), hours)
    return dict(sorted(found.items(), key=lambda item: -item[1].hours))
