"""The full-scale runs of the book, one command: SynthRoad by both variants for both tasks, in resumable pieces.

Every run goes through ``notebooks/train.ipynb`` by papermill. A piece lasts at most ``--minutes``; what is not done
then goes on in the next piece from its checkpoint, so the command may be cut off and given again at any time.

    python scripts/full_runs.py --device cuda                        # the paper's scale: needs a GPU
    python scripts/full_runs.py --preset smoke --minutes 1           # the same, small: minutes on a CPU
    python scripts/full_runs.py --dry-run                            # what would be run

Run folders: ``runs/full/TASK-VARIANT-seedN``, the executed notebooks beside them.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path

import papermill
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help='"cpu" (default) or "cuda"')
    parser.add_argument("--preset", default="paper", help="smoke, tour or paper (default)")
    parser.add_argument("--tasks", nargs="+", default=["segmentation", "detection"])
    parser.add_argument("--variants", nargs="+", default=["paper", "released"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="length of a piece (default: 9)")
    parser.add_argument("--pieces", type=int, default=10_000, help="stop after so many pieces")
    parser.add_argument(
        "--set", default="{}", metavar="JSON", help='other settings, e.g. \'{"L": 1, "scenes": 64}\''
    )
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "full")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    matrix = list(product(options.seeds, options.variants, options.tasks))
    pieces = 0
    for seed, variant, task in tqdm(matrix, unit="run", disable=options.dry_run):
        folder = options.out / f"{task}-{variant}-seed{seed}"
        while not (folder / "provenance.json").exists():
            if options.dry_run:
                print(f"{folder.name}: {'goes on' if (folder / 'config.json').exists() else 'to begin'}")
                break
            if pieces >= options.pieces:
                return
            run_piece(options, folder, seed=seed, variant=variant, task=task)
            pieces += 1


def run_piece(options: argparse.Namespace, folder: Path, **named: object) -> None:
    """One call of the notebook: begins the run, or goes on with it."""
    parameters = {
        **named,
        "preset": options.preset,
        "device": options.device,
        "settings": json.loads(options.set),
        "out": str(folder),
        "resume": (folder / "checkpoint.pt").exists(),
        "minutes": options.minutes,
        "scored": 50,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    papermill.execute_notebook(
        ROOT / "notebooks" / "train.ipynb",
        folder.with_suffix(".ipynb"),
        parameters=parameters,
        kernel_name="python3",
        progress_bar=False,
        cwd=ROOT,
    )


if __name__ == "__main__":
    main()
