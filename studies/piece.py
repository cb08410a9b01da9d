"""One piece of a run: its notebook begins it, or goes on with it, until it is done or its minutes are over.

    python -m studies.piece train runs/msrs '{"dataset": "MSRS", "root": "/data/MSRS", "minutes": 9}'

The exit status is 0 where the run is done and 75 where a piece is left: the same command goes on. Both engines
keep checkpoints in the run's folder, so a piece may also be cut off at any moment.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import shutil
import sys
from pathlib import Path

import papermill
from nbclient.exceptions import CellTimeoutError
from papermill.exceptions import PapermillExecutionError

from studies.matrix import LEAVES_LAST
from tdfusion.errors import InputError
from tdfusion.runs.provenance import require_clean

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
GOES_ON_FROM = {"train": "checkpoint.pt", "downstream": "config.json"}


def piece(notebook: str, folder: Path, told: dict) -> int:
    """Call the notebook once; 0, or 75 where the run is not done."""
    minutes, limit = told.get("minutes"), None
    if notebook == "downstream":  # has no clock of its own: the kernel is stopped, the last epoch is kept
        told = {name: value for name, value in told.items() if name != "minutes"}
        limit = 60 * minutes if minutes is not None else None
    begun = (folder / GOES_ON_FROM[notebook]).is_file()
    if not begun and folder.is_dir() and not (folder / "history.jsonl").exists():
        shutil.rmtree(folder)  # cut off before its first checkpoint: nothing is lost
    record = folder.with_name(f"{folder.name}.ipynb")
    print(f"{folder}: {'goes on' if begun else 'begins'}", file=sys.stderr)
    try:
        papermill.execute_notebook(
            NOTEBOOKS / f"{notebook}.ipynb", record, parameters=told | {"out": str(folder), "resume": begun},
            kernel_name="python3", progress_bar=False, execution_timeout=limit, cwd=Path.cwd(),
        )  # fmt: skip
    except CellTimeoutError:
        pass
    except PapermillExecutionError as error:
        raise InputError(f"{folder}: {error.ename}: {error.evalue} (all of it in {record})") from error
    if (folder / LEAVES_LAST[notebook]).is_file():
        return 0
    print(f"{folder}: not done after {minutes} minutes; the same command goes on", file=sys.stderr)
    return 75


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebook", choices=LEAVES_LAST)
    parser.add_argument("folder", type=Path)
    parser.add_argument("told", type=json.loads, help="parameters of the notebook, as JSON")
    parser.add_argument("--cited", type=Path, help="the table that the run is for")
    parser.add_argument("--allow-dirty", action="store_true", help="even if it is one of results/")
    options = parser.parse_args()
    try:
        if options.cited is not None:
            require_clean(options.cited, options.allow_dirty)
        options.folder.parent.mkdir(parents=True, exist_ok=True)
        with options.folder.with_name(f"{options.folder.name}.lock").open("w") as lock:
            try:  # gone with the process, however it ends
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"{options.folder}: another process is at this run") from None
            return piece(options.notebook, options.folder, options.told)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
