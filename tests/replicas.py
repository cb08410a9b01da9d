"""Tiny replicas of every published layout, written into a temporary folder.

    replica = write_replica(tmp_path, "MSRS")
    open_dataset("MSRS", replica.root)

M3FD and LLVIP carry the first names of the paper's lists, so they open with ``partial=True``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tdfusion.data.layouts import Layout, find_layout
from tdfusion.data.splits import paper_split

# Per data set: image suffix (else PNG) and the folders as published (else as its row says).
_SUFFIX = {"LLVIP": ".jpg", "RoadScene": ".jpg"}
_FOLDERS = {
    "MSRS": ("{split}/ir", "{split}/vi"),
    "FMB": ("{split}/Infrared", "{split}/Visible"),
    "M3FD": ("Ir", "Vis"),
    "LLVIP": ("infrared/{split}", "visible/{split}"),
    "RoadScene": ("cropinfrared", "crop_HR_visible"),
    "TNO": ("ir", "vi"),
}


@dataclass(frozen=True)
class Scene:
    """What was written for one pair."""

    ir: np.ndarray  # uint8 (H, W)
    vi: np.ndarray  # uint8 (H, W, 3), or (H, W) for TNO
    mask: np.ndarray | None  # uint8 (H, W)
    boxes: np.ndarray | None  # (n, 5), class x1 y1 x2 y2
    files: dict[str, Path]  # "ir", "vi", and "segmentation" or "detection" where there are labels


@dataclass(frozen=True)
class Replica:
    """The data set's folder, and per split and name what was written."""

    root: Path
    scenes: dict[str, dict[str, Scene]] = field(default_factory=dict)


def write_replica(
    folder: Path, name: str, pairs: int = 3, size: tuple[int, int] = (40, 56), seed: int = 0
) -> Replica:
    """Write ``pairs`` pairs per split of a data set in its published layout under ``folder``."""
    layout = find_layout(name)
    replica = Replica(folder / layout.name)
    rng = np.random.default_rng(seed)
    for split in ("train", "test") if layout.splits[0].name == "train" else ("all",):
        replica.scenes[split] = {
            stem: _write_scene(replica.root, layout, split, stem, size, rng)
            for stem in _stems(layout, split, pairs)
        }
    return replica


def _stems(layout: Layout, split: str, pairs: int) -> list[str]:
    if layout.split(split).listed:
        return list(paper_split(layout.name, split)[:pairs])
    first = 100 if split == "test" else 0
    return [f"{first + i:05d}{'DN'[i % 2]}" for i in range(pairs)]


def _write_scene(
    root: Path, layout: Layout, split: str, stem: str, size: tuple[int, int], rng: np.random.Generator
) -> Scene:
    H, W = size
    suffix = _SUFFIX.get(layout.name, ".png")
    folder_of = layout.split(split).folder or split
    ir = smooth(rng, size)
    vi = smooth(rng, size) if layout.name == "TNO" else np.stack([smooth(rng, size) for _ in range(3)], -1)
    if layout.name == "RoadScene":  # published at another resolution and aspect ratio than the infrared
        vi = np.asarray(Image.fromarray(vi).resize((2 * W + 5, 2 * H), Image.Resampling.BICUBIC))
    ir_folder, vi_folder = (
        root / f.format(split=folder_of) for f in _FOLDERS.get(layout.name, (layout.ir[0], layout.vi[0]))
    )
    files = {"ir": ir_folder / f"{stem}{suffix}", "vi": vi_folder / f"{stem}{suffix}"}
    save_image(files["ir"], ir)
    save_image(files["vi"], vi)
    mask = boxes = None
    if "segmentation" in layout.labels:
        mask = np.kron(
            rng.integers(0, len(layout.classes("segmentation")), (-(-H // 8), -(-W // 8))), np.ones((8, 8))
        )[:H, :W].astype(np.uint8)
        folder = layout.labels["segmentation"].folders[0].format(split=folder_of)
        files["segmentation"] = root / folder / f"{stem}.png"
        save_image(files["segmentation"], mask)
    if "detection" in layout.labels:
        classes = layout.classes("detection")
        x, y = rng.integers(1, W // 2, 2), rng.integers(1, H // 2, 2)
        w, h = rng.integers(4, W // 2, 2), rng.integers(4, H // 2, 2)
        boxes = np.stack([rng.integers(0, len(classes), 2), x, y, x + w, y + h], axis=1).astype(float)
        labels = layout.labels["detection"]
        files["detection"] = root / labels.folders[0].format(split=folder_of) / f"{stem}{labels.suffixes[0]}"
        text = yolo_text(boxes, size) if labels.suffixes[0] == ".txt" else voc_text(boxes, classes, size)
        save_text(files["detection"], text)
    return Scene(ir, vi, mask, boxes, files)


def smooth(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A smooth random picture, uint8 (H, W): JPEG keeps it to a few levels."""
    coarse = rng.integers(0, 256, (4, 5), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def save_image(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": 100, "subsampling": 0} if path.suffix.lower() == ".jpg" else {}
    Image.fromarray(values).save(path, **options)


def save_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def yolo_text(boxes: np.ndarray, size: tuple[int, int]) -> str:
    """Lines ``class cx cy w h`` of boxes in pixels."""
    H, W = size
    return "".join(
        f"{int(c)} {(x1 + x2) / 2 / W} {(y1 + y2) / 2 / H} {(x2 - x1) / W} {(y2 - y1) / H}\n"
        for c, x1, y1, x2, y2 in boxes
    )


def voc_text(boxes: np.ndarray, classes: tuple[str, ...], size: tuple[int, int]) -> str:
    """A Pascal VOC annotation of boxes in pixels."""
    objects = "".join(
        f"<object><name>{classes[int(c)]}</name><difficult>0</difficult><bndbox><xmin>{x1:g}</xmin>"
        f"<ymin>{y1:g}</ymin><xmax>{x2:g}</xmax><ymax>{y2:g}</ymax></bndbox></object>"
        for c, x1, y1, x2, y2 in boxes
    )
    head = f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>"
    return f"<annotation>{head}{objects}</annotation>\n"
