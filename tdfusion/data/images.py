"""Images in and out: gray and colour, 8 and 16 bit, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from tdfusion.errors import InputError
from tdfusion.files import whole_file

# BT.601 luma, and full-range YCbCr as in JFIF: the conversion that JPEG files and PIL use.
_LUMA = torch.tensor([0.299, 0.587, 0.114])


def read_image(path: Path) -> Tensor:
    """Read any image file as float32 (1 or 3, H, W) in [0, 1].

    8-bit images are divided by 255, 16-bit ones by 65535. Palettes are expanded; an alpha channel is
    dropped.

    Raises:
        InputError: the file is missing, empty, cut short, or not an image.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode.startswith(("I", "F")):  # 16-bit PNG and TIFF open as I;16, I or F
                values = np.asarray(image, dtype=np.float32) / 65535.0
            else:
                gray = image.mode in ("1", "L", "LA", "La")
                values = np.asarray(image.convert("L" if gray else "RGB"), dtype=np.float32) / 255.0
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error})") from error
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise InputError(f"{path}: pixel values outside the range of an 8-bit or 16-bit image")
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor[None] if tensor.ndim == 2 else tensor.permute(2, 0, 1).contiguous()  # (1 or 3, H, W)


def read_gray(path: Path) -> Tensor:
    """Read an image as gray, float32 (1, H, W) in [0, 1]; colour becomes its BT.601 luma."""
    image = read_image(path)
    return image if image.shape[0] == 1 else rgb_to_ycbcr(image)[:1]


def read_visible(path: Path) -> tuple[Tensor, Tensor | None]:
    """Read a visible image as (luma (1, H, W), chroma (2, H, W)).

    The chroma of a gray image is None, also where it is stored with three equal channels (TNO).
    """
    image = read_image(path)
    if image.shape[0] == 1 or bool((image == image[:1]).all()):
        return image[:1], None
    ycbcr = rgb_to_ycbcr(image)
    return ycbcr[:1], ycbcr[1:]


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """Full-range BT.601: float (3, H, W) RGB in [0, 1] to (Y, Cb, Cr) in [0, 1], chroma centred at 0.5."""
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
