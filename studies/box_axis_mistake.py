"""How many boxes the released loader moves out of the image, from the paper's own lists.

The loader divides x by the image height and y by its width, and its task loss multiplies by the width
and the height in the right order, so nothing undoes it (facts page of the released implementation). A box
of an image W wide and H high is then seen with x stretched by W / H and y shrunk by H / W. Images are
taken to have the data set's usual size, because the lists do not carry sizes.

    python -m studies.box_axis_mistake      # reads $TDFUSION_DATA/splits, or ../shared/data/splits
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tdfusion.data.layouts import LAYOUTS
from tdfusion.errors import InputError
from tdfusion.results import save
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "box_axis_mistake.csv"
SIZES = {"M3FD": (768, 1024), "LLVIP": (1024, 1280)}


def released_centres(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Centres (n, 2) of boxes (n, 5) ``x1 y1 x2 y2 class`` as the released code normalises them.

    A value above 1 is outside the image; 1 itself is its border.
    """
    H, W = size
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    return np.stack([x / H, y / W], axis=1)


def read_list(path: Path) -> list[np.ndarray]:
    """Boxes (n, 5) ``x1 y1 x2 y2 class`` of every image of one of the paper's lists."""
    if not path.is_file():
        raise InputError(f"{path}: no such list; set TDFUSION_DATA to the folder that holds splits/")
    lines = path.read_text("utf-8").splitlines()
    return [np.array([list(map(float, row.split(","))) for row in line.split()[1:]]) for line in lines]


def measure(images: list[np.ndarray], size: tuple[int, int], classes: tuple[str, ...]) -> dict:
    """Boxes whose centre leaves the image, images that lose one, and the share per class."""
    lost = [(released_centres(boxes, size) > 1).any(axis=1) for boxes in images]
    ids, gone = np.concatenate(images)[:, 4].astype(int), np.concatenate(lost)
    return {
        "images": len(images),
        "boxes": len(gone),
        "boxes_with_centre_outside": int(gone.sum()),
        "percent_of_boxes": round(100 * gone.mean(), 2),
        "images_that_lose_a_box": sum(bool(flags.any()) for flags in lost),
        "percent_of_images": round(100 * np.mean([flags.any() for flags in lost]), 2),
        "percent_per_class": {c: round(100 * gone[ids == i].mean(), 2) for i, c in enumerate(classes)},
    }


def rows(found: dict[str, dict]) -> Iterator[dict]:
    """For the results table."""
    for part, numbers in found.items():
        common = {"data": part, "task": "detection"}
        yield common | {
            "values": {k: v for k, v in numbers.items() if k not in ("size", "percent_per_class")}
        }
        for name, percent in numbers["percent_per_class"].items():
            yield common | {"group": name, "values": {"percent_of_boxes": percent}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_result_options(parser, OUT)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    made = Provenance.begin()
    folder = Path(os.environ.get("TDFUSION_DATA") or ROOT.parent / "shared" / "data") / "splits"
    found = {
        f"{name} {split}": {
            "size": f"{W}x{H}",
            "x_stretched_by": round(W / H, 4),
            **measure(read_list(folder / f"{name}_{split}.txt"), (H, W), LAYOUTS[name].classes("detection")),
        }
        for name, (H, W) in SIZES.items()
        for split in ("train", "test")
    }
    save(
        options.out.stem,
        rows(found),
        what="Boxes whose centre leaves the image by the released normalisation, over the paper's lists",
        command=command_line(),
        provenance=[made.finish()],
        settings={part: numbers["size"] for part, numbers in found.items()},
        folder=options.out.parent,
    )
    for part, numbers in found.items():
        print(
            f"{part}: {numbers['boxes_with_centre_outside']} of {numbers['boxes']} boxes"
            f" ({numbers['percent_of_boxes']} %), {numbers['percent_of_images']} % of the images"
        )


if __name__ == "__main__":
    main()
