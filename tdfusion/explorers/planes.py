"""Images and maps as they travel to the browser: 8 bits a value, compressed, as text."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import matplotlib
import numpy as np
import torch
from torch import Tensor

from tdfusion.data.pair import Pair
from tdfusion.errors import InputError


def plane(image: Tensor, low: float = 0.0, high: float = 1.0) -> dict[str, Any]:
    """An image in 256 levels between ``low`` and ``high``, for the script of the explorers.

    A value read back is off by at most ``(high - low) / 510``. Every row is stored as differences of
    neighbours, which compress better.

    Args:
        image: (H, W), (1, H, W) or RGB (3, H, W); values outside the range are clipped.
        low, high: the values of level 0 and level 255.

    Returns:
        ``{"c", "h", "w", "low", "high", "z"}``: channels, size in pixels, range, and the levels.
    """
    image = torch.as_tensor(image).detach().cpu().float()
    image = image[None] if image.ndim == 2 else image  # (C, H, W)
    scaled = (image - low) / (high - low) if high > low else torch.zeros_like(image)
    return _packed((scaled.clamp(0, 1) * 255).round().to(torch.uint8).numpy(), low, high)


def own_range(values: Tensor) -> dict[str, Any]:
    """A map in 256 levels between its own lowest and highest value, so that a nearly flat one keeps its detail."""
    return plane(values, float(values.min()), float(values.max()))


def labels(ids: Tensor) -> dict[str, Any]:
    """Class ids 0 to 255, (H, W), exactly."""
    return _packed(ids.detach().cpu().numpy().astype(np.uint8)[None], 0.0, 255.0)


def colours(name: str) -> str:
    """A matplotlib colour map as 256 RGB triples, base64."""
    table = matplotlib.colormaps[name](np.linspace(0, 1, 256))[:, :3]
    return _text(np.rint(table * 255).astype(np.uint8).tobytes())


def check_pairs(pairs: list[Pair]) -> None:
    """Scenes for an explorer: at least one, with names of their own and both images of one size.

    Raises:
        InputError: otherwise; names the scene.
    """
    if not pairs:
        raise InputError("no scene to show; give at least one pair")
    names = [pair.name for pair in pairs]
    for pair in pairs:
        check_image(pair.ir, "infrared", pair.name)
        check_image(pair.vi, "visible", pair.name, tuple(pair.ir.shape[-2:]))
        if names.count(pair.name) > 1:
            raise InputError(f'two scenes are named "{pair.name}"; give each a name of its own')


def check_image(image: Tensor, what: str, scene: str, size: tuple[int, int] | None = None) -> None:
    """A gray image (1, H, W) in [0, 1], of the given size (H, W).

    Raises:
        InputError: otherwise.
    """
    if not isinstance(image, Tensor) or image.ndim != 3 or image.shape[0] != 1 or not image.numel():
        found = tuple(image.shape) if hasattr(image, "shape") else type(image).__name__
        raise InputError(f'{what} of "{scene}" is {found}; expected a gray tensor (1, H, W)')
    if size is not None and tuple(image.shape[-2:]) != size:
        raise InputError(
            f'{what} of "{scene}" is {image.shape[-1]}x{image.shape[-2]}, expected {size[1]}x{size[0]}'
        )
    low, high = float(image.min()), float(image.max())
    if not (low >= 0 and high <= 1):  # also where a value is not a number
        raise InputError(f'{what} of "{scene}" has values from {low:g} to {high:g}; expected 0 to 1')


def _packed(levels: np.ndarray, low: float, high: float) -> dict[str, Any]:
    differences = np.diff(levels, axis=-1, prepend=np.uint8(0))  # modulo 256
    channels, height, width = levels.shape
    text = _text(zlib.compress(differences.tobytes(), 9))
    return {"c": channels, "h": height, "w": width, "low": low, "high": high, "z": text}


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
