"""Numbers of the published data sets, as far as images and lists are at hand; writes results/data_statistics.json.

From the paper's lists of M3FD and LLVIP, which carry every box: boxes per class, sizes, boxes per image. From
the pairs that lie in the folder, which may be a small part: image sizes, day or night where the file name
says so, mean brightness of both images, and MSRS's own boxes. Every entry says on how many images it rests.

    python -m studies.data_facts      # reads $TDFUSION_DATA, or ../shared/data
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import tqdm

from studies.box_axis_mistake import SIZES, read_list
from tdfusion.data import open_dataset
from tdfusion.data.layouts import LAYOUTS
from tdfusion.results import save_facts
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "data_statistics.json"
# Edges for the side of a box as a share of the image's: sqrt(box area / image area), half octaves.
EDGES = [round(2.0**k, 5) for k in np.arange(-7, 0.01, 0.5)]
AT_HAND = {
    "MSRS": ("train", "test"),
    "LLVIP": ("published-train", "published-test"),
    "RoadScene": ("all",),
    "TNO": ("all",),
}


def of_boxes(sides: np.ndarray, ids: np.ndarray, classes: tuple[str, ...]) -> dict[str, dict]:
    """Per class: how many boxes, and how their sides (shares of the image's) spread over `EDGES`."""
    return {
        name: {
            "boxes": int((ids == i).sum()),
            "side_histogram": np.histogram(sides[ids == i].clip(EDGES[0], EDGES[-1]), EDGES)[0].tolist(),
        }
        for i, name in enumerate(classes)
    }


def of_list(name: str, split: str, folder: Path) -> dict:
    """What one of the paper's lists says; images are taken to have the data set's usual size."""
    H, W = SIZES[name]
    images = [boxes.reshape(-1, 5) for boxes in read_list(folder / f"{name}_{split}.txt")]
    boxes = np.concatenate(images)  # (n, 5) x1 y1 x2 y2 class
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (H * W))
    per_image = Counter(len(b) for b in images)
    return {
        "images": len(images),
        "boxes": len(boxes),
        "boxes_per_image": {str(n): per_image[n] for n in sorted(per_image)},
        "classes": of_boxes(sides, boxes[:, 4], LAYOUTS[name].classes("detection")),
    }


def of_pairs(name: str, split: str, folder: Path) -> dict:
    """Sizes, brightness and, for MSRS, day or night and boxes, of the pairs that are there."""
    task = "detection" if name == "MSRS" else "fusion"
    with warnings.catch_warnings():  # only a part of a set is at hand, and it is meant to be read
        warnings.simplefilter("ignore")
        pairs = open_dataset(name, folder, split, task, partial=True)
    rows, sides, ids = [], [], []
    for pair in tqdm((pairs[i] for i in range(len(pairs))), total=len(pairs), desc=f"{name} {split}"):
        H, W = pair.size
        rows.append(
            (f"{W}x{H}", pair.name[-1], round(pair.ir.mean().item(), 3), round(pair.vi.mean().item(), 3))
        )
        if pair.boxes is not None:
            box = pair.boxes.numpy()  # (n, 5) class x1 y1 x2 y2
            ids.append(box[:, 0])
            sides.append(np.sqrt((box[:, 3] - box[:, 1]) * (box[:, 4] - box[:, 2]) / (H * W)))
    sizes = Counter(row[0] for row in rows)
    found = {
        "images": len(rows),
        "published": LAYOUTS[name].split(split).count,
        "sizes": dict(sizes.most_common()) if len(sizes) <= 4 else {"different": len(sizes)},
        "mean_infrared": [row[2] for row in rows],
        "mean_visible": [row[3] for row in rows],
    }
    if name == "MSRS":
        found["condition"] = ["day" if row[1] == "D" else "night" for row in rows]
        found["classes"] = of_boxes(
            np.concatenate(sides), np.concatenate(ids), LAYOUTS[name].classes("detection")
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_result_options(parser, OUT)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    folder = Path(os.environ.get("TDFUSION_DATA") or ROOT.parent / "shared" / "data")
    made = Provenance.begin()
    found = {
        "side_edges": EDGES,
        "lists": {
            name: {split: of_list(name, split, folder / "splits") for split in ("train", "test")}
            for name in SIZES
        },
        "pairs": {
            name: {split: of_pairs(name, split, folder / name.lower()) for split in splits}
            for name, splits in AT_HAND.items()
        },
    }
    save_facts(
        options.out.stem,
        found,
        what="statistics of the lists and of the pairs at hand; sides are sqrt(box area / image area)",
        command=command_line(),
        provenance=[made.finish()],
        folder=options.out.parent,
    )
    for source in ("lists", "pairs"):
        for name, splits in found[source].items():
            print(
                source, name, ", ".join(f"{split} {numbers['images']}" for split, numbers in splits.items())
            )


if __name__ == "__main__":
    main()
