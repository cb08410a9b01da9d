"""Which F the package carries: fitted on real pairs, chosen by a rule, described by a card.

**The rule, written before any score was seen.** Candidates: F of this book's run on generated scenes with w = 1/2
(``synthroad``); F fitted on the MSRS pairs of the folds 1 and 2 of "MSRS-blocks" with w = 1/2 (``real``, Exp. I of
Table 3; T, which learns beside it, is a small SegFormer on filled boxes). A third, the same with the task's loss in F's
own (Exp. III), was planned and left out for lack of time, before any score was seen.
All are scored on the 120 pairs of fold 0, which none has seen, by the six metrics of the paper, stretched to 8 bits as
``tdfusion fuse`` does. Carried is the candidate with the best mean rank over the six metrics among the candidates; of
equal ones the first named. It is carried only if its mean is above that of the plain mean of both images in at least
four of the six; otherwise the card says in its first line that the plain mean is better. The authors' weights of
reference [5] are scored beside them and can not be chosen: they are not ours to give.

    python -m studies.pretrained fit --root ../shared/msrs            # results/pretrained; resumes
    python -m studies.pretrained score --root ../shared/msrs          # results/pretrained.csv
    python -m studies.pretrained carry                                # tdfusion/pretrained
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from tdfusion.config import make_config
from tdfusion.data.layouts import find_layout
from tdfusion.data.pair import Batch
from tdfusion.data.readers import PairDataset, open_dataset
from tdfusion.data.splits import NamedFolds, named_folds
from tdfusion.downstream.protocols import SEGFORMERS
from tdfusion.evaluate.folders import BASELINES, fuse_baseline
from tdfusion.evaluate.networks import evaluate_network
from tdfusion.files import write_text
from tdfusion.metrics import METRICS
from tdfusion.models import FusionNet
from tdfusion.pretrained import BOX
from tdfusion.pretrained.card import model_card
from tdfusion.results import load, provenance_of, save
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean
from tdfusion.tasks.segmentation import SegmentationTask
from tdfusion.train import Trainer
from tdfusion.weights import read_metadata, write_safetensors

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs" / "pretrained"
OUT = ROOT / "results" / "pretrained.csv"
FOLD = 0  # scored, and never trained on
REFERENCE = "reference [5], by its authors"
CANDIDATES = ("synthroad", "real")
# Short, on crops: what two processor cores do in some minutes each.
SCALE: dict[str, Any] = {
    "dataset": "custom", "task": "detection", "L": 5, "N": 200, "batch": 2, "crop": 96,
    "eta_F": 1e-3, "eta_T": 1e-3, "decay_every": 2, "decay_factor": 0.3,
}  # fmt: skip
FITS = {
    "real": make_config("paper", experiment="I", **SCALE),
}


class FilledBoxes(SegmentationTask):
    """T of the fits: a small SegFormer that names the class of every pixel inside a box; later boxes lie on top."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        super().__init__(len(classes) + 1, standardise=True, **SEGFORMERS["tiny"])

    def forward(self, I_f: Tensor, batch: Batch) -> Tensor:
        mask = torch.zeros(I_f.shape[0], *I_f.shape[-2:], dtype=torch.int64)  # (B, H, W); 0: in no box
        for ids, boxes in zip(mask, batch.boxes, strict=True):
            for kind, x1, y1, x2, y2 in boxes.round().long().tolist():
                ids[y1:y2, x1:x2] = kind + 1
        return super().forward(I_f, Batch(batch.ir, batch.vi, batch.names, mask=mask))


def pairs(root: Path, part: str, **options: Any) -> PairDataset:
    """The pairs to fit on ("train": two folds) or to score ("test": the third)."""
    names = folds().part(part, FOLD)
    return open_dataset("MSRS", root, "test", names=names, **options)


def folds() -> NamedFolds:
    return named_folds("MSRS-blocks")


def fit(root: Path) -> None:
    """Every fit that is not done yet."""
    for name, config in FITS.items():
        out = RUNS / name
        if file_of(name).is_file():
            continue
        seen = pairs(root, "train", task="detection", crop=config.crop, augment={"crop"}, keep=True)
        T = FilledBoxes(find_layout("MSRS").classes("detection"))
        Trainer(config, T=T, pairs=seen).run(out, resume=(out / "checkpoint.pt").is_file())
        file_of(name).parent.mkdir(parents=True, exist_ok=True)
        for kept in ("config.json", "provenance.json", "F.safetensors"):
            shutil.copyfile(out / kept, file_of(name).with_name(kept))


def file_of(name: str) -> Path:
    """Where a candidate's F lies."""
    return OUT.parent / ("synthroad_half" if name == "synthroad" else f"pretrained/{name}") / "F.safetensors"


def networks(reference: Path) -> dict[str, FusionNet]:
    """Every F that is scored."""
    files = {name: file_of(name) for name in CANDIDATES}
    return {name: FusionNet.from_file(path) for name, path in (files | {REFERENCE: reference}).items()}


class Plain(torch.nn.Module):
    """A baseline in the place of F."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        a, b = ((image[0, 0] * 255).round().to(torch.uint8).numpy() for image in (I_a, I_b))
        return torch.from_numpy(fuse_baseline(self.name, a, b)).float()[None, None] / 255  # (1, 1, H, W)


def score(root: Path, reference: Path, out: Path) -> None:
    """Every candidate, the baselines and the reference on the held-out fold; a row per image and metric."""
    made = Provenance.begin(fold=FOLD, folds_sha256=folds().sha256)
    rows = []
    for name, F in (networks(reference) | {name: Plain(name) for name in BASELINES}).items():
        for row in evaluate_network(F, pairs(root, "test", task="fusion"), method=name).rows:
            group = "day" if row.image.endswith("D") else "night"
            rows.append(
                {"data": "MSRS", "arm": name, "group": group, "image": row.image, "values": row.values}
            )
    save(
        out.stem,
        rows,
        what="six metrics of the candidates for the carried F on the 120 MSRS pairs that none has seen",
        command=command_line(),
        provenance=[made.finish()],
        settings={name: config.to_dict() for name, config in FITS.items()},
        folder=out.parent,
    )


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of every metric over the images, a row per arm; what is 0/0 is in no mean."""
    return table.pivot_table(index="arm", columns="metric", values="value", sort=False)[list(METRICS)]


def chosen(found: pd.DataFrame) -> tuple[str, bool]:
    """The candidate that the rule names, and whether it is above the plain mean in at least four metrics."""
    ranks = found.loc[list(CANDIDATES)].rank(ascending=False).mean(axis=1)
    best = str(ranks.idxmin())  # of equal ones the first
    return best, bool((found.loc[best] > found.loc["mean"]).sum() >= 4)


def facts(table: pd.DataFrame, best: str, above: bool) -> dict[str, Any]:
    """What the card says."""
    found = means(table)
    where = provenance_of("pretrained")[0]
    ours = f"these weights ({best})"
    rows = [{"method": ours if arm == best else arm, **row} for arm, row in found.round(4).iterrows()]
    rows.sort(key=lambda row: row["method"] != ours)
    limits = [
        "Fitted for minutes on crops of 241 road scenes of one pair of cameras; other scenes were not looked at.",
        "The six metrics compare a fused image with its sources; none says that a task is served.",
        "Infrared and visible image must be registered; nothing is aligned.",
        "Attention sums over the whole image: the result of a tile is not that of its image.",
    ]
    if not above:
        limits.insert(0, "By these metrics the plain mean of both images is better.")
    config = FITS.get(best)
    return {
        "summary": _summary(best),
        "data": "MSRS, 241 pairs of its test set (folds 1 and 2 of MSRS-blocks), crops of 96 px" if config else
        "SynthRoad, 96 generated scenes of 128x128 px; no real image",
        "data_licence": "see the project page of MSRS; none of its images is part of these weights or of this package"
        if config else "generated by this project's own code, AGPL-3.0-or-later",
        "recipe": "`python -m studies.pretrained fit`" if config else "see `results/synthroad_half/config.json`",
        "seed": config.seed if config else 0,
        "commit": f"`{where['commit']}`",
        "scored_on": "Means over the 120 MSRS pairs of fold 0 of MSRS-blocks, which were not trained on, convention "
        '"paper", results stretched to the full range. What each rule or network gives beside it: the same pairs.',
        "scores": rows,
        "limits": limits,
    }  # fmt: skip


def _summary(best: str) -> str:
    if best == "synthroad":
        return (
            "F trained with w_a = w_b = 1/2 on generated scenes: **not** with the learned loss of the paper."
        )
    return (
        "F fitted on real pairs by the fusion loss with w_a = w_b = 1/2 (Table 3, Exp. I): **not** with the learned "
        "loss of the paper."
    )


def carry(out: Path) -> None:
    """Weights and card of the candidate that the rule names."""
    table = load("pretrained")
    best, above = chosen(means(table))
    file = file_of(best)
    write_safetensors(out / "F.safetensors", FusionNet.from_file(file), read_metadata(file))
    write_text(out / "card.md", model_card(facts(table, best, above)))
    print(f"carried: {best}; above the plain mean in four metrics or more: {above}")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("fit", "score", "carry"))
    parser.add_argument(
        "--root", type=Path, default=ROOT.parent / "shared" / "msrs", metavar="DIR", help="MSRS"
    )
    parser.add_argument(
        "--reference", type=Path, default=ROOT.parent / "shared" / "data" / "weights" / "ReFusion_IVIF.pth",
        metavar="FILE", help="weights of reference [5]",
    )  # fmt: skip
    parser.add_argument("--box", type=Path, default=BOX, metavar="DIR", help="where carry writes")
    add_result_options(parser, OUT)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    keep_freed_memory()
    if arguments.action == "carry":
        return carry(arguments.box)
    require_clean(arguments.out, arguments.allow_dirty)
    if arguments.action == "fit":
        return fit(arguments.root)
    return score(arguments.root, arguments.reference, arguments.out)


if __name__ == "__main__":
    main()
