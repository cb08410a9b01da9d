"""What the metrics accept: one gray plane per image, on the 8-bit scale. Everything else is refused by name."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tdfusion.errors import InputError

ROLES = ("fused", "infrared", "visible")

Value = tuple[float, str]  # a metric of one image, and why it is NaN where it is


class UndefinedMetricWarning(UserWarning):
    """A metric is 0/0 on this image, so its value is NaN. The message names the image and the reason."""


def as_plane(image: Any, role: str = "fused", *, min_side: int = 1, name: str | None = None) -> np.ndarray:
    """One gray image as float64 (H, W) with values in 0..255.

    Args:
        image: numpy array or torch tensor (H, W): any integer type with values 0..255, or floating
            point on the same scale. Tensors may be on any device and may require gradients; the metrics
            are computed on the CPU and are not differentiable.
        role: "fused", "infrared" or "visible", for messages.
        min_side: smallest height and width that the metric is defined for.
        name: what to call the pair in messages, such as its file stem.

    Raises:
        InputError: not (H, W); too small; not a real number type; NaN or infinite pixels; values
            outside 0..255; floating point values that are all within 0..1, so the image seems to be
            on that scale.
    """
    who = f"{name}: the {role} image" if name else f"the {role} image"
    values, integral = _as_array(image, who)
    if values.ndim != 2:
        raise InputError(
            f"{who} has shape {_times(values.shape)}; the metrics take one gray plane (height, width), "
            "for a colour image its luma"
        )
    if min(values.shape) < min_side:
        raise InputError(f"{who} has {_times(values.shape)} pixels, at least {min_side} a side are needed")
    plane = values.astype(np.float64)
    low, high = plane.min(), plane.max()  # a NaN anywhere makes both NaN
    if not (np.isfinite(low) and np.isfinite(high)):
        count = int(np.count_nonzero(~np.isfinite(plane)))
        raise InputError(f"{who} has {count} pixels that are NaN or infinite; mend the image first")
    if low < 0 or high > 255:
        raise InputError(
            f"{who} has values from {low:g} to {high:g}; the metrics take the 8-bit scale, 0..255"
        )
    if not integral and 0 < high <= 1:
        raise InputError(
            f"{who} has floating point values from {low:g} to {high:g}, which looks like the scale 0..1; "
            "multiply it by 255 (or pass uint8 if it really has only the levels 0 and 1)"
        )
    return plane


def as_planes(images: tuple[Any, ...], *, min_side: int = 1, name: str | None = None) -> np.ndarray:
    """Fused, infrared and visible image, or the fused one alone, as float64 (3 or 1, H, W); see `as_plane`.

    Raises:
        InputError: one image is unusable, or they differ in size.
    """
    planes = [as_plane(image, role, min_side=min_side, name=name) for image, role in zip(images, ROLES)]
    for plane, role in zip(planes[1:], ROLES[1:]):
        if plane.shape != planes[0].shape:
            pair = f"{name}: " if name else ""
            raise InputError(
                f"{pair}the {role} image has {_times(plane.shape)} pixels and the fused one "
                f"{_times(planes[0].shape)}; all three must be registered and of one size"
            )
    return np.stack(planes)  # (3 or 1, H, W)


def constant_sources(stack: np.ndarray) -> list[str]:
    """Which of the two sources in (fused, infrared, visible) have one value everywhere, by role."""
    return [role for plane, role in zip(stack[1:], ROLES[1:]) if is_constant(plane)]


def is_constant(plane: np.ndarray) -> bool:
    """True if all pixels agree to 1e-4 gray levels, which is what float32 arithmetic can tell apart."""
    return bool(plane.max() - plane.min() <= 1e-4)


def warned(metric: str, value: Value, name: str | None) -> float:
    """The number of a value; where it is undefined, with a warning at the caller of the caller."""
    number, reason = value
    if reason:
        where = f"{name}: " if name else ""
        message = f"{where}{metric} is 0/0 because {reason}; its value is NaN"
        warnings.warn(message, UndefinedMetricWarning, stacklevel=3)
    return number


def _as_array(image: Any, who: str) -> tuple[np.ndarray, bool]:
    if hasattr(image, "detach"):  # a torch tensor, without importing torch for those who have none
        integral = not (image.is_floating_point() or image.is_complex())
        allowed = str(image.dtype) not in ("torch.bool",) and not image.is_complex()
        kind = str(image.dtype)
        values = image.detach().cpu().double().numpy() if allowed else None
    elif isinstance(image, np.ndarray):
        integral = image.dtype.kind in "iu"
        allowed = image.dtype.kind in "iuf"
        kind = str(image.dtype)
        values = image
    else:
        raise InputError(f"{who} is a {type(image).__name__}; give a numpy array or a torch tensor (H, W)")
    if not allowed:
        raise InputError(f"{who} has type {kind}; give integers or floating point numbers in 0..255")
    return values, integral


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "()"
