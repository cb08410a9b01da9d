"""Joint geometry: crop, resize and flip of a pair and of all its labels.

Every function takes a `Pair` and returns a new one in which images, mask, boxes and optimum still
agree. Sizes are (height, width) in pixels. Boxes stay inside the image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from tdfusion.data.pair import Pair
from tdfusion.errors import InputError

Match = Literal["none", "ir", "vi"]

MIN_VISIBLE = 0.25
MIN_SIDE = 1.0


def as_size(value: int | tuple[int, int], what: str = "size") -> tuple[int, int]:
    """(H, W) from one side of a square or from a pair of whole positive numbers.

    Raises:
        InputError: anything else.
    """
    sides = (value, value) if isinstance(value, int) else tuple(value)
    if len(sides) != 2 or not all(isinstance(s, (int, np.integer)) and s > 0 for s in sides):
        raise InputError(f"{what} {value!r}: expected one side or (height, width), in whole pixels")
    return int(sides[0]), int(sides[1])


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (n, 5), rows ``class x1 y1 x2 y2``, with their corners moved into an image of ``size``."""
    height, width = size
    limits = torch.tensor([width, height, width, height], dtype=boxes.dtype)
    corners = boxes[:, 1:].clamp_min(0).minimum(limits)  # (n, 4)
    return torch.cat([boxes[:, :1], corners], dim=1)  # (n, 5)


def box_sides(boxes: Tensor) -> Tensor:
    """Width and height (n, 2) of boxes (n, 5); negative where corners are in the wrong order."""
    return boxes[:, 3:5] - boxes[:, 1:3]


def crop(pair: Pair, top: int, left: int, size: int | tuple[int, int]) -> Pair:
    """Cut a window out of a pair and its labels.

    A box stays when at least a quarter of its area (`MIN_VISIBLE`) lies in the window and what is left
    of it is at least one pixel wide and high (`MIN_SIDE`); it is then clipped to the window. Other boxes
    are dropped: too little of the object can be seen to call it an object.

    Raises:
        InputError: the window does not lie inside the image.
    """
    height, width = as_size(size, "crop")
    H, W = pair.size
    if height > H or width > W:
        raise InputError(
            f"{pair.name}: {H}x{W} pixels (height x width), smaller than the crop of {height}x{width};"
            " pass a smaller crop"
        )
    if not (0 <= top <= H - height and 0 <= left <= W - width):
        raise InputError(f"{pair.name}: a {height}x{width} crop at ({top}, {left}) leaves the {H}x{W} image")

    def cut(plane: Tensor | None) -> Tensor | None:
        if plane is None:
            return None
        return plane[..., top : top + height, left : left + width].contiguous()

    boxes = None
    if pair.boxes is not None:
        shift = torch.tensor([0, left, top, left, top], dtype=pair.boxes.dtype)
        shown = clip_boxes(pair.boxes - shift, (height, width))
        sides = box_sides(shown)
        visible = sides.clamp_min(0).prod(1) / box_sides(pair.boxes).prod(1)
        boxes = shown[(visible >= MIN_VISIBLE) & (sides >= MIN_SIDE).all(1)]
    return replace(
        pair,
        ir=cut(pair.ir),
        vi=cut(pair.vi),
        chroma=cut(pair.chroma),
        mask=cut(pair.mask),
        optimum=cut(pair.optimum),
        boxes=boxes,
    )


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize with antialiasing, (C, H, W) in [0, 1] to (C, *size) in [0, 1]."""
    if image.shape[-2:] == size:
        return image
    resized = nnf.interpolate(image[None], size=size, mode="bilinear", antialias=True, align_corners=False)
    return resized[0].clamp(0, 1)


def matched(ir: Tensor, vi: Tensor, match: Match) -> tuple[Tensor, Tensor]:
    """One view at two resolutions (RoadScene) at one: ir (C, H, W) and vi (C, H', W'), in [0, 1].

    Args:
        ir, vi: the infrared and the visible image.
        match: "ir" resizes the visible image to the infrared one, "vi" the other way round; "none" leaves both.

    Raises:
        InputError: an unknown ``match``.
    """
    if match not in get_args(Match):
        raise InputError(f'match is "{match}"; choose {", ".join(get_args(Match))}')
    if match == "ir":
        vi = resize_image(vi, ir.shape[-2:])
    elif match == "vi":
        ir = resize_image(ir, vi.shape[-2:])
    return ir, vi


def resize_ids(ids: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest-neighbour resize of class ids, int64 (H, W) to ``size``: no new id can appear."""
    if ids.shape == size:
        return ids
    # Ids below 2^24 are exact in float32; interpolate does not take integers.
    return nnf.interpolate(ids[None, None].float(), size=size, mode="nearest-exact")[0, 0].long()


def resize(pair: Pair, size: int | tuple[int, int]) -> Pair:
    """Resize a pair: images bilinear with antialiasing, class ids nearest, boxes scaled.

    All boxes stay, also those that become smaller than a pixel.
    """
    H, W = pair.size
    height, width = as_size(size)
    boxes = None
    if pair.boxes is not None:
        scale = torch.tensor([1, width / W, height / H, width / W, height / H], dtype=pair.boxes.dtype)
        boxes = clip_boxes(pair.boxes * scale, (height, width))  # clipping only removes rounding
    return replace(
        pair,
        ir=resize_image(pair.ir, (height, width)),
        vi=resize_image(pair.vi, (height, width)),
        chroma=None if pair.chroma is None else resize_image(pair.chroma, (height, width)),
        mask=None if pair.mask is None else resize_ids(pair.mask, (height, width)),
        optimum=None if pair.optimum is None else resize_ids(pair.optimum, (height, width)),
        boxes=boxes,
    )


def flip(pair: Pair) -> Pair:
    """Mirror a pair left to right, labels included."""
    width = pair.size[1]

    def mirror(plane: Tensor | None) -> Tensor | None:
        return None if plane is None else plane.flip(-1)

    boxes = None
    if pair.boxes is not None:
        c, x1, y1, x2, y2 = pair.boxes.unbind(1)
        boxes = torch.stack([c, width - x2, y1, width - x1, y2], dim=1)  # (n, 5)
    return replace(
        pair,
        ir=mirror(pair.ir),
        vi=mirror(pair.vi),
        chroma=mirror(pair.chroma),
        mask=mirror(pair.mask),
        optimum=mirror(pair.optimum),
        boxes=boxes,
    )
