"""The end of a matrix: one table of all its scores, and of every trained network what the book keeps."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studies.matrix import Matrix, Run
from tdfusion.downstream.scores import read_scores
from tdfusion.evaluate.scores import Evaluation
from tdfusion.files import whole_file, write_text
from tdfusion.results import save
from tdfusion.runs.provenance import require_clean

KEPT = ("config.json", "provenance.json", "metrics.csv", "F.safetensors", "G.safetensors")


def collect(matrix: Matrix, command: str) -> None:
    """``matrix.table``: the six metrics of every F per test image, and every judge's scores; small files beside it.

    Raises:
        InputError: the table is one of ``results/``, and the code is not committed.
    """
    table, runs = Path(matrix.table), matrix.runs.values()
    require_clean(table, matrix.allow_dirty)
    made, settings = [], {}
    for run in runs:
        folder = Path(run.folder)
        config, about = (
            json.loads((folder / f"{part}.json").read_text()) for part in ("config", "provenance")
        )
        of = run.where
        made.append({key: of[key] for key in ("data", "task", "arm")} | {"notebook": run.notebook} | about)
        if run.notebook == "downstream":
            where = of["task"] if len(matrix.data) == 1 else f"{of['data']}, {of['task']}"
            settings[where] = {key: v for key, v in config.items() if key not in ("task", "source", "seed")}
        else:
            keep(folder, table.parent / folder.name)
    save(
        table.name,
        (row for run in runs for row in rows(run)),
        what="Scores in [0, 1] of T retrained on each source's images; of each trained F the metrics of test images",
        command=command,
        provenance=made,
        settings=settings,
        folder=table.parent,
    )


def rows(run: Run) -> Iterator[dict[str, Any]]:
    """Of a judge, means and classes; of a training run, six metrics per image."""
    if run.notebook == "downstream":
        yield from read_scores(run.folder).rows(run.arm)
        return
    for row in Evaluation.read(run.last).rows:
        yield run.where | {"group": row.group, "image": row.image, "values": row.values}


def keep(run: Path, kept: Path) -> None:
    """What the book shows of a training run: networks, settings, provenance, scores, and a row per epoch."""
    for name in KEPT:
        if (run / name).is_file():  # G is left where it learned
            with whole_file(kept / name) as part:
                shutil.copyfile(run / name, part)
    means = epoch_means((run / "history.jsonl").read_text().splitlines())
    write_text(kept / "epochs.json", json.dumps(means, indent=1) + "\n")


def keep_whole(run: Path, kept: Path) -> None:
    """All of a short run but its checkpoint: the book draws its history step by step."""
    shutil.copytree(run, kept, ignore=shutil.ignore_patterns("*.pt"), dirs_exist_ok=True)


def epoch_means(lines: list[str]) -> list[dict[str, Any]]:
    """The mean of every number of the history over the steps of each epoch and phase."""
    steps: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for row in map(json.loads, lines):
        steps[row["epoch"], row["phase"]].append(row)
    return [
        {"epoch": epoch, "phase": phase, "steps": len(rows)}
        | {
            name: sum(r[name] for r in rows) / len(rows)
            for name in rows[0]
            if name not in ("epoch", "phase", "step")
        }
        for (epoch, phase), rows in steps.items()
    ]
