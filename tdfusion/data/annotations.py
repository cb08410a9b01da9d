"""Label files: Pascal VOC XML, YOLO text, and masks of class ids, each checked as it is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from tdfusion.data.geometry import MIN_SIDE, box_sides, clip_boxes
from tdfusion.errors import InputError

# A label may reach over the border by rounding alone; only more than this counts as outside, in pixels.
_ROUNDING = 0.01


@dataclass(frozen=True)
class BoxLabels:
    """The boxes of one label file.

    Attributes:
        boxes: float32 (n, 5), rows ``class x1 y1 x2 y2`` in pixels, inside the image.
        outside: how many boxes of the file reached over the border and were clipped.
        degenerate: how many were less than one pixel wide or high after clipping; not in ``boxes``.
        other_size: (H, W) that the file names for its image where that is not the image's size.
    """

    boxes: Tensor
    outside: int = 0
    degenerate: int = 0
    other_size: tuple[int, int] | None = None


def read_boxes(path: Path, classes: Sequence[str], size: tuple[int, int]) -> BoxLabels:
    """Boxes of an ``.xml`` (Pascal VOC) or ``.txt`` (YOLO) file for an image of ``size`` = (H, W).

    Raises:
        InputError: the file is missing or malformed, or names a class that the data set does not have.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such label file")
    other_size = None
    if path.suffix.lower() == ".xml":
        rows, named = _voc_rows(path, classes)
        if named is not None and named != size:
            other_size = named
    else:
        rows = _yolo_rows(path, classes, size)
    raw = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)  # (n, 5)
    clipped = clip_boxes(raw, size)
    whole = (box_sides(clipped) >= MIN_SIDE).all(1)
    outside = ((clipped - raw).abs() > _ROUNDING).any(1)
    return BoxLabels(clipped[whole], int(outside.sum()), int((~whole).sum()), other_size)


def _voc_rows(path: Path, classes: Sequence[str]) -> tuple[list[list[float]], tuple[int, int] | None]:
    """Rows ``class x1 y1 x2 y2`` of a VOC file, and the (H, W) that it names.

    Corners are taken as written, without the shift by one pixel of VOC's own counting from 1: the
    paper's lists hold them so.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: not readable as Pascal VOC XML ({error})") from error
    if root.tag != "annotation":
        raise InputError(f"{path}: its root is <{root.tag}>, expected <annotation> as in Pascal VOC")
    ids = {name.lower(): i for i, name in enumerate(classes)}
    rows = []
    for number, item in enumerate(root.iter("object"), start=1):
        name = (item.findtext("name") or "").strip()
        if name.lower() not in ids:
            raise InputError(f"{path}: object {number} is a {name!r}, expected one of {', '.join(classes)}")
        try:
            corners = [float(item.findtext(f"bndbox/{k}") or "") for k in ("xmin", "ymin", "xmax", "ymax")]
        except ValueError:
            corners = [math.nan]
        if not all(map(math.isfinite, corners)):
            raise InputError(
                f"{path}: object {number} ({name}) has no <bndbox> with the numbers xmin, ymin, xmax, ymax"
            )
        rows.append([float(ids[name.lower()]), *corners])
    sides = [root.findtext(f"size/{k}") or "" for k in ("height", "width")]
    named = tuple(int(s) for s in sides) if all(s.strip().isdigit() for s in sides) else None
    return rows, named if named and all(named) else None  # some tools write 0 for a size they do not know


def _yolo_rows(path: Path, classes: Sequence[str], size: tuple[int, int]) -> list[list[float]]:
    """Rows ``class x1 y1 x2 y2`` in pixels of a YOLO file: ``class cx cy w h``, parts of width and height."""
    H, W = size
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file, expected lines 'class cx cy w h'") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        where = f"{path}: line {number} ({line.strip()!r})"
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        if len(values) != 5 or not all(map(math.isfinite, values)):
            raise InputError(f"{where}: expected five numbers 'class cx cy w h'")
        c, cx, cy, w, h = values
        if c not in range(len(classes)):
            known = ", ".join(f"{i} {name}" for i, name in enumerate(classes))
            raise InputError(f"{where}: class {c:g} is unknown, expected {known}")
        if not (0 <= cx <= 1 and 0 <= cy <= 1):
            raise InputError(
                f"{where}: the centre ({cx:g}, {cy:g}) is outside the image; expected cx and w as parts of"
                " the width and cy and h as parts of the height, not pixels"
            )
        rows.append([c, (cx - w / 2) * W, (cy - h / 2) * H, (cx + w / 2) * W, (cy + h / 2) * H])
    return rows


def read_mask(path: Path, classes: Sequence[str], size: tuple[int, int]) -> Tensor:
    """Class ids, int64 (H, W), from an image whose pixel values (or palette indices) are the ids.

    Ids are small numbers, so such a file looks black in an image viewer.

    Raises:
        InputError: the file is unreadable, in colour, of another size, or has an id without a class.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such label file")
    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error})") from error
    if values.ndim == 3:
        gray = values[..., :1]
        if (values[..., :3] != gray).any():
            raise InputError(f"{path}: a colour picture, expected one channel of class ids")
        values = gray[..., 0]
    if values.shape != size:
        raise InputError(
            f"{path}: {values.shape[0]}x{values.shape[1]} pixels (height x width), but its pair has"
            f" {size[0]}x{size[1]}"
        )
    ids = torch.from_numpy(values.astype(np.int64))  # (H, W)
    wrong = ids.unique()
    wrong = wrong[(wrong < 0) | (wrong >= len(classes))].tolist()
    if wrong:
        raise InputError(
            f"{path}: class ids {', '.join(map(str, wrong[:8]))}{' ...' if len(wrong) > 8 else ''} are"
            f" unknown, expected 0 to {len(classes) - 1}"
        )
    return ids
