"""The images and labels that T is retrained on, as files: read, checked and written before training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from tdfusion.data import geometry
from tdfusion.data.images import write_png
from tdfusion.data.layouts import find_layout
from tdfusion.data.pair import Pair
from tdfusion.data.readers import PairDataset, open_dataset
from tdfusion.data.splits import named_folds
from tdfusion.downstream.config import DownstreamConfig
from tdfusion.downstream.protocols import PROTOCOLS
from tdfusion.downstream.sources import ImageSource, open_source
from tdfusion.errors import InputError
from tdfusion.files import write_text

SPLITS = ("train", "test")
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Prepared:
    """A folder with ``images/{train,test}/NAME.png`` and ``labels/{train,test}/NAME.png`` or ``.txt``.

    Masks are PNGs of class ids. Boxes are YOLO text: lines ``class cx cy w h``, parts of width and height.
    """

    root: Path
    task: str
    source: str  # what tables call it
    classes: tuple[str, ...]
    names: dict[str, tuple[str, ...]]  # split -> names, in the data set's order

    def image(self, split: str, name: str) -> Path:
        return self.root / "images" / split / f"{name}.png"

    def label(self, split: str, name: str) -> Path:
        suffix = ".png" if self.task == "segmentation" else ".txt"
        return self.root / "labels" / split / f"{name}{suffix}"


def prepare(
    config: DownstreamConfig,
    root: Path,
    *,
    pairs: dict[str, Sequence[Pair]] | None = None,
    progress: bool = True,
) -> Prepared:
    """Write every image of the source, and its labels, below ``root``; a complete folder is used again.

    Args:
        config: data set, task, source, size and number of pairs.
        root: made if missing.
        pairs: the pairs of both splits where they are at hand already, in place of the data set's.
        progress: a bar.

    Raises:
        InputError: a pair, a label or a fused image is missing, unreadable or does not fit; it is named. Every
            one is read here, so nothing of this kind can stop the training later.
    """
    if (root / _MANIFEST).is_file():
        return _read(root)
    source = open_source(config.source, stretch=config.stretch, device=config.device)
    sets = {split: open_split(config, split) for split in SPLITS}
    classes = sets["train"].classes
    names: dict[str, tuple[str, ...]] = {}
    for split, pairs_of in sets.items():
        limit = config.train_pairs if split == "train" else config.test_pairs
        names[split] = pairs_of.names[:limit]
        source.check(split, names[split])
    prepared = Prepared(root, config.task, source.name, classes, names)
    total = sum(map(len, names.values()))
    sizes: set[tuple[int, int]] = set()
    with tqdm(total=total, desc="images", unit="pair", disable=not progress, dynamic_ncols=True) as bar:
        for split in SPLITS:
            origin = pairs[split] if pairs is not None else sets[split]
            for index, name in enumerate(names[split]):
                sizes.add(_write(prepared, split, name, origin[index], source, config))
                if len(sizes) > 1 and config.task == "segmentation":
                    raise InputError(f"{name}: images of several sizes ({sizes}); give size = (H, W)")
                bar.update()
    about = {"task": config.task, "source": source.name, "classes": classes, "names": names}
    write_text(root / _MANIFEST, json.dumps(about))
    return prepared


def open_split(config: DownstreamConfig, split: str) -> PairDataset:
    """The labelled pairs to train on or to score, as they are; what is drawn is drawn at ``config.size``."""
    options: dict[str, Any] = {}
    if find_layout(config.dataset).drawn:
        options = {
            "length": config.train_pairs if split == "train" else config.test_pairs,
            "size": config.size,
        }
    if folds := PROTOCOLS[config.protocol].folds:
        parts = named_folds(folds)
        options["names"], split = parts.part(split, config.fold), parts.split
    return open_dataset(
        config.dataset,
        config.root,
        split,
        config.task,
        seed=config.data_seed,
        partial=config.partial,
        **options,
    )


def as_T_sees(pair: Pair, split: str, source: ImageSource, size: tuple[int, int] | None) -> Pair:
    """A pair with the source's image, in 8 bits, in place of both of its own, and all of it at T's size."""
    image = torch.from_numpy(source(split, pair).astype(np.float32))[None] / 255  # (1, H, W)
    shown = Pair(ir=image, vi=image, name=pair.name, mask=pair.mask, boxes=pair.boxes)
    return shown if size is None else geometry.resize(shown, size)


def check_labels(pair: Pair, task: str, classes: Sequence[str]) -> None:
    """Refuse a pair whose labels are missing or name a class that there is not.

    Raises:
        InputError: so it is; the pair is named.
    """
    labels = pair.mask if task == "segmentation" else pair.boxes
    if labels is None:
        what = "mask" if task == "segmentation" else "boxes"
        raise InputError(f"{pair.name}: no {what}, which {task} is trained on")
    ids = labels if task == "segmentation" else labels[:, 0]
    wrong = ids.unique()
    wrong = wrong[(wrong < 0) | (wrong >= len(classes))].tolist()
    if wrong:
        raise InputError(
            f"{pair.name}: class {', '.join(f'{c:g}' for c in wrong[:8])} in its labels, "
            f"expected 0 to {len(classes) - 1}"
        )


def yolo_text(boxes: Tensor, size: tuple[int, int]) -> str:
    """Boxes (n, 5), rows ``class x1 y1 x2 y2`` in pixels of an image (H, W), as YOLO's lines."""
    height, width = size
    rows = boxes.double()
    centre = (rows[:, 1:3] + rows[:, 3:5]) / 2 / torch.tensor([width, height])
    sides = (rows[:, 3:5] - rows[:, 1:3]) / torch.tensor([width, height])
    lines = torch.cat([centre, sides], dim=1).clamp(0, 1).tolist()
    return "".join(
        f"{int(c)} {' '.join(f'{v:.8f}' for v in line)}\n" for c, line in zip(rows[:, 0], lines, strict=True)
    )


def _write(
    prepared: Prepared, split: str, name: str, pair: Pair, source: ImageSource, config: DownstreamConfig
) -> tuple[int, int]:
    """One image and its labels; the image's size."""
    check_labels(pair, config.task, prepared.classes)
    shown = as_T_sees(pair, split, source, config.size)
    write_png(prepared.image(split, name), shown.ir)
    if config.task == "segmentation":
        write_png(prepared.label(split, name), shown.mask[None].float() / 255)
    else:
        write_text(prepared.label(split, name), yolo_text(shown.boxes, shown.size))
    return shown.size


def _read(root: Path) -> Prepared:
    about = json.loads((root / _MANIFEST).read_text())
    names = {split: tuple(names) for split, names in about["names"].items()}
    return Prepared(root, about["task"], about["source"], tuple(about["classes"]), names)
