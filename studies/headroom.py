"""Headroom of SynthRoad: what a fixed task network reads from each source, and from the best of both.

The same small SegFormer, begun from random weights, is trained for the same number of steps on one gray
image per scene: infrared only, visible only, their average, their maximum, or the oracle's per-pixel
choice ``w_a I_a + (1 - w_a) I_b`` with ``w_a = oracle_weights(optimum)``. A sixth source is the oracle's
weight map alone, without either image: what the choice itself gives away. Images are standardised one by
one, the cross-entropy is weighted by class, and the score is the mean IoU over the pooled test pixels.

    python -m studies.headroom          # the table; about a quarter of an hour on one core
    python -m studies.headroom --seeds 0 --out other.csv
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor
from tqdm import tqdm
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from tdfusion.data.synthroad.scenes import CLASSES, SynthRoad, oracle_weights
from tdfusion.results import save
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "synthroad_headroom.csv"
SOURCES = ("infrared only", "visible only", "average", "maximum", "oracle", "oracle map alone")


@dataclass(frozen=True)
class Setting:
    """Every number of the experiment."""

    size: tuple[int, int] = (64, 64)
    train_scenes: int = 480
    test_scenes: int = 120
    data_seed: int = 0
    steps: int = 400
    batch: int = 8
    rate: float = 5e-3  # AdamW, one cycle
    weight_decay: float = 0.01
    hidden: tuple[int, ...] = (16, 32, 64, 96)
    strides: tuple[int, ...] = (2, 2, 2, 2)


def load(split: str, length: int, setting: Setting) -> dict[str, Tensor]:
    """Every source (N, 1, H, W), standardised per image, and the masks (N, H, W)."""
    scenes = SynthRoad(split, length, setting.size, setting.data_seed)
    pairs = [scenes[i] for i in tqdm(range(length), desc=f"draw {split}", unit="scene")]
    ir, vi = torch.stack([p.ir for p in pairs]), torch.stack([p.vi for p in pairs])
    w_a = torch.stack([oracle_weights(p.optimum) for p in pairs])
    images = (ir, vi, (ir + vi) / 2, torch.maximum(ir, vi), w_a * ir + (1 - w_a) * vi, w_a)
    found = {}
    for name, image in zip(SOURCES, images, strict=True):
        mean, sd = image.mean((1, 2, 3), keepdim=True), image.std((1, 2, 3), keepdim=True)
        found[name] = (image - mean) / (sd + 1e-6)  # (N, 1, H, W)
    found["mask"] = torch.stack([p.mask for p in pairs])  # (N, H, W)
    return found


def network(setting: Setting) -> SegformerForSemanticSegmentation:
    """The task network, from random weights."""
    return SegformerForSemanticSegmentation(
        SegformerConfig(
            num_channels=1,
            num_labels=len(CLASSES),
            depths=[1, 1, 1, 1],
            hidden_sizes=list(setting.hidden),
            num_attention_heads=[1, 2, 2, 4],
            patch_sizes=[3, 3, 3, 3],
            strides=list(setting.strides),
            sr_ratios=[4, 2, 1, 1],
            mlp_ratios=[2, 2, 2, 2],
            decoder_hidden_size=64,
            drop_path_rate=0.0,
            classifier_dropout_prob=0.0,
        )
    )


def logits(model: SegformerForSemanticSegmentation, image: Tensor) -> Tensor:
    """Class scores at the size of the image, (B, classes, H, W)."""
    return nnf.interpolate(model(image).logits, size=image.shape[-2:], mode="bilinear", align_corners=False)


def score(model: SegformerForSemanticSegmentation, image: Tensor, mask: Tensor) -> np.ndarray:
    """IoU of each class over all pixels, (classes,)."""
    n = len(CLASSES)
    counts = torch.zeros(n, n)
    model.eval()
    with torch.no_grad():
        for x, y in zip(image.split(32), mask.split(32), strict=True):
            guess = logits(model, x).argmax(1)
            counts += torch.bincount((y * n + guess).flatten(), minlength=n * n).view(n, n)
    both = counts.diag()
    return (both / (counts.sum(0) + counts.sum(1) - both)).numpy()


def run(source: str, seed: int, train: dict, test: dict, setting: Setting, bar: tqdm) -> np.ndarray:
    """Train on one source with one seed; IoU of each class on the test scenes."""
    torch.manual_seed(seed)
    model = network(setting).train()
    image, mask = train[source], train["mask"]
    share = torch.bincount(mask.flatten(), minlength=len(CLASSES)) / mask.numel()
    weight = 1 / (share + 0.001).sqrt()
    weight /= weight.mean()
    optimizer = torch.optim.AdamW(model.parameters(), setting.rate, weight_decay=setting.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, setting.rate, total_steps=setting.steps)
    chance = torch.Generator().manual_seed(seed)
    for _ in range(setting.steps):
        chosen = torch.randint(len(image), (setting.batch,), generator=chance)
        x, y = image[chosen], mask[chosen]
        if torch.rand(1, generator=chance) < 0.5:
            x, y = x.flip(-1), y.flip(-1)
        loss = nnf.cross_entropy(logits(model, x), y, weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        bar.update()
    return score(model, test[source], test["mask"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add_result_options(parser, OUT)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    torch.set_num_threads(1)
    keep_freed_memory()
    setting, made = Setting(), Provenance.begin(seeds=options.seeds)
    train = load("train", setting.train_scenes, setting)
    test = load("test", setting.test_scenes, setting)
    iou: dict[str, list[np.ndarray]] = {source: [] for source in SOURCES}
    with tqdm(total=len(SOURCES) * len(options.seeds) * setting.steps, unit="step") as bar:
        for seed in options.seeds:
            for source in SOURCES:
                bar.set_description(f"{source}, seed {seed}")
                iou[source].append(run(source, seed, train, test, setting, bar))
    table = {}
    for source, runs in iou.items():
        per_class, means = np.stack(runs), np.stack(runs).mean(axis=1)  # (seeds, classes), (seeds,)
        table[source] = {
            "miou_mean": round(float(means.mean()), 4),
            "miou_sd": round(float(means.std(ddof=1)), 4) if len(means) > 1 else None,
            "miou_per_seed": [round(float(m), 4) for m in means],
            "iou_per_class": {c: round(float(v), 4) for c, v in zip(CLASSES, per_class.mean(axis=0))},
        }
        classes = "  ".join(f"{c} {v:.2f}" for c, v in table[source]["iou_per_class"].items())
        print(f"{source:17} {means.mean():.3f} +- {means.std(ddof=min(1, len(means) - 1)):.3f}   {classes}")
    parameters = sum(p.numel() for p in network(setting).parameters())
    save(
        options.out.stem,
        rows(table, options.seeds),
        what="IoU of a fixed task network trained on one source: per seed, and means over seeds (without a seed)",
        command=command_line(),
        provenance=[made.finish()],
        settings=asdict(setting)
        | {"network": "SegFormer (transformers), one input channel", "parameters": parameters},
        folder=options.out.parent,
    )


def rows(table: dict[str, dict], seeds: Sequence[int]) -> Iterator[dict]:
    """For the results table."""
    for source, found in table.items():
        common = {"data": "SynthRoad", "arm": source, "task": "segmentation"}
        for seed, miou in zip(seeds, found["miou_per_seed"], strict=True):
            yield common | {"seed": seed, "values": {"mIoU": miou}}
        yield common | {"values": {"mIoU mean": found["miou_mean"], "mIoU sd": found["miou_sd"]}}
        for name, iou in found["iou_per_class"].items():
            yield common | {"group": name, "values": {"IoU mean": iou}}


if __name__ == "__main__":
    main()
