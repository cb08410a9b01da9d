"""Does fusing pay on photographs, and by which loss? MSRS cross-fitted, judged by a dense task on its boxes.

The questions, arms, criteria and budget stand in ``book/reproduce/photographs_plan.md``, written before the runs; the
arms in ``studies/photographs_arms.py``. Of the three folds of "MSRS-blocks" two train F and the judge, the third is
scored; so every pair is scored once, by networks that have not seen its block of the sequence.

    snakemake -s studies/Snakefile -j 2 photographs                 # part A, then part B at the size that A has chosen
    python -m studies.photographs arm "192x256: mean" --seed 30     # one job
    python -m studies.photographs collect                           # results/photographs.csv

``TDFUSION_MSRS`` names the folder of the MSRS test set, or it lies as shared/msrs beside the repository; the weights
of reference [5] lie where ``TDFUSION_DATA`` says. No image of it leaves the folder ``runs/``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from studies.judged import OTHER_SEEDS, command
from studies.photographs_arms import ARMS, CLASSES, FOLDS, JUDGE, REFERENCE, SCALE, SIZES, TEACHER, jobs
from studies.plain_images import PLAIN_IMAGES
from tdfusion.config import make_config
from tdfusion.data.pair import Pair
from tdfusion.data.readers import NamedSource, PairDataset, open_dataset
from tdfusion.data.splits import blocks_of, named_folds
from tdfusion.downstream.judge import score_judge, small_segformer, train_judge
from tdfusion.downstream.protocols import SEGFORMERS
from tdfusion.downstream.scores import Scores, segmentation_scores
from tdfusion.files import whole_file
from tdfusion.models import FusionNet
from tdfusion.runs.provenance import Provenance
from tdfusion.tasks.dense import class_weights
from tdfusion.tasks.segmentation import SegmentationTask
from tdfusion.train import Trainer
from tdfusion.weights import write_safetensors

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = ROOT / "runs" / "photographs"
RESULT = ROOT / "results" / "photographs.csv"
CONDITIONS = {"all": "", "day": "D", "night": "N"}  # what is averaged over -> the end of its names


@dataclass(frozen=True)
class Photographs:
    """Pairs in memory, a source of `PairDataset`."""

    names: tuple[str, ...]
    ir: Tensor  # (N, 1, H, W)
    vi: Tensor  # (N, 1, H, W)
    mask: Tensor  # (N, H, W), 0: in no box
    task: str = "segmentation"
    classes: tuple[str, ...] = CLASSES

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pair:
        return Pair(self.ir[index], self.vi[index], self.names[index], mask=self.mask[index])

    def places(self, names: Sequence[str]) -> Tensor:
        """Where these names are."""
        where = {name: at for at, name in enumerate(self.names)}
        return torch.tensor([where[name] for name in names])


def filled(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (n, 5) as a mask (H, W) of their classes + 1, the smaller above the larger; 0 in no box."""
    mask = torch.zeros(size, dtype=torch.int64)
    areas = (boxes[:, 3] - boxes[:, 1]) * (boxes[:, 4] - boxes[:, 2])
    for kind, x1, y1, x2, y2 in boxes[areas.argsort(descending=True, stable=True)].round().long().tolist():
        mask[y1:y2, x1:x2] = kind + 1
    return mask


def load(size: tuple[int, int], root: Path) -> Photographs:
    """The 361 pairs at a size; read once, then kept under ``runs/``."""
    file = SCRATCH / f"pairs_{size[0]}x{size[1]}.pt"
    if not file.exists():
        pairs = open_dataset("MSRS", root, "test", task="detection", size=size)
        read = [pairs[i] for i in tqdm(range(len(pairs)), desc="read MSRS", unit="pair")]
        stacked = {name: torch.stack([getattr(pair, name) for pair in read]) for name in ("ir", "vi")}
        stacked["mask"] = torch.stack([filled(pair.boxes, size) for pair in read if pair.boxes is not None])
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as part:
            torch.save(stacked | {"names": pairs.names}, part)
    kept = torch.load(file, weights_only=True)
    return Photographs(tuple(kept.pop("names")), **kept)


def msrs() -> Path:
    return Path(os.environ.get("TDFUSION_MSRS") or ROOT.parent / "shared" / "msrs")


def reference() -> Path:
    data = Path(os.environ.get("TDFUSION_DATA") or ROOT.parent / "shared" / "data")
    return data / "weights" / "ReFusion_IVIF.pth"


def train_F(name: str, seed: int, fold: int, pairs: Photographs) -> nn.Module:
    """F of an arm, from the folds that are not scored."""
    names = named_folds(FOLDS).part("train", fold)
    source = NamedSource(pairs, names)
    given = {"w_from": str(teacher_file(pairs, seed, fold))} if ARMS[name].get("w") == "given" else {}
    config = make_config("paper", seed=seed, **SCALE | ARMS[name] | given)
    crop = (config.crop, config.crop)
    seen = PairDataset(source, size=None, crop=crop, augment=frozenset({"crop", "flip"}), seed=seed)
    counts = torch.bincount(pairs.mask[pairs.places(names)].flatten(), minlength=len(CLASSES))
    torch.manual_seed(seed)
    T = SegmentationTask(len(CLASSES), class_weights(counts), standardise=True, **SEGFORMERS["tiny"])
    trainer = Trainer(config, T=T, pairs=seen)
    trainer.run()
    if name == TEACHER:
        write_safetensors(teacher_file(pairs, seed, fold), trainer.G)
    return trainer.F


def teacher_file(pairs: Photographs, seed: int, fold: int) -> Path:
    height, width = pairs.ir.shape[-2:]
    return SCRATCH / f"{TEACHER} {height}x{width}, seed {seed}, fold {fold}.safetensors"


def images_of(name: str, seed: int, fold: int, pairs: Photographs) -> Tensor:
    """What is judged, (N, C, H, W) of every pair: no F, the reference's, or that of an arm."""
    if name in PLAIN_IMAGES:
        return PLAIN_IMAGES[name](pairs.ir, pairs.vi)
    F = FusionNet.from_file(reference()) if name == REFERENCE else train_F(name, seed, fold, pairs)
    with torch.no_grad():
        both = zip(pairs.ir.split(8), pairs.vi.split(8), strict=True)
        return torch.cat([F(I_a, I_b).clamp(0, 1) for I_a, I_b in both])


def run_job(job: str, seed: int) -> dict[str, Any]:
    """All three folds of a name such as "192x256: mean": of each block of the sequence, its confusion."""
    size, _, name = job.partition(": ")
    made, pairs, folds = Provenance.begin(seed=seed), load(SIZES[size], msrs()), named_folds(FOLDS)
    blocks = blocks_of(pairs.names, folds.block)
    confusion = {}
    for fold in tqdm(range(folds.folds), desc=f"{job}, seed {seed}", unit="fold"):
        images = images_of(name, seed, fold, pairs)
        train = pairs.places(folds.part("train", fold))
        T = train_judge(
            (images[train], pairs.mask[train]), len(CLASSES), seed=OTHER_SEEDS + seed, **JUDGE,
            make_task=partial(small_segformer, channels=images.shape[1]),
        )  # fmt: skip
        for at, names in enumerate(blocks):
            if folds.fold[names[0]] == fold:
                here = pairs.places(names)
                confusion[at] = score_judge(T, (images[here], pairs.mask[here]), len(CLASSES)).tolist()
    ends = [names[0][-1] for names in blocks]
    found = {
        "arm": job,
        "seed": seed,
        "confusion": [confusion[at] for at in range(len(blocks))],
        "ends": ends,
    }
    scores = scores_of(np.sum(found["confusion"], 0), seed)
    return found | {"judged": {"": (scores.values["mIoU"], {})}, "provenance": made.finish()}


def scores_of(confusion: np.ndarray, seed: int) -> Scores:
    """IoU of every class and their mean, over those that the ground truth has."""
    return segmentation_scores(confusion, CLASSES, dataset="MSRS", source="", seed=seed, images=0)


def rows(run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """For the results table: by all pairs, by day and by night, the means and each class; and without each block."""
    confusion, ends = np.array(run["confusion"]), np.array(run["ends"])
    for condition, end in CONDITIONS.items():
        here = np.flatnonzero(ends == end if end else np.full(len(ends), True))
        whole = confusion[here].sum(0)
        scores = scores_of(whole, run["seed"])
        common = {"data": "MSRS", "arm": run["arm"], "task": condition, "seed": run["seed"]}
        yield common | {"values": {"mIoU": scores.values["mIoU"]}}
        for of_class in scores.classes:
            yield common | {"group": of_class.name, "values": {"IoU": of_class.values["IoU"]}}
        for block in here:
            rest = scores_of(whole - confusion[block], run["seed"])
            yield common | {"group": f"without block {block}", "values": {"mIoU": rest.values["mIoU"]}}


if __name__ == "__main__":
    command(
        __doc__, RESULT, SCRATCH, jobs(), run_job, rows=rows,
        what="A dense task's mean IoU on the boxes of the MSRS test set, by what it was trained on, three folds in one",
        settings={"folds": FOLDS, "sha256": named_folds(FOLDS).sha256, "judge": JUDGE, "F": SCALE},
    )  # fmt: skip
