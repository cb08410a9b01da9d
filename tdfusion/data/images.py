"""Images in and out as tensors: gray and colour, of any depth, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tdfusion.data.ranges import Range, Span, scale, span_of
from tdfusion.data.stored import Stored, open_stored
from tdfusion.files import whole_file

# BT.601 luma, and full-range YCbCr as in JFIF: the conversion that JPEG files and PIL use.
_LUMA = torch.tensor([0.299, 0.587, 0.114])


def as_tensor(stored: Stored, span: Span) -> Tensor:
    """Stored numbers scaled by a range, float32 (1 or 3, H, W) in [0, 1]."""
    tensor = torch.from_numpy(np.ascontiguousarray(scale(stored.values, span)))
    return tensor[None] if tensor.ndim == 2 else tensor.permute(2, 0, 1).contiguous()  # (1 or 3, H, W)


def as_gray(stored: Stored, span: Span) -> Tensor:
    """As `as_tensor`, (1, H, W); colour becomes its BT.601 luma."""
    image = as_tensor(stored, span)
    return image if image.shape[0] == 1 else rgb_to_ycbcr(image)[:1]


def as_luma_and_chroma(stored: Stored, span: Span) -> tuple[Tensor, Tensor | None]:
    """Luma (1, H, W) and chroma (2, H, W); the chroma of three equal channels (TNO) is None."""
    image = as_tensor(stored, span)
    if not stored.colour:
        return image[:1], None
    ycbcr = rgb_to_ycbcr(image)
    return ycbcr[:1], ycbcr[1:]


def read_image(path: str | Path, scaling: str | Range = "auto", page: int | None = None) -> Tensor:
    """Read any image file as float32 (1 or 3, H, W) in [0, 1].

    Args:
        path: the file; see `open_stored` for palettes, alpha, EXIF orientation and pages.
        scaling: which range of its values becomes 0 to 1, see `choose_span`: ``auto`` divides 8-bit files by 255
            and stretches a deeper file by percentiles, unless it uses its type's range; or ``full``, ``minmax``,
            ``percentile``, ``LOW,HIGH``.
        page: of a file that holds several.

    Raises:
        InputError: the file is missing, empty, cut short, or not an image, or the range does not fit it.
    """
    stored = open_stored(path, page)
    return as_tensor(stored, span_of(stored, scaling))


def read_gray(path: str | Path, scaling: str | Range = "auto", page: int | None = None) -> Tensor:
    """Read an image as gray, float32 (1, H, W) in [0, 1]; arguments and errors as `read_image`."""
    stored = open_stored(path, page)
    return as_gray(stored, span_of(stored, scaling))


def read_visible(
    path: str | Path, scaling: str | Range = "auto", page: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Read a visible image as `as_luma_and_chroma` gives it; arguments and errors as `read_image`."""
    stored = open_stored(path, page)
    return as_luma_and_chroma(stored, span_of(stored, scaling))


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """Full-range BT.601: float (3, H, W) RGB in [0, 1] to (Y, Cb, Cr) in [0, 1], chroma centred at 0.5.

    Example:
        >>> orange = torch.tensor([1.0, 0.5, 0.0]).reshape(3, 1, 1)
        >>> [f"{channel:.4f}" for channel in rgb_to_ycbcr(orange).flatten().tolist()]
        ['0.5925', '0.1656', '0.7907']
    """
    luma = torch.einsum("c,chw->hw", _LUMA.to(rgb), rgb)
    cb = (rgb[2] - luma) / 1.772 + 0.5
    cr = (rgb[0] - luma) / 1.402 + 0.5
    return torch.stack([luma, cb, cr])  # (3, H, W)


def ycbcr_to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    """Inverse of `rgb_to_ycbcr`: luma (1, H, W) and chroma (2, H, W) to RGB (3, H, W), clipped to [0, 1]."""
    y, cb, cr = luma[0], chroma[0] - 0.5, chroma[1] - 0.5
    red = y + 1.402 * cr
    blue = y + 1.772 * cb
    green = (y - _LUMA[0].item() * red - _LUMA[2].item() * blue) / _LUMA[1].item()
    return torch.stack([red, green, blue]).clamp(0, 1)  # (3, H, W)


def to_uint8(image: Tensor) -> np.ndarray:
    """Float (1 or 3, H, W) in [0, 1] to uint8 (H, W) or (H, W, 3), rounded to the nearest level."""
    levels = (image.detach().cpu().float().clamp(0, 1) * 255.0).round().to(torch.uint8)
    return levels[0].numpy() if levels.shape[0] == 1 else levels.permute(1, 2, 0).contiguous().numpy()


def write_png(path: Path, image: Tensor) -> None:
    """Write float (1 or 3, H, W) in [0, 1] as an 8-bit PNG: the whole file appears, or none."""
    with whole_file(Path(path)) as part:
        Image.fromarray(to_uint8(image)).save(part, format="PNG")
