"""The full-scale runs of the book, one command: trained, judged by retrained task networks, and collected.

SynthRoad by both variants for both tasks, through ``notebooks/train.ipynb``; then T retrained on every source's
images through ``notebooks/downstream.ipynb``; then what the book shows, small, into ``results/``. A piece lasts
about ``--minutes``; what is not done then goes on in the next piece from its checkpoint, so the command may be
cut off and given again at any time.

    python -m studies.full_runs --device cuda --workers 16                  # the paper's scale: needs a GPU
    python -m studies.full_runs --device cuda --workers 16 --pieces 1       # one piece of it, then stop
    python -m studies.full_runs --preset smoke --downstream smoke --out runs/reduced --results results/reduced
    python -m studies.full_runs --dry-run                                   # what is done, what is left

Runs lie in ``--out``: ``TASK-VARIANT-seedN`` and ``downstream/TASK-SOURCE-seedN``, each beside its executed notebook.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import papermill
from nbclient.exceptions import CellTimeoutError
from tqdm import tqdm

from tdfusion.commands.settings import read_settings
from tdfusion.config import PRESETS, TASKS, VARIANTS
from tdfusion.downstream.config import PRESETS as DOWNSTREAM_PRESETS
from tdfusion.downstream.scores import read_scores
from tdfusion.files import whole_file, write_text
from tdfusion.results import save
from tdfusion.runs.provenance import command_line, require_clean

ROOT = Path(__file__).resolve().parents[1]
PLAIN_SOURCES = ("infrared", "visible", "mean", "max")
SMALL_FILES = ("config.json", "provenance.json", "metrics.csv", "F.safetensors", "G.safetensors")


@dataclass(frozen=True)
class Job:
    """One call of a notebook, repeated until the file that it leaves last is there."""

    notebook: str
    folder: Path
    last_file: str
    about: dict[str, Any]  # task, seed, and variant or source
    parameters: Callable[[], dict[str, Any]]  # of the next piece, beyond task and seed
    execution_timeout: float | None = None  # seconds, where the notebook has no clock of its own

    @property
    def state(self) -> str:
        if (self.folder / self.last_file).exists():
            return "done"
        return "goes on" if (self.folder / "config.json").exists() else "to begin"

    def piece(self) -> None:
        """Begin, or go on for a while."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        named = {"task": self.about["task"], "seed": self.about["seed"], "out": str(self.folder)}
        with suppress(CellTimeoutError):  # the engine's last checkpoint is where the next piece begins
            papermill.execute_notebook(
                ROOT / "notebooks" / self.notebook,
                self.folder.with_name(f"{self.folder.name}.ipynb"),
                parameters=named | self.parameters(),
                kernel_name="python3",
                progress_bar=False,
                execution_timeout=self.execution_timeout,
                cwd=ROOT,
            )


def train_jobs(options: argparse.Namespace) -> list[Job]:
    """Algorithm 1, for every seed, variant and task."""

    def job(seed: int, variant: str, task: str) -> Job:
        folder = options.out / f"{task}-{variant}-seed{seed}"

        def parameters() -> dict[str, Any]:
            return {
                "preset": options.preset,
                "variant": variant,
                "device": options.device,
                "settings": {"workers": options.workers} | read_settings(options.set),
                "minutes": options.minutes,
                "resume": (folder / "checkpoint.pt").exists(),
                "scored": 50,
            }

        about = {"task": task, "variant": variant, "seed": seed}
        return Job("train.ipynb", folder, "metrics.csv", about, parameters)

    return [job(*case) for case in product(options.seeds, options.variants, options.tasks)]


def downstream_jobs(options: argparse.Namespace) -> list[Job]:
    """T retrained on the plain sources and on what every trained F fuses."""

    def job(seed: int, task: str, source: str, of: str) -> Job:
        def parameters() -> dict[str, Any]:
            return {
                "source": of,
                "preset": options.downstream,
                "device": options.device,
                "settings": read_settings(options.set_downstream),
                "resume": (folder / "config.json").exists(),
            }

        folder = options.out / "downstream" / f"{task}-{source.replace(', ', '-')}-seed{seed}"
        about = {"task": task, "source": source, "seed": seed}
        return Job("downstream.ipynb", folder, "scores.json", about, parameters, 60 * options.minutes)

    jobs = []
    for seed, task in product(options.seeds, options.tasks):
        trained = {
            f"F, {v}": str(options.out / f"{task}-{v}-seed{seed}" / "F.safetensors") for v in options.variants
        }
        sources = {plain: plain for plain in PLAIN_SOURCES} | trained
        jobs += [job(seed, task, source, of) for source, of in sources.items()]
    return jobs


def collect(results: Path, training: list[Job], judging: list[Job]) -> None:
    """What the book shows of the runs that are done: networks, settings, provenance, scores; a row per epoch."""
    results.mkdir(parents=True, exist_ok=True)
    for job in training:
        if job.state == "done":
            kept = results / job.folder.name
            kept.mkdir(exist_ok=True)
            for name in SMALL_FILES:
                with whole_file(kept / name) as part:
                    shutil.copyfile(job.folder / name, part)
            means = epoch_means((job.folder / "history.jsonl").read_text().splitlines())
            write_text(kept / "epochs.json", json.dumps(means, indent=1) + "\n")
    judged = [job for job in judging if job.state == "done"]
    if not judged:
        return
    made, settings = [], {}
    for job in judged:
        config, about = (
            json.loads((job.folder / f"{part}.json").read_text()) for part in ("config", "provenance")
        )
        task, source = job.about["task"], job.about["source"]
        settings[task] = {name: v for name, v in config.items() if name not in ("task", "source", "seed")}
        made.append({"task": task, "arm": source} | about)
    save(
        "downstream",
        (row for job in judged for row in read_scores(job.folder).rows(job.about["source"])),
        what="Scores in [0, 1] of T retrained on each source's images",
        command=command_line(),
        provenance=made,
        settings=settings,
        folder=results,
    )


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


def main() -> int:
    """0 where everything is done, 75 where pieces are left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help='"cpu" (default) or "cuda"')
    parser.add_argument("--workers", type=int, default=0, help="processes that draw the scenes ahead")
    parser.add_argument("--preset", default="paper", choices=PRESETS, help="of the training (default: paper)")
    parser.add_argument(
        "--downstream",
        default="paper",
        choices=DOWNSTREAM_PRESETS,
        help="preset of the judges (default: paper)",
    )
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="length of a piece (default: 9)")
    parser.add_argument("--pieces", type=int, default=10_000, help="stop after so many pieces")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the training, e.g. L=1"
    )
    parser.add_argument(
        "--set-downstream", action="append", default=[], metavar="NAME=VALUE", help="a setting of the judges"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "full")
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "full")
    parser.add_argument(
        "--allow-dirty",
        action="store_true",
        help='write into results/ from code that is not committed; the results are marked with "+"',
    )
    parser.add_argument("--dry-run", action="store_true", help="say what is done and what is left, and stop")
    options = parser.parse_args()
    options.out = options.out.resolve()
    training, judging = train_jobs(options), downstream_jobs(options)
    jobs = [*training, *judging]
    if options.dry_run:
        for job in jobs:
            print(f"{job.state:<9}{job.folder.relative_to(options.out)}")
        return 0
    require_clean(options.results, options.allow_dirty)
    pieces = 0
    for job in tqdm(jobs, unit="run"):
        while job.state != "done" and pieces < options.pieces:
            tqdm.write(f"{job.folder.name}: {job.state}")
            job.piece()
            pieces += 1
    collect(options.results, training, judging)
    left = sum(job.state != "done" for job in jobs)
    print(f"{left} of {len(jobs)} runs left; the same command goes on" if left else "all runs are done")
    return 75 if left else 0


if __name__ == "__main__":
    sys.exit(main())
